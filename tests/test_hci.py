"""Advertising reports and link-layer PDUs against scapy's packets, and against broken input."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers import bluetooth as bt
from scapy.layers.bluetooth4LE import (
    BTLE,
    BTLE_ADV,
    BTLE_ADV_IND,
    BTLE_ADV_NONCONN_IND,
    BTLE_ADV_SCAN_IND,
    BTLE_DATA,
    BTLE_RF,
    BTLE_SCAN_REQ,
    BTLE_SCAN_RSP,
)

from agent.codec import hci
from agent.errors import FrameError

ADVERT = bytes.fromhex("0201060303b3fe0fffa8013619aba70a00d6847940f6f0")
ADDRESS = "aa:bb:cc:dd:ee:01"
OCTETS = bytes.fromhex("aabbccddee01")


def report_event(*rssis: int, data: bytes = ADVERT) -> bytes:
    """scapy's H4 packet of one event with a legacy report per RSSI."""
    reports = [
        bt.HCI_LE_Meta_Advertising_Report(
            type=n, addr_type=n & 1, addr=ADDRESS, data=bt.EIR_Hdr(data), rssi=rssi
        )
        for n, rssi in enumerate(rssis)
    ]
    body = bt.HCI_LE_Meta_Advertising_Reports(reports=reports)
    return bytes(bt.HCI_Hdr() / bt.HCI_Event_Hdr() / bt.HCI_Event_LE_Meta() / body)


def extended_event(rssi: int, count: int = 1) -> bytes:
    report = bt.HCI_LE_Meta_Extended_Advertising_Report(
        legacy=1, scannable=1, connectable=1, addr_type=1, addr=ADDRESS, rssi=rssi, data=bt.EIR_Hdr(ADVERT)
    )
    body = bt.HCI_LE_Meta_Extended_Advertising_Reports(reports=[report] * count)
    return bytes(bt.HCI_Hdr() / bt.HCI_Event_Hdr() / bt.HCI_Event_LE_Meta() / body)


def pdu(kind: type[BTLE_ADV_IND] = BTLE_ADV_IND, **header: int) -> bytes:
    advert = kind(AdvA=ADDRESS, data=bt.EIR_Hdr(ADVERT))
    return bytes(BTLE() / BTLE_ADV(**header) / advert)


def phdr(packet: bytes, signal: int = -71, **flags: int) -> bytes:
    given_flags = {"dewhitened": 1, "sig_power_valid": 1, **flags}
    return bytes(BTLE_RF(rf_channel=37, signal=signal, **given_flags)) + packet


def read_packet(data: bytes) -> list[hci.Report] | None:
    return hci.read_packet(data, 0, len(data))


def read_pdu(data: bytes) -> list[hci.Report] | None:
    return hci.read_pdu(data, 0, len(data))


def read_phdr(data: bytes) -> list[hci.Report] | None:
    return hci.read_pdu_with_header(data, 0, len(data))


def test_reads_a_legacy_report() -> None:
    assert read_packet(report_event(-60)) == [hci.Report(OCTETS, 0, 0, -60, ADVERT)]


def test_reads_several_reports_of_one_event() -> None:
    assert read_packet(report_event(-60, -70, 20)) == [
        hci.Report(OCTETS, 0, 0, -60, ADVERT),
        hci.Report(OCTETS, 1, 1, -70, ADVERT),
        hci.Report(OCTETS, 0, 2, 20, ADVERT),
    ]


def test_reads_extended_reports() -> None:
    expected = hci.Report(OCTETS, 1, 0x13, -44, ADVERT)
    assert read_packet(extended_event(-44)) == [expected]
    assert read_packet(extended_event(-44, count=3)) == [expected] * 3


@pytest.mark.parametrize("make", [report_event, extended_event])
def test_an_rssi_of_127_is_unknown(make: type) -> None:
    reports = read_packet(make(127))
    assert reports is not None
    assert [report.rssi for report in reports] == [None]


def test_reads_inside_a_larger_buffer() -> None:
    packet = report_event(-60)
    assert hci.read_packet(b"\x04\x3e" + packet + b"\x04", 2, 2 + len(packet)) == read_packet(packet)
    assert hci.read_event(packet, 1, len(packet)) == read_packet(packet)


def test_reads_behind_direction_and_monitor_headers() -> None:
    packet = report_event(-60)
    expected = read_packet(packet)
    directed = struct.pack(">I", 1) + packet
    assert hci.read_directed_packet(directed, 0, len(directed)) == expected
    monitored = struct.pack(">HH", 0, 3) + packet[1:]
    assert hci.read_monitored(monitored, 0, len(monitored)) == expected
    other = struct.pack(">HH", 0, 2) + packet[1:]
    assert hci.read_monitored(other, 0, len(other)) is None


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x04",
        b"\x02" + report_event(-60)[1:],  # ACL data
        b"\x04\x0e" + report_event(-60)[2:],  # command complete
        b"\x04\x3e\x02\x01\x00",  # LE connection complete
    ],
)
def test_other_packets_are_none(packet: bytes) -> None:
    assert read_packet(packet) is None


@pytest.mark.parametrize("packet", [report_event(-60), report_event(-60, -61), extended_event(-60, 2)])
def test_a_packet_cut_anywhere_is_broken(packet: bytes) -> None:
    for size in range(4, len(packet)):
        with pytest.raises(FrameError):
            read_packet(packet[:size])


def test_lengths_that_reach_beyond_the_event_are_broken() -> None:
    packet = bytearray(report_event(-60))
    packet[4] = 2  # reports, where one is
    with pytest.raises(FrameError):
        read_packet(bytes(packet))
    for length in (len(ADVERT) + 1, 255):
        packet = bytearray(report_event(-60))
        packet[13] = length
        with pytest.raises(FrameError):
            read_packet(bytes(packet))


def test_an_event_without_reports_holds_none() -> None:
    assert read_packet(bytes.fromhex("043e020200")) == []


@pytest.mark.parametrize(
    ("kind", "event_type"),
    [(BTLE_ADV_IND, 0), (BTLE_ADV_NONCONN_IND, 3), (BTLE_ADV_SCAN_IND, 2), (BTLE_SCAN_RSP, 4)],
)
def test_reads_advertising_pdus(kind: type[BTLE_ADV_IND], event_type: int) -> None:
    assert read_pdu(pdu(kind, TxAdd=1)) == [hci.Report(OCTETS, 1, event_type, None, ADVERT)]


def test_other_pdus_are_none() -> None:
    scan = bytes(BTLE() / BTLE_ADV() / BTLE_SCAN_REQ(ScanA=ADDRESS, AdvA=ADDRESS))
    data = bytes(BTLE(access_addr=0x12345678) / BTLE_DATA() / b"\x02\x07\x00\x04\x00abc")
    assert read_pdu(scan) is None
    assert read_pdu(data) is None
    assert read_pdu(b"") is None


def test_the_header_tells_the_signal_where_it_is_valid() -> None:
    packet = pdu()
    assert read_phdr(phdr(packet)) == [hci.Report(OCTETS, 0, 0, -71, ADVERT)]
    silent = read_phdr(phdr(packet, sig_power_valid=0))
    assert silent is not None
    assert silent[0].rssi is None


def test_what_the_receiver_calls_corrupt_is_broken() -> None:
    assert read_phdr(phdr(pdu(), crc_checked=1, crc_valid=1)) is not None
    with pytest.raises(FrameError, match="CRC"):
        read_phdr(phdr(pdu(), crc_checked=1))
    with pytest.raises(FrameError):
        read_phdr(b"\x25" * 9)


def test_whitened_and_coded_packets_are_none() -> None:
    assert read_phdr(phdr(pdu(), dewhitened=0)) is None
    assert read_phdr(phdr(pdu(), phy=2)) is None


def test_a_pdu_cut_anywhere_is_broken() -> None:
    whole = pdu()[:-3]  # the CRC may be missing
    assert read_pdu(whole) == read_pdu(pdu())
    for size in range(6, len(whole)):
        with pytest.raises(FrameError):
            read_pdu(whole[:size])


@pytest.mark.parametrize("size", [0, 5, 38, 255])
def test_a_pdu_of_impossible_length_is_broken(size: int) -> None:
    packet = bytearray(pdu() + bytes(300))
    packet[5] = size
    with pytest.raises(FrameError):
        read_pdu(bytes(packet))


@given(st.binary(max_size=80))
def test_only_frame_errors_escape(data: bytes) -> None:
    for read in (hci.read_packet, hci.read_event, hci.read_directed_packet, hci.read_monitored, hci.read_pdu):
        try:
            read(data, 0, len(data))
        except FrameError:
            pass
    try:
        read_phdr(data)
    except FrameError:
        pass


def test_only_frame_errors_escape_from_changed_packets() -> None:
    dice = random.Random(7)
    packets = [report_event(-60, -61), extended_event(-60, 2), phdr(pdu())]
    outcomes: set[type] = set()
    for _ in range(3000):
        packet = bytearray(dice.choice(packets))
        for _ in range(dice.randrange(1, 4)):
            packet[dice.randrange(len(packet))] = dice.randrange(256)
        for read in (read_packet, read_phdr):
            try:
                outcomes.add(type(read(bytes(packet))))
            except FrameError:
                outcomes.add(FrameError)
    assert outcomes == {list, type(None), FrameError}
