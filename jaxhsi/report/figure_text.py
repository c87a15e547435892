"""Text in figures, which is shown as it is: a name with `$` in it is no formula."""

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

from jaxhsi.plain_text import plain_text

_NAME_FORMATTERS = (FixedFormatter, FuncFormatter)
"""Formatters of ticks that were given their labels; those of numbers write formulas on purpose."""


def show_text_literally(figure: Figure) -> None:
    """Turn off formulas in all texts of a figure but the numbers at its axes.

    Args:
        figure: that is complete but for being drawn.
    """
    number_labels = {
        id(label)
        for panel in figure.axes
        for axis in (panel.xaxis, panel.yaxis)
        if not isinstance(axis.get_major_formatter(), _NAME_FORMATTERS)
        for label in axis.get_ticklabels(which="both")
    }
    for text in figure.findobj(Text):
        if id(text) not in number_labels:
            text.set_parse_math(False)
            text.set_text(plain_text(text.get_text()))  # fonts have no control characters
