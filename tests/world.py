"""One whole daemon: its files in a directory of its own, jumping time, clients of its sockets, an owner."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import h11

from agent import config, credentials
from agent.assembly import Assembly, Probes
from agent.daemon import Daemon, Orders
from agent.errors import CloudBusy
from agent.events import EventLog
from agent.model import DeviceId, Event
from agent.ports import Clock
from agent.service.service import Service
from agent.service.values import Answer, Caller
from agent.tokens import State as TokenState
from hw.sim import scenario
from tests.jumping import JumpingClock, run_jumping

DATA = Path(__file__).resolve().parents[1] / "hw" / "sim" / "data"
STORY = DATA / "scenario.toml"
GATEWAY = DeviceId("a1DemoGate1", "gateway-01")
PLUG = DeviceId("a1DemoPlug1", "plug-01")
OTHER_PLUG = DeviceId("a1DemoPlug1", "plug-02")
LOCK = DeviceId("a1DemoLock1", "lock-01")
CAMERA = DeviceId("a1DemoCam01", "camera-01")

Document = dict[str, Any]

MAIN = """\
[gateway]
product_key = "a1DemoGate1"
device_name = "gateway-01"
[ble]
radios = {ble}
[wifi]
radios = {wifi}
[networks.home]
ssid = "Demo home"
passphrase = "passphrase.home"
default = true
[cloud]
link = "embedded"
[service]
listen = ""
[secrets]
directory = "secrets"
"""


class Site:
    """Where one daemon lives: the packaged products, fresh secrets, state and sockets."""

    def __init__(self, root: Path, *, ble: tuple[str, ...] = (), wifi: tuple[str, ...] = ()) -> None:
        etc = root / "etc"
        self.config = etc / "enrolld.toml"
        self.state = root / "state"
        self.run = root / "run"
        self.scenario = etc / "scenario.toml"
        self.products = etc / "products.d"
        self.secrets = scenario.credentials(scenario.load(STORY))
        self.secrets["passphrase.home"] = scenario.random_text(16)
        (etc / "secrets").mkdir(mode=0o700, parents=True)
        for name, secret in self.secrets.items():
            file = etc / "secrets" / name
            file.touch(0o600)
            file.write_text(f"{secret}\n", "ascii")
        self.products.mkdir()
        for file in (DATA / "products.d").iterdir():
            (self.products / file.name).write_bytes(file.read_bytes())
        self.config.write_text(MAIN.format(ble=json.dumps(ble), wifi=json.dumps(wifi)), "utf-8")

    def drop_in(self, text: str) -> Path:
        """Write the one drop-in of this site; empty text takes it back."""
        file = self.config.parent / "enrolld.toml.d" / "test.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
        return file

    def command(self, *more: str | Path) -> list[str]:
        """The daemon as a process of its own."""
        places = ("--config", self.config, "--state", self.state, "--run", self.run)
        return [sys.executable, "-m", "agent.daemon", *map(str, (*places, *more))]

    def daemon(self, clock: Clock, **orders: Any) -> Daemon:
        """A daemon of this site that does not run yet; ``orders`` as of `Orders`."""
        settings = config.load(self.config)
        given = replace(Orders(self.config, self.state, self.run, strict=True), **orders)
        return Daemon(given, settings, credentials.load(settings.secrets.directory, systemd=None), clock)


class Client:
    """HTTP/1.1 over one Unix socket, each request on a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def fetch(self, method: str, target: str, body: object = None) -> tuple[int, str]:
        """Status and text of the answer; a body that is no text goes as JSON."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        try:
            return await _exchange(reader, writer, method, target, body)
        finally:
            writer.close()
            await writer.wait_closed()

    async def ask(self, method: str, target: str, body: object = None) -> tuple[int, Document]:
        """Status and document of the answer."""
        status, text = await self.fetch(method, target, body)
        document = json.loads(text)
        assert document["v"] == 1
        return status, document

    async def get(self, target: str) -> Document:
        """The document of an answer that must be 200."""
        status, document = await self.ask("GET", target)
        assert status == 200, document
        return document


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, target: str, body: object
) -> tuple[int, str]:
    http = h11.Connection(h11.CLIENT)
    data = b"" if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    headers = [("Host", "enrolld"), ("Connection", "close"), ("Content-Length", str(len(data)))]
    for part in (h11.Request(method=method, target=target, headers=headers), h11.Data(data)):
        writer.write(http.send(part) or b"")
    writer.write(http.send(h11.EndOfMessage()) or b"")
    status, answer = 0, b""
    while not isinstance(event := http.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            answer += event.data
        else:
            raise ConnectionError(f"no whole answer: {event!r}")
    return status, answer.decode()


class Owner:
    """A person with an account at the embedded service, who calls its API as an app does."""

    def __init__(self, service: Service, caller: Caller) -> None:
        self.service = service
        self.caller = caller

    async def call(self, path: str, **params: object) -> Answer:
        """One call; what it pushes has been delivered when this returns."""
        return await self.service.call(self.caller, path, params)

    async def bind(self, device: DeviceId, token: bytes) -> Answer:
        """Bind a device by one of its tokens."""
        return await self.call("/awss/token/user/bind", **names(device), token=token.hex().upper())

    async def permit(self, product_key: str | None, time: object) -> Answer:
        """What the app's button does."""
        given = {"iotId": self.service.iot_id(GATEWAY), "productKey": product_key, "time": time}
        return await self.call("/thing/gateway/permit", **{k: v for k, v in given.items() if v is not None})

    async def remove(self, device: DeviceId) -> Answer:
        """Take a sub-device out from afar."""
        ids = {"iotId": self.service.iot_id(GATEWAY), "subIotId": self.service.iot_id(device)}
        return await self.call("/thing/topo/remove", **ids)


class Line:
    """The gateway's line to the cloud, for `Probes.on_send`: it notes what goes out, and may be cut."""

    def __init__(self) -> None:
        self.is_cut = False
        self.sent: list[str] = []

    def pass_on(self, topic: str) -> None:
        if self.is_cut:
            raise CloudBusy("the line is cut")
        self.sent.append(topic)


def names(device: DeviceId) -> Document:
    """A device as the cloud's messages name it."""
    return {"productKey": device.product_key, "deviceName": device.device_name}


def asking(device: DeviceId, address: str = "00:12:4B:00:14:B5:D1:01", medium: str = "zigbee") -> Document:
    """The body of a join."""
    asked = {"v": 1, "medium": medium, "address": address}
    return asked | {"product_key": device.product_key, "device_name": device.device_name}


@dataclass
class World:
    """A daemon that runs, and everything a test does to it."""

    site: Site
    daemon: Daemon
    clock: JumpingClock
    read: Client = field(init=False)
    joins: Client = field(init=False)
    admin: Client = field(init=False)

    def __post_init__(self) -> None:
        self.read, self.joins, self.admin = (
            Client(self.site.run / name) for name in ("enrolld.sock", "join.sock", "admin.sock")
        )

    @property
    def agent(self) -> Assembly:
        return self.daemon.agent

    @property
    def events(self) -> list[Event]:
        """Everything that the daemon told so far."""
        missed, events = log_of(self.daemon).after(0)
        assert missed == 0, "the story is longer than the memory of events"
        return events

    def told(self, kind: str, **fields: object) -> list[Event]:
        """The events of that kind with at least those fields."""
        return [e for e in self.events if e.kind == kind and fields.items() <= e.fields.items()]

    async def until(self, is_so: Callable[[], object], within: float = 60.0) -> None:
        """Let time pass until something is so; fails when it takes longer."""
        deadline = self.clock.boot() + within
        while not is_so():
            assert self.clock.boot() < deadline, [f"{e.kind} {e.fields}" for e in self.events[-12:]]
            await self.clock.sleep(0.05)

    async def permit(self, product_key: str | None, time: object) -> tuple[int, Document]:
        """A permit command over admin.sock."""
        return await self.admin.ask("POST", "/v1/permits", {"product_key": product_key, "time": time})

    async def join(self, device: DeviceId, **way: str) -> Document:
        """Ask to join; the decision."""
        status, decision = await self.joins.ask("POST", "/v1/joins", asking(device, **way))
        assert status == 200, decision
        return decision

    async def ticket(self, device: DeviceId, **way: str) -> str:
        """Where the ticket of a join that must be admitted is."""
        decision = await self.join(device, **way)
        assert decision["decision"] == "admitted", decision
        return f"/v1/joins/{decision['ticket']}"

    async def finish(self, place: str, **done: object) -> tuple[int, Document]:
        """Redeem a ticket."""
        return await self.joins.ask("POST", f"{place}/done", {"v": 1, "sign_params": None} | done)

    async def let_in(self, *devices: DeviceId) -> None:
        """Open a window for each device's product and bring it in."""
        for device in devices:
            assert (await self.permit(device.product_key, 600))[0] == 200
            status, _ = await self.finish(await self.ticket(device))
            assert status == 202
            await self.until(partial(self.told, "subdevice_online", device=str(device)))

    async def row(self, device: DeviceId) -> Document | None:
        """A sub-device as ``subdevices`` shows it."""
        rows = (await self.read.get("/v1/subdevices"))["subdevices"]
        return next((row for row in rows if row["id"] == str(device)), None)

    def token(self, device: DeviceId) -> bytes:
        """The last token that was reported for a device, as its firmware would tell a phone nearby."""
        tokens = self.agent.ledger.tokens.values()
        return [t.value for t in tokens if t.device == device and t.state is TokenState.REPORTED][-1]

    @property
    def service(self) -> Service:
        assert self.agent.service is not None
        return self.agent.service

    async def owner(self, *devices: DeviceId) -> Owner:
        """Somebody with an account who has bound the gateway and those devices."""
        account = await self.service.create_account("owner")
        owner = Owner(self.service, account.caller)
        for device in (GATEWAY, *devices):
            await self.until(partial(self.told, "token_reported", device=str(device)))
            assert (await owner.bind(device, self.token(device))).code == 200
        await self.until(lambda: self.told("gateway_bound"))
        return owner


def log_of(daemon: Daemon) -> EventLog:
    return daemon.agent.events


Prepare = Callable[[Daemon], None]
Scene = Callable[[World], Awaitable[None]]


@asynccontextmanager
async def running(
    site: Site,
    *,
    clock: JumpingClock | None = None,
    home: str | None = None,
    prepare: Prepare = lambda _: None,
    probes: Probes | None = None,
) -> AsyncIterator[World]:
    """A daemon that is ready; afterwards it was stopped, and what ended it early is raised.

    ``home`` is the text of a scenario to live in, ``prepare`` is shown the daemon before it runs.
    """
    orders: dict[str, Any] = {"probes": probes or Probes()}
    if home is not None:
        site.scenario.write_text(home, "utf-8")
        orders |= {"simulate": True, "scenario": site.scenario}
    clock = clock or JumpingClock()
    daemon = site.daemon(clock, **orders)
    prepare(daemon)
    world = World(site, daemon, clock)
    life = asyncio.ensure_future(daemon.run())
    try:
        await world.until(lambda: life.done() or world.told("daemon_started"))
        yield world
    finally:
        daemon.stopping.set()
        await life


def live(site: Site, scene: Scene, **given: Any) -> None:
    """Play a scene in a running daemon, on jumping time."""

    async def main() -> None:
        async with running(site, **given) as world:
            await scene(world)

    run_jumping(main())


def in_world(
    *, ble: tuple[str, ...] = (), wifi: tuple[str, ...] = (), drop_in: str = "", **given: Any
) -> Callable[[Scene], Callable[[Path], None]]:
    """Make a test of a scene: it is played in a fresh site, as `live` does."""

    def decorate(scene: Scene) -> Callable[[Path], None]:
        assert inspect.iscoroutinefunction(scene)

        def test(tmp_path: Path) -> None:
            site = Site(tmp_path, ble=ble, wifi=wifi)
            if drop_in:
                site.drop_in(drop_in)
            live(site, scene, **given)

        test.__name__, test.__doc__ = scene.__name__, scene.__doc__
        return test

    return decorate
