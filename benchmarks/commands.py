"""A command of jaxhsi in a process of its own: how long it took, and the most memory it held.

python -m benchmarks.commands predict runs/dgc-1 cube.zarr
"""

import json
import subprocess
import sys
import time
from importlib import import_module

from benchmarks.machine import module_environment, peak_mib


def measured(command: str, *arguments: str) -> dict:
    """Peak and time of a command in a process of its own."""
    line = [sys.executable, "-m", "benchmarks.commands", command, *arguments]
    environment = module_environment()
    done = subprocess.run(line, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main(command: str, *arguments: str) -> None:
    """Run the command in this process, then say what it took."""
    act = import_module(f"jaxhsi.{command}").main
    began = time.perf_counter()
    code = act(list(arguments))
    if code:
        raise SystemExit(code)
    print(json.dumps({"peak_mib": peak_mib(), "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
