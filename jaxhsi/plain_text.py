"""Text that comes from files and is shown to people: none of its characters acts on a terminal."""

import re

_CONTROL_CHARACTER = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but for tab and line feed, marks that turn the direction of writing, and
halves of characters, which cannot be sent to a terminal."""


def plain_text(text: str) -> str:
    r"""Text in which control characters are written out.

    Args:
        text: of any origin, with line feeds and tabs.

    >>> print(plain_text("\x1b[31mleaf"))
    \x1b[31mleaf
    """
    return _CONTROL_CHARACTER.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def path_part(text: str) -> str:
    r"""A name that is one part of a path, whatever separators it holds.

    Args:
        text: name of an array, as its owner has it.

    >>> path_part("../band 1\n")
    '.._band 1'
    """
    return re.sub(r"[/\\]", "_", plain_name(text))


def plain_name(text: str) -> str:
    r"""A name on one line, in which control characters are written out.

    Args:
        text: name of a class, a group, a sample, a component or a cube, as a file has it.

    >>> print(plain_name("healthy\n leaf\x07"))
    healthy leaf\x07
    """
    return plain_text(" ".join(text.split()) if re.search(r"[\t\n\r\v\f]", text) else text)
