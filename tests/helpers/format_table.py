"""The table of formats in the documentation, from what the round-trip tests assert.

python -m tests.helpers.format_table     writes it into docs/data_formats.md
"""

from pathlib import Path

from tests.helpers.cube_formats import CUBE_FORMATS

PAGE = Path(__file__).parents[2] / "docs" / "data_formats.md"
BEGIN, END = "<!-- table of formats: begin -->", "<!-- table of formats: end -->"
COLUMNS = ("format", "layout", "wavelengths", "mask", "scale", "CRS", "labels")


def format_table() -> str:
    """The table in Markdown; a dash stands where a file of that kind has no place for it."""
    rows = [
        (
            *(each.name, each.layout, each.wavelengths, each.mask, each.scale, each.crs),
            "" if each.write_labels is None else each.label_note,
        )
        for each in CUBE_FORMATS
    ]
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    return "\n".join("| " + " | ".join(cell or "-" for cell in line) + " |" for line in lines)


def page_with_table(page: str) -> str:
    """A page with the table between its marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{format_table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text()))
