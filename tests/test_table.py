"""Text for terminals: alignment by columns, and nothing that could drive the terminal."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cli.table import align, display_width, duration, fit, json_line, printable, titled

HOSTILE = [
    ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
    ("a\r\nb\tc", r"a\r\nb\tc"),
    ("\x9b31m", r"\x9b31m"),  # CSI as one C1 character
    ("\x7f\x00", r"\x7f\x00"),
    ("abc\u202edef\u2066", r"abc\u202edef\u2066"),  # bidi override and isolate
    ("\u200b\u200d\ufeff\u00ad", r"\u200b\u200d\ufeff\xad"),
    ("\u2028\u2029\u0085", r"\u2028\u2029\x85"),
    ("\udcff", r"\udcff"),  # a byte of the command line that is not UTF-8
    ("\U000e0041", r"\U000e0041"),  # an invisible tag
    ("café 插座 🏠", "café 插座 🏠"),
]


@pytest.mark.parametrize(("text", "shown"), HOSTILE, ids=range(len(HOSTILE)))
def test_printable_escapes_what_drives_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_printable_leaves_no_control_format_or_separator(text: str) -> None:
    for character in printable(text):
        assert character == " " or unicodedata.category(character)[0] not in "CZ"


@given(st.text())
def test_printable_twice_is_printable_once(text: str) -> None:
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize(
    ("text", "width"), [("", 0), ("abc", 3), ("插座", 4), ("ｗ", 2), ("🏠", 2), ("e\u0301", 1), ("ñandú", 5)]
)
def test_width_counts_columns(text: str, width: int) -> None:
    assert display_width(text) == width


def test_rows_align_by_columns_not_by_characters() -> None:
    assert align([("插座", "on", ""), ("lamp-7", "offline", "x"), ("e\u0301", "y")]) == [
        "插座    on",
        "lamp-7  offline  x",
        "e\u0301       y",
    ]


def test_rows_escape_their_cells() -> None:
    assert align([("a\x1b[31m", "b"), ("c", "d\n")]) == [r"a\x1b[31m  b", r"c          d\n"]


def test_no_rows_say_so() -> None:
    assert align([]) == []
    assert titled(("a", "b"), [], "none yet") == ["none yet"]
    assert titled(("a", "b"), [("x", "y")], "none yet") == ["A  B", "x  y"]


@given(st.text(alphabet=st.characters(categories=["L", "Mn", "N", "So"])), st.integers(0, 12))
def test_fit_never_exceeds_the_width_and_keeps_a_beginning(text: str, width: int) -> None:
    kept = fit(text, width)
    assert text.startswith(kept)
    assert display_width(kept) <= width
    if kept != text:
        assert display_width(text) > width
        assert display_width(kept) >= width - 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (-1, "0.0 s"),
        (0.14, "0.1 s"),
        (8.0, "8 s"),
        (94.9, "94 s"),
        (119.9, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (10_921, "3 h"),
        (172_800, "2 d"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@given(st.text())
def test_json_is_one_line_of_printable_ascii(text: str) -> None:
    line = json_line({"v": 1, "text": text})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"v": 1, "text": text}
