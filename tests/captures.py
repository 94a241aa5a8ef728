"""Capture files made octet by octet, for what scapy does not write: byte orders, odd blocks, BTSnoop."""

from __future__ import annotations

import struct

Packet = tuple[float, bytes]


def pcap(packets: list[Packet], word: int = 127, *, order: str = "<", nano: bool = False) -> bytes:
    """A pcap file; ``word`` is the whole link-type word."""
    magic, unit = (0xA1B23C4D, 1e9) if nano else (0xA1B2C3D4, 1e6)
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, word)
    for at, data in packets:
        fraction = round(at % 1 * unit)
        out += struct.pack(order + "IIII", int(at), fraction, len(data), len(data)) + data
    return out


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """One pcapng block."""
    body += bytes(-len(body) % 4)
    length = len(body) + 12
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)


def section(order: str = "<", options: bytes = b"") -> bytes:
    """A pcapng section header."""
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options, order)


def interface(link_type: int, order: str = "<", *, resolution: int | None = None, kept: int = 0) -> bytes:
    """A pcapng interface description, with a name option in front of the resolution."""
    body = struct.pack(order + "HHI", link_type, 0, kept)
    if resolution is not None:
        body += struct.pack(order + "HH", 2, 5) + b"wlan0\0\0\0"
        body += struct.pack(order + "HHB3x", 9, 1, resolution) + struct.pack(order + "HH", 0, 0)
    return block(1, body, order)


def enhanced(number: int, ticks: int, data: bytes, order: str = "<", *, length: int | None = None) -> bytes:
    """An enhanced packet block; ``length`` may lie about its data."""
    size = len(data) if length is None else length
    return block(
        6, struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, size, size) + data, order
    )


def simple(data: bytes, order: str = "<") -> bytes:
    """A simple packet block."""
    return block(3, struct.pack(order + "I", len(data)) + data, order)


def btsnoop(packets: list[tuple[float, int, bytes]], datalink: int = 1002) -> bytes:
    """A BTSnoop file of (time, flags, packet)."""
    out = b"btsnoop\0" + struct.pack(">II", 1, datalink)
    for at, flags, data in packets:
        micros = round(at * 1e6) + 0x00DCDDB30F2F8000
        out += struct.pack(">IIIIq", len(data), len(data), flags, 0, micros) + data
    return out
