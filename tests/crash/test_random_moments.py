"""SIGKILL at random events and random moments while many sub-devices join and windows come and go.

The seed is printed; ``ENROLLD_CRASH_SEED`` repeats one. With ``ENROLLD_TEST_ALL=1``: 200 tokens, 50 windows.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent import config
from agent.clock import SystemClock
from agent.model import DeviceId
from agent.service.service import Service
from agent.service.values import Caller, ServiceSettings
from tests.crash.nursery import Nursery
from tests.crash.outside import Death
from tests.crash.people import People
from tests.crash.place import BULB, PRODUCTS, Disk, furnish, workplace
from tests.crash.windows import ALWAYS, ANY, NEVER

ALL = os.environ.get("ENROLLD_TEST_ALL") == "1"
TIMES = (ALWAYS, NEVER, 1, 1, 2, 3, 60, 3600, 65534)
LAST_EVENT = 60  # a device that joins takes about 20
TOKEN_NOT_FOUND = 6608


def deaths(dice: random.Random, lives: int) -> Iterator[Death]:
    """How that many lives end: most at an event, early ones as likely as late ones, some by the clock."""
    for _ in range(lives):
        if dice.random() < 0.25:
            yield Death(after=dice.uniform(0.01, 0.2))
        else:
            yield Death(at_event=int(LAST_EVENT ** dice.random()))


def live_through(people: People, dice: random.Random, devices: Sequence[DeviceId], windows: int) -> None:
    """Joins, permits and forgets in random order; whoever was refused comes again at the end."""
    acts: list[DeviceId | None] = [*devices, *[None] * windows]
    dice.shuffle(acts)
    refused = [device for device in acts if not _act(people, dice, device)]
    people.permit(ANY, ALWAYS)
    for device in refused:
        assert device is None or _come(people, device)
    people.permit(ANY, NEVER)
    people.permit(BULB, 1)
    people.settle()
    people.outside.wait_until(lambda: not people.watch(), "the last window over")
    assert not people.bring(DeviceId(BULB, "too-late"))


def _come(people: People, device: DeviceId) -> bool:
    while not people.bring(device, token=True):
        if not people.boots or people.windows.allows(device.product_key, 0, 0):
            return False
        people.permit(ANY, ALWAYS)
    return True


def _act(people: People, dice: random.Random, device: DeviceId | None) -> bool:
    """One permit (None) or one join, perhaps taken back; False when the door refused."""
    people.watch()
    if device is None:
        people.permit(dice.choice([*PRODUCTS, ANY]), dice.choice(TIMES))
        return True
    if not people.bring(device, token=dice.random() < 0.7):
        return False
    if dice.random() < 0.1:
        people.forget(device)
        if dice.random() < 0.5:
            people.wait_for(device)
            return people.bring(device, token=True)
    return True


def bind_all(place: Path, disk: Disk) -> None:
    """What phones would do now: each token that lives binds its device, once."""

    async def main() -> None:
        products = config.load(place / "enrolld.toml").products
        service = await Service.open(
            place / "state",
            products=lambda: products,
            product_secret=lambda _: None,
            device_secret=lambda _: None,
            clock=SystemClock(),
            settings=ServiceSettings(token_life=3600),
        )
        account = await service.create_account("phone")
        caller = Caller(account.identity, account.home)
        for token, device in disk.reports:
            named = {"token": token, "productKey": device.product_key, "deviceName": device.device_name}
            for code in (200, TOKEN_NOT_FOUND):
                answer = await service.call(caller, "/awss/token/user/bind", named)
                assert answer.code == code, (device, answer)
        figures = await service.figures()
        await service.close()
        assert set(figures.binds.values()) == {1}
        assert {row.binds for row in figures.tokens} == {1}

    asyncio.run(main())


def run(nursery: Nursery, devices: int, windows: int, lives: int, *, reboots: bool = False) -> None:
    seed = int(os.environ.get("ENROLLD_CRASH_SEED") or random.SystemRandom().randrange(10**9))
    print(f"ENROLLD_CRASH_SEED={seed}")
    dice = random.Random(seed)
    names = [DeviceId(PRODUCTS[number % 3], f"dev{number:04d}") for number in range(devices)]
    with workplace() as place:
        furnish(place, names)
        people = People(place, nursery, deaths(dice, lives), reboots=reboots)
        try:
            live_through(people, dice, names, windows)
        finally:
            people.outside.end()
        disk = people.check_end()
        told = f"{people.outside.lives} lives, {len(people.tokens)} tokens"
        print(f"{told}, {sum(disk.reports.values())} reports: {dict(people.outside.kills)}")
        if not reboots:
            bind_all(place, disk)


@pytest.mark.parametrize("reboots", [False, True], ids=["the process dies", "the machine dies"])
def test_killed_at_random_moments(tmp_path: Path, reboots: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENROLLD_BOOT_ID", "boot0")
    with Nursery(tmp_path / "daemon.log") as nursery:
        run(nursery, devices=20, windows=12, lives=30, reboots=reboots)


@pytest.mark.skipif(not ALL, reason="200 tokens and 50 windows take a minute: ENROLLD_TEST_ALL=1")
@pytest.mark.parametrize("reboots", [False, True], ids=["the process dies", "the machine dies"])
def test_killed_at_random_moments_at_length(
    tmp_path: Path, reboots: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENROLLD_BOOT_ID", "boot0")
    with Nursery(tmp_path / "daemon.log") as nursery:
        run(nursery, devices=200, windows=50, lives=300, reboots=reboots)
