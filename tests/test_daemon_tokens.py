"""Bind tokens through a whole daemon: whose, on which topic, how often a fresh one, and when no more."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from agent.assembly import Probes
from agent.model import DeviceId
from tests.jumping import JumpingClock, run_jumping
from tests.world import GATEWAY, LOCK, OTHER_PLUG, PLUG, Line, Site, World, in_world, live, running

MATCH = "thing/awss/enrollee/match"


def reports(world: World, device: DeviceId) -> list[float]:
    """When a token of that device was taken by the cloud."""
    return [event.boot for event in world.told("token_reported", device=str(device))]


def made(world: World, device: DeviceId, into: set[bytes]) -> None:
    """Note the tokens that the daemon holds for a device."""
    into |= {token.value for token in world.agent.ledger.tokens.values() if token.device == device}


@in_world()
async def test_the_gateway_reports_a_fresh_token_each_90_s_until_it_is_bound(world: World) -> None:
    own: set[bytes] = set()
    for _ in range(20):
        await world.clock.sleep(50)
        made(world, GATEWAY, own)
    times = reports(world, GATEWAY)
    assert times[0] == pytest.approx(1000, abs=0.1)
    assert [b - a for a, b in pairwise(times)] == pytest.approx([90] * 11, abs=0.5)
    assert len(own) == len(times), "each report is of a fresh token"
    await world.owner()
    bound_at = world.told("gateway_bound")[0].boot
    await world.clock.sleep(1000)
    assert [at for at in reports(world, GATEWAY) if at > bound_at] == []
    assert (await world.read.get("/v1/tokens"))["waiting"] == 0


@in_world()
async def test_a_sub_device_gets_fresh_tokens_for_600_s_after_its_login(world: World) -> None:
    await world.clock.sleep(33)
    await world.let_in(PLUG)
    login = world.told("subdevice_online")[0].boot
    await world.clock.sleep(1500)
    times = [at - login for at in reports(world, PLUG)]
    assert times == pytest.approx([0, 90, 180, 270, 360, 450, 540], abs=0.5)


@in_world()
async def test_a_bound_sub_device_needs_no_more_tokens(world: World) -> None:
    await world.let_in(PLUG, OTHER_PLUG)
    await world.clock.sleep(100)
    await world.owner(PLUG)
    await world.until(lambda: world.told("subdevice_bound", device=str(PLUG)))
    await world.clock.sleep(1000)
    assert len(reports(world, PLUG)) == 2
    assert len(reports(world, OTHER_PLUG)) == 7


@in_world()
async def test_another_login_within_the_boot_is_no_new_window(world: World) -> None:
    await world.let_in(PLUG)
    await world.clock.sleep(580)
    place = await world.ticket(PLUG)
    assert (await world.finish(place))[0] == 202
    await world.until(lambda: len(world.told("subdevice_online")) == 2)
    await world.clock.sleep(1000)
    assert len(reports(world, PLUG)) == 7


@in_world()
async def test_every_token_goes_on_the_topic_of_its_own_device_only(world: World) -> None:
    devices = (GATEWAY, PLUG, OTHER_PLUG, LOCK)
    await world.let_in(*devices[1:])
    held: dict[DeviceId, set[bytes]] = {device: set() for device in devices}
    for _ in range(16):
        for device, tokens in held.items():
            made(world, device, tokens)
        await world.clock.sleep(40)
    for device, tokens in held.items():
        made(world, device, tokens)
    seen: dict[DeviceId, set[bytes]] = {device: set() for device in devices}
    for figure in (await world.service.figures()).tokens:
        assert figure.reports == 1
        seen[figure.device].add(bytes.fromhex(figure.token))
    assert seen == held
    assert all(len(tokens) >= 7 for tokens in held.values())
    assert len(set.union(*held.values())) == sum(map(len, held.values())), "no two devices share one"
    assert all(len(token) == 16 for token in set.union(*held.values()))


@in_world()
async def test_a_token_that_the_join_brought_is_reported_as_it_is(world: World) -> None:
    brought = bytes(range(16))
    await world.permit("a1DemoPlug1", 600)
    place = await world.ticket(PLUG)
    assert (await world.finish(place, token=brought.hex()))[0] == 202
    await world.until(lambda: reports(world, PLUG))
    tokens = (await world.service.figures()).tokens
    assert [bytes.fromhex(t.token) for t in tokens if t.device == PLUG] == [brought]
    owner = await world.owner()
    assert (await owner.bind(PLUG, brought)).code == 200
    await world.until(lambda: world.told("subdevice_bound", device=str(PLUG)), within=1)
    assert (await owner.bind(PLUG, brought)).code == 6608, "a token is good for one bind"


def test_a_token_that_came_too_late_is_dropped_counted_and_made_anew(tmp_path: Path) -> None:
    line = Line()

    async def scene(world: World) -> None:
        await world.let_in(PLUG)
        await world.until(lambda: reports(world, PLUG))
        line.is_cut = True
        await world.clock.sleep(400)
        line.is_cut = False
        await world.until(lambda: len(reports(world, PLUG)) > 1, within=65)
        assert len(reports(world, GATEWAY)) > 1
        assert (await world.read.get("/v1/tokens"))["dropped"].keys() == {"expired"}
        assert {t.device for t in (await world.service.figures()).tokens} == {GATEWAY, PLUG}

    live(Site(tmp_path), scene, probes=Probes(on_send=line.pass_on))


def test_waiting_tokens_die_on_the_way_and_fresh_ones_follow(tmp_path: Path) -> None:
    line = Silenced(MATCH)

    async def scene(world: World) -> None:
        await world.let_in(PLUG)
        await world.clock.sleep(500)
        assert reports(world, PLUG) == reports(world, GATEWAY) == []
        tokens = await world.read.get("/v1/tokens")
        assert tokens["dropped"]["expired"] >= 4
        assert tokens["waiting"] >= 2
        assert 0 < tokens["margin"] <= 120
        assert all(t["life_left"] > 0 and "token" not in t for t in tokens["tokens"])
        line.is_cut = False
        await world.until(lambda: reports(world, PLUG) and reports(world, GATEWAY), within=35)
        alive = {t.token for t in (await world.service.figures()).tokens}
        fresh = {
            t.value.hex().upper()
            for t in world.agent.ledger.tokens.values()
            if world.clock.boot() - t.made < 121
        }
        assert alive <= fresh, "no dead token was sent"

    live(Site(tmp_path), scene, probes=Probes(on_send=line.pass_on))


class Silenced(Line):
    """A line on which one kind of message is lost while it is cut."""

    def __init__(self, topic: str) -> None:
        super().__init__()
        self.is_cut = True
        self._topic = topic

    def pass_on(self, topic: str) -> None:
        if topic == self._topic:
            super().pass_on(topic)


def test_tokens_of_another_boot_are_dead(tmp_path: Path) -> None:
    site, line = Site(tmp_path), Silenced(MATCH)

    async def main() -> None:
        async with running(site, probes=Probes(on_send=line.pass_on)) as world:
            await world.let_in(PLUG)
            await world.clock.sleep(3)
            waiting = {token.value.hex().upper() for token in world.agent.ledger.tokens.values()}
            assert len(waiting) == 2
        async with running(site, clock=JumpingClock(boot_id="boot-2")) as world:
            await world.until(lambda: reports(world, PLUG) and reports(world, GATEWAY))
            assert (await world.read.get("/v1/tokens"))["dropped"] == {"rebooted": 2}
            assert not waiting & {t.token for t in (await world.service.figures()).tokens}

    run_jumping(main())
