"""One file against the tables of options, and several files merged: values with the place each came from."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from agent.config.options import OPTIONAL_TABLES, REQUIRED, Option, Tree
from agent.config.values import Wrong, describe
from agent.credentials import NETWORK_NAME
from agent.toml_lines import KeyPath, key_text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; without a line the file as a whole."""

    file: Path
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else str(self.file)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place, and what to do about it."""

    place: Place
    key: KeyPath
    sentence: str

    def __str__(self) -> str:
        key = f"{key_text(self.key)}: " if self.key else ""
        return f"{self.place}: {key}{self.sentence}"


@dataclass(frozen=True, slots=True)
class Document:
    """One TOML file as parsed, with the line of each key."""

    file: Path
    table: Mapping[str, object]
    lines: Mapping[KeyPath, int]


@dataclass(slots=True)
class Sheet:
    """The values that passed, the place of every key (of a table its header), and the keys that did not."""

    file: Path
    values: dict[KeyPath, object] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    bad: set[KeyPath] = field(default_factory=set)

    def get(self, option: Option[T], *names: str) -> T:
        """The value of an option, or its default; ``names`` stand for the ``*`` of its path."""
        path = fill(option.path, *names)
        if path in self.values:
            return option.reader.read(self.values[path])
        if option.default is REQUIRED:
            raise KeyError(path)
        return option.default

    def has(self, path: KeyPath) -> bool:
        """Whether a good value stands there."""
        return path in self.values

    def place(self, path: KeyPath) -> Place:
        """Where the key stands, else the nearest table around it, else the top of the main file."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(self.file, 1))

    def is_spoilt(self, path: KeyPath) -> bool:
        """Whether the key, or a table around it, was found and refused already."""
        return any(path[:length] in self.bad for length in range(1, len(path) + 1))

    def names(self, table: str) -> list[str]:
        """The names of the tables below that one, as they come."""
        return [str(p[1]) for p in self.places if len(p) == 2 and p[0] == table and p not in self.bad]


def fill(path: tuple[str, ...], *names: str) -> tuple[str, ...]:
    """The path with its ``*`` replaced in turn."""
    rest = iter(names)
    return tuple(next(rest) if part == "*" else part for part in path)


def check(document: Document, tree: Tree, problems: list[Problem]) -> Sheet:
    """The sheet of one file by itself; whatever does not pass is added to the problems."""
    checking = _Check(document, problems)
    checking.read_table(document.table, tree, ())
    return checking.sheet


class _Check:
    def __init__(self, document: Document, problems: list[Problem]) -> None:
        self.document = document
        self.problems = problems
        self.sheet = Sheet(document.file)

    def read_table(self, table: Mapping[str, object], node: Tree, path: KeyPath) -> None:
        for key, value in table.items():
            self.read_entry((*path, key), value, node)

    def read_entry(self, path: KeyPath, value: object, node: Tree) -> None:
        key = str(path[-1])
        self.sheet.places[path] = self.place(path)
        below = node.get(key, node.get("*"))
        if below is None:
            self.refuse_all(path, value, _explain_unknown(key, node))
        elif "*" in node and not NETWORK_NAME.fullmatch(key):
            self.refuse(path, "a name is 1 to 64 of A-Z a-z 0-9 _ @ . -")
        elif isinstance(below, Option):
            self.read_value(path, value, below)
        elif isinstance(value, dict):
            self.read_table(value, below, path)
        else:
            self.refuse(path, f"is {describe(value)}; it must be a table, [{key_text(path)}]")

    def read_value(self, path: KeyPath, value: object, option: Option[object]) -> None:
        try:
            option.reader.read(value)
        except Wrong as error:
            at = path if error.index is None else (*path, error.index)
            self.sheet.bad.add(path)
            self.problems.append(Problem(self.place(at), at, str(error)))
        else:
            self.sheet.values[path] = value
            if isinstance(value, list):
                self.sheet.places.update({(*path, n): self.place((*path, n)) for n in range(len(value))})

    def refuse_all(self, path: KeyPath, value: object, sentence: str) -> None:
        """Refuse an unknown key as it is written: a table by its header, dotted keys each in full."""
        table: dict[str, object] = value if isinstance(value, dict) else {}
        if not any(self.place((*path, key)) == self.place(path) for key in table):
            self.refuse(path, sentence)
            return
        for key, below in table.items():
            self.sheet.places[*path, key] = self.place((*path, key))
            self.refuse_all((*path, key), below, sentence)

    def refuse(self, path: KeyPath, sentence: str) -> None:
        self.sheet.bad.add(path)
        self.problems.append(Problem(self.place(path), path, sentence))

    def place(self, path: KeyPath) -> Place:
        return Place(self.document.file, self.document.lines[path])


def _explain_unknown(key: str, node: Tree) -> str:
    near = difflib.get_close_matches(key, node, n=1)
    if near:
        return f"is not known; did you mean {near[0]}?"
    return f"is not known; known here: {', '.join(node)}"


def merge(main: Sheet, drop_ins: Sequence[Sheet], problems: list[Problem]) -> Sheet:
    """The main file under its drop-ins; the same key with two values in two drop-ins is a problem."""
    merged = Sheet(main.file)
    for sheet in (main, *drop_ins):
        merged.values.update(sheet.values)
        merged.bad |= sheet.bad
        merged.places.update(sheet.places)
    problems += find_clashes(drop_ins)
    return merged


def find_clashes(drop_ins: Iterable[Sheet]) -> list[Problem]:
    """Each key to which a later drop-in gives another value than an earlier one."""
    first: dict[KeyPath, Sheet] = {}
    found = []
    for sheet in drop_ins:
        for path, value in sheet.values.items():
            other = first.setdefault(path, sheet)
            if other.values[path] != value:
                sentence = f"clashes with {other.places[path]}, which sets another value; keep one of the two"
                found.append(Problem(sheet.places[path], path, sentence))
    return found


def find_missing(sheet: Sheet, options: Iterable[Option[object]]) -> list[Problem]:
    """Required options that no file sets; those of an optional table only when the table is there."""
    found = []
    for option in options:
        path = option.path
        if option.default is not REQUIRED or sheet.has(path) or sheet.is_spoilt(path):
            continue
        if path[:-1] in OPTIONAL_TABLES and path[:-1] not in sheet.places:
            continue
        sentence = f"is missing; it must be {option.reader.words}, for example {path[-1]} = {option.shown}"
        found.append(Problem(sheet.place(path), path, sentence))
    return found
