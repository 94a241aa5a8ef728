"""A whole simulated home: its devices on the air, and its story, each a coroutine of one TaskGroup."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeVar

from agent.model import DeviceId
from agent.ports import Clock, DeviceUplink
from hw.sim.access_points import BeaconSender
from hw.sim.air import Air
from hw.sim.enrollees import BleEnrollee, WifiEnrollee
from hw.sim.factory import Factory
from hw.sim.joiner import Joiner
from hw.sim.plans import Ble, Enrollee, Noise, Presence, UserStep, Wifi
from hw.sim.scenario import Scenario
from hw.sim.story import Story, Timeline
from hw.sim.strangers import Stranger

Resident = TypeVar("Resident", BleEnrollee, WifiEnrollee)


class Living(Protocol):
    """Something that speaks on the air until it is cancelled or has no more to say."""

    async def live(self, air: Air, clock: Clock) -> None:
        """Speak."""


class Home:
    """One run of a scenario.

    ``secret`` gives a credential by its name; a device whose secret is not there makes up its own, so
    that nobody else knows it. ``user`` does what the person with the app does; ``happened`` is told, as
    `agent.events.EventLog.emit` is, what the devices do (kinds ``home_..``). Without ``uplink`` or
    ``user`` those steps of the scenario are left out.
    """

    def __init__(
        self,
        scenario: Scenario,
        air: Air,
        clock: Clock,
        *,
        secret: Callable[[str], str | None],
        join_socket: Path,
        happened: Callable[..., object],
        uplink: DeviceUplink | None = None,
        user: Callable[[UserStep], Awaitable[None]] | None = None,
    ) -> None:
        self._scenario = scenario
        self._air = air
        self._clock = clock
        self._happened = happened
        self._uplink = uplink
        self._user = user
        self._factory = Factory(secret)
        self._settled: set[DeviceId] = set()
        self._here: dict[DeviceId, BleEnrollee | WifiEnrollee] = {}
        joiner = Joiner(join_socket, clock)
        self._story = Story(scenario, self._factory, joiner, settle=self._settle, happened=happened)

    @property
    def surprises(self) -> list[str]:
        """One sentence for each expectation of the script that was not met so far."""
        return list(self._story.surprises)

    def overhear_token(self, device: DeviceId) -> bytes | None:
        """The bind token that a direct device tells phones on its network; None before it has one."""
        return self._story.tokens_told.get(device)

    async def run(self) -> None:
        """Live through the scenario; returns when it is over, and never when it has no length."""
        timeline, length = Timeline(self._clock), self._scenario.length
        self._happened("home_started", seed=self._scenario.seed, length=length)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(life) for life in self._lives(timeline)]
            if length is not None:
                await timeline.until(length)
                for task in tasks:
                    task.cancel()
        self._happened("home_ended", surprises=len(self._story.surprises))

    def _lives(self, timeline: Timeline) -> Iterator[Coroutine[Any, Any, None]]:
        for plan, name, make in self._residents():
            yield self._stay(timeline, plan, name, make)
        yield from self._story.joins(timeline)
        yield self._story.touch_radios(timeline, self._air)
        if self._user is not None:
            yield self._story.act(timeline, self._user)
        if self._uplink is not None:
            yield from self._story.tokens(timeline, self._uplink)

    def _residents(self) -> Iterator[tuple[Presence, str, Callable[[Random], Living]]]:
        """Everything that speaks: its presence, its name, how it is made of its own dice."""
        for point in self._scenario.access_points:
            yield point, point.bssid, partial(BeaconSender, point)
        for ble in self._scenario.ble:
            yield ble, str(ble.device), partial(self._make_ble, ble)
        for wifi in self._scenario.wifi:
            yield wifi, str(wifi.device), partial(self._make_wifi, wifi)
        for row, noise in enumerate(self._scenario.noise):
            for number in range(noise.count):
                yield noise, f"noise {row} {number}", partial(Stranger, noise)

    async def _stay(
        self, timeline: Timeline, plan: Presence, name: str, make: Callable[[Random], Living]
    ) -> None:
        await timeline.until(plan.appears)
        living = make(Random(f"{self._scenario.seed}/{name}"))
        self._tell_of(plan, name, "home_appeared")
        async with asyncio.TaskGroup() as group:
            life = group.create_task(living.live(self._air, self._clock))
            if plan.leaves is not None:
                await timeline.until(plan.leaves)
                life.cancel()
        self._tell_of(plan, name, "home_left")

    def _tell_of(self, plan: Presence, name: str, kind: str) -> None:
        if not isinstance(plan, Noise):
            self._happened(kind, device=name)

    def _make_ble(self, plan: Ble, dice: Random) -> BleEnrollee:
        identity = self._factory.identity(plan.device, plan.product_id)
        return self._settle_in(plan, BleEnrollee(plan, identity, dice))

    def _make_wifi(self, plan: Wifi, dice: Random) -> WifiEnrollee:
        return self._settle_in(plan, WifiEnrollee(plan, self._factory.identity(plan.device), dice))

    def _settle_in(self, plan: Enrollee, living: Resident) -> Resident:
        """It may have been let in before it appears on the air."""
        self._here[plan.device] = living
        if plan.device in self._settled:
            living.settle()
        return living

    def _settle(self, device: DeviceId) -> None:
        self._settled.add(device)
        if device in self._here:
            self._here[device].settle()
