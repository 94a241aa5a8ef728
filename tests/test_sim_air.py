"""The shared medium: who hears what, and what a wedged or missing radio does."""

from __future__ import annotations

import asyncio

import pytest

from agent.errors import HardwareError
from hw.sim.air import INBOX, Air, Antenna, Medium
from hw.sim.radios import SimulatedBleRadio, SimulatedWifiRadio
from tests.jumping import run_jumping

ADDRESS = bytes.fromhex("c0ffee000001")


async def received(antenna: Antenna) -> list[bytes]:
    async with asyncio.timeout(1):
        return [sent.data for sent in await antenna.receive()]


def test_every_antenna_of_the_medium_hears_in_order_and_no_other() -> None:
    async def scene() -> None:
        air = Air()
        ble = Medium.BLE
        wifi = Medium.WIFI
        with air.antenna(ble, "a") as first, air.antenna(ble, "b") as second, air.antenna(wifi, "a") as other:
            air.send_advert(ADDRESS, b"one", -40)
            air.send_advert(ADDRESS, b"two", -41)
            assert await received(first) == [b"one", b"two"]
            assert await received(second) == [b"one", b"two"]
            with pytest.raises(TimeoutError):
                await received(other)

    run_jumping(scene())


def test_nothing_is_kept_for_an_antenna_that_is_not_in_use() -> None:
    async def scene() -> None:
        air = Air()
        antenna = air.antenna(Medium.BLE, "a")
        air.send_advert(ADDRESS, b"too early", -40)
        with antenna, pytest.raises(TimeoutError):
            await received(antenna)

    run_jumping(scene())


def test_a_radio_that_is_not_served_forgets_the_oldest() -> None:
    async def scene() -> None:
        air = Air()
        with air.antenna(Medium.BLE, "a") as antenna:
            for number in range(INBOX + 5):
                air.send_advert(ADDRESS, b"%d" % number, -40)
            kept = await received(antenna)
        assert len(kept) == INBOX
        assert kept[-1] == b"%d" % (INBOX + 4)

    run_jumping(scene())


def test_unplugging_by_name_and_medium_and_plugging_back() -> None:
    async def scene() -> None:
        air = Air()
        air.unplug("radio", Medium.BLE)
        with (
            pytest.raises(HardwareError, match="ble radio radio is unplugged"),
            air.antenna(Medium.BLE, "radio"),
        ):
            pass
        with air.antenna(Medium.WIFI, "radio"):
            air.unplug("other")
        air.plug("radio")
        with air.antenna(Medium.BLE, "radio") as antenna:
            air.send_advert(ADDRESS, b"back", -40)
            assert await received(antenna) == [b"back"]

    run_jumping(scene())


def test_a_deaf_radio_stays_open_and_hears_again_once_cured() -> None:
    async def scene() -> None:
        air = Air()
        with air.antenna(Medium.WIFI, "radio") as antenna:
            air.deafen("radio")
            air.send_frame(b"lost", 6, -40)
            air.cure("radio")
            air.send_frame(b"heard", 6, -40)
            assert await received(antenna) == [b"heard"]

    run_jumping(scene())


def test_broken_bytes_are_counted_and_the_next_ones_are_heard() -> None:
    async def scene() -> None:
        air = Air()
        ble, wifi = SimulatedBleRadio("radio", air), SimulatedWifiRadio("radio", air)
        heard: list[bytes] = []
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(ble.listen(lambda address, rssi, data: heard.append(data), lambda: None)),
                group.create_task(
                    wifi.listen(lambda station, rssi, age: heard.append(station.ssid), lambda: None)
                ),
            ]
            await asyncio.sleep(0.1)
            air.send_advert(ADDRESS, bytes.fromhex("0fffa801"), -40)
            air.send_advert(ADDRESS, bytes.fromhex("04ffa80103"), -40)
            air.send_frame(bytes.fromhex("80000000"), 6, -40)
            await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()
        assert heard == [bytes.fromhex("a80103")]
        assert (ble.malformed, wifi.malformed) == (1, 1)

    run_jumping(scene())
