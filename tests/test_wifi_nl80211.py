"""Scan results as the kernel tells them: netlink attributes, ages, and what it means that there are none."""

from __future__ import annotations

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import FrameError, HardwareError
from agent.model import Station
from hw.wifi_nl80211 import Attributes, ScanResultRadio, split
from tests.jumping import JumpingClock, run_jumping

BSSID = bytes.fromhex("020000100000")
SSID = bytes([0, 4]) + b"Home"
RSN = bytes.fromhex("30140100000fac040100000fac040100000fac020000")


def attribute(kind: int, value: bytes) -> bytes:
    """One netlink attribute, padded to four octets (netlink(7))."""
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def result(**more: bytes) -> Attributes:
    """A network on channel 6 at -52.00 dBm, heard 3 s ago, with privacy."""
    found: Attributes = {
        1: BSSID,
        2: struct.pack("=I", 2437),
        5: struct.pack("=H", 0x0411),
        6: SSID + RSN,
        7: struct.pack("=i", -5200),
        10: struct.pack("=I", 3000),
    }
    return found | {int(name[1:]): value for name, value in more.items()}


class Kernel:
    """What it answers, in turn; the last for ever."""

    def __init__(self, *answers: list[Attributes]) -> None:
        self._answers = list(answers)

    def read(self, interface: str) -> list[Attributes]:
        assert interface == "wlan0"
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def hear(kernel: Kernel, seconds: float) -> tuple[list[tuple[Station, int | None, float]], int, str | None]:
    """What a radio hands over in a time, how often it opened, and the code of the error that ended it."""

    async def scene() -> tuple[list[tuple[Station, int | None, float]], int, str | None]:
        radio = ScanResultRadio("nl80211:wlan0", "wlan0", JumpingClock(), kernel.read)
        heard: list[tuple[Station, int | None, float]] = []
        opened: list[None] = []
        code = None
        try:
            async with asyncio.timeout(seconds):
                await radio.listen(lambda *row: heard.append(row), lambda: opened.append(None))
        except HardwareError as error:
            code = error.code
        except TimeoutError:
            pass
        return heard, len(opened), code

    return run_jumping(scene())


def test_a_result_is_a_station_with_its_strength_and_age() -> None:
    heard, _, _ = hear(Kernel([result()]), 1)
    ((station, rssi, age),) = heard
    assert (station.bssid, station.ssid, station.channel) == (BSSID, b"Home", 6)
    assert station.security == "wpa2"
    assert (rssi, age) == (-52, 3.0)


def test_the_moment_in_boot_time_is_the_better_age() -> None:
    heard, _, _ = hear(Kernel([result(_15=struct.pack("=Q", 988 * 10**9))]), 1)
    assert heard[0][2] == pytest.approx(12.0)  # the jumping clock begins at 1000


def test_a_strength_without_a_unit_is_none() -> None:
    weak = result()
    del weak[7]
    assert hear(Kernel([weak]), 1)[0][0][1] is None


def test_a_beacon_and_a_probe_response_are_both_told() -> None:
    hidden = bytes([0, 0]) + RSN
    heard, _, _ = hear(Kernel([result(_11=hidden, _14=b"")]), 1)
    assert [(station.kind, station.ssid) for station, *_ in heard] == [
        ("beacon", b""),
        ("probe_response", b"Home"),
    ]


def test_while_nothing_changes_the_same_object_comes_back() -> None:
    heard, _, _ = hear(Kernel([result()]), 12)
    assert len(heard) == 3
    assert heard[0][0] is heard[1][0] is heard[2][0]


def test_what_is_broken_is_left_out_and_the_rest_is_heard() -> None:
    heard, _, code = hear(Kernel([result(_6=bytes([0, 40]) + bytes(40)), result()]), 1)
    assert len(heard) == 1
    assert code is None


def test_after_two_minutes_without_results_nobody_scans_there() -> None:
    heard, opened, code = hear(Kernel([]), 1000)
    assert (heard, code) == ([], "wifi_no_scanner")
    assert opened == 24  # every 5 s of 120


def test_results_now_and_then_are_enough() -> None:
    rounds: list[list[Attributes]] = [[] for _ in range(20)]
    _, _, code = hear(Kernel(*rounds, [result()], *rounds, [result()]), 400)
    assert code is None


def test_an_interface_that_is_not_there_is_named() -> None:
    async def scene() -> None:
        radio = ScanResultRadio("nl80211:nowhere0", "nowhere0", JumpingClock())
        await radio.listen(lambda *_: None, lambda: None)

    with pytest.raises(HardwareError, match="nowhere0") as caught:
        run_jumping(scene())
    assert caught.value.code == "interface_gone"


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40), max_size=8))
def test_attributes_are_split_as_they_were_put_together(attributes: dict[int, bytes]) -> None:
    assert split(b"".join(attribute(kind, value) for kind, value in attributes.items())) == attributes


@given(st.binary(max_size=200))
def test_any_octets_are_attributes_or_a_frame_error(data: bytes) -> None:
    try:
        found = split(data)
    except FrameError:
        return
    assert sum(len(value) + 4 for value in found.values()) <= len(data)


def test_flags_above_the_type_do_not_count() -> None:
    assert split(attribute(0x8000 | 47, b"abc")) == {47: b"abc"}
