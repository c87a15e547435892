"""One of several jobs that share the inputs of a command: which inputs are its own.

The inputs in the order of their names are cut into blocks whose lengths differ by at most one, and
each part takes a block. So every process that knows the names and the two numbers takes the same
share, without a word to the others.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

ARRAY_VARIABLES = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN")
"""Variables that Slurm sets in each task of an array, of which all are needed."""

MERGE_HELP = "put the results of all parts together, once they are complete"
"""Description of the switch for the commands."""


@dataclass(frozen=True, order=True)
class Part:
    """One of several parts.

    Attributes:
        number: of the part, from 1.
        count: of all parts.
    """

    number: int
    count: int

    def __str__(self) -> str:
        """As it is given to ``--part``."""
        return f"{self.number}/{self.count}"

    @property
    def is_whole(self) -> bool:
        """Whether it is the only one."""
        return self.count == 1

    @property
    def file_stem(self) -> str:
        """Stem of its files, in whose order parts are sorted.

        >>> Part(3, 1000).file_stem
        '0003-of-1000'
        """
        return f"{self.number:0{len(str(self.count))}}-of-{self.count}"

    def choose(self, names: Collection[str]) -> tuple[str, ...]:
        """The inputs of the part, in the order of their names; of more parts than inputs some none.

        Args:
            names: of all inputs, in any order.

        >>> [Part(i, 3).choose(["d", "a", "b", "c"]) for i in (1, 2, 3)]
        [('a', 'b'), ('c',), ('d',)]
        """
        length, num_longer = divmod(len(names), self.count)
        start = (self.number - 1) * length + min(self.number - 1, num_longer)
        return tuple(sorted(names)[start : start + length + (self.number <= num_longer)])


WHOLE = Part(1, 1)


def read_part(text: str) -> Part:
    """The part that an option names.

    Args:
        text: such as "3/8", the third of eight.

    Raises:
        ValueError: anything else.

    >>> read_part("3/8")
    Part(number=3, count=8)
    """
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if match is None:
        raise ValueError(f"--part {text} is no part; give such as 3/8, the third of eight")
    number, count = map(int, match.groups())
    if not 1 <= number <= count:
        last = f" to {count}/{count}" if count > 1 else ""
        given = f"give 1/{count}{last}" if count else "give such as 1/4"
        raise ValueError(f"--part {text} is out of range: parts are numbered from 1; {given}")
    return Part(number, count)


def check_part(text: str | None) -> None:
    """Refuse a part that is given and is none, before anything long begins.

    Args:
        text: of the option.

    Raises:
        ValueError: as `read_part`.
    """
    if text is not None:
        read_part(text)


def array_part(variables: Mapping[str, str]) -> Part | None:
    """The part of a task of a Slurm array; None outside of one.

    Arrays may begin with any number and have a step.

    Args:
        variables: of the environment.

    Raises:
        ValueError: numbers that do not follow each other, which leave open which part is whose.

    >>> names = ("TASK_ID", "TASK_COUNT", "TASK_MIN", "TASK_STEP")
    >>> values = ("14", "4", "10", "2")  # of --array=10-16:2
    >>> array_part({f"SLURM_ARRAY_{n}": v for n, v in zip(names, values, strict=True)})
    Part(number=3, count=4)
    """
    if ARRAY_VARIABLES[0] not in variables:
        return None
    remedy = "say which part this is with --part I/N, or take all with --part 1/1"
    if missing := [name for name in ARRAY_VARIABLES if name not in variables]:
        raise ValueError(f"{ARRAY_VARIABLES[0]} is set and {', '.join(missing)} is not; {remedy}")
    task, count, first = (int(variables[name]) for name in ARRAY_VARIABLES)
    step = int(variables.get("SLURM_ARRAY_TASK_STEP", 1))
    last = int(variables.get("SLURM_ARRAY_TASK_MAX", first + step * (count - 1)))
    index, remainder = divmod(task - first, step)
    is_regular = first + step * (count - 1) <= last < first + step * count
    if remainder or not 0 <= index < count or not is_regular:
        raise ValueError(
            f"the {count} tasks of the Slurm array from {first} to {last} do not follow each other "
            f"in steps of {step}, which leaves open which part is that of task {task}; {remedy}"
        )
    return Part(index + 1, count)


def choose_part(text: str | None, variables: Mapping[str, str]) -> tuple[Part, str]:
    """The part that a command does, and who says so, for messages.

    Args:
        text: of the option, which goes before; None if not given.
        variables: of the environment.

    Raises:
        ValueError: as `read_part` and `array_part`.

    >>> choose_part("2/4", {}), choose_part(None, {})
    ((Part(number=2, count=4), ''), (Part(number=1, count=1), ''))
    """
    if text is not None:
        return read_part(text), ""
    part = array_part(variables)
    return (WHOLE, "") if part is None else (part, " of the Slurm array (--part 1/1 takes all)")


def describe_parts(parts: Collection[Part]) -> str:
    """Numbers of parts of one division, in ranges.

    >>> describe_parts([Part(1, 9), Part(2, 9), Part(3, 9), Part(7, 9)])
    '1-3, 7 of 9'
    """
    ranges: list[list[int]] = []
    for part in sorted(parts):
        if ranges and part.number == ranges[-1][1] + 1:
            ranges[-1][1] = part.number
        else:
            ranges.append([part.number, part.number])
    texts = (f"{low}-{high}" if low < high else str(low) for low, high in ranges)
    return f"{', '.join(texts)} of {next(iter(parts)).count}"
