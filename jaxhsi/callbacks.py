"""Types of the functions that a long computation calls to report what it is doing.

The pure packages `jaxhsi.dgc` and `jaxhsi.gmcr` neither print nor log: whoever calls them passes a
function. :class:`jaxhsi.training.progress.ProgressBars` is the one of the commands.
"""

from collections.abc import Callable

OnProgress = Callable[..., None]
"""``on_progress(stage, done, total=None, note="")``: number of steps done of a named stage.

``total`` is None where the number of steps is not known; ``note`` is a short text for people.
"""


def ignore_progress(stage: str, done: int, total: int | None = None, note: str = "") -> None:
    """Do nothing: the default where no progress is to be shown.

    Args:
        stage: name of the stage.
        done: steps done.
        total: steps of the stage, None if unknown.
        note: short text beside the bar.

    >>> ignore_progress("fitting", 1, total=10)
    """
