"""What a receiver puts in front of an 802.11 frame: radiotap, PPI, Prism and AVS headers.

One function reads them all, `read_header`; it never looks at the frame itself.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from agent.errors import FrameError

IEEE802_11 = 105
PRISM = 119
RADIOTAP = 127
AVS = 163
PPI = 192

LINK_TYPES = frozenset((IEEE802_11, PRISM, RADIOTAP, AVS, PPI))

# Centre frequency in MHz -> channel: 2.4 GHz, Japan's 4.9 GHz, 5 GHz and 6 GHz (IEEE 802.11-2020 annex E).
CHANNELS: dict[int, int] = (
    {2407 + 5 * channel: channel for channel in range(1, 14)}
    | {2484: 14}
    | {4000 + 5 * channel: channel for channel in range(182, 197)}
    | {5000 + 5 * channel: channel for channel in range(1, 182)}
    | {5950 + 5 * channel: channel for channel in range(1, 234)}
    | {5935: 2}
)

Span = tuple[int, int]


class Header(NamedTuple):
    """A receiver's header: its size, the octets of FCS behind the frame, and what it says of the reception.

    ``channel`` and ``rssi`` (dBm) are None where it does not tell. ``steady`` are the spans, counted from the
    start of the header, that decide everything but channel and rssi; None when that is not a fixed set.
    ``channel_at`` is the span of the channel, ``rssi_at`` the offset of the signed octet; None: not there.
    """

    size: int
    trailer: int
    channel: int | None
    rssi: int | None
    steady: tuple[Span, ...] | None = None
    channel_at: Span | None = None
    rssi_at: int | None = None


def read_header(data: bytes, link_type: int) -> Header | None:
    """The header of one record of that pcap link-type word; None for a link type or PPI content not ours.

    The word's upper bits are heeded: bit 26 says that bits 28 to 31 count the FCS octets in pairs (pcap file
    format, "LinkType and additional information"). Raises FrameError when the header is broken, or when the
    receiver says that the frame's checksum failed: such a frame proves nothing.
    """
    trailer = (link_type >> 28) * 2 if link_type & 0x04000000 else 0
    match link_type & 0xFFFF:
        case 127:
            return _read_radiotap(data, trailer)
        case 105:
            return Header(0, trailer, None, None, ())
        case 192:
            return _read_ppi(data, trailer)
        case 119:
            # Some drivers send an AVS header under Prism's link type; its first four octets tell.
            return _read_avs(data, trailer) if data[:3] == b"\x80\x21\x10" else _read_prism(data, trailer)
        case 163:
            return _read_avs(data, trailer)
    return None


# Radiotap: number of the field -> alignment, octets (radiotap.org, "Defined Fields"). 28 starts TLVs, whose
# offsets no present word tells; nothing behind it is ours.
FIELDS = {
    0: (8, 8), 1: (1, 1), 2: (1, 1), 3: (2, 4), 4: (2, 2), 5: (1, 1), 6: (1, 1), 7: (2, 2), 8: (2, 2),
    9: (2, 2), 10: (1, 1), 11: (1, 1), 12: (1, 1), 13: (1, 1), 14: (2, 2), 15: (2, 2), 16: (1, 1), 17: (1, 1),
    18: (4, 8), 19: (1, 3), 20: (4, 8), 21: (2, 12), 22: (8, 12), 23: (2, 12), 24: (2, 12), 25: (2, 6),
    26: (1, 1), 27: (2, 4),
}  # fmt: skip
FLAGS, CHANNEL, SIGNAL, XCHANNEL = 1, 3, 5, 18
RADIOTAP_NAMESPACE, VENDOR_NAMESPACE, EXTENDED = 1 << 29, 1 << 30, 1 << 31
FCS_AT_END, FCS_FAILED = 0x10, 0x40


class Layout(NamedTuple):
    """Where the three fields that we read are; the present words decide. Spans as in `Header`."""

    flags_at: int | None
    frequency_at: int | None
    signal_at: int | None
    steady: tuple[Span, ...] | None  # None: a vendor's data, not only the present words, decided
    channel_at: Span | None


# Receivers use a handful of layouts; the bound only holds off a sender of endless new ones.
MOST_LAYOUTS = 256
_layouts: dict[bytes, Layout] = {}


def _read_radiotap(data: bytes, trailer: int) -> Header:
    flags_at, frequency_at, signal_at, steady, channel_at = _find_layout(data)
    if flags_at is not None:
        flags = data[flags_at]
        if flags & FCS_FAILED:
            raise FrameError("the receiver marked the frame's checksum as bad")
        trailer = 4 if flags & FCS_AT_END else 0
    channel = rssi = None
    if frequency_at is not None:
        channel = CHANNELS.get(data[frequency_at] | data[frequency_at + 1] << 8)
    if signal_at is not None:
        rssi = (data[signal_at] ^ 128) - 128
    return Header(data[2] | data[3] << 8, trailer, channel, rssi, steady, channel_at, signal_at)


def _find_layout(data: bytes) -> Layout:
    """The layout of this radiotap header; FrameError when it is longer than the record or its own length."""
    if len(data) < 8:
        raise FrameError(f"radiotap header of {len(data)} octets; at least 8 are needed")
    words = 8
    size = data[2] | data[3] << 8
    if data[0] or size > len(data):
        raise FrameError(f"radiotap version {data[0]}, {size} of {len(data)} octets: version 0 was expected")
    while words <= size and data[words - 1] & 0x80:
        words += 4
    if words > size:
        raise FrameError(f"radiotap present words do not end within {size} octets")
    layout = _layouts.get(data[:words])
    if layout is None:
        layout = _lay_out(data[:size], words)
        if layout.steady:
            if len(_layouts) >= MOST_LAYOUTS:
                _layouts.clear()
            _layouts[data[:words]] = layout
    return layout


def _lay_out(header: bytes, words: int) -> Layout:
    """Walk the present words, and the fields that they announce, until the signal is found.

    The first signal counts: the later words hold those of single antennas. Alignment counts from the start
    of the header. A field that no table knows ends the walk, for its size is unknown.
    """
    at = words
    found: dict[int, int] = {}
    base, ours, fixed = 0, True, True
    for word in struct.unpack_from(f"<{(words - 4) // 4}I", header, 4):
        if ours:
            walked = _walk_word(word & 0x1FFFFFFF, base, at, len(header), found)
            if walked is None or SIGNAL in found:
                break
            at = walked
        base += 32
        if word & RADIOTAP_NAMESPACE:
            base, ours = 0, True
        elif word & VENDOR_NAMESPACE:
            base, ours, fixed = 0, False, False
            at = _skip_vendor(header, at)
    return _note_layout(words, found, fixed)


def _note_layout(words: int, found: dict[int, int], fixed: bool) -> Layout:
    flags_at, frequency_at = found.get(FLAGS), found.get(CHANNEL)
    if frequency_at is None and XCHANNEL in found:
        frequency_at = found[XCHANNEL] + 4
    steady: tuple[Span, ...] | None = ((0, words),)
    if not fixed:
        steady = None
    elif flags_at is not None:
        steady = ((0, words), (flags_at, flags_at + 1))
    channel_at = None if frequency_at is None else (frequency_at, frequency_at + 2)
    return Layout(flags_at, frequency_at, found.get(SIGNAL), steady, channel_at)


def _walk_word(word: int, base: int, at: int, end: int, found: dict[int, int]) -> int | None:
    """Note a present word's fields in ``found``; the offset behind the last, None at an unknown one."""
    while word:
        bit = word & -word
        word ^= bit
        number = base + bit.bit_length() - 1
        shape = FIELDS.get(number)
        if shape is None:
            return None
        align, octets = shape
        at = -(-at // align) * align
        if at + octets > end:
            raise FrameError(f"radiotap field {number} at {at} ends behind the header of {end} octets")
        found.setdefault(number, at)
        at += octets
    return at


def _skip_vendor(header: bytes, at: int) -> int:
    """The offset behind a vendor's namespace: OUI, sub-namespace, length, that many octets."""
    at += at & 1
    if at + 6 > len(header):
        raise FrameError(f"radiotap vendor namespace at {at} ends behind the header of {len(header)} octets")
    after = at + 6 + (header[at + 4] | header[at + 5] << 8)
    if after > len(header):
        raise FrameError(f"radiotap vendor namespace at {at} claims {after - at} octets")
    return after


def _read_ppi(data: bytes, trailer: int) -> Header | None:
    """Per-Packet Information; only its 802.11-Common field (type 2, 20 octets) is read. Little endian."""
    if len(data) < 8:
        raise FrameError(f"PPI header of {len(data)} octets; at least 8 are needed")
    version, flags, size, inner = struct.unpack_from("<BBHI", data)
    if version or not 8 <= size <= len(data):
        raise FrameError(f"PPI version {version}, {size} of {len(data)} octets: version 0 was expected")
    if inner != IEEE802_11:
        return None
    at = 8
    while at + 4 <= size:
        kind, octets = struct.unpack_from("<HH", data, at)
        at += 4
        if at + octets > size:
            raise FrameError(f"PPI field {kind} of {octets} octets ends behind the header of {size} octets")
        if kind == 2 and octets >= 20:
            return _read_ppi_common(data, at, size)
        at += octets
        if flags & 1:  # every field begins on a multiple of four
            at += -at % 4
    return Header(size, trailer, None, None)


def _read_ppi_common(data: bytes, at: int, size: int) -> Header:
    flags, _, frequency, _, _, _, signal = struct.unpack_from("<HHHHBBb", data, at + 8)
    if flags & 0x0C:
        raise FrameError("the receiver marked the frame's checksum or reception as bad")
    return Header(size, 4 if flags & 1 else 0, CHANNELS.get(frequency), signal if signal != -128 else None)


# Prism: the numbers of "channel" and "signal" in the two families of drivers that wrote it.
PRISM_CHANNEL = (0x00030044, 0x00003041)
PRISM_SIGNAL = (0x00060044, 0x00006041)


def _read_prism(data: bytes, trailer: int) -> Header:
    """A Prism header: message code and length, 16 octets of device name, then items of twelve octets.

    An item is its number, a status (0: present), a length and a value; all little endian.
    """
    if len(data) < 24:
        raise FrameError(f"Prism header of {len(data)} octets; at least 24 are needed")
    size = struct.unpack_from("<I", data, 4)[0]
    if not 24 <= size <= len(data):
        raise FrameError(f"Prism header claims {size} of {len(data)} octets")
    channel = rssi = None
    for at in range(24, size - 11, 12):
        number, status, _, value = struct.unpack_from("<IHHi", data, at)
        if status == 0 and number in PRISM_CHANNEL and 0 < value < 256:
            channel = value
        elif status == 0 and number in PRISM_SIGNAL and -128 < value < 0:
            rssi = value
    return Header(size, trailer, channel, rssi)


def _read_avs(data: bytes, trailer: int) -> Header:
    """An AVS header, version 1 or 2, big endian; a channel from 256 on is a frequency in MHz."""
    if len(data) < 64:
        raise FrameError(f"AVS header of {len(data)} octets; 64 are needed")
    version, size = struct.unpack_from(">II", data)
    if version not in (0x80211001, 0x80211002) or not 64 <= size <= len(data):
        raise FrameError(f"AVS version {version:#x}, {size} of {len(data)} octets")
    channel = struct.unpack_from(">I", data, 28)[0]
    kind, signal = struct.unpack_from(">Ii", data, 44)
    rssi = (
        signal if kind == 2 and -128 < signal < 128 else None
    )  # 2: in dBm; others count in units of their own
    return Header(size, trailer, channel if 0 < channel < 256 else CHANNELS.get(channel), rssi)
