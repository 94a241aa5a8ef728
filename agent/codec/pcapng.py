"""Records of pcapng files: any number of sections and interfaces, either byte order.

Source: draft-ietf-opsawg-pcapng, sections 3 and 4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from agent.codec.record import BROKEN, Buffer, CaptureBroken, CaptureTruncated, Record

PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
BLOCK_OVERHEAD, SECTION_SIZE = 12, 28
OPTION_END, OPTION_RESOLUTION = 0, 9
INTERFACES_MAX = 4096  # of one section; a description costs memory as long as its section lasts


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of a section: its link type, seconds per tick, and the octets that it keeps (0: all)."""

    link_type: int
    tick: float
    kept: int


class Section:
    """One section: its byte order, its interfaces so far, and the records that its blocks hold."""

    def __init__(self, order: str, at: float) -> None:
        self.order = order
        self.at = at  # of the last packet: a simple packet has no time of its own
        self._interfaces: list[Interface] = []
        self._described = struct.Struct(order + "HHI").unpack_from
        self._packet = struct.Struct(order + "IIIII").unpack_from
        self._old_packet = struct.Struct(order + "HHIIII").unpack_from
        self._length = struct.Struct(order + "I").unpack_from
        self._option = struct.Struct(order + "HH").unpack_from

    def describe(self, buffer: Buffer, start: int, end: int) -> None:
        """Take in an interface description, the block body ``buffer[start:end]``."""
        if end - start < 8 or len(self._interfaces) == INTERFACES_MAX:
            raise CaptureBroken(f"interface description {len(self._interfaces)} cannot be read")
        link_type, _, kept = self._described(buffer, start)
        self._interfaces.append(Interface(link_type, self._tick(buffer, start + 8, end), kept))

    def read_enhanced(self, buffer: Buffer, start: int, end: int) -> Record:
        """The record of an enhanced packet block; of a corrupt one a record of type BROKEN."""
        if end - start < 20:
            return self.at, BROKEN, start, end
        number, high, low, length, _ = self._packet(buffer, start)
        return self._record(number, high << 32 | low, start + 20, length, end)

    def read_old(self, buffer: Buffer, start: int, end: int) -> Record:
        """The record of an obsolete packet block."""
        if end - start < 20:
            return self.at, BROKEN, start, end
        number, _, high, low, length, _ = self._old_packet(buffer, start)
        return self._record(number, high << 32 | low, start + 20, length, end)

    def read_simple(self, buffer: Buffer, start: int, end: int) -> Record:
        """The record of a simple packet block: of the first interface, at the time of the last packet."""
        if end - start < 4 or not self._interfaces:
            return self.at, BROKEN, start, end
        first = self._interfaces[0]
        (length,) = self._length(buffer, start)
        if first.kept:
            length = min(length, first.kept)
        if start + 4 + length > end:
            return self.at, BROKEN, start, end
        return self.at, first.link_type, start + 4, start + 4 + length

    def _record(self, number: int, ticks: int, start: int, length: int, end: int) -> Record:
        if number >= len(self._interfaces) or start + length > end:
            return self.at, BROKEN, start, end
        interface = self._interfaces[number]
        self.at = ticks * interface.tick
        return self.at, interface.link_type, start, start + length

    def _tick(self, buffer: Buffer, at: int, end: int) -> float:
        while at + 4 <= end:
            code, length = self._option(buffer, at)
            at += 4
            if code == OPTION_END or at + length > end:
                break
            if code == OPTION_RESOLUTION and length == 1:
                power = buffer[at] & 0x7F
                return 2.0**-power if buffer[at] & 0x80 else 10.0**-power
            at += length + 3 & ~3
        return 1e-6


def read_pcapng(buffer: Buffer) -> Iterator[Record]:
    """The records of a pcapng file. The word is the link type of the packet's interface.

    CaptureTruncated when the file ends inside a block, CaptureBroken when its lengths contradict each other.
    """
    size, at, section = len(buffer), 0, Section("<", 0.0)
    while at < size:
        if buffer[at : at + 4] == PCAPNG_MAGIC:
            section = _open_section(buffer, at, section.at)
        end = _block_end(buffer, at, section.order)
        (block,) = struct.unpack_from(section.order + "I", buffer, at)
        start, stop = at + 8, end - 4
        if block == ENHANCED_PACKET:
            yield section.read_enhanced(buffer, start, stop)
        elif block == INTERFACE:
            section.describe(buffer, start, stop)
        elif block == SIMPLE_PACKET:
            yield section.read_simple(buffer, start, stop)
        elif block == OLD_PACKET:
            yield section.read_old(buffer, start, stop)
        at = end


def _open_section(buffer: Buffer, at: int, seconds: float) -> Section:
    if len(buffer) - at < SECTION_SIZE:
        raise CaptureTruncated(
            f"{len(buffer) - at} octets are left in the file, a section has {SECTION_SIZE}"
        )
    order = ORDERS.get(buffer[at + 8 : at + 12])
    if order is None:
        raise CaptureBroken("the byte-order mark of a section is wrong")
    return Section(order, seconds)


def _block_end(buffer: Buffer, at: int, order: str) -> int:
    left = len(buffer) - at
    if left < BLOCK_OVERHEAD:
        raise CaptureTruncated(f"{left} octets are left in the file, a block has {BLOCK_OVERHEAD}")
    length: int
    (length,) = struct.unpack_from(order + "I", buffer, at + 4)
    if length < BLOCK_OVERHEAD or length % 4:
        raise CaptureBroken(f"a block says that it has {length} octets")
    if length > left:
        raise CaptureTruncated(f"block of {length} octets, {left} are left in the file")
    (again,) = struct.unpack_from(order + "I", buffer, at + length - 4)
    if again != length:
        raise CaptureBroken(f"a block says first that it has {length} octets, then {again}")
    return at + length
