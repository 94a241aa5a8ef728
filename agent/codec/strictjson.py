"""JSON from outside, read the one strict way (DESIGN 4): broken text is a FrameError and nothing else."""

from __future__ import annotations

import re

import msgspec

from agent.errors import FrameError

DEEPEST = 32  # nested arrays and objects
LONG_NUMBER = re.compile(rb"[0-9]{19}")  # shorter ones are within 64 bits
LOWEST, HIGHEST = -(2**63), 2**63 - 1


def read_json(data: bytes) -> object:
    """The value of a JSON text: UTF-8, at most 32 deep, integers within 64 bits; of duplicate keys the last.

    NaN, Infinity, numbers beyond a double and unpaired surrogates are refused, by FrameError.
    """
    try:
        value: object = msgspec.json.decode(data)
    except RecursionError:
        raise FrameError(f"JSON nested deeper than {DEEPEST}") from None
    except ValueError as error:  # msgspec's own errors and UnicodeDecodeError are kinds of it
        raise FrameError(f"broken JSON: {error}") from None
    if data.count(b"[") + data.count(b"{") > DEEPEST or LONG_NUMBER.search(data):
        _check(value)  # it walks the whole value, which texts of few brackets and short numbers can be spared
    return value


def write_json(value: object) -> bytes:
    """Compact UTF-8 JSON of plain values, members in the order given."""
    return msgspec.json.encode(value)


def _check(value: object) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        containers = [v for v in level if isinstance(v, dict | list)]
        if any(type(v) is int and not LOWEST <= v <= HIGHEST for v in level):
            raise FrameError("JSON integer beyond 64 bits")
        if not containers:
            return
        level = [v for c in containers for v in (c.values() if isinstance(c, dict) else c)]
    raise FrameError(f"JSON nested deeper than {DEEPEST}")
