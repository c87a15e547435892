"""Whether all processes of a run were started alike."""

from importlib.metadata import version
from typing import Any

import jax

from jaxhsi.config.files import saved_options
from jaxhsi.processes import check_same_everywhere


def check_same_command(config: Any) -> None:
    """Refuse processes that run as one under other options or another version.

    Args:
        config: dataclass of the options.

    Raises:
        ValueError: names the processes; raised in all of them.
    """
    check_same_everywhere("versions", f"{version('jaxhsi')} {jax.__version__}")
    check_same_everywhere("options", str(saved_options(config)))
