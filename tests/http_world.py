"""A provisioning service on a loopback socket, an app that signs by itself, and accounts with gateways."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

from agent.codec import alink
from agent.events import EventLog
from agent.health import Health
from agent.ingress import Ingress
from agent.model import DeviceId
from agent.service.entrance import Entrance
from agent.service.http import Address, Front, Limits
from agent.service.service import Service
from agent.service.values import Account, ServiceSettings
from tests.jumping import JumpingClock
from tests.service_world import GATEWAY, SUB, Line, join, named, opened

LAMP = {"productId": "0x000aa7ab", "mac": "AA:BB:CC:00:11:22", "rssi": -60, "generation": "B1"}
LAMP_ID = "ble:AA:BB:CC:00:11:22/000aa7ab"

LIST = "/awss/enrollee/list/get"
FILTER = "/awss/enrollee/product/filter"
CHECKIN = "/awss/enrollee/checkin"
CHECK = "/awss/token/check"
BIND = "/awss/token/user/bind"
WINDOW = "/awss/time/window/user/bind"
CIPHER = "/awss/cipher/get"
PERMIT = "/thing/gateway/permit"
REMOVE = "/thing/topo/remove"
LOGIN = "/account/createSessionByAuthCode"
REFRESH = "/account/checkOrRefreshSession"
LOGOUT = "/iotx/account/invalidSession"
NINE = (LIST, FILTER, CHECKIN, CHECK, BIND, WINDOW, CIPHER, PERMIT, REMOVE)
SESSIONS = (LOGIN, REFRESH, LOGOUT)

Document = dict[str, Any]
NUMBERS = itertools.count(1)


class SetClock(JumpingClock):
    """Real time that a test may move on."""

    def __init__(self) -> None:
        super().__init__()
        self._moved = 0.0

    def boot(self) -> float:
        return super().boot() + self._moved

    def utc(self) -> float:
        return super().utc() + self._moved

    def move(self, seconds: float) -> None:
        self._moved += seconds


@dataclass(frozen=True, slots=True)
class Told:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Document:
        document = json.loads(self.body)
        assert set(document) == {"code", "data", "message", "localizedMsg", "id"}
        return dict(document)

    @property
    def code(self) -> int:
        assert self.status == 200, (self.status, self.body)
        return int(self.document["code"])

    @property
    def data(self) -> Any:
        assert self.code == 200, self.body
        return self.document["data"]


async def read_answer(reader: asyncio.StreamReader) -> Told:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Told(int(head[0].split()[1]), headers, body)


@dataclass(slots=True)
class App:
    """What an app knows; it makes requests from the documents (HTTP 2), with no code of ours."""

    port: int
    key: str
    secret: str
    clock: JumpingClock

    def sign(
        self,
        path: str,
        body: bytes,
        *,
        without: tuple[str, ...] = (),
        signed: tuple[str, ...] = ("x-ca-key", "x-ca-nonce", "x-ca-signaturemethod"),
        **changed: str,
    ) -> dict[str, str]:
        """The headers of a request; ``changed`` before it is signed, ``a_b`` for ``a-b``."""
        headers = {
            "accept": "application/json",
            "content-type": "application/octet-stream",
            "content-md5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
            "date": formatdate(self.clock.utc(), usegmt=True),
            "x-ca-key": self.key,
            "x-ca-nonce": f"{next(NUMBERS):032x}",
            "x-ca-signaturemethod": "HmacSHA256",
        } | {name.replace("_", "-"): value for name, value in changed.items()}
        headers = {name: value for name, value in headers.items() if name not in without}
        fixed = [headers.get(name, "") for name in ("accept", "content-md5", "content-type", "date")]
        lines = [f"{name}:{headers.get(name, '')}" for name in sorted(signed)]
        text = "\n".join(["POST", *fixed, *lines, path])
        signature = base64.b64encode(hmac.digest(self.secret.encode(), text.encode(), "sha256")).decode()
        return {"x-ca-signature-headers": ",".join(sorted(signed)), "x-ca-signature": signature} | headers

    async def raw(self, *pieces: bytes) -> Told:
        """What these bytes are answered, on a connection of their own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return await read_answer(reader)
        finally:
            writer.close()

    async def send(self, path: str, body: bytes, headers: dict[str, str], method: str = "POST") -> Told:
        return await self.raw(frame(path, body, headers, method))

    async def post(self, path: str, document: object, **options: Any) -> Told:
        """One signed request with that body."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return await self.send(path, body, self.sign(path, body, **options))

    async def call(
        self,
        path: str,
        params: object,
        token: str | None = None,
        *,
        api_ver: str = "1.0.8",
        request_id: object = "1509086454180",
    ) -> Told:
        """One call in the session of that token."""
        return await self.post(path, envelope(params, token, api_ver=api_ver, request_id=request_id))

    async def log_in(self, account: Account) -> Document:
        request = {"authCode": account.auth_code, "accountType": "OA_SESSION", "appKey": self.key}
        data = (await self.call(LOGIN, {"request": request}, api_ver="1.0.4")).data
        return dict(data)


def envelope(
    params: object, token: str | None, *, api_ver: str = "1.0.8", request_id: object = "1"
) -> Document:
    request = {"apiVer": api_ver} | ({} if token is None else {"iotToken": token})
    return {"id": request_id, "version": "1.0", "params": params, "request": request}


def frame(path: str, body: bytes, headers: dict[str, str], method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(slots=True)
class Home:
    """One account: its gateway's connection, its token, and what it may name."""

    account: Account
    line: Line
    session: Document
    gateway: str
    ids: Document = field(default_factory=dict)

    @property
    def token(self) -> str:
        return str(self.session["iotToken"])


@dataclass(slots=True)
class Shop:
    """The service on its socket, and two homes; only the first has devices."""

    service: Service
    front: Front
    clock: SetClock
    ingress: Ingress
    app: App
    directory: Path

    async def settle(self, name: str, gateway: DeviceId) -> Home:
        """A new account with a gateway of its own."""
        line = await Line(self.service).open(gateway)
        account = await self.service.create_account(name)
        token = f"{next(NUMBERS):032X}"
        assert (await line.ask(alink.MATCH, {"token": token}))[0] == 200
        bound = await self.service.call(account.caller, BIND, named(gateway) | {"token": token})
        assert bound.code == 200
        return Home(account, line, await self.app.log_in(account), self.service.iot_id(gateway))

    async def furnish(self) -> Home:
        """The first home: a sub-device that is online, and an enrollee on report."""
        home = await self.settle("home", GATEWAY)
        await join(home.line, SUB)
        assert (await home.line.ask(alink.FOUND, {"ble": [LAMP]}))[0] == 200
        home.ids = {"gateway": home.gateway, "sub": self.service.iot_id(SUB)}
        return home

    async def report(self, home: Home) -> str:
        """A new live token of the home's gateway."""
        token = f"{next(NUMBERS):032X}"
        assert (await home.line.ask(alink.MATCH, {"token": token}))[0] == 200
        return token


@asynccontextmanager
async def shop_at(
    path: Path,
    *,
    settings: ServiceSettings | None = None,
    limits: Limits | None = None,
    lab: bool = False,
    strict: bool = True,
    clock: SetClock | None = None,
) -> AsyncIterator[Shop]:
    """A service that listens on a free port of loopback until the block ends."""
    clock = clock or SetClock()
    async with opened(path, clock=clock, settings=settings) as service:
        ingress = Ingress(Health(clock.utc, EventLog(clock).emit), strict=strict)
        front = Front(Entrance(service, clock, ingress, lab=lab), Address("127.0.0.1", 0), limits)
        async with listening(front) as port:
            app = App(port, service.app.key, service.app.secret, clock)
            yield Shop(service, front, clock, ingress, app, path)


@asynccontextmanager
async def listening(front: Front) -> AsyncIterator[int]:
    """The port of a front, which serves until the block ends."""

    async def opened(url: str) -> None:
        assert url == front.url

    serving = asyncio.create_task(front.serve(opened))
    waiting = asyncio.create_task(front.listening.wait())
    await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if serving.done():
        serving.result()
    try:
        yield int(str(front.url).rpartition(":")[2])
    finally:
        serving.cancel()
        await asyncio.wait((serving,))
