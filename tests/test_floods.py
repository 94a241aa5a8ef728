"""The five floods of DESIGN 5, Registry: memory stays flat, and a real enrollee is reported all the same.

30,000 frames each at 2000 a second; a million each with ENROLLD_TEST_ALL=1.
"""

from __future__ import annotations

import asyncio
import os
import random
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.events import KEPT
from tests.enrollees import STRANGE_ID, address, advert, beacon, lamp_id, probe, record
from tests.house import GATEWAY, House
from tests.jumping import run_jumping

FRAMES = 1_000_000 if os.environ.get("ENROLLD_TEST_ALL") == "1" else 30_000
RATE = 2000
BATCH = 20
REAL = 0xA00000000001
REAL_FROM = 6.0  # seconds: by then every flood has filled what it can fill
PROMISE = 5.0
GROWTH = 64 * 1024
REPORT = 3 * 1024  # what the listening cloud keeps of each message

Flood = Callable[[House, random.Random], Iterator[None]]


def random_addresses(house: House, dice: random.Random) -> Iterator[None]:
    """Networks and phones that never come back, and one lamp behind ever new GAP addresses."""
    while True:
        number = dice.getrandbits(46)
        house.station_heard(beacon(number, b"flood"), -70, 0.0)
        yield
        house.station_heard(probe(None, number), -70, 0.0)
        yield
        house.advert_heard(address(number), -70, advert(0xB00000000001))
        yield


def unconfigured_products(house: House, dice: random.Random) -> Iterator[None]:
    while True:
        number = dice.getrandbits(46)
        house.advert_heard(address(number), -70, advert(number, STRANGE_ID))
        yield


def wrong_signs(house: House, dice: random.Random) -> Iterator[None]:
    while True:
        number = dice.getrandbits(46)
        house.station_heard(probe(record(f"x{number}", genuine=False), number), -70, 0.0)
        yield


def forgeries_heard_once(house: House, dice: random.Random) -> Iterator[None]:
    while True:
        number = dice.getrandbits(46)
        house.advert_heard(address(number), -70, advert(number))
        yield


def forgeries_that_repeat(house: House, dice: random.Random) -> Iterator[None]:
    """Each is heard three times, within some 300 frames."""
    recent = [dice.getrandbits(46) for _ in range(100)]
    while True:
        for index in range(100):
            for number in (recent[index], recent[dice.randrange(100)], recent[dice.randrange(100)]):
                house.advert_heard(address(number), -70, advert(number))
                yield
            recent[index] = dice.getrandbits(46)


def real_enrollees(house: House) -> None:
    house.advert_heard(address(REAL), -50, advert(REAL))
    house.station_heard(probe(record("plug1"), 7), -50, 0.0)


async def endure(house: House, flood: Flood, marks: list[int]) -> None:
    """Let a flood run with two real enrollees in it, each heard once a second; memory goes to ``marks``."""
    frames, now = flood(house, random.Random(7)), house.clock.boot()
    real_at = now + REAL_FROM
    measured = [FRAMES // 3, FRAMES * 2 // 3, FRAMES - BATCH]
    for count in range(0, FRAMES, BATCH):
        for _ in range(BATCH):
            next(frames)
        if house.clock.boot() >= real_at:
            real_at += 1.0
            real_enrollees(house)
        if measured and count >= measured[0]:
            measured.pop(0)
            marks.append(tracemalloc.get_traced_memory()[0])
        await house.clock.sleep(BATCH / RATE)


def run_flood(flood: Flood) -> tuple[House, list[int]]:
    async def main() -> House:
        house = House()
        for _ in range(KEPT):  # a full log to begin with
            house.events.emit("enrollee_lost", id=lamp_id(1), address="", fields=["address", "bound"])
        async with asyncio.TaskGroup() as tasks:
            jobs = [
                tasks.create_task(house.discovery.run_sweep()),
                tasks.create_task(house.discovery.run_reports(house.cloud, GATEWAY, lambda: (b"Home", None))),
            ]
            await endure(house, flood, marks)
            for job in jobs:
                job.cancel()
        return house

    marks: list[int] = []
    tracemalloc.start()
    try:
        return run_jumping(main()), marks
    finally:
        tracemalloc.stop()


def first_report(house: House, named: Callable[[dict[str, Any]], bool]) -> float:
    """Seconds from the start to the first message about one enrollee."""
    return next((at - 1000 for at, *_, params in house.cloud.asked if named(params)), float("inf"))


PROMISED = [random_addresses, unconfigured_products, wrong_signs, forgeries_heard_once]


@pytest.mark.parametrize("flood", [*PROMISED, forgeries_that_repeat])
def test_memory_stays_flat(flood: Flood) -> None:
    house, marks = run_flood(flood)
    totals = house.registry.totals()
    assert totals["total"] <= totals["capacity"] == 4096
    assert totals["other"] <= 256
    assert house.discovery.on_report <= 64
    assert marks[2] - marks[1] < GROWTH + REPORT * FRAMES / RATE / 3, marks
    check_promise(house, flood)
    check_events(house, flood)


def check_promise(house: House, flood: Flood) -> None:
    """Within 5 s of the second frame where that is promised, the warning where it is not."""
    if flood is forgeries_that_repeat:
        assert house.health.has("enrollee_flood")
        assert not house.registry.flooded(1000 + FRAMES / RATE + 60)
        return
    assert not house.health.has("enrollee_flood")
    second = REAL_FROM + 1.0
    mac = lamp_id(REAL)[4:21]
    lamp = first_report(house, lambda p: any(entry["mac"] == mac for entry in p.get("ble", [])))
    plug = first_report(house, lambda p: any("706C756731" in text for text in p["payload"]))
    assert lamp <= second + PROMISE
    assert plug <= second + PROMISE


def check_events(house: House, flood: Flood) -> None:
    """A flood of frames is none of events: what was heard once costs 64 words, and one in 5 s."""
    seconds = FRAMES / RATE
    told = house.events.last - KEPT
    if flood is forgeries_that_repeat:
        assert told <= 2 * (64 + 256 + 17 * seconds) + seconds
    else:
        assert told <= 2 * (64 + seconds) + seconds
