"""A provisioning service on jumping time, gateways that speak the real bytes, and accounts that own them."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from agent.codec import alink, alink_sign
from agent.model import DeviceId, Product
from agent.service.service import FILE_NAME, Service, Session
from agent.service.values import Caller, ServiceSettings
from tests.jumping import JumpingClock

GATEWAY = DeviceId("a1GwProdKey", "gw_0001")
OTHER_GATEWAY = DeviceId("a1GwProdKey", "gw_0002")
SUB = DeviceId("a1SubProdKy", "zb_0001")
SUB_2 = DeviceId("a1SubProdKy", "zb_0002")
BLE = DeviceId("a1BleProdKy", "ble_0001")
COMBO = DeviceId("a1ComboPrdK", "combo_01")

PRODUCTS = {
    p.product_key: p
    for p in (
        Product("a1GwProdKey", "Gateway", 7, node_type=1),
        Product("a1SubProdKy", "Plug", 4, category="Plug", secret="product_secret.a1SubProdKy"),
        Product("a1BleProdKy", "Lamp", 5, product_ids=(0x000AA7AB, 0x75C66266), secret="product_secret.ble"),
        Product("a1ComboPrdK", "Kettle", 3, secret="product_secret.combo"),
        Product("a1Hidden000", "Draft", 5, published=False),
    )
}
PRODUCT_SECRETS = {
    "a1SubProdKy": "PSsubsecret00001",
    "a1BleProdKy": "PSblesecret00002",
    "a1ComboPrdK": "PScombosecret003",
}
DEVICE_SECRETS = {
    SUB: "DSsub0123456789abcdef0123456789ab",
    COMBO: "DScombo23456789abcdef0123456789a",
}

TOKEN = "4786F0F6E1CC7BF86017FD4D1429EE4F"
TOKEN_2 = "B52C577E55DE6B3CAF5B0C882410D8BF"


@asynccontextmanager
async def opened(
    path: Path,
    *,
    clock: JumpingClock | None = None,
    settings: ServiceSettings | None = None,
    on_commit: Callable[[str], None] | None = None,
) -> AsyncIterator[Service]:
    """The service on a state directory, closed at the end."""
    service = await Service.open(
        path,
        products=lambda: PRODUCTS,
        product_secret=lambda product: PRODUCT_SECRETS.get(product.product_key),
        device_secret=DEVICE_SECRETS.get,
        clock=clock or JumpingClock(),
        settings=settings,
        on_commit=on_commit,
    )
    try:
        yield service
    finally:
        await service.close()


class Line:
    """One device's connection: requests by bytes, and everything that arrived on it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._ids = itertools.count(1)
        self.session: Session | None = None
        self.received: list[tuple[str, dict[str, object]]] = []

    async def open(self, device: DeviceId, *, gateway: bool = True) -> Line:
        self.session = await self._service.connect(device, self.take, gateway=gateway)
        return self

    def take(self, topic: str, payload: bytes) -> None:
        self.received.append((topic, json.loads(payload)))

    async def send(self, topic: str, payload: bytes) -> list[tuple[str, dict[str, object]]]:
        """What arrived here because of these bytes."""
        assert self.session is not None
        before = len(self.received)
        await self._service.receive(self.session, topic, payload)
        return self.received[before:]

    async def ask(self, name: str, params: object, device: DeviceId | None = None) -> tuple[int, object]:
        """Code and data of the reply to one request; of ``/ext/error`` when that came instead."""
        assert self.session is not None
        device = device or self.session.device
        number = str(next(self._ids))
        topic = alink.topic_of(device, name)
        arrived = await self.send(topic, alink.build_request(number, name, params))
        expected = {topic + "_reply", alink.topic_of(self.session.device, alink.ERROR)}
        [reply] = [body for place, body in arrived if place in expected and body["id"] == number]
        assert isinstance(reply["code"], int)
        return reply["code"], reply["data"]

    def downlinks(self, name: str, device: DeviceId | None = None) -> list[object]:
        """The params of the requests that arrived under a name."""
        assert self.session is not None
        topic = alink.topic_of(device or self.session.device, name)
        return [body["params"] for place, body in self.received if place == topic]


def signed(
    device: DeviceId, secret: str, *, spelling: str = "signmethod", options: str = ""
) -> dict[str, object]:
    """What topo/add (or login, with the other spelling and options) sends for a device."""
    client_id = f"{device.product_key}.{device.device_name}{options}"
    text = alink_sign.session_text(client_id, device, "1580974374000")
    sign = alink_sign.sign("hmacsha256", secret, text).upper()
    return named(device) | {
        "clientId": client_id, "timestamp": "1580974374000", spelling: "hmacSha256", "sign": sign
    }  # fmt: skip


def login_of(device: DeviceId, secret: str) -> dict[str, object]:
    """The params of combine/login, as the C SDK writes them."""
    params = signed(device, secret, spelling="signMethod", options="|_ss=1,_v=sdk-c-3.2.0|")
    return params | {"cleanSession": "true"}


def named(device: DeviceId) -> dict[str, object]:
    return {"productKey": device.product_key, "deviceName": device.device_name}


async def join(line: Line, device: DeviceId) -> None:
    """Put a sub-device behind the gateway of a line and log it in, with the secret it has or gets."""
    code, data = await line.ask(alink.SUB_REGISTER, [named(device)])
    assert code == 200
    assert isinstance(data, list)
    secret = str(data[0]["deviceSecret"])
    assert (await line.ask(alink.TOPO_ADD, [signed(device, secret)]))[0] == 200
    assert (await line.ask(alink.LOGIN, login_of(device, secret)))[0] == 200


async def own(service: Service, line: Line, name: str, token: str = "11" * 16) -> Caller:
    """An account to which the gateway of a line is bound."""
    caller = (await service.create_account(name)).caller
    assert line.session is not None
    assert (await line.ask(alink.MATCH, {"token": token}))[0] == 200
    params = named(line.session.device) | {"token": token}
    assert (await service.call(caller, "/awss/token/user/bind", params)).code == 200
    return caller


async def get(service: Service, caller: Caller, path: str, params: object) -> dict[str, object]:
    """The data of a call that must succeed and answer an object."""
    answer = await service.call(caller, path, params)
    assert answer.code == 200, answer
    assert isinstance(answer.data, dict)
    return answer.data


def dump(path: Path) -> list[str]:
    """Everything that is on the disk."""
    db = sqlite3.connect(path / FILE_NAME)
    try:
        return list(db.iterdump())
    finally:
        db.close()


# What no field expects: each kind of JSON value, out of bounds in each direction.
HOSTILE: list[object] = [
    None, True, False, -1, 0, 2**31, 2**63 - 1, -(2**63), 10**30, 0.5, 1e300, float("nan"),
    "", " ", "x" * 100_000, "\x00", "\ud800", "'; DROP TABLE devices; --", "../../etc", "a/b#+", "é" * 40,
    [], [[]], [None], [1] * 1000, {}, {"a": {"b": {}}}, [{}], [{"productKey": 1}],
]  # fmt: skip


def spoil(value: object) -> Iterator[object]:
    """The value with each part, in turn, missing or replaced by each hostile one."""
    for wrong in HOSTILE:
        yield wrong
    if isinstance(value, dict):
        for name, member in value.items():
            yield {k: v for k, v in value.items() if k != name}
            for wrong in spoil(member):
                yield value | {name: wrong}
    elif isinstance(value, list):
        for at, member in enumerate(value):
            for wrong in spoil(member):
                yield [*value[:at], wrong, *value[at + 1 :]]
