"""Management frames as stations, and the reader's promise of the same object while nothing changes."""

from __future__ import annotations

import itertools
import mmap
import random
import struct
import tracemalloc

import pytest

from agent.codec import awss
from agent.codec.dot11 import LINK_TYPES, FrameReader, read_bss
from agent.errors import FrameError
from agent.model import Station
from tests.frames import (
    ALL,
    AP,
    HT,
    PHONE,
    PSK,
    RECORD,
    SAE,
    SIX_GHZ,
    SSID,
    beacon,
    element,
    frame,
    heard,
    radiotap,
    request,
    rsn,
    wpa,
)


def test_reads_a_beacon() -> None:
    reader = FrameReader(127)
    record = radiotap(beacon(SSID + element(3, b"\x06") + rsn(PSK), privacy=True), rssi=-61)
    station = reader.read(record, 0, len(record))
    assert station == Station("beacon", AP, AP, b"HomeNet", hidden=False, channel=6, security="wpa2")
    assert reader.rssi == -61


def test_reads_a_probe_response() -> None:
    station = heard(frame(0x50, SSID, source=PHONE))
    assert station == Station(
        "probe_response", AP, PHONE, b"HomeNet", hidden=False, channel=None, security="open"
    )


def test_reads_a_probe_request_which_has_no_security() -> None:
    station = heard(request(SSID + rsn(PSK)))
    assert station == Station(
        "probe_request", ALL, PHONE, b"HomeNet", hidden=False, channel=None, security=None
    )


OTHERS = sorted(set(range(256)) - {0x80, 0x50, 0x40})


@pytest.mark.parametrize("kind", OTHERS)
def test_other_frames_and_versions_are_not_ours(kind: int) -> None:
    record = beacon()
    assert FrameReader(105).read(bytes((kind,)) + record[1:], 0, len(record)) is None


@pytest.mark.parametrize("kind", [0x80, 0x50, 0x40])
def test_protected_frames_are_not_ours(kind: int) -> None:
    record = frame(kind, SSID, flags=0x40)
    assert FrameReader(105).read(record, 0, len(record)) is None


def test_retries_are_read() -> None:
    assert heard(beacon(flags=0x08)).ssid == b"HomeNet"


@pytest.mark.parametrize("kind", [0x80, 0x50, 0x40])
def test_the_order_bit_brings_four_more_octets(kind: int) -> None:
    assert heard(frame(kind, SSID, flags=0x80, privacy=True)).ssid == b"HomeNet"


@pytest.mark.parametrize("tail", [b"\xaa", b"\xde\xad\xbe\xef", b"\x03\x02\x06", element(3, b"\x06")[:2]])
def test_elements_before_an_incomplete_one_count(tail: bytes) -> None:
    station = heard(beacon(SSID + awss.build_enrollee(RECORD) + tail))
    assert (station.ssid, station.channel, station.enrollee) == (b"HomeNet", None, RECORD)


def test_a_checksum_that_the_receiver_tells_of_is_no_element() -> None:
    assert heard(radiotap(beacon(), frequency=2437, checksum=True), 127).channel == 6
    assert heard(beacon() + b"\x03\x01\x0d\x00", 105).channel == 13
    assert heard(beacon() + b"\x03\x01\x0d\x00", 0x24000000 | 105).channel is None


@pytest.mark.parametrize("kind", [0x80, 0x50, 0x40])
def test_every_truncation_is_read_or_refused(kind: int) -> None:
    whole = radiotap(frame(kind, SSID + rsn(PSK) + awss.build_enrollee(RECORD)))
    fixed = 15 + (24 if kind == 0x40 else 36)
    for size in range(len(whole)):
        in_name = fixed + 4 < size < fixed + len(SSID)  # four octets may be an FCS
        if size < fixed or in_name:
            with pytest.raises(FrameError, match="SSID" if in_name else "."):
                heard(whole[:size], 127)
        else:
            station = heard(whole[:size], 127)
            assert station.ssid == (b"HomeNet" if size >= fixed + len(SSID) else b"")
            assert station.enrollee is None


@pytest.mark.parametrize("link_type", sorted(LINK_TYPES))
def test_records_of_no_octets_are_refused_by_every_link_type(link_type: int) -> None:
    reader = FrameReader(link_type)
    with pytest.raises(FrameError):
        reader.read(b"", 0, 0)
    assert reader.rssi is None


def test_other_link_types_are_not_read() -> None:
    assert FrameReader(1).read(beacon(), 0, 60) is None


# What changes from frame to frame and tells nothing new: (dtim count, load, sequence, rssi).
def changing(turn: int, *, secured: bytes = rsn(PSK), frequency: int = 2412, kind: int = 0x80) -> bytes:
    elements = SSID + (element(5, bytes((turn % 3, 3, 0, turn & 255))) if kind == 0x80 else b"")
    elements += (
        secured + element(11, bytes((7, 0, turn & 255, 0, 0))) + element(221, b"\x00\x0c\x43 the rest")
    )
    record = frame(kind, elements, privacy=True, sequence=turn & 4095, time=turn * 102400)
    return radiotap(record, rssi=-40 - turn % 50, frequency=frequency)


@pytest.mark.parametrize("kind", [0x80, 0x50])
def test_the_same_object_comes_back_while_nothing_changes(kind: int) -> None:
    reader = FrameReader(127)
    first = None
    for turn in range(200):
        record = changing(turn, kind=kind)
        station = reader.read(record, 0, len(record))
        first = first or station
        assert station is first
        assert reader.rssi == -40 - turn % 50
    assert first == heard(changing(0, kind=kind), 127)


@pytest.mark.parametrize("link_type", sorted(LINK_TYPES))
def test_the_same_object_comes_back_for_every_link_type(link_type: int) -> None:
    heads = {
        105: b"",
        119: struct.pack("<II16sIHHi", 0x44, 36, b"wlan0", 0x00060044, 0, 4, -50),
        127: radiotap(b""),
        163: struct.pack(">IIQQIIIIIIiiII", 0x80211001, 64, 0, 0, 2, 6, 10, 0, 0, 2, -50, -95, 1, 1),
        192: struct.pack("<BBHI", 0, 0, 8, 105),
    }
    reader = FrameReader(link_type)
    stations = []
    for turn in range(4):
        for ap in (AP, PHONE):
            record = heads[link_type] + beacon(source=ap, bssid=ap, sequence=turn)
            stations.append(reader.read(record, 0, len(record)))
    assert stations[0] is stations[2] is stations[4] is stations[6] is not stations[1]
    assert stations[1] is stations[3] is stations[5] is stations[7] is not None


def test_what_changes_is_told_at_once() -> None:
    reader = FrameReader(127)
    for secured, frequency, word, channel in [
        (rsn(PSK), 2412, "wpa2", 1),
        (rsn(SAE), 2412, "wpa3", 1),
        (rsn(SAE), 2462, "wpa3", 11),
        (element(48, b""), 2462, "wpa2", 11),
    ]:
        for turn in range(5):
            record = changing(turn, secured=secured, frequency=frequency)
            station = reader.read(record, 0, len(record))
            assert station is not None
            assert (station.security, station.channel) == (word, channel)


def test_a_receiver_that_hops_does_not_make_a_told_channel_new() -> None:
    reader = FrameReader(127)
    stations = []
    for turn in range(12):
        record = changing(turn, secured=element(3, b"\x06"), frequency=(2437, 2432, 2442)[turn % 3])
        stations.append(reader.read(record, 0, len(record)))
    assert all(station is stations[0] for station in stations)


def test_stations_probing_for_several_names_keep_an_object_for_each() -> None:
    reader = FrameReader(105)
    records = [request(element(0, name) + element(1, b"\x02\x04")) for name in (b"", b"HomeNet", b"eduroam")]
    first = [reader.read(record, 0, len(record)) for record in records]
    for _ in range(4):
        again = [reader.read(record, 0, len(record)) for record in records]
        assert all(one is other for one, other in zip(first, again, strict=True))


def seeds() -> list[bytes]:
    whole = SSID + element(5, b"\0\3\0\0") + element(3, b"\x06") + rsn(PSK) + wpa() + HT + SIX_GHZ
    with_enrollee = whole + awss.build_enrollee(RECORD)
    frames = [beacon(whole), beacon(with_enrollee, privacy=True), request(with_enrollee), frame(0x50, whole)]
    records = [radiotap(one) for one in frames] + [radiotap(one, checksum=True) for one in frames]
    antennas = struct.pack("<BBHIIbbB", 0, 0, 15, 0xA0000020, 0x820, -50, -51, 0)
    vendor = struct.pack("<BBHIII", 0, 0, 29, 0xC0000000, 0xA0000000, 0x2A) + b"\0\x11\x22\x01\x01\0\0"
    vendor += struct.pack("<BHHb", 0x10, 2437, 0xA0, -50)
    frames.append(beacon(SSID, privacy=True))
    return records + [head + one for one in frames for head in (antennas, vendor)]


def mutate(dice: random.Random, record: bytes) -> bytes:
    octets = bytearray(record)
    for _ in range(dice.randrange(3)):
        octets[dice.randrange(len(octets))] = dice.choice((0, 1, 4, 0x50, 0x80, 0xFF, dice.randrange(256)))
    if dice.random() < 0.2:
        del octets[dice.randrange(len(octets)) :]
    return bytes(octets)


def outcome(
    reader: FrameReader, buffer: bytes | mmap.mmap, start: int, end: int
) -> tuple[object, int | None]:
    try:
        station = reader.read(buffer, start, end)
    except FrameError as error:
        return str(error), reader.rssi
    return station, reader.rssi


@pytest.mark.parametrize("capacity", [2, 4096])
def test_the_cache_never_says_what_the_frame_does_not(capacity: int) -> None:
    dice = random.Random(capacity)
    pool = seeds()
    pool += [mutate(dice, dice.choice(pool)) for _ in range(60)]
    records = [mutate(dice, one) if dice.random() < 0.3 else one for one in dice.choices(pool, k=6000)]
    offsets, cached = [0], FrameReader(127, capacity)
    for record in records:
        offsets.append(offsets[-1] + len(record))
    with mmap.mmap(-1, offsets[-1]) as buffer:
        buffer.write(b"".join(records))
        for start, end in itertools.pairwise(offsets):
            alone = outcome(FrameReader(127), buffer[start:end], 0, end - start)
            assert outcome(cached, buffer, start, end) == alone


@pytest.mark.parametrize("number", range(len(seeds())))
def test_no_change_of_one_octet_escapes_the_cache(number: int) -> None:
    cached, record = FrameReader(127), seeds()[number]
    for place, octet in enumerate(record):
        for change in (octet ^ 0x01, octet ^ 0x10, octet ^ 0x40, 0xFF - octet):
            changed = record[:place] + bytes((change,)) + record[place + 1 :]
            for one in (record, record, record, changed):
                assert outcome(cached, one, 0, len(one)) == outcome(FrameReader(127), one, 0, len(one))


def flood(dice: random.Random, frames: int, reader: FrameReader) -> None:
    for _ in range(frames):
        address = dice.randbytes(6)
        record = beacon(element(0, dice.randbytes(20)) + bytes(200), source=address, bssid=address)
        reader.read(record, 0, len(record))


def test_a_flood_of_new_senders_costs_bounded_memory() -> None:
    dice, reader = random.Random(1), FrameReader(105, 64)
    flood(dice, 300, reader)
    tracemalloc.start()
    try:
        flood(dice, 3000, reader)
        before, _ = tracemalloc.get_traced_memory()
        flood(dice, 6000, reader)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000


def test_who_is_heard_often_stays_known_in_a_flood() -> None:
    dice, reader = random.Random(2), FrameReader(105, 64)
    ours = [reader.read(beacon(), 0, len(beacon()))]
    for _ in range(20):
        flood(dice, 50, reader)
        ours.append(reader.read(beacon(), 0, len(beacon())))
    assert all(station is ours[0] for station in ours)


def test_scan_results_are_read_by_the_same_rules() -> None:
    elements = SSID + rsn(PSK, SAE) + awss.build_enrollee(RECORD) + b"\xdd"
    expected = Station(
        "beacon", AP, AP, b"HomeNet", hidden=False, channel=36, security="wpa2+wpa3", enrollee=RECORD
    )
    assert read_bss(AP, elements, 36, beacon=True) == expected
    response = read_bss(AP, elements + HT, 36, beacon=False)
    assert (response.kind, response.enrollee, response.channel) == ("probe_response", None, 36)
    assert read_bss(AP, SSID + HT, 36, beacon=False).channel == 11


def test_scan_results_tell_open_from_wep_only_by_the_privacy_bit() -> None:
    said = [
        read_bss(AP, SSID, None, beacon=True, privacy=privacy).security for privacy in (None, False, True)
    ]
    assert said == [None, "open", "wep"]


def test_scan_results_with_too_long_a_name_are_refused() -> None:
    with pytest.raises(FrameError, match="SSID"):
        read_bss(AP, element(0, b"x" * 33), None, beacon=True)
