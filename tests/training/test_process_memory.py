import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from jaxhsi.training.process_memory import keep_freed_memory
if {keeps}: keep_freed_memory()
import jax, jax.numpy as jnp
program = jax.jit(lambda x: jnp.sort(x).sum())  # sorts a copy of 64 MiB
x = jnp.arange(2.0**24)
for _ in range(2): program(x).block_until_ready()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
program(x).block_until_ready()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(*, keeps: bool) -> int:
    """Pages that a program takes from the system when it runs for the third time."""
    command = [sys.executable, "-c", FAULTS.format(keeps=keeps)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries have no mallopt")
def test_a_program_takes_the_memory_that_it_freed_again():
    assert new_pages(keeps=False) > 2**13
    assert new_pages(keeps=True) < 2**11
