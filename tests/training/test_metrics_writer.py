"""Lines of metrics: those of a run that has not ended are checked too."""

import contextlib
import json
from pathlib import Path

import pytest

from jaxhsi.storage.checksums import DamagedFileError
from jaxhsi.training.metrics_writer import MetricsWriter, read_metric_rows


@pytest.fixture
def unfinished(tmp_path) -> Path:
    """Metrics of three steps, after which a run was stopped."""
    writer = MetricsWriter(tmp_path, 0, 9)
    with contextlib.suppress(KeyboardInterrupt), writer.open(show_bar=False):
        for step in (1, 2, 3):
            writer.write(step, {"loss": step / 4, "usage": [0.5, 0.5]})
        raise KeyboardInterrupt
    return tmp_path / "metrics.jsonl"


def test_lines_are_read_by_every_reader_of_json(unfinished):
    lines = [json.loads(line) for line in unfinished.read_text().splitlines()]
    assert [line["loss"] for line in lines] == [0.25, 0.5, 0.75]
    assert read_metric_rows(unfinished)[1] == {"step": 2, "loss": 0.5, "usage": [0.5, 0.5]}


@pytest.mark.parametrize("part", [b"0.5,", b"crc32", b'"usage"'])
def test_a_line_that_was_changed_is_told(unfinished, caplog, part):
    first, second, third = unfinished.read_bytes().splitlines(keepends=True)
    place = second.index(part) + 1
    second = second[:place] + bytes([second[place] ^ 1]) + second[place + 1 :]
    unfinished.write_bytes(first + second + third)
    with pytest.raises(DamagedFileError, match="line 2 cannot be read"):
        read_metric_rows(unfinished)
    MetricsWriter(unfinished.parent, 3, 9)  # the run is resumed
    assert "line 2 is damaged and is left out of the curves" in caplog.text
    assert unfinished.read_bytes() == first + third


def test_lines_of_an_earlier_version_are_read(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "lo')
    assert read_metric_rows(path) == [{"step": 1, "loss": 0.5}]
