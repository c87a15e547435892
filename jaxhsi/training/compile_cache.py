"""Compiled programs are kept between commands, so that the second one starts at once."""

import os
import platform
from pathlib import Path

import jax

from jaxhsi.data.cache import default_cache_folder, fingerprint

_MAX_BYTES = 1 << 30
"""Size of the folder, beyond which the programs that were not used for longest go. Set by hand: a
run of each command leaves about 30 MB."""
_MIN_COMPILE_SECONDS = 0.0
"""Programs that compile faster are not kept: all are, since a command has two hundred small ones
(of operations outside of ``jit``), which take 25 ms each to compile and 8 to read."""


def keep_compiled_programs() -> None:
    """Have JAX keep compiled programs in the cache folder of the user.

    A folder that the user chose (``JAX_COMPILATION_CACHE_DIR``) stays. Programs are those of this
    machine's processor: others have a folder of their own, as home folders are shared on clusters.
    ``JAXHSI_KEEP_COMPILED=0`` keeps none.
    """
    if jax.config.jax_compilation_cache_dir or os.environ.get("JAXHSI_KEEP_COMPILED") == "0":
        return
    folder = default_cache_folder() / "compiled" / fingerprint(_processor())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # e.g. a home folder that cannot be written to; compiling anew is only slower
    if not os.access(folder, os.W_OK):
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", _MAX_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _MIN_COMPILE_SECONDS)


def _processor() -> tuple[str, str]:
    """Kind of the processor and what instructions it has, where the system tells."""
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text().splitlines() if cpu_info.is_file() else []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return platform.machine(), flags or platform.processor()
