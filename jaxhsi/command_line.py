"""What every command does around its work: options, messages in a line, an exit code."""

import ctypes
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jsonargparse import Namespace

from jaxhsi.config.files import config_parser, parsed_config
from jaxhsi.training.watchdog import stall_seconds, stall_watchdog

USER_ERRORS = (ValueError, OSError, ImportError, FloatingPointError)
"""Errors that a user can do something about."""

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def run_command(
    prog: str,
    config: type,
    action: Callable[..., Any],
    arguments: Sequence[str],
    *,
    flags: Mapping[str, str] | None = None,
    first: Callable[[Namespace], Sequence[str]] | None = None,
    arenas: int = 4,
) -> int:
    """Parse the options, act, and tell what went wrong in a line, without a traceback.

    Args:
        prog: how the command is called, such as "python -m jaxhsi.ingest".
        config: frozen dataclass of its options, explained in its docstring; fields without a
            default are positional, see `config.files.config_parser`.
        action: called with the config and with a keyword for each flag.
        arguments: of the command line.
        flags: name -> help of switches that are not part of the config.
        first: gives, from what was parsed, arguments to parse again in front of the others; for
            options that come from a file named by another option.
        arenas: places that all threads take memory from. Few keep the memory small; compiling,
            which many threads do at once, waits for them: with 1 it takes 40 % longer.

    Returns:
        0, or 1 after an error that the user can mend, which is told on standard error. Unknown
        options end the process with 2, as argparse does.
    """
    _share_memory(arenas)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("jaxhsi").setLevel(logging.INFO)
    parser = config_parser(config, prog=prog)
    for name, text in (flags or {}).items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    parsed = parser.parse_args(list(arguments))
    if first is not None and (more := first(parsed)):
        parsed = parser.parse_args([*more, *arguments])
    try:
        options = parsed_config(config, parser, parsed)
        with stall_watchdog(stall_seconds()):
            action(options, **{name: parsed[name] for name in flags or {}})
    except USER_ERRORS as error:
        if os.environ.get("JAXHSI_TRACEBACK"):
            raise
        print(f"error: {error}\n(JAXHSI_TRACEBACK=1 shows where)", file=sys.stderr)
        return 1
    return 0


def _share_memory(arenas: int) -> None:
    """Let all threads take memory from a few places.

    glibc gives each thread that unpacks blocks a heap of its own, which keeps what it has freed:
    on a cube of 2048 x 2048 pixels they held 280 MiB, more the longer it went on. Other C
    libraries do without the function.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_ARENA_MAX, arenas)
