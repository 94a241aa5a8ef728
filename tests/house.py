"""One discovery job with everything around it, and a cloud that listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from agent.errors import AgentError, CloudBusy
from agent.events import EventLog
from agent.health import Health
from agent.ingress import Ingress
from agent.jobs.discovery import Discovery
from agent.model import DeviceId
from agent.ports import Downlink, Reply
from agent.registry import Registry
from tests.enrollees import fresh
from tests.jumping import JumpingClock, run_jumping

GATEWAY = DeviceId("a1gateway01", "gw1")
SSID, BSSID = b"Home\xff", b"\xa0\xb1\xc2\xd3\xe4\xf5"
Script = Callable[["House"], Coroutine[Any, Any, None]]


class ListeningCloud:
    """A CloudLink that keeps what it is asked and answers, raises or hangs as it is told."""

    def __init__(self, clock: JumpingClock, *, carries_ble: bool = True) -> None:
        self.carries_ble = carries_ble
        self.asked: list[tuple[float, DeviceId, str, Any]] = []
        self.reply = Reply(200, [])
        self.trouble: AgentError | None = None
        self.hangs = False
        self._clock = clock

    async def hold(self, arrived: Callable[[Downlink], None], connected: Callable[[], None]) -> NoReturn:
        raise CloudBusy("nothing comes down here")

    async def ask(self, device: DeviceId, name: str, params: object) -> Reply:
        self.asked.append((self._clock.boot(), device, name, params))
        if self.hangs:
            await asyncio.Event().wait()
        if self.trouble is not None:
            raise self.trouble
        return self.reply

    async def answer(self, downlink: Downlink, code: int, data: object) -> None:
        raise CloudBusy("nothing to answer")


class House:
    """One discovery job with everything around it, on the jumping clock."""

    def __init__(
        self, registry: Registry | None = None, *, strict: bool = True, carries_ble: bool = True
    ) -> None:
        self.clock = JumpingClock()
        self.events = EventLog(self.clock)
        self.health = Health(self.clock.utc, self.events.emit)
        self.ingress = Ingress(self.health, strict=strict)
        self.registry = registry or fresh()
        self.joined: set[str] = set()
        self.cloud = ListeningCloud(self.clock, carries_ble=carries_ble)
        self.discovery = Discovery(
            self.registry,
            self.events,
            self.health,
            self.ingress,
            self.clock,
            joined=lambda e: e.id in self.joined,
        )
        self.advert_heard = self.discovery.advert_heard("bluez")
        self.station_heard = self.discovery.station_heard("wlan0")

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events.after(0)[1]]

    def reports(self) -> list[float]:
        return [at - 1000 for at, *_ in self.cloud.asked]

    async def report_for(self, seconds: float, *, each: Callable[[], object] = lambda: None) -> None:
        """Run the reports for a time, and ``each`` beside them every half second."""
        async with asyncio.TaskGroup() as tasks:
            job = tasks.create_task(
                self.discovery.run_reports(
                    self.cloud, GATEWAY, lambda: (b"Home\xff", b"\xa0\xb1\xc2\xd3\xe4\xf5")
                )
            )
            for _ in range(int(seconds * 2)):
                await self.clock.sleep(0.5)
                each()
            job.cancel()


def in_house(script: Script, **options: Any) -> None:
    """Run a script in a fresh house."""

    async def main() -> None:
        await script(House(**options))

    run_jumping(main())
