"""The encoding of a text file, by its bytes."""

import codecs
from pathlib import Path

from jaxhsi.data.tables.header_words import label_kind

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LEGACY_ENCODINGS = ("cp1252", "shift_jis", "gb18030", "euc_kr", "cp1251", "latin-1")
"""Tried in turn on text that is not UTF-8; the first that spells a word of a header is taken."""

_HEAD_BYTES = 1 << 16  # enough for the header of any table
_CHUNK_BYTES = 1 << 22


def detect_encoding(path: Path) -> str:
    """The encoding of a text file: by its byte order mark, its zeros, or what decodes.

    Raises:
        ValueError: the file is not text.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for mark, encoding in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    if b"\0" in head:
        return _wide_encoding(path, head)
    return "utf-8" if _is_utf8(path) else _legacy_encoding(head)


def is_text(path: Path) -> bool:
    """Whether a file may be text in some encoding."""
    try:
        detect_encoding(path)
    except ValueError:
        return False
    return True


def _wide_encoding(path: Path, head: bytes) -> str:
    """UTF-16 without a mark: every other byte of plain letters and digits is zero."""
    even_zeros, odd_zeros = head[::2].count(0), head[1::2].count(0)
    num_pairs = len(head) / 2
    if odd_zeros > 0.5 * num_pairs and even_zeros < 0.05 * num_pairs:
        return "utf-16-le"
    if even_zeros > 0.5 * num_pairs and odd_zeros < 0.05 * num_pairs:
        return "utf-16-be"
    raise ValueError(f"{path} is not text, it holds zero bytes; export the table as text again")


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _legacy_encoding(head: bytes) -> str:
    """Of several national encodings, the one in which a cell of the first lines is a known word."""
    first_lines = b"\n".join(head.replace(b"\r", b"\n").split(b"\n")[:20])
    for encoding in LEGACY_ENCODINGS:
        try:
            text = first_lines.decode(encoding)
        except UnicodeDecodeError:
            continue
        cells = [cell.strip(' "#%') for cell in text.replace("\n", "\t").split("\t")]
        cells = [part for cell in cells for part in cell.replace(";", ",").split(",")]
        if any(not cell.isascii() and label_kind(cell) is not None for cell in cells):
            return encoding
    return "latin-1"
