"""Adverts as JSON lines, one object a line, in the three shapes of DESIGN 3.

``{"t","addr","addr_type","evt","rssi","data"}``, ``{"hci"}`` and ``{"address","rssi","manufacturer_data"}``;
any other object is no advert.
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Iterator

from agent.codec.hci import RSSI_UNKNOWN, Report, read_packet
from agent.codec.record import JSON_LINE, Buffer, CaptureTruncated, Record
from agent.codec.strictjson import read_json
from agent.errors import FrameError
from agent.model import COMPANY_ID, mac_bytes

LINE_MAX = 65536
COMPANY_KEY = str(int.from_bytes(COMPANY_ID, "little"))
MANUFACTURER = 0xFF


def read_lines(buffer: Buffer) -> Iterator[Record]:
    """The lines that are not blank, as records of type JSON_LINE; their time is told by `LineReader`.

    CaptureTruncated when the last line has no end and is no JSON.
    """
    at, size = 0, len(buffer)
    while at < size:
        end = buffer.find(b"\n", at)
        if end < 0:
            _check_last(buffer[at : min(size, at + LINE_MAX + 1)])
            end = size
        if buffer[at : min(end, at + 8)].strip() or buffer[at : min(end, at + LINE_MAX)].strip():
            yield 0.0, JSON_LINE, at, end
        at = end + 1


class LineReader:
    """Reads lines; ``at`` is the time of the last one in seconds, or None where it does not tell."""

    at: float | None = None

    def read(self, buffer: Buffer, start: int, end: int) -> list[Report] | None:
        """The advertisements of one line, or None when it holds an object of another shape."""
        self.at = None
        if end - start > LINE_MAX:
            raise FrameError(f"line of {end - start} octets, at most {LINE_MAX} are read")
        item = read_object(buffer[start:end])
        if "data" in item and "addr" in item:
            self.at = _time(item.get("t"))
            return [_read_advert(item)]
        if "hci" in item:
            packet = _octets("hci", item["hci"])
            return read_packet(packet, 0, len(packet))
        if "manufacturer_data" in item and "address" in item:
            return _read_property(item)
        return None


def read_object(line: bytes) -> dict[str, object]:
    """The JSON object that a line holds; FrameError for anything else."""
    item = read_json(line)
    if not isinstance(item, dict):
        raise FrameError("a line must hold a JSON object")
    return item


def _check_last(line: bytes) -> None:
    if not line.strip():
        return
    try:
        read_object(line)
    except FrameError as error:
        raise CaptureTruncated(f"the last line has no end: {error}") from None


def _read_advert(item: dict[str, object]) -> Report:
    address_type, event_type = item.get("addr_type", 0), item.get("evt", 0)
    if not isinstance(address_type, int) or not isinstance(event_type, int):
        raise FrameError("addr_type and evt must be integers")
    address = _address("addr", item["addr"])
    return Report(address, address_type, event_type, _rssi(item), _octets("data", item["data"]))


def _read_property(item: dict[str, object]) -> list[Report] | None:
    """What BlueZ tells: manufacturer data by company, without the company id."""
    by_company = item["manufacturer_data"]
    if not isinstance(by_company, dict):
        raise FrameError("manufacturer_data must be an object")
    if COMPANY_KEY not in by_company:
        return []
    data = COMPANY_ID + _octets("manufacturer_data", by_company[COMPANY_KEY])
    if len(data) > 254:
        raise FrameError(f"manufacturer data of {len(data)} octets, an AD structure holds 254")
    address = _address("address", item["address"])
    return [Report(address, 0, 0, _rssi(item), bytes((len(data) + 1, MANUFACTURER)) + data)]


def _octets(name: str, value: object) -> bytes:
    if not isinstance(value, str):
        raise FrameError(f"{name} must be hex digits")
    try:
        return binascii.unhexlify(value)
    except ValueError:
        raise FrameError(f"{name} must be hex digits") from None


def _address(name: str, value: object) -> bytes:
    if not isinstance(value, str):
        raise FrameError(f"{name} must be a MAC address")
    try:
        return mac_bytes(value)
    except ValueError:
        raise FrameError(f"{name} must be a MAC address") from None


def _rssi(item: dict[str, object]) -> int | None:
    rssi = item.get("rssi")
    if rssi is None or rssi == RSSI_UNKNOWN:
        return None
    if type(rssi) is not int or not -128 <= rssi <= RSSI_UNKNOWN:
        raise FrameError("rssi must be an integer of -128 to 127")
    return rssi


def _time(value: object) -> float | None:
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return None
