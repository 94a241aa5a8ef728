"""A simulated home on jumping time with everything around it: radios, a door, a cloud, a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.errors import CloudBusy, CloudRefused
from agent.model import DeviceId, Station
from agent.ports import DeviceConnection, Reply
from hw.sim.air import Air
from hw.sim.home import Home
from hw.sim.plans import UserStep
from hw.sim.radios import SimulatedBleRadio, SimulatedWifiRadio
from hw.sim.scenario import Scenario
from tests.jumping import JumpingClock
from tests.sim_door import ADMITTED, JOINING, REFUSED, Answer, Document, Door, state

CAMERA = DeviceId("a1DemoCam01", "camera-01")


class Cloud:
    """Where direct devices connect: it knows their secrets, and may be busy a few times first."""

    def __init__(self, secrets: dict[str, str], busy: int = 0) -> None:
        self.matched: list[tuple[DeviceId, int]] = []
        self.tokens: set[bytes] = set()
        self.online: set[DeviceId] = set()
        self._secrets = secrets
        self._busy = busy

    @asynccontextmanager
    async def connect(self, device: DeviceId, secret: str) -> AsyncIterator[DeviceConnection]:
        if self._busy:
            self._busy -= 1
            raise CloudBusy("try later")
        if self._secrets.get(f"device_secret.{device.product_key}.{device.device_name}") != secret:
            raise CloudRefused(6287, "invalid sign")
        self.online.add(device)
        try:
            yield Session(self, device)
        finally:
            self.online.remove(device)


class Session:
    def __init__(self, cloud: Cloud, device: DeviceId) -> None:
        self._cloud = cloud
        self._device = device

    async def match(self, token: bytes) -> Reply:
        self._cloud.matched.append((self._device, len(token)))
        self._cloud.tokens.add(token)
        return Reply(200, {})


class World:
    """A home, two radios that listen to it, a door, and everything that was heard, with its time."""

    def __init__(self, scenario: Scenario, folder: Path, secrets: dict[str, str], busy: int = 0) -> None:
        self.adverts: list[tuple[float, bytes, int | None, bytes]] = []
        self.stations: list[tuple[float, Station, int | None]] = []
        self.told: list[tuple[float, str, dict[str, Any]]] = []
        self.done: list[tuple[float, str]] = []
        self.cloud = Cloud(secrets, busy)
        self.door = Door(self.answer)
        self.clock = JumpingClock()
        self.air = Air()
        self.permitted_until = 0.0
        self.secrets = secrets
        self._start = self.clock.boot()
        self._socket = folder / "join.sock"
        self.home = Home(
            scenario,
            self.air,
            self.clock,
            secret=secrets.get,
            join_socket=self._socket,
            happened=lambda kind, **fields: self.told.append((self.now(), kind, fields)),
            uplink=self.cloud,
            user=self.act,
        )

    def now(self) -> float:
        return round(self.clock.boot() - self._start, 6)

    async def act(self, step: UserStep) -> None:
        self.done.append((self.now(), step.do))
        if step.do == "permit" and step.time is not None:
            self.permitted_until = self.now() + step.time

    def answer(self, method: str, target: str, body: Document | None) -> Answer:
        """A door that permits one product while its window is open, and a zero-config device."""
        if target == "/v1/joins" and body:
            device = DeviceId(body["product_key"], body["device_name"])
            is_open = body["product_key"] == "a1DemoPlug1" and self.now() < self.permitted_until
            return ADMITTED if is_open or device == CAMERA else REFUSED
        return JOINING if method == "POST" else state("online")

    async def listen(self) -> None:
        def heard_advert(address: bytes, rssi: int | None, manufacturer: bytes) -> None:
            self.adverts.append((self.now(), address, rssi, manufacturer))

        def heard_station(station: Station, rssi: int | None, age: float) -> None:
            self.stations.append((self.now(), station, rssi))

        async with asyncio.TaskGroup() as group:
            radio = SimulatedBleRadio("simulated", self.air)
            group.create_task(radio.listen(heard_advert, lambda: None))
            group.create_task(SimulatedWifiRadio("simulated", self.air).listen(heard_station, lambda: None))

    async def live(self) -> None:
        async with self.door.open(self._socket):
            ears = asyncio.create_task(self.listen())
            await asyncio.sleep(0)
            await self.home.run()
            ears.cancel()
            await asyncio.wait({ears})

    def happened(self, kind: str) -> list[tuple[float, dict[str, Any]]]:
        return [(at, fields) for at, told, fields in self.told if told == kind]
