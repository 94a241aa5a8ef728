"""Captures of any format that we read, as records over one buffer, and the advertisements in a record.

pcap, pcapng, BTSnoop and JSON lines (DESIGN 3). 802.11 frames are read by `agent.codec.dot11`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agent.codec import hci
from agent.codec.hci import Report
from agent.codec.jsonl import LineReader, read_lines
from agent.codec.pcap import BTSNOOP_MAGIC, H4_LINK_TYPE, PCAP_MAGIC, read_btsnoop, read_pcap
from agent.codec.pcapng import PCAPNG_MAGIC, read_pcapng
from agent.codec.record import (
    BROKEN,
    HCI_EVENT,
    JSON_LINE,
    OTHER,
    Buffer,
    CaptureBroken,
    CaptureTruncated,
    Record,
    UnknownFormat,
)

__all__ = [
    "ADVERT_READERS",
    "BROKEN",
    "JSON_LINE",
    "OTHER",
    "Buffer",
    "CaptureBroken",
    "CaptureTruncated",
    "LineReader",
    "Record",
    "UnknownFormat",
    "link_type",
    "read_records",
]

AdvertReader = Callable[[Buffer, int, int], list[Report] | None]

ADVERT_READERS: dict[int, AdvertReader] = {
    HCI_EVENT: hci.read_event,
    H4_LINK_TYPE: hci.read_packet,
    201: hci.read_directed_packet,
    251: hci.read_pdu,
    254: hci.read_monitored,
    256: hci.read_pdu_with_header,
}
"""By link type, what reads the advertisements of a packet: a list, None for another packet, or FrameError."""

LOOKED_AT = 4096


def read_records(buffer: Buffer) -> Iterator[Record]:
    """The records of a capture, whose format its first octets tell; else UnknownFormat.

    The iterator raises CaptureBroken, or its CaptureTruncated, behind the last record that could be read.
    """
    magic = buffer[:4]
    if magic in PCAP_MAGIC:
        return read_pcap(buffer)
    if magic == PCAPNG_MAGIC:
        return read_pcapng(buffer)
    if buffer[:8] == BTSNOOP_MAGIC:
        return read_btsnoop(buffer)
    if buffer[:LOOKED_AT].lstrip()[:1] == b"{":
        return read_lines(buffer)
    raise UnknownFormat("neither pcap, pcapng, BTSnoop nor JSON lines")


def link_type(word: int) -> int:
    """The link type in a record's word, without the FCS bits that pcap keeps above it."""
    return word & 0xFFFF if word >= 0 else word
