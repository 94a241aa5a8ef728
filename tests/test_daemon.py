"""The whole daemon on jumping time: its story, how it becomes ready, how it ends, what it survives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import pytest

from agent.assembly import Probes
from agent.daemon import VERDICT_WITHIN, Daemon
from agent.errors import ConfigError, HardwareError
from agent.jobs.discovery import Heard
from agent.jobs.radios import RadioJob
from tests.jumping import JumpingClock, run_jumping
from tests.world import (
    CAMERA,
    GATEWAY,
    PLUG,
    STORY,
    Line,
    Site,
    World,
    asking,
    in_world,
    live,
    running,
)

BOTH = {"ble": ("simulated",), "wifi": ("simulated",)}


class FaultyRadio:
    """A port that raises each of its faults in turn, and then listens, or hangs before it does."""

    def __init__(self, *faults: Exception, hangs: bool = False) -> None:
        self.opened_at: list[float] = []
        self._faults = list(faults)
        self._hangs = hangs

    async def listen(self, opened: Callable[[], None]) -> NoReturn:
        self.opened_at.append(asyncio.get_running_loop().time())
        if self._faults:
            raise self._faults.pop(0)
        if not self._hangs:
            opened()
        while True:
            await asyncio.Event().wait()

    def join(self, daemon: Daemon) -> None:
        """Become a radio of a daemon that does not run yet."""
        agent = daemon.agent
        job = RadioJob(
            "faulty",
            "ble",
            self.listen,
            Heard(),
            clock=agent.clock,
            health=agent.health,
            log=agent.events,
        )
        agent.radios.append(job)


def end_of(site: Site, prepare: Callable[[Daemon], None], **orders: object) -> BaseException:
    """What ends a daemon that nobody stops, within a minute."""

    async def main() -> None:
        daemon = site.daemon(JumpingClock(), **orders)
        prepare(daemon)
        async with asyncio.timeout(60):
            await daemon.run()

    with pytest.raises(BaseException) as caught:
        run_jumping(main())
    error = caught.value
    while isinstance(error, BaseExceptionGroup):
        assert len(error.exceptions) == 1
        error = error.exceptions[0]
    return error


# The story


def test_the_packaged_story_meets_every_expectation(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        await world.until(lambda: world.told("home_ended"))
        assert world.told("home_surprised") == []
        assert world.told("home_ended")[0].fields == {"surprises": 0}
        row = await world.row(PLUG)
        assert row is not None
        assert (row["state"], row["bound"]) == ("online", True)
        assert (await world.read.get("/v1/permits"))["windows"] == []
        opened, closed = world.told("permit_opened")[0], world.told("permit_closed")[0]
        assert closed.fields == {"product_key": "a1DemoPlug1", "reason": "expired"}
        assert closed.boot - opened.boot == pytest.approx(8, abs=0.05)
        refused = [(e.fields["device"], e.fields["reason"]) for e in world.told("join_refused")]
        assert refused[0] == (str(PLUG), "window_closed")
        assert refused[-1] == ("a1DemoPlug1/plug-02", "window_closed")
        assert {device for device, _ in refused} == {str(PLUG), "a1DemoPlug1/plug-02", "a1DemoLock1/lock-01"}
        figures = await world.service.figures()
        assert dict(figures.binds) == {GATEWAY: 1, PLUG: 1, CAMERA: 1}
        assert figures.topology == {GATEWAY: [PLUG]}
        assert figures.broken == 0
        status = await world.read.get("/v1/status")
        assert [(a["state"], a["heard"] > 100) for a in status["adapters"]] == [("listening", True)] * 2
        assert status["gateway"]["bound"] is True
        assert status["warnings"] == []

    live(Site(tmp_path, **BOTH), scene, home=STORY.read_text("utf-8"))


# Ready


@in_world()
async def test_ready_is_after_the_store_the_sockets_and_the_radios(world: World) -> None:
    ready = world.told("daemon_started")[0]
    assert ready.boot == 1000.0
    assert (world.site.state / "enrolld.db").exists()
    modes = {path.name: path.stat().st_mode & 0o777 for path in world.site.run.iterdir()}
    assert modes == {"enrolld.sock": 0o600, "join.sock": 0o600, "admin.sock": 0o600}
    status = await world.read.get("/v1/status")
    assert (status["link"]["kind"], status["link"]["state"]) == ("embedded", "online")
    assert status["adapters"] == []


def test_ready_waits_for_a_verdict_on_each_radio_and_not_for_ever(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        assert world.told("daemon_started")[0].boot == pytest.approx(1000 + VERDICT_WITHIN)
        assert [a["state"] for a in (await world.read.get("/v1/adapters"))["adapters"]] == ["opening"]

    live(Site(tmp_path), scene, prepare=FaultyRadio(hangs=True).join)


def test_radios_that_cannot_be_opened_are_named_and_do_not_hold_up_the_rest(tmp_path: Path) -> None:
    capture = f"replay:{tmp_path / 'nothing.btsnoop'}"

    async def scene(world: World) -> None:
        assert world.told("daemon_started")[0].boot == 1000.0
        adapters = {a["name"]: a for a in (await world.read.get("/v1/adapters"))["adapters"]}
        assert adapters.keys() == {capture, "monitor:enrolld9"}
        for name, adapter in adapters.items():
            assert adapter["state"] == "down"
            assert name.partition(":")[2] in adapter["trouble"]
            assert adapter["next_try"] > 0
        health = await world.read.get("/v1/health")
        troubles = [(w["subject"], w["severity"]) for w in health["warnings"]]
        assert sorted(troubles) == [(f"ble {capture}", "error"), ("wifi monitor:enrolld9", "error")]
        assert health["ok"] is False
        await world.let_in(PLUG)

    live(Site(tmp_path, ble=(capture,), wifi=("monitor:enrolld9",)), scene)


# The end


@pytest.mark.parametrize("home", [None, STORY.read_text("utf-8")])
def test_it_stops_at_once_whatever_is_open(tmp_path: Path, home: str | None) -> None:
    site = Site(tmp_path, **(BOTH if home else {}))

    async def main() -> None:
        clock = JumpingClock()
        async with running(site, clock=clock, home=home) as world:
            if home:
                await world.clock.sleep(7.1)  # amid a join
            sockets = [site.run / name for name in ("enrolld.sock", "join.sock", "admin.sock")]
            peers = [await asyncio.open_unix_connection(path) for path in sockets]
            peers[0][1].write(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: e\r\n\r\n")
            assert (await peers[0][0].readline()).startswith(b"HTTP/1.1 200")
            peers[1][1].write(b"POST /v1/joins HTTP/1.1\r\nHost: e\r\nContent-Length: 400\r\n\r\n{")
            await world.clock.sleep(0.01)
            asked = clock.boot()
            world.daemon.stopping.set()
        assert clock.boot() - asked < 2.0
        assert list(site.run.iterdir()) == []
        for reader, writer in peers:
            while await reader.read(65536):
                continue
            writer.close()
        assert "daemon_stopping" in [e.kind for e in world.events[-4:]]

    run_jumping(main())


def test_it_stops_at_once_while_a_radio_still_opens(tmp_path: Path) -> None:
    async def main() -> None:
        clock, radio = JumpingClock(), FaultyRadio(hangs=True)
        daemon = Site(tmp_path).daemon(clock)
        radio.join(daemon)
        asyncio.get_running_loop().call_later(1, daemon.stopping.set)
        begin = clock.boot()
        await daemon.run()
        assert radio.opened_at
        assert clock.boot() - begin < 3.0

    run_jumping(main())


def test_a_bug_in_a_job_ends_the_process(tmp_path: Path) -> None:
    bug = RuntimeError("a bug")
    assert end_of(Site(tmp_path), FaultyRadio(bug).join) is bug


def test_a_bug_after_a_recovery_ends_the_process_as_well(tmp_path: Path) -> None:
    bug = KeyError("a bug")
    trouble = HardwareError("adapter_gone", "gone")
    assert end_of(Site(tmp_path), FaultyRadio(trouble, trouble, bug).join) is bug


def test_a_bug_on_the_way_to_the_cloud_ends_the_process(tmp_path: Path) -> None:
    def fail(_: str) -> None:
        raise ZeroDivisionError

    end = end_of(Site(tmp_path), lambda _: None, probes=Probes(on_send=fail))
    assert isinstance(end, ZeroDivisionError)


def test_a_bug_in_a_callback_ends_the_process(tmp_path: Path) -> None:
    bug = RuntimeError("a bug")

    def fail() -> None:
        raise bug

    def arm(_: Daemon) -> None:
        asyncio.get_running_loop().call_later(3, fail)

    assert end_of(Site(tmp_path), arm) is bug
    assert not list((tmp_path / "run").iterdir())


# Troubles that pass


def test_a_radio_in_trouble_is_tried_again_ever_later(tmp_path: Path) -> None:
    radio = FaultyRadio(*[HardwareError("adapter_gone", "the adapter went away")] * 9)

    async def scene(world: World) -> None:
        warnings = (await world.read.get("/v1/health"))["warnings"]
        assert [(w["code"], w["subject"], w["severity"]) for w in warnings] == [
            ("adapter_gone", "ble faulty", "error")
        ]
        assert warnings[0]["text"] == "the adapter went away; next try in 1 s"
        await world.until(lambda: world.told("radio_opened"), within=400)
        pauses = [round(b - a, 3) for a, b in pairwise(radio.opened_at)]
        assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
        assert len(world.told("warning_raised", code="adapter_gone")) == 1
        assert len(world.told("warning_cleared", code="adapter_gone")) == 1
        assert (await world.read.get("/v1/health"))["warnings"] == []
        adapter = (await world.read.get("/v1/adapters"))["adapters"][0]
        assert (adapter["state"], adapter["trouble"], adapter["next_try"]) == ("listening", None, None)

    live(Site(tmp_path), scene, prepare=radio.join)


def test_only_the_trouble_of_now_is_named(tmp_path: Path) -> None:
    radio = FaultyRadio(HardwareError("adapter_gone", "gone"), HardwareError("adapter_busy", "busy"))

    async def scene(world: World) -> None:
        await world.until(lambda: world.told("warning_raised", code="adapter_busy"))
        assert [w["code"] for w in (await world.read.get("/v1/health"))["warnings"]] == ["adapter_busy"]
        await world.until(lambda: world.told("radio_opened"))
        assert (await world.read.get("/v1/health"))["warnings"] == []

    live(Site(tmp_path), scene, prepare=radio.join)


UNPLUGGED = """\
[[ble]]
generation = "B1"
product_key = "a1DemoLock1"
product_id = 0x0003C045
device_name = "lock-01"
mac = "EE:1B:BE:4A:86:15"
[[radio]]
at = 5
do = "unplug"
medium = "ble"
[[radio]]
at = 10
do = "plug"
"""


def test_an_unplugged_radio_is_missed_and_taken_back(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        await world.until(lambda: world.told("radio_failed"))
        assert world.told("radio_failed")[0].fields == {"radio": "simulated", "medium": "ble"}
        raised = world.told("warning_raised", code="adapter_gone", subject="ble simulated")
        assert len(raised) == 1
        adapters = {a["kind"]: a for a in (await world.read.get("/v1/adapters"))["adapters"]}
        assert (adapters["ble"]["state"], adapters["wifi"]["state"]) == ("down", "listening")
        assert "unplugged" in adapters["ble"]["trouble"]
        heard = adapters["ble"]["heard"]
        await world.until(lambda: world.told("warning_cleared", code="adapter_gone"))
        cleared = world.told("warning_cleared", code="adapter_gone")[0].boot
        assert cleared - raised[0].boot == pytest.approx(1 + 2 + 4), "each try but the last was in vain"
        await world.clock.sleep(1)
        adapters = {a["kind"]: a for a in (await world.read.get("/v1/adapters"))["adapters"]}
        assert adapters["ble"]["state"] == "listening"
        assert adapters["ble"]["heard"] > heard
        assert len(world.told("radio_opened", medium="ble")) == 2

    live(Site(tmp_path, **BOTH), scene, home=UNPLUGGED)


def test_what_was_heard_before_the_cloud_was_reached_is_reported_at_once_then(tmp_path: Path) -> None:
    line = Line()
    line.is_cut = True

    async def scene(world: World) -> None:
        await world.until(lambda: world.told("enrollee_found"))
        await world.clock.sleep(2)
        line.is_cut = False
        await world.until(lambda: world.told("enrollee_reported"))
        connected, reported = world.told("cloud_connected")[0], world.told("enrollee_reported")[0]
        assert reported.boot - connected.boot < 1.0

    live(Site(tmp_path, **BOTH), scene, home=UNPLUGGED, probes=Probes(on_send=line.pass_on))


def test_a_cloud_that_is_away_is_named_and_taken_back(tmp_path: Path) -> None:
    line = Line()
    line.is_cut = True

    async def scene(world: World) -> None:
        await world.until(lambda: world.told("warning_raised", code="cloud_unreachable"))
        assert (await world.read.get("/v1/status"))["link"]["state"] == "offline"
        assert (await world.permit("a1DemoPlug1", 600))[0] == 200, "the door does not need the cloud"
        line.is_cut = False
        await world.until(lambda: world.told("cloud_connected"))
        assert (await world.read.get("/v1/health"))["ok"] is True

    live(Site(tmp_path), scene, probes=Probes(on_send=line.pass_on))


# Two of them


@in_world()
async def test_a_second_daemon_in_the_same_place_gives_way(world: World) -> None:
    second = world.site.daemon(JumpingClock())
    with pytest.raises(ConfigError, match=r"another enrolld runs here: .*enrolld\.sock answers"):
        async with asyncio.timeout(10):
            await second.run()
    status, decision = await world.joins.ask("POST", "/v1/joins", asking(PLUG))
    assert (status, decision["reason"]) == (200, "window_closed")
    assert {path.name for path in world.site.run.iterdir()} == {"enrolld.sock", "join.sock", "admin.sock"}
    await world.let_in(PLUG)


def test_what_a_killed_daemon_left_does_not_hold_up_the_next(tmp_path: Path) -> None:
    site = Site(tmp_path)

    async def main() -> None:
        async with running(site) as world:
            kept = site.run / "kept.sock"
            (site.run / "enrolld.sock").rename(kept)  # as a stale file: nobody answers there once it ended
            await world.let_in(PLUG)
        kept.rename(site.run / "enrolld.sock")
        async with running(site) as world:
            assert (await world.row(PLUG) or {})["id"] == str(PLUG)
            await world.until(lambda: world.told("subdevice_online", device=str(PLUG)))

    run_jumping(main())
