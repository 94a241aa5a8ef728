"""Beacons, probe responses and probe requests: captured frames, and scan results, as stations.

The hot path. Most frames repeat what their sender said before; `FrameReader` proves that with one comparison
of all octets that matter and hands out the station of the first time.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from functools import lru_cache
from mmap import mmap
from typing import NamedTuple

from agent.codec.elements import Key, describe, read_channel, walk
from agent.codec.radiotap import IEEE802_11, LINK_TYPES, RADIOTAP, Header, Span, read_header
from agent.errors import FrameError
from agent.model import Station

__all__ = ["LINK_TYPES", "FrameReader", "read_bss"]

Buffer = bytes | mmap
Unpack = Callable[[Buffer, int], tuple[bytes, ...]]

BEACON, PROBE_RESPONSE, PROBE_REQUEST = 0x80, 0x50, 0x40  # first octet of frame control, version 0
KINDS = {BEACON: "beacon", PROBE_RESPONSE: "probe_response", PROBE_REQUEST: "probe_request"}
HEADER = 24
FIXED = 12  # timestamp 8, interval 2, capability 2
ORDER, PROTECTED = 0x80, 0x40  # second octet of frame control
PRIVACY = 0x10
BROADCAST = b"\xff" * 6


class Frame(NamedTuple):
    """A decoded frame: its station, where in the record it is, and its elements as `walk` told them."""

    station: Station
    at: int
    start: int
    end: int
    found: dict[Key, Span]
    volatile: list[Span]


def _decode(data: bytes, header: Header) -> Frame | None:
    """The frame behind a receiver's header; None: not one that we read."""
    at, end = header.size, len(data) - header.trailer
    if at + 2 > end:
        raise FrameError(f"802.11 frame of {max(0, end - at)} octets; frame control alone has two")
    first, flags = data[at], data[at + 1]
    kind = KINDS.get(first)
    if kind is None or flags & PROTECTED:
        return None
    start = at + (HEADER if first == PROBE_REQUEST else HEADER + FIXED) + (4 if flags & ORDER else 0)
    if start > end:
        raise FrameError(f"{kind} of {end - at} octets; at least {start - at} are needed")
    found, volatile, cut = walk(data, start, end)
    source, bssid = data[at + 10 : at + 16], data[at + 16 : at + 22]
    if source == bssid:
        source = bssid
    privacy = data[start - 2] & PRIVACY != 0  # of a probe request, which has no such field, nobody asks it
    station = describe(kind, bssid, source, data, found, privacy, header.channel, cut)
    return Frame(station, at, start, end, found, volatile)


def _find_steady(data: bytes, frame: Frame, header: Header) -> tuple[Span, ...] | None:
    """The spans of a record whose octets decide its station, in order; None: no fixed set does."""
    if header.steady is None:
        return None
    station, at, start, end, found, volatile = frame
    spans = [*header.steady, (at, at + 2), (at + 10, at + 22)]
    if header.channel_at and read_channel(data, found) is None:
        spans.append(header.channel_at)
    if station.kind != "probe_request":
        start -= 2  # the capability field
    return tuple(sorted((*spans, *_leave_out(volatile, start, end))))


def _leave_out(holes: list[Span], start: int, end: int) -> list[Span]:
    """The spans from start to end between the holes."""
    spans = []
    for first, after in holes:
        spans.append((start, first))
        start = after
    spans.append((start, end))
    return spans


@lru_cache(maxsize=1024)
def _compile(spans: tuple[Span, ...]) -> Unpack:
    """A function that cuts these spans, in order, out of a buffer from an offset on."""
    pieces, at = [], 0
    for first, after in spans:
        pieces.append(f"{first - at}x{after - first}s")
        at = after
    return struct.Struct("".join(pieces)).unpack_from


def read_bss(
    bssid: bytes, elements: bytes, channel: int | None, beacon: bool, *, privacy: bool | None = None
) -> Station:
    """The station of one scan result: its elements, and the channel it was heard on where they do not tell.

    ``beacon``: the elements come from a beacon, else from a probe response, in which no AA element counts
    (wifi-awss.md 3.1). ``privacy`` is bit 4 of the capability field; with None, open and WEP networks have
    no security. Raises FrameError for an SSID above 32 octets.
    """
    found, _, cut = walk(elements, 0, len(elements))
    kind = "beacon" if beacon else "probe_response"
    return describe(kind, bssid, bssid, elements, found, privacy, channel, cut)


Entry = tuple[int, Unpack, tuple[bytes, ...], Station, int]
_NEVER = _compile(())


def _make_entry(data: bytes, header: Header, frame: Frame, station: Station) -> Entry:
    steady = _find_steady(data, frame, header)
    if steady is None:
        return -1, _NEVER, (), station, 0
    unpack = _compile(steady)
    return len(data), unpack, unpack(data, 0), station, header.rssi_at or 0


class FrameReader:
    """Reads the records of one capture or interface; a cache of what senders said before makes it quick.

    ``link_type`` is the pcap link-type word (`read_header` tells which, and what its upper bits mean). The
    cache holds at most twice ``capacity`` senders; those heard lately stay.
    """

    # A sender is known by its addresses, a probe request also by its SSID. When it repeats what it said, the
    # octets that decide it are kept and compared from then on: all but sequence, time, signal, TIM, BSS load.
    # Whoever is heard once costs no more than a station. The key may be wrong (it trusts lengths unchecked):
    # only the comparison decides.
    __slots__ = ("_capacity", "_least", "_link_type", "_old", "_prefixed", "_young", "rssi")

    def __init__(self, link_type: int, capacity: int = 4096) -> None:
        self.rssi: int | None = None
        self._link_type = link_type
        self._prefixed = link_type & 0xFFFF == RADIOTAP
        # Only behind these two is the frame's place known before the header is read.
        self._least = 36 if self._prefixed or link_type & 0xFFFF == IEEE802_11 else sys.maxsize
        self._capacity = capacity
        self._young: dict[bytes, Entry] = {}
        self._old: dict[bytes, Entry] = {}

    def read(self, buffer: Buffer, start: int, end: int) -> Station | None:
        """The station of the record at ``buffer[start:end]``; None: not a frame that we read.

        Afterwards `rssi` is its signal in dBm, None where the record does not tell. While nothing changes
        that a station holds, the same object comes back. Elements before an incomplete one count; a broken
        AA element becomes ``Station.trouble``. Raises FrameError when header or frame is broken.
        """
        size = end - start
        key = b""
        if size > self._least:
            frame = start + buffer[start + 2] if self._prefixed else start
            if frame + 26 <= end:
                kind = buffer[frame]
                if kind == BEACON:
                    key = buffer[frame + 16 : frame + 22]
                elif kind == PROBE_REQUEST:
                    ssid = frame + 24
                    key = buffer[frame + 10 : frame + 16] + buffer[ssid : ssid + 2 + buffer[ssid + 1]]
                elif kind == PROBE_RESPONSE:
                    key = buffer[frame + 10 : frame + 22]
        entry = self._young.get(key)
        if entry is None:
            entry = self._revive(key)
        if entry is not None:
            known_size, unpack, expected, station, rssi_at = entry
            if known_size == size and unpack(buffer, start) == expected:
                self.rssi = (buffer[start + rssi_at] ^ 128) - 128 if rssi_at else None
                return station
        return self._read_new(buffer[start:end], key, entry)

    def _read_new(self, data: bytes, key: bytes, known: Entry | None) -> Station | None:
        """Decode a record that differs from what its sender said last, and remember it."""
        self.rssi = None
        header = read_header(data, self._link_type)
        frame = None if header is None else _decode(data, header)
        if header is None or frame is None:
            return None
        self.rssi = header.rssi
        if not key:
            key = frame.station.source + frame.station.bssid + frame.station.ssid
            known = self._young.get(key) or self._revive(key)
        entry: Entry = (-1, _NEVER, (), frame.station, 0)
        if known is not None and known[3] == frame.station:
            entry = _make_entry(data, header, frame, known[3])
        self._remember(key, entry)
        return entry[3]

    def _revive(self, key: bytes) -> Entry | None:
        entry = self._old.get(key)
        if entry is not None:
            self._remember(key, entry)
        return entry

    def _remember(self, key: bytes, entry: Entry) -> None:
        if len(self._young) >= self._capacity and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = entry
