"""Records of parts: what is done once, what is refused, and what is put together."""

from dataclasses import replace
from pathlib import Path

import pytest

from jaxhsi.config.parts import Part
from jaxhsi.config.predict import EvaluateConfig
from jaxhsi.storage.checksums import DamagedFileError
from jaxhsi.workflows.command_parts import (
    DividedCommand,
    check_no_parts,
    complete_part,
    content_by_input,
    locked_part,
    log_part,
    part_to_do,
    read_parts,
    remove_parts,
)


@pytest.fixture
def divided(tmp_path) -> DividedCommand:
    return DividedCommand(
        command="evaluate",
        config=EvaluateConfig(tmp_path / "maps", labels=Path("truth")),
        switches={"ignore_groups": False},
        folder=tmp_path / "out" / "parts",
        locations={name: f"cubes/{name}.zarr" for name in "dabc"},
        results_key="state 1",
    )


def make(divided: DividedCommand, *numbers: int, count: int = 3, overwrite: bool = False) -> list:
    """Parts that were done; those that were complete before are left out."""
    done = []
    for part in (Part(number, count) for number in numbers):
        with locked_part(divided, part, overwrite=overwrite) as is_to_do:
            if is_to_do:
                sizes = {name: len(place) for name, place in divided.part_locations(part).items()}
                complete_part(divided, part, {"sizes": sizes})
                done.append(part.number)
    return done


def test_all_parts_are_put_together_and_removed(divided):
    assert make(divided, 3, 1, 2) == [3, 1, 2]
    contents = read_parts(divided)
    assert list(contents) == [Part(1, 3), Part(2, 3), Part(3, 3)]
    assert content_by_input(contents, "sizes") == dict.fromkeys("abcd", len("cubes/a.zarr"))
    with pytest.raises(FileExistsError, match="--merge_parts puts them together"):
        check_no_parts(divided.folder.parent)
    remove_parts(divided.folder)
    check_no_parts(divided.folder.parent)
    assert list(divided.folder.parent.iterdir()) == []


def test_inputs_of_a_part_are_in_the_order_of_the_whole(divided):
    assert list(divided.part_locations(Part(1, 1))) == ["d", "a", "b", "c"]
    assert list(divided.part_locations(Part(2, 2))) == ["d", "c"]


def test_a_part_is_done_once_by_one_process(divided):
    assert make(divided, 1, 1) == [1]
    assert make(divided, 1, overwrite=True) == [1]
    with (
        locked_part(divided, Part(2, 3), overwrite=False),
        pytest.raises(BlockingIOError, match=r"is writing .*2-of-3"),
        locked_part(divided, Part(2, 3), overwrite=False),
    ):
        pass
    assert make(divided, 2) == [2]


def test_missing_parts_are_named_with_a_command(divided):
    with pytest.raises(FileNotFoundError, match=r"no parts; make them first.*--part 1/4"):
        read_parts(divided)
    make(divided, 2, count=8)
    make(divided, 4, count=8)  # the last with a cube
    folder = divided.config.folder
    with pytest.raises(FileNotFoundError) as caught:
        read_parts(divided)
    assert str(caught.value) == (
        f"parts 1, 3 of 8 are missing or not complete; made by jaxhsi evaluate {folder} --labels "
        "truth --part 1/8, and with the other numbers in the place of 1"
    )
    make(divided, 1, 3, count=8)
    assert len(read_parts(divided)) == 4


def test_a_part_that_is_begun_anew_is_not_complete(divided):
    make(divided, 1, 2, 3)
    with locked_part(divided, Part(2, 3), overwrite=True):
        pass  # as a process that is killed
    with pytest.raises(FileNotFoundError, match="part 2 of 3 is missing or not complete"):
        read_parts(divided)


def test_another_division_would_do_inputs_twice(divided):
    make(divided, 1)
    with pytest.raises(FileExistsError, match="holds parts of 3, and 1/2 would do some inputs twi"):
        make(divided, 1, count=2)
    (divided.folder / "2-of-2").mkdir()  # begun at the same moment
    with pytest.raises(ValueError, match="holds parts of 2 and of 3; delete those of one"):
        read_parts(divided)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"switches": {"ignore_groups": True}}, r"otherwise: --ignore_groups True \(was False\);"),
        ({"results_key": "state 2"}, "the run, its groups or the classes have changed since"),
        ({"locations": {"a": "", "b": "", "c": ""}}, r"of other inputs \(a, b\) than .* \(a\)"),
    ],
)
def test_parts_of_another_kind_do_not_go_together(divided, changes, reason):
    make(divided, 1, 2, 3)
    other = replace(divided, **changes)
    with pytest.raises((FileExistsError, ValueError), match=reason):
        read_parts(other)
    with pytest.raises((FileExistsError, ValueError), match=reason):
        make(other, 1)
    with pytest.raises((FileExistsError, ValueError), match=reason):
        make(other, 2, overwrite=True)  # beside the first


def test_folder_and_number_of_parts_may_differ(divided):
    make(divided, 1, 2, 3)
    config = replace(divided.config, out=Path("elsewhere.json"), part="1/3")
    assert len(read_parts(replace(divided, config=config))) == 3


def test_a_damaged_record_is_named(divided):
    make(divided, 1, 2, 3)
    path = divided.record_path(Part(2, 3))
    path.write_text(path.read_text().replace("state 1", "state 2"))
    with pytest.raises(DamagedFileError, match=r"2-of-3\.json is damaged"):
        read_parts(divided)


def test_merging_does_no_part_and_deletes_nothing(divided):
    config = replace(divided.config, part="1/3")
    with pytest.raises(ValueError, match="--part 1/3 does one part"):
        part_to_do(config, merge_parts=True)
    with pytest.raises(ValueError, match="--overwrite deletes them"):
        part_to_do(divided.config, merge_parts=True, overwrite=True)


def test_what_is_taken_is_told(divided, caplog):
    caplog.set_level("INFO")
    log_part(divided, Part(1, 3), "", "maps")
    log_part(divided, Part(5, 5), " of the Slurm array")
    log_part(replace(divided, locations=dict.fromkeys("abcdefghij", "")), Part(1, 1), "")
    assert caplog.messages == [
        "part 1/3: 2 of 4 maps: a, b",
        "part 5/5 of the Slurm array: 0 of 4 cubes: none is left for it",
        "part 1/1: 10 of 10 cubes: a, b, c, d, e, f, g, h and 2 more",
    ]
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING", "INFO"]
