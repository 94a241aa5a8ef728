"""The watchdog: told while every job's loop turns, and not when one of them is stuck."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.systemd import Notifier
from tests.jumping import JumpingClock, run_jumping
from tests.world import Site

INTERVAL = 30.0


class FreezingClock(JumpingClock):
    """Lets the sleep of one job never end, from a moment on: that job is stuck then."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen: str | None = None

    async def sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        if self.frozen is not None and task is not None and task.get_name() == self.frozen:
            await asyncio.Event().wait()
        await super().sleep(seconds)


class Manager:
    """The service manager's end of the notification socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0)
        usec = f"{INTERVAL * 1e6:.0f}"
        self.notifier = Notifier(
            {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": usec, "WATCHDOG_PID": str(os.getpid())}
        )

    def read(self) -> list[str]:
        """What was told since the last time."""
        said = []
        while True:
            try:
                said.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return said

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def live(site: Site, manager: Manager, frozen: str | None, seconds: float) -> list[list[str]]:
    """What the manager hears in each interval of a daemon's life; one job is frozen after the first."""

    async def scene() -> list[list[str]]:
        clock = FreezingClock()
        daemon = site.daemon(clock, notifier=manager.notifier)
        heard = []
        async with asyncio.TaskGroup() as group:
            group.create_task(daemon.run())
            for _ in range(int(seconds / INTERVAL)):
                await asyncio.sleep(INTERVAL)
                heard.append(manager.read())
                clock.frozen = frozen
            daemon.stopping.set()
        heard.append(manager.read())
        return heard

    return run_jumping(scene())


def test_ready_comes_once_and_the_watchdog_is_told_three_times_in_each_interval(
    tmp_path: Path, manager: Manager
) -> None:
    heard = live(Site(tmp_path), manager, None, 300)
    everything = [line for lines in heard for line in lines]
    assert everything.count("READY=1") == 1
    assert heard[-1] == ["STOPPING=1"]
    for lines in heard[:-1]:
        assert lines.count("WATCHDOG=1") >= 3
    assert "STATUS=0 of 0 radios listen; nothing is wrong" in everything


@pytest.mark.parametrize("job", ["housekeeping", "sweep", "reports", "watchdog"])
def test_a_job_that_does_not_turn_silences_it(tmp_path: Path, manager: Manager, job: str) -> None:
    heard = live(Site(tmp_path), manager, job, 300)
    assert heard[0].count("WATCHDOG=1") >= 3
    assert all("WATCHDOG=1" not in lines for lines in heard[4:]), heard
    if job != "watchdog":
        assert f"STATUS=stuck: {job}" in [line for lines in heard for line in lines]


def test_a_radio_in_backoff_turns(tmp_path: Path, manager: Manager) -> None:
    heard = live(Site(tmp_path, ble=("replay:missing.pcap",)), manager, None, 600)
    assert all(lines.count("WATCHDOG=1") >= 3 for lines in heard[:-1])
    told = [line for lines in heard for line in lines if line.startswith("STATUS=")]
    assert told[-1] == "STATUS=0 of 1 radios listen; capture_unreadable"


def test_a_reload_is_told_with_its_begin_and_its_end(tmp_path: Path, manager: Manager) -> None:
    site = Site(tmp_path)

    async def scene() -> list[str]:
        daemon = site.daemon(JumpingClock(), notifier=manager.notifier)
        async with asyncio.TaskGroup() as group:
            group.create_task(daemon.run())
            await asyncio.sleep(1)
            manager.read()
            daemon.reload.asked.set()
            await asyncio.sleep(1)
            said = manager.read()
            daemon.stopping.set()
        return said

    kinds = [line.partition("=")[0] for line in run_jumping(scene())]
    assert [kind for kind in kinds if kind not in {"WATCHDOG", "STATUS"}] == ["RELOADING", "READY"]


def test_handed_sockets_are_served_and_a_missing_one_is_named(tmp_path: Path, manager: Manager) -> None:
    site = Site(tmp_path)
    site.run.mkdir()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(site.run / "enrolld.sock"))
    listening.listen()

    async def scene() -> set[tuple[str, str]]:
        daemon = site.daemon(JumpingClock(), handed={"enrolld.sock": listening})
        async with asyncio.TaskGroup() as group:
            group.create_task(daemon.run())
            await asyncio.sleep(1)
            reader, writer = await asyncio.open_unix_connection(site.run / "enrolld.sock")
            writer.write(b"GET /v1/permits HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
            await writer.wait_closed()
            warnings = {(w.code, w.subject) for w in daemon.agent.health.warnings()}
            daemon.stopping.set()
        return warnings

    assert {("socket_missing", "join.sock"), ("socket_missing", "admin.sock")} <= run_jumping(scene())
    assert (site.run / "enrolld.sock").exists(), "the file is the manager's"
    assert not (site.run / "join.sock").exists()
