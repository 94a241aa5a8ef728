"""The scan finds the line of every key, however it is written; tomllib and a writer are the oracles."""

from __future__ import annotations

import datetime
import random
import textwrap
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.toml_lines import KeyPath, find_lines, key_text
from tests.toml_writer import Writer


def lines_of(text: str) -> dict[KeyPath, int]:
    text = textwrap.dedent(text).lstrip("\n")
    tomllib.loads(text)
    return find_lines(text)


def test_plain_tables() -> None:
    lines = lines_of("""
        # a comment
        top = 1

        [service]   # with a comment
        listen = "x"
          interval = 60
    """)
    assert lines == {
        (): 1,
        ("top",): 2,
        ("service",): 4,
        ("service", "listen"): 5,
        ("service", "interval"): 6,
    }


def test_dotted_and_quoted_keys() -> None:
    lines = lines_of(r"""
        a.b.c = 1
        a . "d.e" . 'f g' = 2
        [ x . "y]#" ]
        "k = \u0031 \"" = 3
        '' = 4
    """)
    assert lines[("a",)] == lines[("a", "b")] == lines[("a", "b", "c")] == 1
    assert lines[("a", "d.e", "f g")] == 2
    assert lines[("x", "y]#")] == 3
    assert lines[("x", "y]#", 'k = 1 "')] == 4
    assert lines[("x", "y]#", "")] == 5


def test_nested_inline_tables_with_arrays_of_several_lines_between() -> None:
    lines = lines_of("""
        t = { a = 1, b = [
          1, # one ]
          { c.d = "}", e = [ 2,
             3 ] },
        ], f = { g = {} } }
        after = 1
    """)
    assert lines == {
        (): 1,
        ("t",): 1,
        ("t", "a"): 1,
        ("t", "b"): 1,
        ("t", "b", 0): 2,
        ("t", "b", 1): 3,
        ("t", "b", 1, "c"): 3,
        ("t", "b", 1, "c", "d"): 3,
        ("t", "b", 1, "e"): 3,
        ("t", "b", 1, "e", 0): 3,
        ("t", "b", 1, "e", 1): 4,
        ("t", "f"): 5,
        ("t", "f", "g"): 5,
        ("after",): 6,
    }


def test_arrays_of_tables_and_tables_below_their_last_element() -> None:
    lines = lines_of("""
        [[a]]
        x = 1
        [a.b]
        y = 1
        [[a]]
        [[a.c]]
        z = 1
        [[a.c]]
        [a.c.d]
        w = 1
    """)
    assert lines[("a",)] == 1
    assert lines[("a", 0)] == 1
    assert lines[("a", 0, "b", "y")] == 4
    assert lines[("a", 1)] == 5
    assert lines[("a", 1, "c", 0, "z")] == 7
    assert lines[("a", 1, "c", 1)] == 8
    assert lines[("a", 1, "c", 1, "d", "w")] == 10


@pytest.mark.parametrize(
    "string",
    [
        '"""\nkey = 1\n[table]\n"""',
        "'''\nkey = 1\n[[table]]\n# '' not yet '''",
        '"""\n\\"""key = 1\n\\\\"""',
        '"""\ntwo quotes at the end\n"""""',
        "'''\n\n'''''",
        '"""\n line \\\n  ending"" "\n"""',
    ],
)
def test_what_looks_like_a_key_inside_a_string_is_none(string: str) -> None:
    lines = lines_of(f"s = {string}\nafter = 1\n")
    assert set(lines) == {(), ("s",), ("after",)}
    assert lines[("after",)] == string.count("\n") + 2


def test_a_header_of_its_own_beats_one_that_only_implied_it() -> None:
    lines = lines_of("[a.b]\nx = 1\n[a]\ny = 1\n")
    assert lines[("a",)] == 3
    assert lines[("a", "b")] == 1


def test_line_ends_of_windows_and_a_comment_at_the_end() -> None:
    assert find_lines('a = 1\r\n[t]\r\nb = """\r\nx\r\n"""\r\nc = 2\r\n# end') == {
        (): 1,
        ("a",): 1,
        ("t",): 2,
        ("t", "b"): 3,
        ("t", "c"): 6,
    }


def test_a_time_with_a_space_is_one_value() -> None:
    assert lines_of("a = [1979-05-27 07:32:00, 1]\nb = 1")[("b",)] == 2


@pytest.mark.parametrize(
    "text", ["a", "a = ", "[a", "[[a]\n", "a = [1", "a = {b", '"a = 1', "= 1", "a = 1 ] 2"]
)
def test_what_is_not_toml_ends_with_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not TOML"):
        find_lines(text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("ble", "radios", 1), "ble.radios[1]"),
        (("networks", "my home", "ssid"), 'networks."my home".ssid'),
        (("a.b", 'c"d\\', ""), '"a.b"."c\\"d\\\\".""'),
        (("\x1b[2J\n\U000e0001",), '"\\u001B[2J\\u000A\\U000E0001"'),
    ],
)
def test_key_text_is_one_printable_line_of_toml(path: KeyPath, text: str) -> None:
    assert key_text(path) == text
    assert text.isprintable()


keys = st.sampled_from(["a", "b-1", "3", "dotted.key", "two words", "", "é", "#", '"', "'", "[x]", "a = 1"])
pieces = st.sampled_from(
    ["x", "\n", '"', '"""', "'", "\\", "#", "key = 1\n", "[table]\n", "]", "}", ",", "é"]
)
texts = st.lists(pieces, max_size=6).map("".join)
times = st.just(datetime.datetime(1979, 5, 27, 7, 32, tzinfo=None))  # a local time of TOML
scalars = st.integers(-9, 9) | st.booleans() | texts | times
values = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=3),
    max_leaves=12,
)
tables = st.dictionaries(keys, values, max_size=4)


@settings(max_examples=300, deadline=None)
@given(table=tables, seed=st.integers(0, 2**32))
def test_every_key_stands_where_the_writer_put_it(table: dict[str, Any], seed: int) -> None:
    writer = Writer(table, random.Random(seed))
    assert tomllib.loads(writer.text) == table, "the writer of this test is wrong"
    assert find_lines(writer.text) == writer.lines


@settings(max_examples=300, deadline=None)
@given(text=st.lists(st.sampled_from(list("ab.=[]{},#\"'\\\n 1")), max_size=30).map("".join))
def test_whatever_tomllib_accepts_has_a_line_for_every_key(text: str) -> None:
    try:
        table = tomllib.loads(text)
    except ValueError:
        return
    lines = find_lines(text)
    assert set(lines) == set(paths_of(table, ()))
    assert max(lines.values()) <= text.count("\n") + 1


def paths_of(value: object, path: KeyPath) -> list[KeyPath]:
    below: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        below = list(value.items())
    elif isinstance(value, list):
        below = list(enumerate(value))
    return [path, *(found for key, inner in below for found in paths_of(inner, (*path, key)))]
