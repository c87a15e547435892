"""What a user can say of a table that its file does not."""

from dataclasses import dataclass, fields
from typing import Any

ORIENTATIONS = ("rows", "columns", "pairs", "long")
MISSING_CHOICES = ("mask", "interpolate", "drop_bands", "drop_spectra")
SEPARATOR_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "blank": " ", "bar": "|"}


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """How to read a table; what is None is decided by the file.

    Attributes:
        spectra: "rows", "columns", "pairs" (columns x, y, x, y, ...) or "long" (a value a row).
        key: array of a .npz or .mat file, sheet of a workbook.
        separator: "comma", "semicolon", "tab", "blank", "bar", or the character itself.
        decimal: "." or ",".
        references: names, or numbers from 1, of the columns (rows where spectra are columns) that
            are no bands; empty where every number is one.
        missing: "mask", "interpolate", "drop_bands" or "drop_spectra" where values are missing.
    """

    spectra: str | None = None
    key: str | None = None
    separator: str | None = None
    decimal: str | None = None
    references: tuple[str, ...] | None = None
    missing: str | None = None

    def __post_init__(self):
        """Refuse values without a meaning."""
        choices = {
            "spectra": ORIENTATIONS,
            "missing": MISSING_CHOICES,
            "decimal": (".", ","),
        }
        for name, values in choices.items():
            value = getattr(self, name)
            if value is not None and value not in values:
                raise ValueError(f"--{name} {value} is unknown; give {' or '.join(values)}")
        separator = self.separator
        if separator is not None and len(separator) != 1 and separator not in SEPARATOR_NAMES:
            raise ValueError(
                f"--separator {separator} is unknown; give one character, or "
                f"{' or '.join(SEPARATOR_NAMES)}"
            )

    @classmethod
    def from_choices(cls, choices: Any) -> "TableOptions":
        """Options of a command.

        Args:
            choices: has the attributes of this class; its ``references`` are names with commas
                between, or "none".
        """
        options = {field.name: getattr(choices, field.name) for field in fields(cls)}
        references = options["references"]
        if references is not None:
            is_none = references.strip().lower() == "none"
            names = () if is_none else tuple(name.strip() for name in references.split(","))
            options["references"] = names
        return cls(**options)

    @property
    def separator_character(self) -> str | None:
        """The separator itself."""
        return SEPARATOR_NAMES.get(self.separator or "", self.separator)
