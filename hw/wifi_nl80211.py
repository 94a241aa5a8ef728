"""What a Wi-Fi interface knows from scans, as a radio: results that others asked for, without any right.

It implements `agent.ports.WifiRadio` through pyroute2, of which nothing leaves this file. The kernel forgets
a result after about 30 s. Source: linux/nl80211.h.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NoReturn

from agent.codec.dot11 import read_bss
from agent.codec.radiotap import CHANNELS
from agent.errors import FrameError, HardwareError
from agent.model import Station
from agent.ports import Clock, StationHeard

LOOK_EVERY = 5.0
NOBODY_SCANS = 120.0  # seconds without any result

GET_SCAN = 32  # NL80211_CMD_GET_SCAN
IFINDEX, BSS = 3, 47  # NL80211_ATTR_*
BSSID, FREQUENCY, CAPABILITY, ELEMENTS, SIGNAL, SEEN_AGO = 1, 2, 5, 6, 7, 10  # NL80211_BSS_*
BEACON_ELEMENTS, FROM_PROBE, SEEN_AT = 11, 14, 15
PRIVACY = 0x10
TYPE_MASK = 0x3FFF  # above it: nested, byte order

Attributes = dict[int, bytes]
Read = Callable[[str], list[Attributes]]


class ScanResultRadio:
    """The scan results of one interface, read every 5 s, each with its age."""

    def __init__(self, name: str, interface: str, clock: Clock, read: Read | None = None) -> None:
        self._name = name
        self._interface = interface
        self._clock = clock
        self._read_results = read or read_results
        self._stations: dict[tuple[bytes, bool], tuple[bytes, Station]] = {}
        self._filled: float | None = None  # when there was a result last

    @property
    def name(self) -> str:
        """As configured."""
        return self._name

    async def listen(self, heard: StationHeard, opened: Callable[[], None]) -> NoReturn:
        """Hand over every result until cancelled; HardwareError ``wifi_no_scanner`` when there are none."""
        loop = asyncio.get_running_loop()
        while True:
            results = await loop.run_in_executor(None, self._read_results, self._interface)
            self._check(bool(results))
            opened()
            for station, rssi, age in self._read(results):
                heard(station, rssi, age)
            await self._clock.sleep(LOOK_EVERY)

    def _check(self, filled: bool) -> None:
        now = self._clock.boot()
        if filled or self._filled is None:
            self._filled = now
        if now - self._filled >= NOBODY_SCANS:
            raise HardwareError(
                "wifi_no_scanner",
                f"{self._interface} has had no scan result for {NOBODY_SCANS:.0f} s: nobody scans on it. A "
                "network manager does, or the drop-in scan.conf lets enrolld do it",
            )

    def _read(self, results: list[Attributes]) -> Iterator[tuple[Station, int | None, float]]:
        before, self._stations = self._stations, {}
        for bss in results:
            bssid, signal = bss.get(BSSID, b""), bss.get(SIGNAL)
            rssi = None if signal is None else round(struct.unpack("=i", signal)[0] / 100)
            for is_beacon, elements in _said(bss):
                known = before.get((bssid, is_beacon))
                try:
                    station = (
                        known[1] if known and known[0] == elements else _station(bss, elements, is_beacon)
                    )
                except FrameError:
                    continue
                self._stations[bssid, is_beacon] = elements, station
                yield station, rssi, self._age(bss)

    def _age(self, bss: Attributes) -> float:
        """Seconds since it was heard; the moment itself is told by newer kernels only."""
        if SEEN_AT in bss:
            (moment,) = struct.unpack("=Q", bss[SEEN_AT])
            return max(0.0, self._clock.boot() - float(moment) / 1e9)
        return float(struct.unpack("=I", bss[SEEN_AGO])[0]) / 1000 if SEEN_AGO in bss else 0.0


def _said(bss: Attributes) -> Iterator[tuple[bool, bytes]]:
    """What the access point said: whether in a beacon, and its elements."""
    if BEACON_ELEMENTS in bss:
        yield True, bss[BEACON_ELEMENTS]
    elements = bss.get(ELEMENTS, b"")
    if FROM_PROBE in bss or BEACON_ELEMENTS not in bss:
        yield FROM_PROBE not in bss, elements


def _station(bss: Attributes, elements: bytes, is_beacon: bool) -> Station:
    (frequency,) = struct.unpack("=I", bss.get(FREQUENCY, bytes(4)))
    (capability,) = struct.unpack("=H", bss.get(CAPABILITY, bytes(2)))
    privacy = bool(capability & PRIVACY)
    return read_bss(bss[BSSID], elements, CHANNELS.get(frequency), is_beacon, privacy=privacy)


def split(data: bytes) -> Attributes:
    """Netlink attributes by type; FrameError when one reaches beyond the end."""
    found, at = {}, 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4 or at + size > len(data):
            raise FrameError(f"a netlink attribute of {size} octets where {len(data) - at} are left")
        found[kind & TYPE_MASK] = data[at + 4 : at + size]
        at += (size + 3) & ~3
    return found


@cache
def _message_class() -> Any:
    """A message of which pyroute2 leaves the strangers' part alone."""
    from pyroute2.netlink import genlmsg

    class ScanMessage(genlmsg):  # type: ignore[misc]
        prefix = "SCAN_"
        nla_map = ((IFINDEX, "SCAN_IFINDEX", "uint32"), (BSS, "SCAN_BSS", "cdata"))

    return ScanMessage


def read_results(interface: str) -> list[Attributes]:
    """The kernel's scan results of an interface; blocks, HardwareError when they cannot be had."""
    try:
        index = socket.if_nametoindex(interface)
    except OSError as error:
        raise HardwareError("interface_gone", f"there is no network interface {interface}") from error
    # Loaded, it complains of /proc files for traffic control, which the service has not and needs not.
    logging.getLogger("pyroute2.netlink.rtnl.tcmsg").setLevel(logging.ERROR)
    from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST
    from pyroute2.netlink.exceptions import NetlinkError
    from pyroute2.netlink.generic import GenericNetlinkSocket

    message = _message_class()()
    message["cmd"] = GET_SCAN
    message["attrs"] = [["SCAN_IFINDEX", index]]
    try:
        with GenericNetlinkSocket() as kernel:
            kernel.bind("nl80211", _message_class())
            flags = NLM_F_REQUEST | NLM_F_DUMP
            answers = kernel.nlm_request(message, msg_type=kernel.prid, msg_flags=flags)
            return [split(bss) for answer in answers if (bss := answer.get_attr("SCAN_BSS")) is not None]
    except (NetlinkError, OSError) as error:
        raise HardwareError("wifi_refused", f"no scan results of {interface}: {error}") from error
    except FrameError as error:
        raise HardwareError("wifi_refused", f"scan results of {interface}: {error}") from error
