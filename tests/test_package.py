"""The package's public names are loaded when they are used, and load no more than they need."""

import subprocess
import sys

import pytest

TOOLS_OF_COMMANDS = ("orbax", "tensorboardX", "matplotlib", "jsonargparse", "grain")
"""Not rich: Flax imports it. That pure modules do not is in test_layers.py."""


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(code: str) -> set[str]:
    """Top-level names of the modules that a program has loaded in the end."""
    code = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    return set(run_python(code).splitlines()[-1].split())


def test_importing_the_package_loads_nothing_that_takes_long():
    assert not loaded_by("import jaxhsi") & {"jax", "numpy", "flax", *TOOLS_OF_COMMANDS}


def test_importing_the_package_takes_no_time():
    code = "import time; t = time.perf_counter(); import jaxhsi; print(time.perf_counter() - t)"
    assert min(float(run_python(code)) for _ in range(3)) < 0.3


@pytest.mark.parametrize("name", ["dgc", "gmcr", "unmix", "UnmixingResult", "load"])
def test_methods_load_no_tools_of_commands(name):
    assert not loaded_by(f"import jaxhsi; jaxhsi.{name}") & set(TOOLS_OF_COMMANDS)


def test_unmixing_loads_no_tools_of_commands():
    code = (
        "import jaxhsi, numpy as np\ntry: jaxhsi.unmix(np.ones((2, 5)))\nexcept ValueError: pass\n"
    )
    assert not loaded_by(code) & set(TOOLS_OF_COMMANDS)


@pytest.mark.parametrize("order", ["jaxhsi.unmix; import jaxhsi.unmix", "import jaxhsi.unmix"])
def test_the_function_is_not_hidden_by_the_module_of_the_command(order):
    check = "assert jaxhsi.unmix.__module__ == 'jaxhsi.unmixing', jaxhsi.unmix"
    run_python(
        f"import jaxhsi; {order}\nimport jaxhsi.unmix\n{check}\nassert callable(jaxhsi.unmix)"
    )


def test_public_names_are_listed_and_others_refused():
    code = (
        "import jaxhsi\n"
        "assert set(jaxhsi.__all__) <= set(dir(jaxhsi))\n"
        "assert jaxhsi.__version__\n"
        "try: jaxhsi.nothing\n"
        "except AttributeError as error: print(error)\n"
    )
    assert "has no attribute 'nothing'" in run_python(code)
