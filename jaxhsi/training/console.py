"""The screen of the commands, on which text is shown as it is."""

from typing import Any

from rich.console import Console
from rich.progress import Task, TextColumn
from rich.text import Text

from jaxhsi.plain_text import plain_text


class PlainConsole(Console):
    """A console on which no text is an instruction.

    Names of classes, files and components are data: `[/red]` is no markup of rich, `:smile:` no
    picture, and an escape sequence is written out.
    """

    def __init__(self, **options: Any):
        """Make a console.

        Args:
            **options: of rich's console.
        """
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Text for the screen; rich calls this for every text, those in tables and trees too.

        Args:
            text: to show.
            **options: of rich's method.
        """
        return super().render_str(plain_text(text), **options)


class PlainTextColumn(TextColumn):
    """A column of a progress bar whose text is shown as it is, as on a `PlainConsole`."""

    def __init__(self, text_format: str):
        """Make a column.

        Args:
            text_format: such as "{task.description}".
        """
        super().__init__(text_format, markup=False)

    def render(self, task: Task) -> Text:
        """The text of a stage.

        Args:
            task: the stage.
        """
        text = super().render(task)
        text.plain = plain_text(text.plain)
        return text
