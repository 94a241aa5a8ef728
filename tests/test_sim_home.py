"""A whole simulated home on jumping time: who comes and goes, who asks, what the person does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent.codec import ad
from agent.errors import HardwareError, InputRefused
from hw.sim.air import Air
from hw.sim.home import Home
from hw.sim.plans import UserStep
from hw.sim.radios import SimulatedBleRadio
from hw.sim.scenario import credentials, load, read
from tests.jumping import JumpingClock, run_jumping
from tests.sim_door import Door
from tests.sim_world import CAMERA, World

STORY = Path(__file__).resolve().parents[1] / "hw" / "sim" / "data" / "scenario.toml"
DEVICE = 'product_key = "a1DemoLock1"\ndevice_name = "lock"\nmac = "00:00:00:00:00:01"\n'
LOCK = f'[[ble]]\ngeneration = "B1"\nproduct_id = 7\n{DEVICE}'
LAMP = f"[[wifi]]\n{DEVICE}"
JOIN = '[[join]]\nat = 5\ndevice = "a1DemoLock1/lock"\n'
TOKEN = '[[token]]\nat = 5\ndevice = "a1DemoLock1/lock"\n'


def live_through(text: str, folder: Path, **given: Any) -> World:
    scenario = read(text)
    secrets = given.pop("secrets", None)

    async def scene() -> World:
        world = World(scenario, folder, credentials(scenario) if secrets is None else secrets, **given)
        await world.live()
        return world

    return run_jumping(scene())


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> World:
    scenario = load(STORY)

    async def scene() -> World:
        world = World(scenario, tmp_path_factory.mktemp("story"), credentials(scenario))
        await world.live()
        return world

    return run_jumping(scene())


def test_the_default_story_goes_as_it_is_written(story: World) -> None:
    assert story.home.surprises == []
    assert story.happened("home_ended") == [(17.0, {"surprises": 0})]
    assert [do for _, do in story.done] == [
        *("bind_gateway", "list", "filter", "permit", "check", "bind", "checkin", "check", "bind")
    ]
    decisions = [(fields["device"], fields["decision"]) for _, fields in story.happened("home_join_ended")]
    assert decisions == [
        ("a1DemoPlug1/plug-01", "refused"),
        ("a1DemoPlug1/plug-01", "admitted"),
        ("a1DemoLock1/lock-01", "refused"),
        ("a1DemoCam01/camera-01", "admitted"),
        ("a1DemoPlug1/plug-02", "refused"),
    ]
    assert story.cloud.matched == [(CAMERA, 16)]


def test_every_generation_both_zero_config_devices_and_four_access_points_are_heard(story: World) -> None:
    records = [ad.read(manufacturer) for *_, manufacturer in story.adverts]
    assert {record.generation.value for record in records if record} == {"A0", "A1", "B0", "B1", "C", "genie"}
    enrollees = {station.enrollee.enrollee_id for _, station, _ in story.stations if station.enrollee}
    assert enrollees == {"wifi:a1DemoCam01/camera-01", "wifi:a1DemoLamp1/lamp-01"}
    points = {station.bssid: station for _, station, _ in story.stations if station.kind == "beacon"}
    assert {(point.security, point.channel, point.hidden) for point in points.values()} == {
        ("wpa2", 6, False),
        ("wpa2+wpa3", 1, False),
        ("wpa3", 11, False),
        ("wpa2", 36, True),
    }


def test_no_secret_and_no_token_is_told(story: World) -> None:
    told = repr(story.told)
    secrets = {*story.secrets.values(), *(token.hex() for token in story.cloud.tokens)}
    assert len(secrets) > 20
    assert not [secret for secret in secrets if secret in told]


def test_the_same_seed_gives_the_same_home_and_another_does_not(tmp_path: Path) -> None:
    text = LOCK + LAMP.replace("a1DemoLock1", "a1DemoLamp1") + "[[noise]]\nmedium = 'wifi'\ncount = 3\n"
    secrets = credentials(read(text))
    runs = [live_through(f"seed = {n}\nlength = 3.0\n{text}", tmp_path, secrets=secrets) for n in (1, 1, 2)]
    heard = [(run.adverts, run.stations) for run in runs]
    assert heard[0] == heard[1]
    assert heard[0] != heard[2]
    assert len(heard[0][0]) > 5


def test_devices_come_and_go_at_their_times(tmp_path: Path) -> None:
    world = live_through(f"length = 10.0\n{LOCK}appears = 2.0\nleaves = 6.0\n", tmp_path)
    times = [at for at, *_ in world.adverts]
    assert times[0] == 2.0
    assert 5.6 < times[-1] < 6.0
    assert all(0.3 <= b - a <= 0.31 for a, b in pairwise(times))
    assert world.happened("home_appeared") == [(2.0, {"device": "a1DemoLock1/lock"})]
    assert world.happened("home_left") == [(6.0, {"device": "a1DemoLock1/lock"})]


def test_a_zero_config_device_stops_when_its_button_has_been_pressed_long_enough(tmp_path: Path) -> None:
    world = live_through(f"length = 100.0\n{LAMP}press = 60.0\n", tmp_path)
    times = [at for at, *_ in world.stations]
    assert len(times) == 240
    assert times[-1] == 59.75


def test_a_device_that_was_let_in_says_that_it_is_bound(tmp_path: Path) -> None:
    permit = "[[user]]\nat = 1\ndo = 'permit'\ntime = 60\n"
    text = (LOCK + JOIN).replace("a1DemoLock1", "a1DemoPlug1")
    world = live_through(f"length = 10.0\n{permit}{text}signed = true\nexpect = 'admitted'", tmp_path)
    records = [(at, ad.read(manufacturer)) for at, *_, manufacturer in world.adverts]
    told = {at: record.bound for at, record in records if record}
    assert world.home.surprises == []
    assert all(bound is (at > 5.0) for at, bound in told.items())
    assert set(told.values()) == {True, False}
    _, _, body = next(asked for asked in world.door.asked if asked[1].endswith("/done"))
    assert body
    assert body["sign_params"]["clientId"] == "00000007"


def test_a_direct_device_on_its_network_probes_no_more_and_renews_its_token(tmp_path: Path) -> None:
    world = live_through(f"length = 200.0\n{LAMP}{TOKEN}", tmp_path, busy=2)
    assert max(at for at, *_ in world.stations) < 5.0
    assert [at for at, _ in world.happened("home_token_reported")] == [15.0, 105.0, 195.0]
    assert len(world.cloud.tokens) == 3
    assert not world.cloud.online


def test_a_device_whose_secret_is_not_known_makes_up_its_own_and_is_refused(tmp_path: Path) -> None:
    world = live_through(f"length = 20.0\n{LAMP}{TOKEN}", tmp_path, secrets={})
    assert world.cloud.matched == []
    assert world.home.surprises == ["the cloud refused a1DemoLock1/lock: invalid sign"]


@pytest.mark.parametrize("expect", ["admitted", "refused"])
def test_an_expectation_that_is_not_met_is_a_surprise(tmp_path: Path, expect: str) -> None:
    world = live_through(f"length = 20.0\n{LOCK}{JOIN}expect = '{expect}'\n", tmp_path)
    surprised = world.happened("home_surprised")
    assert len(surprised) == len(world.home.surprises) == (1 if expect == "admitted" else 0)


def test_a_person_does_one_thing_after_another_and_bears_a_no() -> None:
    steps = "".join(f"[[user]]\nat = {at}\ndo = '{do}'\n" for at, do in ((4, "list"), (2, "bind_gateway")))

    async def scene() -> None:
        clock, done = JumpingClock(), []
        begun = clock.boot()

        async def act(step: UserStep) -> None:
            await clock.sleep(5)
            done.append((clock.boot() - begun, step.do))
            raise InputRefused("not so")

        scenario = read(steps)
        home = Home(
            scenario,
            Air(),
            clock,
            secret=lambda name: None,
            join_socket=Path("nowhere"),
            happened=lambda kind, **fields: None,
            user=act,
        )
        await home.run()
        assert done == [(7.0, "bind_gateway"), (12.0, "list")]
        assert home.surprises == [
            "the user could not bind_gateway: not so",
            "the user could not list: not so",
        ]

    run_jumping(scene())


def test_a_radio_is_pulled_and_put_back(tmp_path: Path) -> None:
    faults = "[[radio]]\nat = 3\ndo = 'unplug'\nmedium = 'ble'\n[[radio]]\nat = 5\ndo = 'plug'\n"
    scenario = read(f"length = 8.0\n{LOCK}{faults}")

    async def scene() -> None:
        world = World(scenario, tmp_path, {})
        radio = SimulatedBleRadio("simulated", world.air)
        heard: list[float] = []

        async def listen() -> None:
            await radio.listen(lambda address, rssi, data: heard.append(world.now()), lambda: None)

        async with asyncio.TaskGroup() as group:
            group.create_task(world.home.run())
            with pytest.raises(HardwareError):
                await listen()
            assert world.now() == 3.0
            await world.clock.sleep(1)
            with pytest.raises(HardwareError):
                await listen()
            await world.clock.sleep(2)
            again = group.create_task(listen())
            await world.clock.sleep(1)
            again.cancel()
        assert max(at for at in heard if at < 6) < 3.0
        assert any(at > 6 for at in heard)

    run_jumping(scene())


def test_a_crowd_goes_on_when_the_gateway_restarts(tmp_path: Path) -> None:
    crowd = (
        "[[crowd]]\nat = 1\nproduct_key = 'a1DemoPlug1'\ncount = 200\nspacing = 0.1\nexpect = 'admitted'\n"
    )
    scenario = read(crowd)

    async def scene() -> None:
        world = World(scenario, tmp_path, credentials(scenario))
        world.permitted_until = 1e6
        socket = tmp_path / "join.sock"
        doors = []
        running = asyncio.create_task(world.home.run())
        for _ in range(4):
            async with Door(world.answer).open(socket) as door:
                await asyncio.sleep(4)
            doors.append(door)
            await asyncio.sleep(3)
        async with Door(world.answer).open(socket) as door:
            await running
        ended = world.happened("home_join_ended")
        assert world.home.surprises == []
        assert len({fields["device"] for _, fields in ended if fields["state"] == "online"}) == 200
        assert all(door.asked for door in doors)

    run_jumping(scene())


def test_a_home_without_a_length_lives_until_it_is_cancelled(tmp_path: Path) -> None:
    async def scene() -> None:
        world = World(read(LOCK), tmp_path, {})
        home: Coroutine[Any, Any, None] = world.home.run()
        running = asyncio.create_task(home)
        await asyncio.sleep(3600)
        assert not running.done()
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()

    run_jumping(scene())
