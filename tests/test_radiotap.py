"""Receivers' headers, octet by octet from their specifications; scapy's opinion is in test_dot11_oracle."""

from __future__ import annotations

import random
import struct

import pytest

from agent.codec.radiotap import AVS, IEEE802_11, PPI, PRISM, RADIOTAP, Header, read_header
from agent.errors import FrameError

EXTENDED, VENDOR, AGAIN = 1 << 31, 1 << 30, 1 << 29


def radiotap(*words: int, fields: bytes = b"", version: int = 0, size: int | None = None) -> bytes:
    octets = struct.pack(f"<{len(words)}I", *words) + fields
    return struct.pack("<BBH", version, 0, 4 + len(octets) if size is None else size) + octets


def read(data: bytes, link_type: int = RADIOTAP) -> Header:
    header = read_header(data, link_type)
    assert header is not None
    return header


def test_a_header_without_fields_tells_nothing() -> None:
    header = read(radiotap(0) + b"frame")
    assert (header.size, header.trailer, header.channel, header.rssi) == (8, 0, None, None)


def test_reads_flags_channel_and_signal() -> None:
    header = read(radiotap(0x2A, fields=struct.pack("<BxHHb", 0x10, 2437, 0xA0, -57)))
    assert (header.size, header.trailer, header.channel, header.rssi) == (15, 4, 6, -57)


@pytest.mark.parametrize("words", [1, 2, 3, 4])
def test_alignment_counts_from_the_start_of_the_header(words: int) -> None:
    present = [0x2B | EXTENDED] + [AGAIN | EXTENDED] * (words - 1)
    present[-1] &= ~EXTENDED
    padding = b"\0" * (-(4 + 4 * words) % 8)
    fields = padding + struct.pack("<QBxHHb", 0x1122334455667788, 0, 5180, 0x140, -80)
    header = read(radiotap(*present, fields=fields))
    assert (header.channel, header.rssi) == (36, -80)


def test_the_first_signal_counts_not_those_of_single_antennas() -> None:
    words = (0x20 | AGAIN | EXTENDED, 0x820 | AGAIN | EXTENDED, 0x820)
    assert read(radiotap(*words, fields=struct.pack("<bbBbB", -50, -60, 0, -40, 1))).rssi == -50


def test_a_signal_told_only_per_antenna_is_taken() -> None:
    assert read(radiotap(0x02 | AGAIN | EXTENDED, 0x820, fields=struct.pack("<BbB", 0, -61, 0))).rssi == -61


def test_the_first_flags_count() -> None:
    fields = struct.pack("<BBb", 0x10, 0x40, -61)
    header = read(radiotap(0x02 | AGAIN | EXTENDED, 0x22, fields=fields))
    assert (header.trailer, header.rssi) == (4, -61)


def test_headers_that_differ_only_in_later_words_are_told_apart() -> None:
    fields = struct.pack("<BbB", 0, -61, 5)
    assert read(radiotap(0x02 | AGAIN | EXTENDED, 0x820, fields=fields)).rssi == -61
    assert read(radiotap(0x02 | AGAIN | EXTENDED, 0x1800, fields=fields)).rssi is None
    assert read(radiotap(0x02 | AGAIN | EXTENDED, 0x0024, fields=fields)).rssi == 5


def test_words_without_a_namespace_go_on_counting_and_end_the_walk() -> None:
    # Bits 32 and up name no known field, so nothing behind them can be found.
    assert read(radiotap(0x02 | EXTENDED, 0x820, fields=struct.pack("<BbB", 0, -61, 0))).rssi is None


def test_a_vendors_namespace_is_skipped_by_its_length() -> None:
    words = (0x02 | VENDOR | EXTENDED, 0xFFFF | AGAIN | EXTENDED, 0x20)
    fields = (
        b"\x10" + b"\0" + b"\x00\x11\x22\x01" + struct.pack("<H", 3) + b"\x99\x99\x99" + struct.pack("b", -70)
    )
    header = read(radiotap(*words, fields=fields))
    assert (header.rssi, header.trailer) == (-70, 4)
    shorter = fields.replace(b"\x03\x00\x99\x99\x99", b"\x02\x00\x99\x99\x88")
    assert read(radiotap(*words, fields=shorter)).rssi == -120


def test_later_vendor_words_belong_to_the_vendor() -> None:
    words = (VENDOR | EXTENDED, 0x20 | EXTENDED, 0x20 | AGAIN | EXTENDED, 0x20)
    fields = b"\x00\x11\x22\x01" + struct.pack("<H", 2) + b"\x11\x11" + struct.pack("b", -70)
    assert read(radiotap(*words, fields=fields)).rssi == -70


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        radiotap(0, version=1),
        radiotap(0, size=9),
        radiotap(0, size=7),
        radiotap(0, size=0),
        radiotap(EXTENDED),
        radiotap(EXTENDED, EXTENDED),
        radiotap(0x01, fields=b"\0" * 7),
        radiotap(0x20),
        radiotap(VENDOR | EXTENDED, 0, fields=b"\0" * 5),
        radiotap(VENDOR | EXTENDED, 0, fields=b"\x00\x11\x22\x01\x02\x00\x99"),
    ],
)
def test_broken_radiotap_headers_are_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        read_header(data, RADIOTAP)


def test_a_frame_whose_checksum_failed_is_refused() -> None:
    with pytest.raises(FrameError, match="checksum"):
        read_header(radiotap(0x02, fields=b"\x50") + b"frame", RADIOTAP)


def test_fields_behind_tlvs_are_not_guessed() -> None:
    words = (0x02 | 1 << 28 | AGAIN | EXTENDED, 0x20)
    header = read(radiotap(*words, fields=b"\x10\x00\x01\x00\x01\x00\x99\x00"))
    assert (header.trailer, header.rssi) == (4, None)


@pytest.mark.parametrize(
    ("frequency", "channel"),
    [
        (2412, 1), (2437, 6), (2472, 13), (2484, 14), (2477, None), (2407, None), (2400, None), (0, None),
        (4920, 184), (4980, 196), (5000, None), (5035, 7), (5180, 36), (5825, 165), (5885, 177), (5182, None),
        (5935, 2), (5955, 1), (5975, 5), (7115, 233), (7120, None), (65535, None), (900, None),
    ],
)  # fmt: skip
def test_frequencies_become_channels(frequency: int, channel: int | None) -> None:
    assert read(radiotap(0x08, fields=struct.pack("<HH", frequency, 0))).channel == channel


def test_the_wide_channel_field_counts_where_the_plain_one_is_missing() -> None:
    wide = struct.pack("<IHBB", 0x140, 5200, 40, 20)
    assert read(radiotap(1 << 18, fields=wide)).channel == 40
    plain = struct.pack("<HH", 2412, 0xA0)
    assert read(radiotap(1 << 18 | 0x08, fields=plain + wide)).channel == 1


@pytest.mark.parametrize(
    ("word", "octets"), [(0x24000000, 4), (0x14000000, 2), (0x04000000, 0), (0x30000000, 0), (0, 0)]
)
def test_the_link_type_word_tells_the_checksum_of_bare_frames(word: int, octets: int) -> None:
    assert read(b"frame", word | IEEE802_11) == Header(0, octets, None, None, ())
    assert read(radiotap(0), word | RADIOTAP).trailer == octets
    assert read(radiotap(0x02, fields=b"\0"), word | RADIOTAP).trailer == 0


@pytest.mark.parametrize("link_type", [0, 1, 113, 147, 201, 251, 65535])
def test_other_link_types_are_not_ours(link_type: int) -> None:
    assert read_header(b"\0" * 200, link_type) is None


def ppi(*fields: tuple[int, bytes], flags: int = 0, inner: int = 105) -> bytes:
    octets = b""
    for kind, body in fields:
        octets += struct.pack("<HH", kind, len(body)) + body
        if flags & 1:
            octets += b"\0" * (-len(octets) % 4)
    return struct.pack("<BBHI", 0, flags, 8 + len(octets), inner) + octets


def common(flags: int, frequency: int, signal: int) -> bytes:
    return struct.pack("<QHHHHBBbb", 0, flags, 2, frequency, 0xA0, 0, 0, signal, -95)


@pytest.mark.parametrize("flags", [0, 1])
def test_reads_ppi_behind_fields_of_any_length(flags: int) -> None:
    header = read(ppi((30002, b"\x01\x02\x03"), (2, common(1, 2462, -44)), flags=flags), PPI)
    assert (header.trailer, header.channel, header.rssi) == (4, 11, -44)


def test_ppi_marks_an_unknown_signal_and_may_tell_nothing() -> None:
    assert read(ppi((2, common(0, 0, -128))), PPI)[1:4] == (0, None, None)
    assert read(ppi((2, b"short")), PPI)[1:4] == (0, None, None)
    assert read(ppi(), PPI) == Header(8, 0, None, None)


def test_ppi_around_anything_else_is_not_ours() -> None:
    assert read_header(ppi((2, common(0, 2412, -40)), inner=1), PPI) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 7,
        b"\x01" + ppi()[1:],
        ppi()[:2] + b"\xff\xff" + ppi()[4:],
        struct.pack("<BBHIHH", 0, 0, 12, 105, 2, 20),
        ppi((2, common(4, 2412, -40))),
        ppi((2, common(8, 2412, -40))),
    ],
)
def test_broken_ppi_headers_are_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        read_header(data, PPI)


def prism(*items: tuple[int, int, int]) -> bytes:
    octets = b"".join(struct.pack("<IHHi", number, status, 4, value) for number, status, value in items)
    return struct.pack("<II16s", 0x44, 24 + len(octets), b"wlan0") + octets


@pytest.mark.parametrize(("channel", "signal"), [(0x00030044, 0x00060044), (0x00003041, 0x00006041)])
def test_reads_prism_of_both_families(channel: int, signal: int) -> None:
    header = read(prism((0x00010044, 0, 1), (channel, 0, 11), (signal, 0, -63)), PRISM)
    assert header == Header(60, 0, 11, -63)


def test_prism_items_that_are_absent_or_no_dbm_do_not_count() -> None:
    data = prism((0x00030044, 1, 11), (0x00060044, 1, -63))
    assert read(data, PRISM)[2:4] == (None, None)
    assert read(prism((0x00030044, 0, 0), (0x00060044, 0, 75)), PRISM)[2:4] == (None, None)


def avs(channel: int, kind: int, signal: int, version: int = 0x80211001) -> bytes:
    return struct.pack(">IIQQIIIIIIiiII", version, 64, 0, 0, 2, channel, 10, 0, 0, kind, signal, -95, 1, 1)


@pytest.mark.parametrize("link_type", [AVS, PRISM])
def test_reads_avs_under_its_own_and_under_prisms_link_type(link_type: int) -> None:
    assert read(avs(6, 2, -48), link_type) == Header(64, 0, 6, -48)
    assert read(avs(5180, 2, -48, 0x80211002), link_type)[2:4] == (36, -48)


def test_avs_signals_in_other_units_do_not_count() -> None:
    assert read(avs(6, 1, 48), AVS).rssi is None
    assert read(avs(6, 2, -1000), AVS).rssi is None


@pytest.mark.parametrize(("data", "link_type"), [
    (b"\0" * 23, PRISM), (prism()[:4] + b"\x17\0\0\0" + prism()[8:], PRISM),
    (prism()[:4] + b"\xff" * 20, PRISM), (avs(6, 2, -48)[:63], AVS), (avs(6, 2, -48, 0x80211003), AVS),
    (b"\x80\x21\x10\x01\xff\xff" + b"\0" * 58, AVS),
])  # fmt: skip
def test_broken_prism_and_avs_headers_are_refused(data: bytes, link_type: int) -> None:
    with pytest.raises(FrameError):
        read_header(data, link_type)


WHOLE = [
    (
        radiotap(0x2B | VENDOR | EXTENDED, 0xFF | AGAIN | EXTENDED, 0x820, fields=bytes(range(1, 60))),
        RADIOTAP,
    ),
    (ppi((3, b"\x01" * 5), (2, common(1, 2462, -44)), flags=1), PPI),
    (prism((0x00030044, 0, 11), (0x00060044, 0, -63)), PRISM),
    (avs(6, 2, -48), AVS),
]


@pytest.mark.parametrize(("data", "link_type"), WHOLE, ids=["radiotap", "ppi", "prism", "avs"])
def test_whatever_the_octets_only_frame_errors_come(data: bytes, link_type: int) -> None:
    dice = random.Random(link_type)
    for turn in range(2000):
        octets = bytearray(data[: turn % len(data)] if turn < len(data) else data)
        for _ in range(turn % 5):
            if octets:
                octets[dice.randrange(len(octets))] = dice.choice(
                    (0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256))
                )
        try:
            header = read_header(bytes(octets), link_type)
        except FrameError:
            continue
        assert header is None or 0 <= header.size <= len(octets)


def test_endless_present_words_cost_no_more_than_their_length() -> None:
    words = [0x20 | EXTENDED] * 16000
    with pytest.raises(FrameError, match="do not end"):
        read_header(radiotap(*words), RADIOTAP)
    words = [VENDOR | EXTENDED, *[EXTENDED] * 16000, 0]
    assert read(radiotap(*words, fields=b"\x00\x11\x22\x01\x00\x00")).rssi is None
