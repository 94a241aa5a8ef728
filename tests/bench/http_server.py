"""``python -m tests.bench.http_server bare|service DIRECTORY``: what the bench of the HTTP API measures.

It prints one JSON line with all that a client needs, and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from agent.clock import SystemClock
from agent.codec import alink
from agent.events import EventLog
from agent.health import Health
from agent.ingress import Ingress
from agent.model import DeviceId, Product
from agent.service.entrance import Entrance
from agent.service.http import Address, Front
from agent.service.service import Service, Session

LAMP = Product("a1BenchLamp", "Lamp", 5, product_ids=(7,), secret="product_secret.a1BenchLamp")
PRODUCTS = {p.product_key: p for p in (Product("a1BenchGate", "Gateway", 7, node_type=1), LAMP)}
GATEWAYS, ENROLLEES = 40, 250
TOKEN = "4786F0F6E1CC7BF86017FD4D1429EE4F"

Document = dict[str, Any]


async def serve_bare(_: Path) -> tuple[Document, asyncio.Task[None]]:
    """The least that an aiohttp application does: it reads the body and answers JSON."""
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        return web.json_response({"code": 200, "data": None, "id": body["id"]})

    app = web.Application()
    app.router.add_post("/awss/token/check", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    return {"port": port}, asyncio.create_task(asyncio.sleep(3600))


async def serve_service(directory: Path) -> tuple[Document, asyncio.Task[None]]:
    """The provisioning service with one account, its gateways, and what they have on report."""
    clock = SystemClock()
    service = await Service.open(
        directory,
        products=lambda: PRODUCTS,
        product_secret=lambda product: "PSbench000000001",
        device_secret=lambda device: None,
        clock=clock,
    )
    account = await service.create_account("bench")
    gateways = [DeviceId("a1BenchGate", f"gate-{number:04}") for number in range(GATEWAYS)]
    for number, gateway in enumerate(gateways):
        session = await service.connect(gateway, lambda topic, payload: None)
        await send(service, session, alink.MATCH, {"token": f"{number + 1:032X}"})
        params = {"productKey": gateway.product_key, "deviceName": gateway.device_name}
        bound = await service.call(
            account.caller, "/awss/token/user/bind", params | {"token": f"{number + 1:032X}"}
        )
        assert bound.code == 200
        await report(service, session, number)
    await send(service, session, alink.MATCH, {"token": TOKEN})
    health = Health(clock.utc, EventLog(clock).emit)
    front = Front(Entrance(service, clock, Ingress(health, strict=False)), Address("127.0.0.1", 0))
    opened = asyncio.Event()

    async def told(url: str) -> None:
        opened.set()

    task = asyncio.create_task(front.serve(told))
    await opened.wait()
    known = account.document(service.app, front.url)
    return known | {"port": int(str(front.url).rpartition(":")[2]), "gateway": service.iot_id(gateway)}, task


async def send(service: Service, session: Session, name: str, params: object) -> None:
    topic = alink.topic_of(session.device, name)
    await service.receive(session, topic, alink.build_request("1", name, params))


async def report(service: Service, session: Session, number: int) -> None:
    """All enrollees of one gateway, 50 in a message."""
    macs = (f"02{number:04X}{enrollee:06X}" for enrollee in range(ENROLLEES))
    while some := list(itertools.islice(macs, 50)):
        ble = [{"productId": "7", "mac": mac, "rssi": -60} for mac in some]
        await send(service, session, alink.FOUND, {"ble": ble})


async def main() -> None:
    kind, directory = sys.argv[1], Path(sys.argv[2])
    told, task = await (serve_bare if kind == "bare" else serve_service)(directory)
    print(json.dumps(told), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
