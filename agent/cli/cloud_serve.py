"""The provisioning service alone: no radios, no gateway, only its HTTP API."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from agent import config
from agent.assembly import Current
from agent.claim import claim
from agent.clock import SystemClock
from agent.config.values import is_loopback
from agent.credentials import Credentials, device_secret_name, product_secret_name
from agent.daemon import load_credentials
from agent.errors import ConfigError
from agent.events import EventLog
from agent.gateway.facade import LEVELS
from agent.health import Health
from agent.ingress import Ingress
from agent.model import DeviceId, Product
from agent.service.entrance import Entrance
from agent.service.http import Address, Front, read_address
from agent.service.service import Service


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line says; ``listen`` None is what the configuration says."""

    config: Path
    state: Path
    listen: str | None
    lab: bool
    token_code: int


async def serve(order: Order) -> None:
    """Print the URL once it listens, and serve until SIGTERM or SIGINT; ConfigError, HardwareError."""
    settings = config.load(order.config)
    address = _find_address(order, settings)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("enrolld").setLevel(LEVELS[settings.log.level])
    clock = SystemClock()
    health = Health(clock.utc, EventLog(clock).emit)
    ingress = Ingress(health, strict=os.environ.get("ENROLLD_STRICT") == "1")
    with claim(order.state):
        service = await _open(order, settings, clock)
        try:
            await _run(service, Front(Entrance(service, clock, ingress, lab=order.lab), address))
        finally:
            await service.close()


def _find_address(order: Order, settings: config.Settings) -> Address:
    given = settings.service if order.listen is None else replace(settings.service, listen=order.listen)
    address = read_address(given)
    if address is None:
        raise ConfigError("no address to listen on: --listen, or service.listen, is HOST:PORT")
    if address.certificate is None and not is_loopback(address.host):
        raise ConfigError(
            f"{given.listen} is beyond loopback, which needs service.tls_certificate and service.tls_key"
        )
    return address


async def _open(order: Order, settings: config.Settings, clock: SystemClock) -> Service:
    known: Credentials = load_credentials(settings)

    def product_secret(product: Product) -> str | None:
        return known.get(product.secret or product_secret_name(product.product_key))

    def device_secret(device: DeviceId) -> str | None:
        return known.get(device_secret_name(device.product_key, device.device_name))

    return await Service.open(
        order.state,
        products=lambda: settings.products,
        product_secret=product_secret,
        device_secret=device_secret,
        clock=clock,
        settings=replace(Current(settings).service(), token_code=order.token_code),
    )


async def _run(service: Service, front: Front) -> None:
    async def opened(url: str) -> None:
        await service.note_url(url)
        print(url, flush=True)

    loop, whole = asyncio.get_running_loop(), asyncio.current_task()
    if whole is None:
        raise AssertionError("this runs in a task")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, whole.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await front.serve(opened)
