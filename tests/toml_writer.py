"""Writes nested tables as TOML in many styles, and knows at which line it put each key."""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Iterator, Mapping

KeyPath = tuple[str | int, ...]


class Writer:
    """``text`` is the document of a table, ``lines`` the line of each key, as a reader should find them."""

    def __init__(self, table: Mapping[str, object], dice: random.Random) -> None:
        self.dice = dice
        self.text = ""
        self.lines: dict[KeyPath, int] = {(): 1}
        self.write_body((), table)
        if dice.random() < 0.3:
            self.text = self.text.replace("\n", "\r\n")

    def coin(self) -> bool:
        return self.dice.random() < 0.5

    def line(self) -> int:
        return self.text.count("\n") + 1

    def imply(self, path: KeyPath, line: int) -> None:
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def write_body(self, path: KeyPath, table: Mapping[str, object]) -> None:
        later = []
        for key, value in table.items():
            if (is_table(value) or is_tables(value)) and self.coin():
                later.append((key, value))
            else:
                self.write_here(path, (key,), value)
        for key, value in later:
            self.write_later((*path, key), value)

    def write_here(self, path: KeyPath, keys: tuple[str, ...], value: object) -> None:
        if isinstance(value, dict) and value and self.coin():
            for key, below in value.items():
                self.write_here(path, (*keys, key), below)
            return
        self.write_pair(path, keys, value)
        self.end_line()

    def write_pair(self, path: KeyPath, keys: tuple[str, ...], value: object) -> None:
        self.imply((*path, *keys), self.line())
        self.text += self.spell_keys(keys) + self.dice.choice(["=", " = ", "\t=  "])
        self.write_value((*path, *keys), value)

    def write_later(self, path: KeyPath, value: object) -> None:
        if isinstance(value, list):
            for index, element in enumerate(value):
                self.write_header((*path, index), "[[", "]]")
                self.write_body((*path, index), element)
            return
        assert isinstance(value, dict)
        if value and all(map(is_table, value.values())) and self.coin():
            for key, below in value.items():
                self.write_later((*path, key), below)
            if self.coin():  # a table may get its own header after those of its sub-tables
                self.lines[path] = self.write_header(path, "[", "]")
            return
        self.lines[path] = self.write_header(path, "[", "]")
        self.write_body(path, value)

    def write_header(self, path: KeyPath, opening: str, closing: str) -> int:
        line = self.line()
        self.imply(path, line)
        self.text += opening + self.spell_keys(tuple(k for k in path if isinstance(k, str))) + closing
        self.end_line()
        return line

    def end_line(self) -> None:
        self.text += self.dice.choice(["", "  # [not.a.table]", "\t"]) + "\n"
        self.text += self.dice.choice(["", "", "\n", "# key = 1\n", '  \n  #"""\n'])

    def spell_keys(self, keys: tuple[str, ...]) -> str:
        return self.dice.choice([".", " . "]).join(map(self.spell_key, keys))

    def spell_key(self, key: str) -> str:
        styles = [basic(key)]
        if re.fullmatch(r"[A-Za-z0-9_-]+", key):
            styles.append(key)
        if is_literal(key):
            styles.append(f"'{key}'")
        return self.dice.choice(styles)

    def write_value(self, path: KeyPath, value: object) -> None:
        if isinstance(value, dict):
            self.write_inline_table(path, value)
        elif isinstance(value, list):
            self.write_array(path, value)
        elif isinstance(value, str):
            self.text += self.dice.choice(list(spellings(value)))
        elif isinstance(value, datetime.datetime):
            self.text += self.dice.choice([value.isoformat("T"), value.isoformat(" ")])
        else:
            self.text += str(value).lower()

    def write_inline_table(self, path: KeyPath, table: Mapping[str, object]) -> None:
        self.text += "{ "
        for number, (key, value) in enumerate(table.items()):
            self.text += " , " if number else ""
            self.write_pair(path, (key,), value)
        self.text += "}"

    def write_array(self, path: KeyPath, elements: list[object]) -> None:
        self.text += "["
        for index, element in enumerate(elements):
            self.text += self.dice.choice(["", " ", "\n  ", " # , ]\n\n"])
            self.lines[*path, index] = self.line()
            self.write_value((*path, index), element)
            if index < len(elements) - 1 or self.coin():
                self.text += self.dice.choice([",", " ,", "\n,"])
        self.text += self.dice.choice(["]", " ]", "\n# ]\n]"])


def is_table(value: object) -> bool:
    return isinstance(value, dict)


def is_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_table, value))


def is_literal(text: str) -> bool:
    return "'" not in text and "\n" not in text


def basic(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n"}
    return '"' + "".join(escapes.get(c, c) for c in text) + '"'


def spellings(text: str) -> Iterator[str]:
    yield basic(text)
    yield '"""\n' + text.replace("\\", "\\\\").replace('"""', '""\\"') + '"""'
    if is_literal(text):
        yield f"'{text}'"
    if "'''" not in text and not text.endswith("'"):
        yield f"'''\n{text}'''"
