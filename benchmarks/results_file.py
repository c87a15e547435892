"""Result files: every row, four significant digits, a line a row."""

import json
from pathlib import Path
from typing import Any


def rounded(value: Any) -> Any:
    """The same structure with numbers of four significant digits.

    >>> rounded({"rows": [{"seconds": 1.23456, "seed": 12345}]})
    {'rows': [{'seconds': 1.235, 'seed': 12345}]}
    """
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return value


def write_results(path: Path, report: dict[str, Any]) -> None:
    """Write a report; lists of rows have a line for each row, so that versions can be compared."""
    parts = []
    for key, value in rounded(report).items():
        text = json.dumps(value, separators=(",", ":"))
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in value)
            text = f"[\n{rows}\n]"
        parts.append(f"{json.dumps(key)}: {text}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n")
