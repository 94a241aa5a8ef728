"""Radios under test, each with a way to make it hear something and a way to take it away."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NoReturn, Protocol

from agent.model import Station
from agent.ports import AdvertHeard, BleRadio, StationHeard, WifiRadio
from hw.replay import ReplayBle, ReplayWifi
from hw.sim.access_points import BeaconSender
from hw.sim.air import Air, Medium
from hw.sim.plans import AccessPoint
from hw.sim.radios import SimulatedBleRadio, SimulatedWifiRadio
from tests.jumping import JumpingClock

ADDRESS = bytes.fromhex("f0f6407984d6")
ADVERT = bytes.fromhex("0201060303b3fe0fffa8013619aba70a00d6847940f6f0")  # ble-breeze.md 13.1
FOREIGN_ADVERT = bytes.fromhex("02011a0aff4c001005") + bytes(5)
BEACON = BeaconSender(AccessPoint(bssid="F0:F6:40:79:84:D6", ssid="Home"), Random(1)).next_beacon()
NOT_READ = bytes.fromhex("d4000000f0f6407984d6")  # an acknowledgement

Told = Callable[[bytes, int | None], None]
"""The sender's address and the RSSI, of a radio of either kind."""


class Stage(Protocol):
    """One radio and its world."""

    name: str

    async def listen(self, told: Told, opened: Callable[[], None]) -> NoReturn:
        """The radio's own listen."""

    def speak(self) -> None:
        """One transmission that the radio hands over, and one that it does not."""

    def unplug(self) -> None:
        """Take the radio away."""


def tell_adverts(radio: BleRadio, told: Told) -> AdvertHeard:
    def heard(address: bytes, rssi: int | None, manufacturer: bytes) -> None:
        assert manufacturer.startswith(b"\xa8\x01"), f"{radio.name} handed over a foreign advert"
        told(address, rssi)

    return heard


def tell_stations(radio: WifiRadio, told: Told) -> StationHeard:
    def heard(station: Station, rssi: int | None, age: float) -> None:
        assert age >= 0, f"{radio.name} heard a frame of the future"
        told(station.source, rssi)

    return heard


class SimulatedBle:
    name = "simulated ble"

    def __init__(self, folder: Path) -> None:
        self._air = Air()
        self._radio = SimulatedBleRadio("simulated", self._air)

    async def listen(self, told: Told, opened: Callable[[], None]) -> NoReturn:
        await self._radio.listen(tell_adverts(self._radio, told), opened)

    def speak(self) -> None:
        self._air.send_advert(ADDRESS, FOREIGN_ADVERT, -50)
        self._air.send_advert(ADDRESS, ADVERT, -50)

    def unplug(self) -> None:
        self._air.unplug("simulated", Medium.BLE)


class SimulatedWifi:
    name = "simulated wifi"

    def __init__(self, folder: Path) -> None:
        self._air = Air()
        self._radio = SimulatedWifiRadio("simulated", self._air)

    async def listen(self, told: Told, opened: Callable[[], None]) -> NoReturn:
        await self._radio.listen(tell_stations(self._radio, told), opened)

    def speak(self) -> None:
        self._air.send_frame(NOT_READ, 6, -50)
        self._air.send_frame(BEACON, 6, -50)

    def unplug(self) -> None:
        self._air.unplug("simulated", Medium.WIFI)


class ReplayedBle:
    name = "replay ble"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "adverts.jsonl"
        rows = [(10.0, FOREIGN_ADVERT), (10.5, ADVERT), (11.0, ADVERT)]
        lines = [
            json.dumps({"t": t, "addr": "F0:F6:40:79:84:D6", "rssi": -50, "data": d.hex()}) for t, d in rows
        ]
        self._file.write_text("\n".join(lines) + "\n", "ascii")
        self._radio = ReplayBle(self._file, JumpingClock())

    async def listen(self, told: Told, opened: Callable[[], None]) -> NoReturn:
        await self._radio.listen(tell_adverts(self._radio, told), opened)

    def speak(self) -> None:
        """The capture speaks by itself."""

    def unplug(self) -> None:
        self._file.unlink()


class ReplayedWifi:
    name = "replay wifi"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "frames.pcap"
        data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 105)
        for microseconds, frame in ((0, NOT_READ), (1000, BEACON), (2000, BEACON)):
            data += struct.pack("<IIII", 10, microseconds, len(frame), len(frame)) + frame
        self._file.write_bytes(data)
        self._radio = ReplayWifi(self._file, JumpingClock())

    async def listen(self, told: Told, opened: Callable[[], None]) -> NoReturn:
        await self._radio.listen(tell_stations(self._radio, told), opened)

    def speak(self) -> None:
        """The capture speaks by itself."""

    def unplug(self) -> None:
        self._file.unlink()


LIVE_STAGES: list[Callable[[Path], Stage]] = [SimulatedBle, SimulatedWifi]
STAGES = [*LIVE_STAGES, ReplayedBle, ReplayedWifi]  # a capture that was opened stays open


class Listening:
    """A radio that listens in a task of its own, and what it told."""

    def __init__(self, stage: Stage) -> None:
        self.heard: list[tuple[bytes, int | None]] = []
        self.opened = 0
        self._changed = asyncio.Event()
        self.task = asyncio.create_task(stage.listen(self._tell, self._open))

    def _tell(self, address: bytes, rssi: int | None) -> None:
        self.heard.append((address, rssi))
        self._changed.set()

    def _open(self) -> None:
        self.opened += 1
        self._changed.set()

    async def until(self, satisfied: Callable[[], bool]) -> None:
        """Wait for it; a minute of jumping time is a failure, and so is the end of the listening."""
        async with asyncio.timeout(60):
            while not satisfied():
                self._changed.clear()
                change = asyncio.create_task(self._changed.wait())
                await asyncio.wait({change, self.task}, return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
                if self.task.done():
                    self.task.result()

    async def stop(self) -> None:
        """Cancel it; it must end at once and as cancelled."""
        self.task.cancel()
        async with asyncio.timeout(1):
            await asyncio.wait({self.task})
        assert self.task.cancelled()
