"""What every command does around its work: options, one-line messages, an exit code.

What takes long to load (JAX, SciPy, readers of files) is loaded only after the options were parsed:
the help and a wrong option are answered at once.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxhsi.command_errors import (
    USER_ERRORS,
    error_sentence,
    is_lack_of_space,
    silence_late_errors,
    thread_errors_as_sentences,
)
from jaxhsi.command_processes import PROCESS_OPTIONS, check_own_part, joined_group
from jaxhsi.command_screen import log_to_standard_error, result_screen
from jaxhsi.config.parser import (
    CommandParser,
    CommonOption,
    check_config_files,
    chosen_method,
    config_parser,
    parsed_config,
    with_bare_switches,
    with_several_values,
)
from jaxhsi.data.external_files import external_files_allowed
from jaxhsi.data.network_wait import DEFAULT_TIMEOUT_SECONDS, set_network_timeout
from jaxhsi.plain_text import plain_text
from jaxhsi.training.process_memory import keep_freed_memory, limit_malloc_arenas
from jaxhsi.training.stop_signals import (
    StopRequest,
    as_stop_request,
    current_way_on,
    requested_stop,
    stop_signals,
)


class IncompleteResultError(ValueError):
    """An error after which there is a result nevertheless, of other files than the faulty ones.

    Attributes:
        result: what ``--json`` prints.
    """

    def __init__(self, message: str, result: Any):
        super().__init__(message)
        self.result = result


EXIT_CODES = {
    0: "success",
    1: "an error that you can correct; a line on standard error says how",
    2: "a wrong command or option",
    70: "a fault of the program",
    130: "stopped by Ctrl+C; a second Ctrl+C stops at once",
    143: "stopped by SIGTERM, in the same way",
}
"""What a command ends with."""

COMMON_FLAGS = {
    ("-q", "--quiet"): "print warnings and errors only",
    ("-v", "--verbose"): "print times with all messages, and where an error arose",
    ("--allow_external",): "follow HDF5 files into other files, of which they could name any",
    ("--json",): "print the results as JSON; tables and messages go to standard error",
}
"""Switches of every command."""

COMMON_OPTIONS = {
    "timeout": CommonOption(
        *(float, DEFAULT_TIMEOUT_SECONDS, "SECONDS", "that a server has for an answer (30)")
    ),
}
"""Options of every command."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of ``jaxhsi``: its options, and where the function is that does the work.

    Attributes:
        name: as it is typed after ``jaxhsi``, such as "train dgc".
        config: frozen dataclass of its options, see `run_command`.
        action: ``"module:function"``, imported after the options were parsed.
        flags: name -> help of switches that are not part of the config.
        leading_arguments: see `run_command`.
        malloc_arenas: see `run_command`.
        keeps_memory: see `run_command`.
        way_on: see `run_command`.
        is_shared: see `run_command`.
    """

    name: str
    config: type
    action: str
    flags: Mapping[str, str] = field(default_factory=dict)
    leading_arguments: Callable[[Sequence[str]], Sequence[str]] | None = None
    malloc_arenas: int = 4
    keeps_memory: bool = False
    way_on: str = ""
    is_shared: bool = False

    def parser(self) -> CommandParser:
        """Parser of its options, of the default method where there are several."""
        return _parser(f"jaxhsi {self.name}", self.config, self.flags, None, self.is_shared)

    def run(self, arguments: Sequence[str] | None = None) -> int:
        """Run the command and return its exit code.

        Args:
            arguments: of the command line; those of the process if None.
        """
        return run_command(
            f"jaxhsi {self.name}",
            self.config,
            self.action,
            sys.argv[1:] if arguments is None else arguments,
            flags=self.flags,
            leading_arguments=self.leading_arguments,
            malloc_arenas=self.malloc_arenas,
            keeps_memory=self.keeps_memory,
            way_on=self.way_on,
            is_shared=self.is_shared,
        )


def run_command(
    prog: str,
    config: type,
    action: str | Callable[..., Any],
    arguments: Sequence[str],
    *,
    flags: Mapping[str, str] | None = None,
    leading_arguments: Callable[[Sequence[str]], Sequence[str]] | None = None,
    malloc_arenas: int = 4,
    keeps_memory: bool = False,
    way_on: str = "",
    is_shared: bool = False,
) -> int:
    """Parse the options, act, and print an error of the user in one line, without a traceback.

    Args:
        prog: how the command is called, such as "jaxhsi ingest".
        config: frozen dataclass of its options, explained in its docstring; fields without a
            default are positional, see `config.parser.config_parser`.
        action: called with the config and with a keyword for each flag; or ``"module:function"``,
            imported after the options were parsed. ``--json`` prints what it returns.
        arguments: of the command line.
        flags: name -> help of switches that are not part of the config.
        leading_arguments: gives, from ``arguments``, others to parse in front of them; for options
            that come from a file named by another option.
        way_on: how to go on after the command was stopped.
        malloc_arenas: heaps of glibc that all threads allocate from. Few keep the memory small;
            compiling, which many threads do at once, waits for them: with 1 it takes 40 % longer.
        keeps_memory: see `process_memory.keep_freed_memory`; for commands that run a program again
            and again in one process.
        is_shared: several processes can run the command as one, see `training.process_group`.

    Returns:
        One of `EXIT_CODES`; an error is a sentence on standard error. Unknown options end the
        process with 2, as argparse does.
    """
    flags = dict(flags or {})
    limit_malloc_arenas(malloc_arenas)
    log_to_standard_error()
    shows_traceback, options, group = bool(os.environ.get("JAXHSI_TRACEBACK")), None, None
    try:
        with stop_signals():
            if leading_arguments is not None:
                arguments = [*leading_arguments(arguments), *arguments]
            check_config_files(arguments)
            parser = _parser(prog, config, flags, chosen_method(config, arguments), is_shared)
            parsed = parser.parse_args(
                with_bare_switches(config, with_several_values(config, arguments))
            )
            shows_traceback |= parsed.verbose
            options = parsed_config(config, parser, parsed)
            log_to_standard_error(quiet=parsed.quiet, verbose=parsed.verbose)
            set_network_timeout(parsed.timeout)
            if is_shared:
                group = joined_group(parsed)
            else:
                check_own_part(options)
            is_silent = group is not None and group.process_id > 0
            if is_silent:
                log_to_standard_error(quiet=True)
            with (
                result_screen(
                    quiet=parsed.quiet or is_silent, as_json=parsed.json and not is_silent
                ) as print_result,
                external_files_allowed(parsed.allow_external),
            ):
                try:
                    given_flags = {name: parsed[name] for name in flags}
                    keeps_memory &= group is None
                    result = _act(action, options, given_flags, keeps_memory=keeps_memory)
                except IncompleteResultError as error:
                    print_result(error.result)
                    raise
                print_result(result)
            if group is not None:
                group.leave()
    except KeyboardInterrupt as interruption:
        return _tell_stop(as_stop_request(interruption), way_on, group)
    except Exception as error:
        if (request := requested_stop()) is not None:
            return _tell_stop(request, way_on, group)
        if shows_traceback and group is None:
            raise
        return _tell_error(error, options, current_way_on() or way_on, group, shows_traceback)
    return 0


def _tell_stop(request: StopRequest, way_on: str, group: Any) -> int:
    sentence = request.sentence(way_on)
    if group is None or group.process_id == 0 or not request.is_common:
        print(f"\n{sentence}", file=sys.stderr)
    _end_group(group, request.exit_code, sentence, is_common=request.is_common)
    return request.exit_code


def _tell_error(
    error: Exception, options: Any, way_on: str, group: Any, shows_traceback: bool
) -> int:
    """Say what went wrong; in one of several processes the others are told too."""
    code = 1 if isinstance(error, USER_ERRORS) or is_lack_of_space(error) else 70
    text = error_sentence(error, _output_of(options), way_on)
    if group is not None and (loss := group.loss_of_process(error)) is not None:
        code, text = loss.code, f"{loss.sentence}; {way_on}"
    # A step that is not finite is the same step in all processes.
    is_common = isinstance(error, FloatingPointError)
    if shows_traceback:
        traceback.print_exception(error)
    if group is None or group.process_id == 0 or not is_common:
        print(plain_text(f"error: {text}\n(--verbose shows where)"), file=sys.stderr)
    if is_lack_of_space(error):
        silence_late_errors()
    _end_group(group, code, text, is_common=is_common)
    return code


def _end_group(group: Any, code: int, sentence: str, *, is_common: bool) -> None:
    """End with the other processes of a command, or end them."""
    if group is None:
        return
    if is_common:
        group.leave()
    else:
        group.fail(code, sentence)


def _output_of(options: Any) -> Path | None:
    """File or folder that a command writes, where its options name one."""
    if options is None:
        return None
    paths = getattr(options, "paths", ())
    return getattr(options, "out", None) or (paths[-1] if len(paths) > 1 else None)


def _parser(
    prog: str, config: type, flags: Mapping[str, str], method: str | None, is_shared: bool
) -> CommandParser:
    common_options = COMMON_OPTIONS | (PROCESS_OPTIONS if is_shared else {})
    common = {"common_flags": COMMON_FLAGS, "common_options": common_options}
    return config_parser(config, method=method, flags=dict(flags), prog=prog, **common)


def _act(
    action: str | Callable[..., Any],
    options: Any,
    flags: Mapping[str, Any],
    *,
    keeps_memory: bool,
) -> Any:
    """Load what does the work, and do it."""
    from jaxhsi.training.compile_cache import keep_compiled_programs
    from jaxhsi.training.watchdog import stall_seconds, stall_watchdog

    keep_compiled_programs()
    if keeps_memory:
        keep_freed_memory()
    if isinstance(action, str):
        module_name, function_name = action.split(":")
        action = getattr(importlib.import_module(module_name), function_name)
    with stall_watchdog(stall_seconds()), thread_errors_as_sentences(_output_of(options)):
        return action(options, **flags)
