"""Runs the commands that need no daemon in this process, and makes frames for them."""

from __future__ import annotations

import argparse
import io
import json
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from agent.cli import decode, key, replay
from agent.codec.awss import build_enrollee
from agent.model import WifiRecord

ADVERT = "0201060303b3fe0fffa8013619aba70a00d6847940f6f0"  # ble-breeze.md 13.1
WIFI = WifiRecord(0x01, "dev1", "a1oSRt5Mh3d", bytes(range(16)), 4, 0, bytes(range(20)))


@dataclass
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)


def enrollctl(*words: object, stdin: bytes = b"") -> Ran:
    """Run a command line as the main program would."""
    parser = argparse.ArgumentParser(prog="enrollctl")
    commands = parser.add_subparsers(required=True)
    for module in (key, decode, replay):
        module.add(commands)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), standard_input(stdin):
        try:
            args = parser.parse_args([str(word) for word in words])
            code = args.run(args)
        except SystemExit as end:
            code = end.code
    return Ran(code, out.getvalue(), err.getvalue())


@contextmanager
def standard_input(octets: bytes) -> Iterator[None]:
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(octets))
    try:
        yield
    finally:
        sys.stdin = before


def element(number: int, body: bytes) -> bytes:
    return bytes((number, len(body))) + body


def frame(kind: int, elements: bytes, source: bytes = b"\x02\0\0\0\0\1") -> bytes:
    """An 802.11 management frame; ``kind`` is the first octet of frame control."""
    fixed = b"" if kind == 0x40 else bytes(8) + b"\x64\0\x11\0"
    bssid = b"\xff" * 6 if kind == 0x40 else source
    return bytes((kind, 0, 0, 0)) + b"\xff" * 6 + source + bssid + b"\0\0" + fixed + elements


BEACON = frame(0x80, element(0, b"Home \xff") + element(1, b"\x82\x84\x8b\x96") + element(3, b"\x06"))
PROBE = frame(0x40, element(0, b"") + element(1, b"\x82\x84\x8b\x96") + build_enrollee(WIFI), b"\2\0\0\0\0\2")
RADIOTAP = struct.pack("<BBHIHHb", 0, 0, 13, 0x28, 2437, 0xA0, -55)


def lie_about_signature(data: bytes) -> bytes:
    return data[:-21] + b"\x13" + data[-20:]
