"""Scores are JSON for every reader, whatever numbers they hold."""

import json
import math

from jaxhsi.report.json_files import write_json


def refuse(constant: str):
    raise AssertionError(f"{constant} is no JSON")


def test_what_is_not_finite_is_null(tmp_path):
    content = {"a": -math.inf, "b": [1.5, math.nan, (2, math.inf)], "c": {"d": "text", "e": None}}
    write_json(tmp_path / "scores.json", content)
    read = json.loads((tmp_path / "scores.json").read_text(), parse_constant=refuse)
    assert len(read.pop("sha256")) == 64
    assert read == {"a": None, "b": [1.5, None, [2, None]], "c": {"d": "text", "e": None}}
