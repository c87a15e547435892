"""The command ``jaxhsi`` and ``python -m jaxhsi``: one door to all commands.

Only the command that is asked for is imported, and what it computes with only once its options
were parsed.
"""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NamedTuple


class Entry(NamedTuple):
    """A command: the module whose ``main(arguments)`` runs it, and a line on what it is for."""

    module: str
    summary: str


ENTRIES = {
    "demo": Entry("jaxhsi.demo", "try both methods on small built-in data"),
    "inspect": Entry("jaxhsi.inspect", "show what would be read of files"),
    "ingest": Entry("jaxhsi.ingest", "copy files of any format into Zarr stores"),
    "preview": Entry("jaxhsi.preview", "show a cube under each normalisation, in seconds"),
    "train": Entry("jaxhsi.train", "train dgc: segment cubes; train gmcr: unmix spectra"),
    "predict": Entry("jaxhsi.predict", "label cubes with a finished run of dgc"),
    "group": Entry("jaxhsi.group", "show the merge tree of a run, make groups of clusters"),
    "report": Entry("jaxhsi.report.__main__", "make one HTML file of a run, to look at"),
    "evaluate": Entry("jaxhsi.evaluate", "score label maps against true classes"),
    "unmix": Entry("jaxhsi.unmix", "unmix tables or cubes with a finished run of gmcr"),
    "cache": Entry("jaxhsi.cache", "show or clear what is kept between commands"),
}

SHELLS = ("bash", "zsh", "tcsh")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names.

    Args:
        arguments: of the command line; those of the process if None.

    Returns:
        The exit code, see :data:`jaxhsi.command_line.EXIT_CODES`.
    """
    if arguments is None:  # the process is a command: what takes longer to load comes after this
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _end_at_once)
    from jaxhsi.training.stop_signals import as_stop_request, requested_stop, stop_signals

    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with stop_signals():
            return _run(arguments)
    except KeyboardInterrupt as interruption:  # while the command was loaded
        request = as_stop_request(interruption)
    except Exception:  # of a library in C that was interrupted as it was loaded
        request = requested_stop()
        if request is None:
            raise
    print(f"\n{request.sentence()}", file=sys.stderr)
    return request.exit_code


def _end_at_once(signal_number: int, _: FrameType | None) -> None:
    """Say in a line that a signal came before anything was done, or after all was."""
    name = "Ctrl+C" if signal_number == signal.SIGINT else signal.Signals(signal_number).name
    os.write(2, f"\nstopped by {name}\n".encode())
    os._exit(128 + signal_number)


def _run(arguments: Sequence[str]) -> int:
    name = arguments[0] if arguments else ""
    if name in ENTRIES:
        return importlib.import_module(ENTRIES[name].module).main(arguments[1:])
    if name in ("-h", "--help", "--help_all"):
        print(usage())
        return 0
    if name == "--version":
        print(version_text())
        return 0
    if name == "--completion" and arguments[1:] and arguments[1] in SHELLS:
        from jaxhsi.completion import completion_script

        print(completion_script(arguments[1], ENTRIES))
        return 0
    if name:
        print(_refusal(arguments), file=sys.stderr)
    print(usage(), file=sys.stderr)
    return 2


def usage() -> str:
    """The commands, a line each."""
    from jaxhsi.command_line import EXIT_CODES

    lines = ["usage: jaxhsi COMMAND [ARGUMENTS] [--option VALUE ...]", ""]
    lines += [f"  {name:<10} {entry.summary}" for name, entry in ENTRIES.items()]
    lines += [
        "",
        "  example: jaxhsi train dgc --data cubes/ --num_clusters 8 --out runs/field",
        "",
        "  jaxhsi COMMAND --help       the options of a command",
        "  --version                   versions of jaxhsi, Python and JAX, and the devices of JAX",
        f"  --completion {{{','.join(SHELLS)}}}",
        "                              print a script of completions, for example",
        '                              eval "$(jaxhsi --completion bash)" in ~/.bashrc',
        "",
        "exit codes:",
    ]
    return "\n".join([*lines, *(f"  {code:<4} {text}" for code, text in EXIT_CODES.items())])


def version_text() -> str:
    """Versions of jaxhsi and of what it computes with, and the devices."""
    import platform

    import jax
    import jaxlib

    import jaxhsi

    devices = ", ".join(str(device) for device in jax.devices())
    return (
        f"jaxhsi {jaxhsi.__version__}\nPython {platform.python_version()}\n"
        f"JAX {jax.__version__}, jaxlib {jaxlib.__version__}\ndevices: {devices}"
    )


def _refusal(arguments: Sequence[str]) -> str:
    """What is wrong with the first argument, with the name that was most likely meant."""
    from jaxhsi.closest_name import closest_name

    name = arguments[0]
    if name == "--completion":
        return f"error: --completion needs the name of a shell: {', '.join(SHELLS)}"
    if name.startswith("-"):
        closest = closest_name(name.lstrip("-"), ("help", "version", "completion"))
        hint = f"; did you mean --{closest}?" if closest else ""
        return f"error: there is no option {name}{hint} Options of a command come after its name"
    closest = closest_name(name, tuple(ENTRIES))
    hint = f"; did you mean {closest}?" if closest else ""
    return f"error: there is no command {name!r}{hint}"


if __name__ == "__main__":
    sys.exit(main())
