"""The whole daemon in trouble: a full disk, no state at all, a clock that steps, a day without the cloud."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from agent.assembly import Probes
from tests.crash.place import workplace
from tests.jumping import run_jumping
from tests.world import GATEWAY, LOCK, OTHER_PLUG, PLUG, Line, Site, World, asking, live, running

ALL = os.environ.get("ENROLLD_TEST_ALL") == "1"
DAY, HOURS = 86_400, 7_200
TOKEN = "00112233445566778899AABBCCDDEEFF"
OTHER_TOKEN = TOKEN[::-1]
ELSEWHERE = "00:12:4B:00:14:B5:D1:02"
YEAR = 365 * DAY


class Disk:
    """The disk under both files, for `Probes`: it refuses every commit while it is full."""

    def __init__(self) -> None:
        self.is_full = False
        self._left: int | None = None

    def fill_after(self, commits: int) -> None:
        """Let that many commits pass, and then none."""
        self._left = commits

    def commit(self, moment: str) -> None:
        if moment != "before":
            return
        if self._left is not None:
            self.is_full = self.is_full or self._left == 0
            self._left -= 1
        if self.is_full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    @property
    def probes(self) -> Probes:
        return Probes(on_commit=self.commit, on_service_commit=self.commit)


async def refuse_changes(world: World) -> None:
    """Everything can be read, and every change and every join is to be tried again."""
    requests = [
        (world.admin, "POST", "/v1/permits", {"product_key": None, "time": 60}),
        (world.joins, "POST", "/v1/joins", asking(LOCK)),
    ]
    for client, method, path, body in requests:
        status, answer = await client.ask(method, path, body)
        assert (status, answer["error"]["code"]) == (503, "store_unavailable"), path
    for name in ("status", "permits", "subdevices", "tokens", "enrollees"):
        await world.read.get(f"/v1/{name}")
    await world.clock.sleep(1.1)  # housekeeping turns
    warnings = (await world.read.get("/v1/health"))["warnings"]
    assert "store_unavailable" in {warning["code"] for warning in warnings}


async def bring_plug_in(world: World, disk: Disk) -> None:
    """What an owner and a plug do, patiently: who hears 503 asks again later."""
    while (await world.permit(PLUG.product_key, 600))[0] == 503:
        await make_room(world, disk)
    while (answer := await world.joins.ask("POST", "/v1/joins", asking(PLUG)))[0] == 503:
        await make_room(world, disk)
    assert answer[1]["decision"] == "admitted", answer
    place = f"/v1/joins/{answer[1]['ticket']}"
    while (answer := await world.finish(place, token=TOKEN))[0] == 503:
        await make_room(world, disk)
    assert answer[0] == 202, answer


async def make_room(world: World, disk: Disk) -> None:
    await world.clock.sleep(2)
    await refuse_changes(world)
    await world.clock.sleep(20)
    await refuse_changes(world)
    disk.is_full = False
    await world.until(lambda: not world.agent.health.warnings(), within=20)


@pytest.mark.parametrize("commits", range(18))
def test_a_disk_that_is_full_for_a_while_loses_nothing_and_doubles_nothing(
    tmp_path: Path, commits: int
) -> None:
    disk = Disk()

    async def scene(world: World) -> None:
        await world.until(lambda: world.told("token_reported", device=str(GATEWAY)))
        disk.fill_after(commits)
        await bring_plug_in(world, disk)
        while not (reported := world.told("token_reported", device=str(PLUG))):
            await world.until(lambda: disk.is_full or world.told("token_reported", device=str(PLUG)))
            if disk.is_full:
                await make_room(world, disk)
        assert len(reported) == 1
        row = await world.row(PLUG)
        assert row is not None
        assert row["state"] == "online"
        figures = await world.service.figures()
        assert figures.topology == {GATEWAY: [PLUG]}
        assert len([t for t in figures.tokens if t.device == PLUG]) == 1

    live(Site(tmp_path), scene, probes=disk.probes)


@pytest.mark.parametrize("was_there", [False, True])
def test_a_state_that_cannot_be_had_at_the_start(tmp_path: Path, was_there: bool) -> None:
    site = Site(tmp_path)
    kept = tmp_path / "kept"

    async def main() -> None:
        async with running(site) as world:
            await world.let_in(PLUG)
        site.state.rename(kept)
        site.state.touch()  # a file where the directory should be
        async with running(site) as world:
            await refuse_changes(world)
            assert (await world.read.get("/v1/status"))["link"]["state"] == "connecting"
            await world.clock.sleep(300)
            await refuse_changes(world)
            site.state.unlink()
            if was_there:
                kept.rename(site.state)
            await world.until(lambda: not world.agent.health.warnings(), within=121)
            if was_there:
                await world.until(lambda: world.told("subdevice_online", device=str(PLUG)))
            await world.let_in(OTHER_PLUG)
            assert (await world.row(PLUG) is not None) is was_there

    run_jumping(main())


def test_a_disk_that_is_full_at_the_start_is_read_all_the_same(tmp_path: Path) -> None:
    site, disk = Site(tmp_path), Disk()

    async def main() -> None:
        async with running(site) as world:
            await world.let_in(PLUG)
            assert (await world.permit(PLUG.product_key, 30))[0] == 200
        disk.is_full = True
        async with running(site, probes=disk.probes) as world:
            await refuse_changes(world)
            (window,) = (await world.read.get("/v1/permits"))["windows"]
            assert window["product_key"] == PLUG.product_key
            assert await world.row(PLUG) is not None
            await world.clock.sleep(60)
            assert (await world.read.get("/v1/permits"))["windows"] == []
            disk.is_full = False
            await world.until(lambda: not world.agent.health.warnings(), within=121)
            await world.until(lambda: world.told("subdevice_online", device=str(PLUG)))
            await world.let_in(OTHER_PLUG)

    run_jumping(main())


@pytest.mark.parametrize("step", [YEAR, -40 * YEAR])
def test_a_step_of_utc_moves_nothing_that_counts(tmp_path: Path, step: int) -> None:
    async def scene(world: World) -> None:
        await world.let_in(PLUG)
        assert (await world.permit("a1DemoLock1", 600))[0] == 200
        place = await world.ticket(LOCK)
        before = await world.read.get("/v1/permits"), await world.read.get("/v1/tokens")
        world.clock.step_utc(step)
        assert (await world.read.get("/v1/permits"), await world.read.get("/v1/tokens")) == before
        await world.clock.sleep(59)
        assert (await world.finish(place))[0] == 202
        await world.until(lambda: world.told("subdevice_online", device=str(LOCK)), within=1)
        await world.clock.sleep(540)
        assert (await world.read.get("/v1/permits"))["windows"][0]["ends_in"] < 2
        await world.clock.sleep(2)
        assert (await world.read.get("/v1/permits"))["windows"] == []
        assert (await world.read.get("/v1/tokens"))["dropped"] == {}

    live(Site(tmp_path), scene)


@pytest.mark.parametrize(
    "away",
    [HOURS, pytest.param(DAY, marks=pytest.mark.skipif(not ALL, reason="a day: ENROLLD_TEST_ALL=1"))],
)
def test_what_happened_while_the_cloud_was_away_reaches_it_once(away: int) -> None:
    line = Line()

    async def scene(world: World) -> None:
        await world.let_in(PLUG, OTHER_PLUG)
        await world.until(lambda: world.told("token_reported", device=str(OTHER_PLUG)))
        line.is_cut = True
        world.service.kick(GATEWAY)
        assert (await world.permit("a1DemoLock1", 60))[0] == 200
        assert (await world.finish(await world.ticket(LOCK), token=TOKEN))[0] == 202
        assert (await world.admin.ask("DELETE", f"/v1/subdevices/{PLUG}"))[0] == 200
        await world.clock.sleep(away)
        assert (await world.read.get("/v1/tokens"))["dropped"] == {"expired": 1}
        assert (await world.row(LOCK) or {})["state"] == "joining"
        line.is_cut, line.sent[:] = False, []
        await world.until(lambda: world.told("token_reported", device=str(LOCK)), within=90)
        await world.until(lambda: world.told("subdevice_removed", device=str(PLUG)), within=5)
        assert [line.sent.count(f"thing/topo/{act}") for act in ("add", "delete")] == [1, 1]
        figures = await world.service.figures()
        assert figures.topology == {GATEWAY: [LOCK, OTHER_PLUG]}
        fresh = [t.token for t in figures.tokens if t.device == LOCK]
        assert len(fresh) == 1
        assert fresh != [TOKEN]

    with workplace() as root:  # a day is many small writes
        live(Site(root), scene, probes=Probes(on_send=line.pass_on))


def test_a_done_that_comes_after_a_forget_does_not_undo_it(tmp_path: Path) -> None:
    line = Line()

    async def scene(world: World) -> None:
        await world.let_in(PLUG)
        place = await world.ticket(PLUG)  # a member may come again
        line.is_cut = True
        assert (await world.admin.ask("DELETE", f"/v1/subdevices/{PLUG}"))[0] == 200
        status, refused = await world.finish(place)
        assert status == 409
        assert "is being removed" in refused["error"]["sentence"]
        line.is_cut = False
        await world.until(lambda: world.told("subdevice_removed", device=str(PLUG)), within=65)
        assert await world.row(PLUG) is None
        assert (await world.service.figures()).topology == {}

    live(Site(tmp_path), scene, probes=Probes(on_send=line.pass_on))


def test_a_later_join_takes_the_place_of_one_that_waits_and_keeps_its_token(tmp_path: Path) -> None:
    line = Line()

    async def scene(world: World) -> None:
        await world.permit(PLUG.product_key, 600)
        places = [await world.ticket(PLUG), await world.ticket(PLUG, address=ELSEWHERE)]
        line.is_cut = True
        for place, token in zip(places, (TOKEN, OTHER_TOKEN), strict=True):
            assert (await world.finish(place, token=token))[0] == 202
        first = await world.joins.get(places[0])
        assert first["state"] == "failed"
        assert first["sentence"] == "A later join of the same device took its place."
        line.is_cut = False
        await world.until(lambda: len(world.told("token_reported", device=str(PLUG))) == 2, within=65)
        assert (await world.joins.get(places[1]))["state"] == "online"
        tokens = (await world.service.figures()).tokens
        assert {t.token for t in tokens if t.device == PLUG} == {TOKEN, OTHER_TOKEN}

    live(Site(tmp_path), scene, probes=Probes(on_send=line.pass_on))


def test_who_is_forgotten_while_it_joins_does_not_come_online_nor_report(tmp_path: Path) -> None:
    forgets: list[asyncio.Task[dict[str, object]]] = []
    worlds: list[World] = []

    def send(topic: str) -> None:
        if topic == "thing/topo/add":
            forget = worlds[0].agent.gateway.forget(str(PLUG), "cli")
            forgets.append(asyncio.ensure_future(forget))

    async def scene(world: World) -> None:
        worlds.append(world)
        await world.permit(PLUG.product_key, 600)
        assert (await world.finish(await world.ticket(PLUG), token=TOKEN))[0] == 202
        await world.until(lambda: world.told("subdevice_removed", device=str(PLUG)))
        await asyncio.gather(*forgets)
        await world.clock.sleep(10)
        assert (await world.read.get("/v1/status"))["subdevices"] == {"total": 0, "online": 0}
        figures = await world.service.figures()
        assert figures.topology == {}
        assert {token.device for token in figures.tokens} == {GATEWAY}

    live(Site(tmp_path), scene, probes=Probes(on_send=send))
