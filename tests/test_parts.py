"""Which inputs are those of a part, and what says so."""

import pytest

from jaxhsi.config.parts import Part, array_part, choose_part, read_part

NAMES = [f"cube-{number}" for number in range(11)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 11, 16])
def test_parts_are_disjoint_and_together_complete(count):
    parts = [Part(number, count).choose(set(NAMES)) for number in range(1, count + 1)]
    assert [name for part in parts for name in part] == sorted(NAMES)
    lengths = [len(part) for part in parts]
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True)  # the last ones are empty


@pytest.mark.parametrize("text", ["0/4", "5/4", "a/b", "1/0", "3", "1/4/2", "-1/4", ""])
def test_what_is_no_part_is_refused_with_one_that_is(text):
    with pytest.raises(ValueError, match=rf"--part {text} .*give .*\d/\d"):
        read_part(text)


def slurm(task: int, count: int, first: int, **others: int) -> dict[str, str]:
    values = {"ID": task, "COUNT": count, "MIN": first} | {k.upper(): v for k, v in others.items()}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("variables", "number"),
    [
        (slurm(0, 4, 0, max=3), 1),
        (slurm(4, 4, 1, max=4), 4),
        (slurm(30, 4, 10, max=40, step=10), 3),
        (slurm(12, 4, 0, max=15, step=4), 4),  # --array=0-15:4
    ],
)
def test_a_task_of_an_array_is_a_part_wherever_the_array_begins(variables, number):
    assert array_part(variables) == Part(number, 4)


@pytest.mark.parametrize(
    "variables",
    [
        slurm(5, 3, 1, max=9, step=1),  # --array=1,5,9
        slurm(1, 3, 1, max=9, step=1),
        slurm(2, 3, 1, max=4),  # --array=1,2,4
        {"SLURM_ARRAY_TASK_ID": "2"},
    ],
)
def test_arrays_that_leave_open_whose_part_is_which_are_refused(variables):
    with pytest.raises(ValueError, match="--part I/N, or take all with --part 1/1"):
        array_part(variables)


def test_the_option_goes_before_the_array():
    variables = slurm(2, 4, 1)
    assert choose_part(None, variables)[0] == Part(2, 4)
    assert choose_part("1/1", variables)[0] == Part(1, 1)
    assert choose_part("3/8", variables)[0] == Part(3, 8)
    assert choose_part(None, {})[0].is_whole
