"""Advertising reports of HCI events, and advertising PDUs of the link layer, as they stand in captures.

Sources: Bluetooth Core Specification 5.4, vol. 4 part E 7.7.65.2 and 7.7.65.13 (reports), vol. 6 part B
2.3 (PDUs); link types 251 and 256 of the tcpdump.org registry.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.codec.record import Buffer
from agent.errors import FrameError

EVENT_PACKET = 0x04
LE_META = 0x3E
MONITOR_EVENT = b"\x00\x03"
REPORT, EXTENDED_REPORT = 0x02, 0x0D
REPORT_HEADER, EXTENDED_HEADER = 9, 24
RSSI_UNKNOWN = 127

ACCESS_ADDRESS = b"\xd6\xbe\x89\x8e"  # 0x8E89BED6, on the advertising channels only
# PDU type -> event type of the report that a controller would make of it
PDU_EVENTS = {0x0: 0, 0x2: 3, 0x4: 4, 0x6: 2}
PHDR_SIZE = 10
PHDR_DEWHITENED, PHDR_SIGNAL, PHDR_CRC_CHECKED, PHDR_CRC_VALID = 0x0001, 0x0002, 0x0400, 0x0800
PHDR_CODED = 0x8000  # bits 14 and 15 name the PHY: 0 LE 1M, 1 LE 2M, 2 coded


class Report(NamedTuple):
    """One advertisement: address in display order, RSSI in dBm or None, AD structures in ``data``.

    ``event_type`` is that of the legacy report (0 ADV_IND .. 4 SCAN_RSP), or the 16 bits of an extended one.
    """

    address: bytes
    address_type: int
    event_type: int
    rssi: int | None
    data: bytes


def read_event(buffer: Buffer, start: int, end: int) -> list[Report] | None:
    """The reports of one HCI event ``buffer[start:end]`` (event code first), or None when it holds none.

    FrameError when a length reaches beyond the event or the event beyond ``end``.
    """
    if end - start < 3 or buffer[start] != LE_META:
        return None
    sub_event = buffer[start + 2]
    if sub_event not in (REPORT, EXTENDED_REPORT):
        return None
    size = buffer[start + 1]
    if size < 2 or start + 2 + size > end:
        raise FrameError(f"advertising report event of {size} octets, {end - start - 2} are there")
    read_report = _read_report if sub_event == REPORT else _read_extended
    event = bytes(buffer[start + 2 : start + 2 + size])
    reports, at = [], 2
    for _ in range(event[1]):
        report, at = read_report(event, at)
        reports.append(report)
    return reports


def read_packet(buffer: Buffer, start: int, end: int) -> list[Report] | None:
    """As `read_event`, of an H4 packet: its first octet says what it is (BTSnoop 1002, link type 187)."""
    if end - start < 1 or buffer[start] != EVENT_PACKET:
        return None
    return read_event(buffer, start + 1, end)


def read_directed_packet(buffer: Buffer, start: int, end: int) -> list[Report] | None:
    """As `read_packet`, behind four octets of direction (link type 201)."""
    return read_packet(buffer, start + 4, end)


def read_monitored(buffer: Buffer, start: int, end: int) -> list[Report] | None:
    """As `read_event`, behind adapter and opcode of the Linux monitor (link type 254)."""
    if end - start < 4 or buffer[start + 2 : start + 4] != MONITOR_EVENT:
        return None
    return read_event(buffer, start + 4, end)


def read_pdu(buffer: Buffer, start: int, end: int, rssi: int | None = None) -> list[Report] | None:
    """The advertisement in a link-layer packet that starts with its access address (link type 251).

    None for data channels and for PDUs without advertising data; FrameError when it is cut short.
    """
    if end - start < 6 or buffer[start : start + 4] != ACCESS_ADDRESS:
        return None
    header, size = buffer[start + 4], buffer[start + 5]
    event_type = PDU_EVENTS.get(header & 0x0F)
    if event_type is None:
        return None
    at = start + 6
    if not 6 <= size <= 37 or at + size > end:
        raise FrameError(f"advertising PDU of {size} octets, {end - at} are there")
    address = bytes(buffer[at : at + 6])[::-1]
    return [Report(address, header >> 6 & 1, event_type, rssi, bytes(buffer[at + 6 : at + size]))]


def read_pdu_with_header(buffer: Buffer, start: int, end: int) -> list[Report] | None:
    """As `read_pdu`, behind the ten octets of channel, signal and flags (link type 256).

    None for what was not dewhitened or is coded; FrameError when the CRC is known to be wrong.
    """
    if end - start < PHDR_SIZE:
        raise FrameError(f"link-layer header of {end - start} octets, it has {PHDR_SIZE}")
    flags = buffer[start + 8] | buffer[start + 9] << 8
    if not flags & PHDR_DEWHITENED or flags & PHDR_CODED:
        return None
    signal = buffer[start + 1]
    rssi = (signal - 256 if signal > 127 else signal) if flags & PHDR_SIGNAL else None
    reports = read_pdu(buffer, start + PHDR_SIZE, end, rssi)
    if reports is not None and flags & PHDR_CRC_CHECKED and not flags & PHDR_CRC_VALID:
        raise FrameError("advertising PDU with a wrong CRC")
    return reports


def _read_report(event: bytes, at: int) -> tuple[Report, int]:
    """Event type, address type, address, length, data, RSSI."""
    data = at + REPORT_HEADER
    if data > len(event):
        raise FrameError("advertising report is cut short")
    end = data + event[at + 8]
    if end >= len(event):
        raise FrameError("data of an advertising report reach beyond the event")
    address = event[at + 2 : at + 8][::-1]
    return Report(address, event[at + 1], event[at], _rssi(event[end]), event[data:end]), end + 1


def _read_extended(event: bytes, at: int) -> tuple[Report, int]:
    """Event type (2), address type, address, PHYs (2), set, power, RSSI, interval (2), target (7), data."""
    data = at + EXTENDED_HEADER
    if data > len(event):
        raise FrameError("extended advertising report is cut short")
    end = data + event[at + 23]
    if end > len(event):
        raise FrameError("data of an extended advertising report reach beyond the event")
    address = event[at + 3 : at + 9][::-1]
    event_type = event[at] | event[at + 1] << 8
    return Report(address, event[at + 2], event_type, _rssi(event[at + 13]), event[data:end]), end


def _rssi(octet: int) -> int | None:
    if octet == RSSI_UNKNOWN:
        return None
    return octet - 256 if octet > 127 else octet
