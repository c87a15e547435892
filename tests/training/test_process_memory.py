import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from jaxhsi.training.process_memory import keep_freed_memory, limit_malloc_arenas
limit_malloc_arenas(4)
if {keeps}: keep_freed_memory()
import jax, jax.numpy as jnp
x, y = jnp.ones((4096, 4096)), jnp.ones((4096, 8))
program = jax.jit(lambda: jnp.sin(x) @ y)  # the sine takes 64 MiB
counts = []
for _ in range(8):
    program().block_until_ready()
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(min(after - before for before, after in zip(counts, counts[1:])))
"""


def new_pages(*, keeps: bool) -> int:
    """Pages that a program takes from the system each time it runs, at least."""
    command = [sys.executable, "-c", FAULTS.format(keeps=keeps)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries have no mallopt")
def test_a_program_takes_the_memory_that_it_freed_again():
    assert new_pages(keeps=False) > 2**13
    assert new_pages(keeps=True) < 2**11
