"""The job that keeps the provisioning service answering HTTP at its address."""

from __future__ import annotations

import logging

from agent.errors import StoreError
from agent.health import Health
from agent.jobs.keeping import Retry, keep_running, recovered
from agent.ports import Clock
from agent.service.http import Front
from agent.service.service import Service

SUBJECT = "service.listen"

log = logging.getLogger("enrolld.front")


async def run_front(front: Front, service: Service, health: Health, clock: Clock) -> None:
    """Listen until cancelled; an address that cannot be had is a named trouble, and tried again."""
    retry = Retry()

    async def opened(url: str) -> None:
        recovered(SUBJECT, retry, health)
        log.info("the provisioning service answers at %s", url)
        try:
            await service.note_url(url)
        except StoreError as error:
            log.warning("where it answers is not noted for the control tool: %s", error)

    async def serve() -> None:
        await front.serve(opened)

    await keep_running(SUBJECT, serve, retry, health=health, clock=clock)
