"""What a benchmark ran on; every report of this folder begins with it."""

import os
import platform
import resource
import sys
import time
from importlib import metadata
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn", "tensorstore", "grain")


def module_environment() -> dict[str, str]:
    """Environment of a process that runs a benchmark by ``python -m``, wherever it is started."""
    paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def installed(package: str) -> str | None:
    """Version of a package, None where it is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def describe_versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter here."""
    found = {package: installed(package) for package in PACKAGES}
    return {"python": platform.python_version()} | {k: v for k, v in found.items() if v}


def describe_machine() -> dict:
    """What it ran on, with its own rate of matrix products for scale."""
    import jax
    import jax.numpy as jnp

    a, product = jnp.ones((2048, 2048)), jax.jit(lambda a: a @ a)
    best = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        product(a).block_until_ready()
        best = min(best, time.perf_counter() - start)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": cores,
        "device": jax.devices()[0].device_kind,
        "matmul_gflops": 2 * 2048**3 / best / 1e9,
        "load": list(os.getloadavg()),
    }


def peak_mib() -> float:
    """The most memory that this process ever held."""
    scale = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
