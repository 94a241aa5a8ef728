"""Captures as radios: what they tell, when, and what they say of a bad file."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

import pytest

from agent.errors import HardwareError
from agent.model import Station
from agent.ports import BleRadio, WifiRadio
from hw.replay import ReplayBle, ReplayWifi, open_capture
from tests import captures
from tests.jumping import JumpingClock, run_jumping
from tests.offline import ADVERT, BEACON, PROBE, RADIOTAP, frame

OURS = bytes.fromhex(ADVERT)
ADDRESS = bytes.fromhex("c0ffee000001")


def report(data: bytes, rssi: int = -60) -> bytes:
    body = b"\0\0" + ADDRESS[::-1] + bytes((len(data),)) + data + struct.pack("b", rssi)
    return b"\x04\x3e" + bytes((len(body) + 2,)) + b"\x02\x01" + body


class Ears:
    """Notes what radios tell, with seconds since the start."""

    def __init__(self) -> None:
        self.clock = JumpingClock()
        self.began = self.clock.boot()
        self.opened: list[float] = []
        self.adverts: list[tuple[float, bytes, int | None, bytes]] = []
        self.stations: list[tuple[float, Station, int | None, float]] = []

    def now(self) -> float:
        return round(self.clock.boot() - self.began, 6)

    def open(self) -> None:
        self.opened.append(self.now())

    def hear_advert(self, address: bytes, rssi: int | None, data: bytes) -> None:
        self.adverts.append((self.now(), address, rssi, data))

    def hear_station(self, station: Station, rssi: int | None, age: float) -> None:
        self.stations.append((self.now(), station, rssi, age))

    async def listen(self, listening: Coroutine[Any, Any, NoReturn], seconds: float) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await listening


def hear_ble(path: Path, seconds: float = 3600.0) -> Ears:
    async def main() -> Ears:
        ears = Ears()
        radio: BleRadio = ReplayBle(path, ears.clock)
        assert radio.name == f"replay:{path}"
        await ears.listen(radio.listen(ears.hear_advert, ears.open), seconds)
        return ears

    return run_jumping(main())


def hear_wifi(path: Path, seconds: float = 3600.0) -> Ears:
    async def main() -> Ears:
        ears = Ears()
        radio: WifiRadio = ReplayWifi(path, ears.clock)
        await ears.listen(radio.listen(ears.hear_station, ears.open), seconds)
        return ears

    return run_jumping(main())


def test_adverts_are_told_in_their_time(tmp_path: Path) -> None:
    path = tmp_path / "a.btsnoop"
    rows = [(1000.0, 3, report(OURS)), (1001.5, 3, report(OURS[:7])), (1004.0, 3, report(OURS, 127))]
    path.write_bytes(captures.btsnoop([*rows, (1005.0, 3, report(OURS[:-1])), (1006.0, 3, report(OURS))]))
    ears = hear_ble(path)
    assert ears.opened == [0.0]
    assert ears.adverts == [
        (0.0, ADDRESS, -60, OURS[9:]),
        (4.0, ADDRESS, None, OURS[9:]),
        (6.0, ADDRESS, -60, OURS[9:]),
    ]


def test_json_lines_tell_their_own_time(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    line = '{"t":%s,"addr":"C0:FF:EE:00:00:01","rssi":-50,"data":"' + ADVERT + '"}\n'
    path.write_text(line % "7.0" + '{"hci":"' + report(OURS).hex() + '"}\n' + line % "9.5" + line % "8.0")
    heard = [(at, rssi) for at, _, rssi, _ in hear_ble(path).adverts]
    assert heard == [(0.0, -50), (0.0, -60), (2.5, -50), (2.5, -50)]


def test_stations_are_told_in_their_time(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    rows = [(10.0, RADIOTAP + BEACON), (10.25, RADIOTAP + BEACON), (10.5, RADIOTAP + frame(0x08, b""))]
    path.write_bytes(captures.pcap([*rows, (12.0, RADIOTAP[:5]), (13.0, RADIOTAP + PROBE)]))
    ears = hear_wifi(path)
    assert [(at, station.kind, rssi, age) for at, station, rssi, age in ears.stations] == [
        (0.0, "beacon", -55, 0.0),
        (0.25, "beacon", -55, 0.0),
        (3.0, "probe_request", -55, 0.0),
    ]
    assert ears.stations[0][1] is ears.stations[1][1]


def test_a_radio_hears_only_its_own_kind(tmp_path: Path) -> None:
    path = tmp_path / "both.pcapng"
    path.write_bytes(
        captures.section()
        + captures.interface(127)
        + captures.interface(187)
        + captures.enhanced(0, 1_000_000, RADIOTAP + BEACON)
        + captures.enhanced(1, 2_000_000, report(OURS))
    )
    assert len(hear_ble(path).adverts) == 1
    assert len(hear_wifi(path).stations) == 1


def test_a_replay_can_be_cancelled_between_two_records(tmp_path: Path) -> None:
    path = tmp_path / "a.btsnoop"
    path.write_bytes(captures.btsnoop([(0.0, 3, report(OURS)), (100.0, 3, report(OURS))]))
    assert len(hear_ble(path, seconds=50.0).adverts) == 1


def test_a_dense_capture_lets_others_run(tmp_path: Path) -> None:
    path = tmp_path / "dense.btsnoop"
    path.write_bytes(captures.btsnoop([(1.0, 3, report(OURS))] * 2000))

    async def main() -> tuple[int, int]:
        ears = Ears()
        turns = 0

        async def count() -> None:
            nonlocal turns
            while len(ears.adverts) < 2000:
                turns += 1
                await asyncio.sleep(0)

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            listening = group.create_task(ReplayBle(path, ears.clock).listen(ears.hear_advert, ears.open))
            await count()
            listening.cancel()
        return turns, len(ears.adverts)

    turns, heard = run_jumping(main())
    assert turns >= 7
    assert heard == 2000


async def fail(radio: BleRadio, ears: Ears) -> HardwareError:
    with pytest.raises(HardwareError) as caught:
        await radio.listen(ears.hear_advert, ears.open)
    return caught.value


def check_failure(path: Path) -> tuple[HardwareError, Ears]:
    async def main() -> tuple[HardwareError, Ears]:
        ears = Ears()
        return await fail(ReplayBle(path, ears.clock), ears), ears

    return run_jumping(main())


def test_a_cut_capture_is_played_and_then_named(tmp_path: Path) -> None:
    path = tmp_path / "a.btsnoop"
    path.write_bytes(captures.btsnoop([(0.0, 3, report(OURS)), (100.0, 3, report(OURS))])[:-1])
    error, ears = check_failure(path)
    assert (error.code, len(ears.adverts)) == ("capture_unreadable", 1)
    assert str(path) in str(error)


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_bytes(b"GIF89a")])
def test_what_cannot_be_read_is_named(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "a"
    make(path)
    error, ears = check_failure(path)
    assert error.code == "capture_unreadable"
    assert str(path) in str(error)
    assert ears.opened == []


def test_an_empty_file_is_no_capture(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with open_capture(tmp_path / "empty") as buffer:
        assert len(buffer) == 0
    assert check_failure(tmp_path / "empty")[0].code == "capture_unreadable"
