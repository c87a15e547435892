"""What all tables for the screen share."""


def format_number(value: float | None) -> str:
    """Four decimals, or a dash if there is no number.

    >>> format_number(0.12345), format_number(None)
    ('0.1235', '-')
    """
    return "-" if value is None else f"{value:.4f}"
