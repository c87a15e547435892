from io import StringIO

from rich.console import Console

from jaxhsi.training.progress import ProgressBars


def shown(width: int, *calls: tuple) -> list[str]:
    """What is left on a screen of this width."""
    screen = StringIO()
    with ProgressBars(Console(file=screen, width=width, force_terminal=False)) as bars:
        for stage, done, total, note in calls:
            bars(stage, done, total, note)
    return screen.getvalue().strip().splitlines()


def test_times_are_whole_on_a_screen_of_eighty_characters():
    note = "loss 0.4943, 4 components"
    line, *_ = shown(80, ("components, restart 1 of 2", 160, None, note))
    assert line.startswith("components, restart 1 of 2")
    assert f" 160 {note} 0:00:00" in line
    assert "left" not in line  # it is not known where this ends


def test_a_stage_with_an_end_shows_it():
    [line] = shown(80, ("ranges", 30, 72, ""))
    assert "30/72" in line
    assert "left" in line
    [line] = shown(80, ("ranges", 72, 72, ""))
    assert "72/72" in line
    assert "left" not in line
