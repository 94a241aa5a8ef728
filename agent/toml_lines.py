"""The line of every key in a TOML document, which the parsers of the libraries do not keep.

`tomllib` decides what is TOML; this scan runs over a text that it accepted, so it only has to tell keys
from values (TOML 1.0.0, "Keys", "Table", "Inline Table", "Array of Tables"). It keeps no values.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left

KeyPath = tuple[str | int, ...]
"""Keys from the root down; an integer is an index of an array."""

# Possessive quantifiers: nothing here can backtrack, the scan costs its own length.
BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
SPACE = re.compile(r"[ \t]*+")
BARE_KEY = re.compile(r"[A-Za-z0-9_-]++")
STRING = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+"{3,5}'
    r"|'''(?:[^']++|'(?!''))*+'{3,5}"
    r'|"(?:[^"\\\n]++|\\.)*+"'
    r"|'[^'\n]*+'",
    re.DOTALL,
)
# Numbers, booleans and times; a space may stand inside a time.
PLAIN = re.compile(r"[^\s,\]}#][^,\]}#\n]*+")


def find_lines(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of each table, key and array element of a document that tomllib accepts.

    A table stands at its own header, else where a key first implies it; an array of tables at its first
    header. ValueError for a text that is not TOML.
    """
    scan = _Scan(text)
    scan.read_document()
    return scan.lines


def key_text(path: KeyPath) -> str:
    """A key path as a person writes it, ``networks."my home".ssid`` or ``radios[1]``; one printable line."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + _quoted(part)
    return text


def _quoted(key: str) -> str:
    if BARE_KEY.fullmatch(key):
        return key
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else _escaped(c) for c in key) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    code = ord(character)
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {(): 1}
        self.sizes: dict[KeyPath, int] = {}  # elements so far of each array of tables
        self.breaks = [match.start() for match in re.finditer("\n", text)]

    def line(self) -> int:
        return bisect_left(self.breaks, self.at) + 1

    def take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ValueError(f"line {self.line()} is not TOML")
        self.at = match.end()
        return match[0]

    def take_if(self, mark: str) -> bool:
        if not self.text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def expect(self, mark: str) -> None:
        if not self.take_if(mark):
            raise ValueError(f"line {self.line()} is not TOML: {mark} is missing")

    def read_document(self) -> None:
        table: KeyPath = ()
        self.take(BLANK)
        while self.at < len(self.text):
            if self.take_if("[["):
                table = self.read_array_header()
            elif self.take_if("["):
                table = self.read_header()
            else:
                self.read_pair(table)
            self.take(BLANK)

    def read_header(self) -> KeyPath:
        line, keys = self.line(), self.read_key()
        self.expect("]")
        path = self.resolve(keys, line)
        self.lines[path] = line  # its own header beats a header that only implied it
        return path

    def read_array_header(self) -> KeyPath:
        line, keys = self.line(), self.read_key()
        self.expect("]]")
        array = (*self.resolve(keys[:-1], line), keys[-1])
        self.lines.setdefault(array, line)
        index = self.sizes.get(array, 0)
        self.sizes[array] = index + 1
        self.lines[*array, index] = line
        return (*array, index)

    def resolve(self, keys: list[str], line: int) -> KeyPath:
        """The path that a header means: an array of tables on the way stands for its last element."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            self.lines.setdefault(path, line)
            if path in self.sizes:
                path = (*path, self.sizes[path] - 1)
        return path

    def read_key(self) -> list[str]:
        keys = []
        while True:
            self.take(SPACE)
            keys.append(self.read_key_part())
            self.take(SPACE)
            if not self.take_if("."):
                return keys

    def read_key_part(self) -> str:
        if self.text.startswith(('"', "'"), self.at):
            return str(tomllib.loads("key = " + self.take(STRING))["key"])
        return self.take(BARE_KEY)

    def read_pair(self, table: KeyPath) -> None:
        line, path = self.line(), table
        for key in self.read_key():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self.expect("=")
        self.take(SPACE)
        self.read_value(path)

    def read_value(self, path: KeyPath) -> None:
        if self.take_if("["):
            self.read_array(path)
        elif self.take_if("{"):
            self.read_inline_table(path)
        elif self.text.startswith(('"', "'"), self.at):
            self.take(STRING)
        else:
            self.take(PLAIN)

    def read_array(self, path: KeyPath) -> None:
        index = 0
        self.take(BLANK)
        while not self.take_if("]"):
            self.lines[*path, index] = self.line()
            self.read_value((*path, index))
            index += 1
            self.separate()

    def read_inline_table(self, path: KeyPath) -> None:
        self.take(BLANK)
        while not self.take_if("}"):
            self.read_pair(path)
            self.separate()

    def separate(self) -> None:
        self.take(BLANK)
        self.take_if(",")
        self.take(BLANK)
