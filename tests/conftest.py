"""Shared set-up: eight CPU devices, quick compilation, checked annotations, optional real data."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

# Before jax starts, and before the workers do, which take it over: what one test has compiled
# need not be compiled again by another.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    compiled = tempfile.mkdtemp(prefix="jaxhsi-compiled-")
    atexit.register(shutil.rmtree, compiled, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")

# Before jax starts: sharding tests need eight devices on one host. Tests compile much and compute
# little: code that LLVM does not optimise, of loops in place of fused tiles, is ready in a fraction
# of the time.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# XLA ends the process at a flag that it does not know: the last is of jaxlib 0.10.
os.environ["XLA_FLAGS"] = " ".join(
    (
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=8",
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_use_fusion_emitters=false" if version("jaxlib").startswith("0.10.") else "",
    )
)

import jax
import pytest
from jaxtyping import install_import_hook

install_import_hook("jaxhsi", "beartype.beartype")

MOST_MAPS = 30_000
SHARED = Path(os.environ.get("JAXHSI_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture
def shared_data() -> Path:
    """Folder of real cubes that the project may not redistribute; skips where it is missing."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"real data not found in {folder}; set JAXHSI_SHARED to run this test")
    return folder


@pytest.fixture(autouse=True, scope="module")
def few_maps() -> Iterator[None]:
    """Let compiled functions go before the process has more memory maps than Linux allows.

    Each takes several of the 65,530; beyond them the compiler ends the process.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.is_file() and len(maps.read_bytes().splitlines()) > MOST_MAPS:
        jax.clear_caches()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch) -> None:
    """Keep what tests make out of the user's cache folder."""
    monkeypatch.setenv("JAXHSI_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
