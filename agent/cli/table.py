"""Text for terminals: aligned rows, and nothing in them that could drive the terminal.

Names, SSIDs and sentences come from strangers. Every cell goes through `printable` here, so a command
that prints rows cannot forget it.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence

GAP = "  "
WIDE = {"W", "F"}  # Unicode Standard Annex 11: two columns
BARE = {"Mn", "Me"}  # marks on the character before them: no column


def printable(text: str) -> str:
    r"""The text with every control, bidi, line-breaking and unassigned character escaped (``\x1b``)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def display_width(text: str) -> int:
    """How many columns a terminal gives to printable text."""
    if text.isascii():
        return len(text)
    return sum(_columns(c) for c in text)


def _columns(character: str) -> int:
    if unicodedata.category(character) in BARE:
        return 0
    return 2 if unicodedata.east_asian_width(character) in WIDE else 1


def fit(text: str, width: int) -> str:
    """The beginning of printable text that fits in so many columns."""
    if display_width(text) <= width:
        return text
    used = 0
    for end, character in enumerate(text):
        used += _columns(character)
        if used > width:
            return text[:end]
    return text


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """One line per row, columns aligned on the left, no blanks at the end; cells are made printable."""
    cells = [[printable(cell) for cell in row] for row in rows]
    count = max((len(row) for row in cells), default=0)
    widths = [max(display_width(row[n]) for row in cells if n < len(row)) for n in range(count)]
    return [GAP.join(map(_pad, row, widths)).rstrip() for row in cells]


def _pad(cell: str, width: int) -> str:
    return cell + " " * (width - display_width(cell))


def titled(titles: Iterable[str], rows: Sequence[Sequence[str]], none: str) -> list[str]:
    """Aligned rows under their titles in capitals, or the sentence ``none`` when there are no rows."""
    return align([[title.upper() for title in titles], *rows]) if rows else [none]


def duration(seconds: float | None) -> str:
    """``0.1 s``, ``94 s``, ``12 min``, ``3 h``, ``5 d``; a dash for None. Rounded down: never too long."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{max(0.0, seconds):.1f} s"
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 86_400)} d"


def json_line(document: object) -> str:
    """One JSON document on one line of printable ASCII."""
    return json.dumps(document, separators=(", ", ": ")).replace("\x7f", "\\u007f")
