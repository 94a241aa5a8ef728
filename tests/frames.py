"""Builders of 802.11 frames, octet by octet."""

from __future__ import annotations

import struct

from agent.codec.dot11 import FrameReader
from agent.model import Station, WifiRecord

AP = bytes.fromhex("a0b1c2d3e4f5")
PHONE = bytes.fromhex("02aabbccddee")
ALL = b"\xff" * 6
RECORD = WifiRecord(1, "lamp_1", "a1QdKm5axuO", bytes(16), 3, 0, bytes(range(20)))

PSK, SAE, EAP, OWE = (b"\x00\x0f\xac" + bytes((number,)) for number in (2, 8, 1, 18))


def element(number: int, body: bytes) -> bytes:
    return bytes((number, len(body))) + body


def rsn(*suites: bytes) -> bytes:
    head = b"\x01\x00\x00\x0f\xac\x04\x01\x00\x00\x0f\xac\x04"
    return element(48, head + struct.pack("<H", len(suites)) + b"".join(suites) + b"\x00\x00")


def wpa(suite: int = 2) -> bytes:
    cipher = b"\x00\x50\xf2\x02"
    head = b"\x00\x50\xf2\x01\x01\x00" + cipher + b"\x01\x00" + cipher + b"\x01\x00"
    return element(221, head + b"\x00\x50\xf2" + bytes((suite,)))


SSID = element(0, b"HomeNet")
HT = element(61, b"\x0b" + b"\0" * 21)
SIX_GHZ = element(255, b"\x24" + b"\x00\x00\x02" + b"\x01" + b"\xfc\xff" + b"\x25\x00\x25\x00\x00")


def frame(kind: int, elements: bytes, *, flags: int = 0, privacy: bool = False, source: bytes = AP,
          bssid: bytes = AP, sequence: int = 0, time: int = 0) -> bytes:  # fmt: skip
    head = struct.pack("<BBH6s6s6sH", kind, flags, 0, ALL, source, bssid, sequence << 4)
    head += b"\x11\x22\x33\x44" if flags & 0x80 else b""
    if kind != 0x40:
        head += struct.pack("<QHH", time, 100, 0x0411 if privacy else 0x0401)
    return head + elements


def beacon(elements: bytes = SSID, **fields: object) -> bytes:
    return frame(0x80, elements, **fields)  # type: ignore[arg-type]


def request(elements: bytes = SSID, source: bytes = PHONE) -> bytes:
    return frame(0x40, elements, source=source, bssid=ALL)


def heard(record: bytes, link_type: int = 105) -> Station:
    station = FrameReader(link_type).read(record, 0, len(record))
    assert station is not None
    return station


def radiotap(record: bytes, *, rssi: int = -50, frequency: int = 2412, checksum: bool = False) -> bytes:
    flags = 0x10 if checksum else 0
    head = struct.pack("<BBHIBBHHb", 0, 0, 15, 0x2E, flags, 2, frequency, 0xA0, rssi)
    return head + record + (b"\x03\x01\x0d\x00" if checksum else b"")
