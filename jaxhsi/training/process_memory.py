"""How a process holds memory; by glibc's options, other C libraries do without."""

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""M_TRIM_THRESHOLD, M_MMAP_MAX and M_ARENA_MAX of glibc's malloc.h."""
_LARGEST_FREE_BYTES = 1 << 30
"""Free memory at the end of the heap, beyond which it goes back to the system. Set by hand, above
what a step of DGC takes."""


def limit_malloc_arenas(malloc_arenas: int) -> None:
    """Let all threads allocate from a few heaps.

    glibc gives each thread that unpacks blocks a heap of its own, which keeps what it has freed:
    on a cube of 2048 x 2048 pixels they held 280 MiB, more the longer it went on.

    Args:
        malloc_arenas: number of heaps.
    """
    _set_malloc_option(_ARENA_MAX, malloc_arenas)


def keep_freed_memory() -> None:
    """Have programs on CPUs take memory that was freed before, in the place of new pages.

    XLA allocates the memory of a program in one block each time it runs, which glibc gives back to
    the system when it is freed; and the system fills new pages with zeros one by one, for a quarter
    of the time of a training step of DGC. The heap of the main thread alone holds blocks of this
    size, so programs run there: JAX must not have computed anything yet.
    """
    import jax  # commands show their help without it

    _set_malloc_option(_MMAP_MAX, 0)
    _set_malloc_option(_TRIM_THRESHOLD, _LARGEST_FREE_BYTES)
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def _set_malloc_option(option: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(option, value)
