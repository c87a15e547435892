"""What every command does around its work: options, one-line messages, an exit code."""

import ctypes
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxhsi.config.parser import (
    chosen_method,
    config_parser,
    parsed_config,
    with_bare_switches,
)
from jaxhsi.training.compile_cache import keep_compiled_programs
from jaxhsi.training.watchdog import stall_seconds, stall_watchdog

USER_ERRORS = (ValueError, OSError, ImportError, FloatingPointError)
"""Errors that a user can do something about; all others are faults of the program."""

_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def run_command(
    prog: str,
    config: type,
    action: Callable[..., Any],
    arguments: Sequence[str],
    *,
    flags: Mapping[str, str] | None = None,
    leading_arguments: Callable[[Sequence[str]], Sequence[str]] | None = None,
    malloc_arenas: int = 4,
) -> int:
    """Parse the options, act, and print an error of the user in one line, without a traceback.

    Args:
        prog: how the command is called, such as "python -m jaxhsi.ingest".
        config: frozen dataclass of its options, explained in its docstring; fields without a
            default are positional, see `config.files.config_parser`.
        action: called with the config and with a keyword for each flag.
        arguments: of the command line.
        flags: name -> help of switches that are not part of the config.
        leading_arguments: gives, from ``arguments``, others to parse in front of them; for options
            that come from a file named by another option.
        malloc_arenas: heaps of glibc that all threads allocate from. Few keep the memory small;
            compiling, which many threads do at once, waits for them: with 1 it takes 40 % longer.

    Returns:
        0, or 1 after one of `USER_ERRORS`, whose message is on standard error; 130 where the user
        interrupted. Unknown options end the process with 2, as argparse does.
    """
    _limit_malloc_arenas(malloc_arenas)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("jaxhsi").setLevel(logging.INFO)
    if leading_arguments is not None:
        arguments = [*leading_arguments(arguments), *arguments]
    try:
        method = chosen_method(config, arguments)
        parser = config_parser(config, method=method, flags=dict(flags or {}), prog=prog)
        parsed = parser.parse_args(with_bare_switches(config, arguments))
        options = parsed_config(config, parser, parsed)
        keep_compiled_programs()
        with stall_watchdog(stall_seconds()):
            action(options, **{name: parsed[name] for name in flags or {}})
    except USER_ERRORS as error:
        if os.environ.get("JAXHSI_TRACEBACK"):
            raise
        print(f"error: {error}\n(JAXHSI_TRACEBACK=1 shows where)", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        can_resume = "resume" in (flags or {})
        way_on = "; add --resume to the command to go on from what is saved" if can_resume else ""
        print(f"\ninterrupted{way_on}", file=sys.stderr)
        return 130
    return 0


def _limit_malloc_arenas(malloc_arenas: int) -> None:
    """Let all threads allocate from a few heaps.

    glibc gives each thread that unpacks blocks a heap of its own, which keeps what it has freed:
    on a cube of 2048 x 2048 pixels they held 280 MiB, more the longer it went on. Other C
    libraries do without the function.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_ARENA_MAX, malloc_arenas)
