"""What the devices of a compiled program send each other, read from its optimised HLO."""

import math
import re
from typing import Any

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_CALL = re.compile(rf"= (?P<result>.+?) (?P<kind>{'|'.join(KINDS)})(?:-start)?\(")
_ARRAY = re.compile(r"(?P<type>pred|[a-z]+\d+)\[(?P<shape>[\d,]*)\]")


def collectives(hlo: str) -> dict[str, dict[str, int]]:
    """Calls and bytes of each kind of collective; bytes are those of its result on a device.

    A collective within a loop is counted once.

    >>> collectives("%a = (f32[2,3]{1,0}, f32[]) all-reduce(%b, %c), to_apply=%add")
    {'all-reduce': {'calls': 1, 'bytes': 28}}
    """
    totals: dict[str, dict[str, int]] = {}
    for line in hlo.splitlines():
        if call := _CALL.search(line):
            total = totals.setdefault(call["kind"], {"calls": 0, "bytes": 0})
            total["calls"] += 1
            total["bytes"] += sum(map(_array_bytes, _ARRAY.finditer(call["result"])))
    return totals


def _array_bytes(array: re.Match) -> int:
    shape = [int(side) for side in array["shape"].split(",") if side]
    bits = 8 if array["type"] == "pred" else int(re.search(r"\d+", array["type"])[0])
    return math.prod(shape) * bits // 8


def device_costs(compiled: Any) -> dict[str, Any]:
    """Work of one device in a call, and what it exchanges with others.

    Args:
        compiled: program of JAX, by ``jitted.lower(...).compile()``.

    Returns:
        ``gflop``, ``mib`` (memory read and written), and ``moved``, see :func:`collectives`.
    """
    costs = compiled.cost_analysis()
    return {
        "gflop": costs["flops"] / 1e9,
        "mib": costs["bytes accessed"] / 2**20,
        "moved": collectives(compiled.as_text()),
    }
