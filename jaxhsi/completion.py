"""Scripts that complete commands and options in a shell, made by shtab."""

import importlib
from collections.abc import Mapping
from typing import Any

from jsonargparse import ArgumentParser

from jaxhsi.command_line import Command


def completion_script(shell: str, entries: Mapping[str, Any]) -> str:
    """A script for a shell.

    Args:
        shell: "bash", "zsh" or "tcsh".
        entries: the commands, see `jaxhsi.__main__.ENTRIES`.
    """
    main_parser = ArgumentParser(prog="jaxhsi")
    commands = main_parser.add_subcommands(required=False)
    groups = []  # jsonargparse wants all commands before the first subcommand
    for name, entry in entries.items():
        module = importlib.import_module(entry.module)
        command = getattr(module, "COMMAND", None)
        parser = command.parser() if isinstance(command, Command) else ArgumentParser()
        commands.add_subcommand(name, parser, help=entry.summary)
        groups.append((parser, getattr(module, "COMMANDS", {})))
    for parser, methods in groups:
        subcommands = parser.add_subcommands(required=False) if methods else None
        for method, command in methods.items():
            subcommands.add_subcommand(method, command.parser())
    return main_parser.get_completion_script(f"shtab-{shell}")
