"""Where a command writes what it has to say: results, messages, warnings."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import Any

from jaxhsi.command_errors import LackOfSpaceFilter
from jaxhsi.plain_text import plain_text


@contextmanager
def result_screen(*, quiet: bool, as_json: bool) -> Iterator[Callable[[Any], None]]:
    """Where what is printed goes; gives the function that prints the result of an action.

    Args:
        quiet: nothing is printed, but for the result as JSON.
        as_json: the result is printed as JSON, all else to standard error.
    """
    standard_output = sys.stdout

    def print_result(result: Any) -> None:
        if as_json:
            from jaxhsi.report.json_files import json_text

            print(json_text(result), file=standard_output)

    with ExitStack() as stack:
        if quiet:
            stack.enter_context(redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
        elif as_json:
            stack.enter_context(redirect_stdout(sys.stderr))
        yield print_result


class _PlainFormatter(logging.Formatter):
    """Messages in which names from files cannot act on the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return plain_text(super().format(record))


def log_to_standard_error(*, quiet: bool = False, verbose: bool = False) -> None:
    """Messages of jaxhsi, and warnings of other libraries.

    Args:
        quiet: warnings only.
        verbose: with times and the names of modules.
    """
    message_format = "%(asctime)s %(name)s: %(message)s" if verbose else "%(message)s"
    handler = logging.StreamHandler()
    if not verbose:
        handler.addFilter(LackOfSpaceFilter())
    handler.setFormatter(_PlainFormatter(message_format))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    jaxhsi_level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    logging.getLogger("jaxhsi").setLevel(jaxhsi_level)
