"""SIGKILL at every store commit, service commit and send of a small story, which then goes on to its end."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from agent.model import DeviceId
from tests.crash.nursery import Nursery
from tests.crash.outside import Death
from tests.crash.people import People
from tests.crash.place import BULB, LOCK, PLUG, furnish, workplace
from tests.crash.windows import ALWAYS, NEVER

ALL = os.environ.get("ENROLLD_TEST_ALL") == "1"
FRONT_LOCK = DeviceId(LOCK, "front-door")
KETTLE, LAMP = DeviceId(PLUG, "kettle"), DeviceId(BULB, "lamp")
LONG = 600


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("crash") / "daemon.log") as nursery:
        yield nursery


def tell_story(people: People) -> None:
    """Three sub-devices come, by two windows; one is forgotten, one window closed, one left open."""
    people.permit(LOCK, LONG)
    people.permit(PLUG, ALWAYS)
    bring(people, FRONT_LOCK, token=True)
    bring(people, KETTLE)
    people.wait_for(FRONT_LOCK)
    people.wait_for(KETTLE)
    people.permit(LOCK, NEVER)
    assert not people.bring(DeviceId(LOCK, "back-door"))
    people.forget(KETTLE)
    people.permit(BULB, LONG)
    bring(people, LAMP, token=True)
    people.settle()


def bring(people: People, device: DeviceId, *, token: bool = False) -> None:
    """Let a device in; when a reboot closed its window, somebody opens it again."""
    while not people.bring(device, token=token):
        assert people.boots, "refused inside a window"
        people.permit(device.product_key, LONG)


def live_through(nursery: Nursery, kill_at: int, *, reboots: bool) -> Counter[str]:
    """The story with a kill at one event; where that was, empty when the story was over before."""
    with workplace() as place:
        furnish(place, [FRONT_LOCK, DeviceId(LOCK, "back-door")])
        people = People(place, nursery, iter([Death(at_event=kill_at)]), reboots=reboots)
        try:
            tell_story(people)
        finally:
            people.outside.end()
        people.check_end()
        return people.outside.kills


@pytest.mark.parametrize("reboots", [False, True], ids=["the process dies", "the machine dies"])
def test_killed_at_every_event_of_a_story(nursery: Nursery, reboots: bool) -> None:
    killed: Counter[str] = Counter()
    stride = 1 if ALL else 3
    for kill_at in range(1, 100_000, stride):
        kills = live_through(nursery, kill_at, reboots=reboots)
        killed += kills
        if set(kills) == {"end"}:
            break
    print(dict(killed))
    del killed["end"]
    moments = {"store before", "store after", "service before", "service after"}
    assert moments < killed.keys()
    assert any(name.startswith("send") for name in killed)
