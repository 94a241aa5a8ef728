"""A disk that is really full: a small tmpfs under the state directory, and kills and starts on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from agent.model import DeviceId
from agent.status.sockets import Right
from tests.crash.nursery import Nursery
from tests.crash.outside import Outside
from tests.crash.people import People
from tests.crash.place import LOCK, PLUG, furnish, workplace
from tests.crash.windows import ALWAYS

FRONT_DOOR, KETTLE = DeviceId(LOCK, "front-door"), DeviceId(PLUG, "kettle")
CHUNK = 4096


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """A disk of one mebibyte, mounted there; the test is skipped where that is not permitted."""
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "crash", os.fspath(directory)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk cannot be mounted here: that takes root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", os.fspath(directory)], check=True)


def fill(directory: Path) -> Path:
    """Take all the room that is left."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(CHUNK)):
            continue
    return filler


def refuses(people: People) -> bool:
    """True when a change is to be tried again; reads are answered all the same."""
    people.watch()
    answer = people.outside.ask(Right.CHANGE, "POST", "/v1/permits", {"product_key": PLUG, "time": 0})
    if answer.status == 503:
        return True
    people.windows = people.windows.command(PLUG, ALWAYS, answer.sent, answer.answered)
    return False


def is_in_trouble(outside: Outside) -> bool:
    """True while health says that the state cannot be written."""
    warnings = outside.ask(Right.CHANGE, "GET", "/v1/health").document["warnings"]
    return "store_unavailable" in {warning["code"] for warning in warnings}


def test_a_full_disk_refuses_keeps_and_recovers_also_through_kills(tmp_path: Path) -> None:
    with (
        workplace() as place,
        small_disk(place / "state"),
        Nursery(tmp_path / "daemon.log") as nursery,
    ):
        furnish(place, [FRONT_DOOR])
        people = People(place, nursery, iter(()))
        try:
            people.permit(LOCK, 600)
            assert people.bring(FRONT_DOOR, token=True)
            people.settle()
            filler = fill(place / "state")
            people.outside.wait_until(lambda: refuses(people), "refused")
            filler.unlink()
            people.outside.wait_until(lambda: not refuses(people), "accepted again")
            assert people.bring(KETTLE, token=True)
            people.settle()
            fill(place / "state")
            people.outside.end()
            start_on_full_disk(place, nursery, filler)
            people.settle()
        finally:
            people.outside.end()
        people.check_end()


def start_on_full_disk(place: Path, nursery: Nursery, filler: Path) -> None:
    """A life that begins without room, says so, gets room, and is killed once it works."""
    outside = Outside(place, nursery, iter(()), reborn=lambda: "boot0", look=lambda _: None)
    try:
        outside.wait_until(lambda: is_in_trouble(outside), "in trouble")
        answer = outside.ask(Right.CHANGE, "POST", "/v1/permits", {"product_key": None, "time": 60})
        assert answer.status == 503, answer
        filler.unlink()
        outside.wait_until(lambda: not is_in_trouble(outside), "well again")
    finally:
        outside.end()
