"""CloudLink to the provisioning service of this process: the bytes of the wire, without the wire."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import NoReturn

from agent.codec import alink
from agent.errors import CloudBusy, CloudRefused, FrameError, InputRefused, StoreError
from agent.model import DeviceId
from agent.ports import Clock, Downlink, Reply
from agent.service.service import Service, Session

TAKEN_OVER = (alink.ERROR, 427)  # its id is the service's, and answers no request of ours
PATIENCE = 15.0  # seconds without a reply (cloud-device-channel.md 2)


class EmbeddedLink:
    """The gateway's device channel to the embedded service; ``found`` may carry BLE enrollees.

    ``on_send`` is called with the topic's name before anything is sent (``connect`` first): what it
    raises ends that call, so a test can cut the power or the line there.
    """

    carries_ble = True

    def __init__(
        self,
        service: Service,
        gateway: DeviceId,
        clock: Clock,
        on_send: Callable[[str], None] | None = None,
    ) -> None:
        self._service = service
        self._gateway = gateway
        self._clock = clock
        self._on_send = on_send or (lambda _: None)
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Reply | None]] = {}
        self._session: Session | None = None

    async def hold(self, arrived: Callable[[Downlink], None], connected: Callable[[], None]) -> NoReturn:
        """Keep the session open until cancelled; CloudBusy when it cannot be had or another took it over."""
        self._on_send("connect")
        try:
            session = await self._service.connect(
                self._gateway, lambda topic, payload: self._take(topic, payload, arrived)
            )
        except InputRefused as refusal:
            raise CloudRefused(refusal.code, f"connect: {refusal}") from refusal
        except StoreError as error:
            raise CloudBusy(f"connect: {error}") from error
        self._session = session
        try:
            connected()
            await session.wait_closed()
        finally:
            self._leave(session)
        raise CloudBusy("the session was closed: the gateway connected elsewhere")

    def _leave(self, session: Session) -> None:
        """Everyone who still waits will get no reply on a later session."""
        self._service.disconnect(session)
        if self._session is session:
            self._session = None
            for waiting in self._waiting.values():
                _settle(waiting, None)

    async def ask(self, device: DeviceId, name: str, params: object) -> Reply:
        """Send one request and wait up to 15 s for its reply; CloudBusy when none comes.

        An ``/ext/error`` for the request counts as its reply.
        """
        number = str(next(self._ids) % 2**32)
        waiting: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            await self._send(device, name, alink.build_request(number, name, params))
            reply = waiting.result() if waiting.done() else await self._wait(waiting)
        finally:
            del self._waiting[number]
        if reply is None:
            raise CloudBusy(f"{name}: no reply within {PATIENCE:g} s")
        return reply

    async def answer(self, downlink: Downlink, code: int, data: object) -> None:
        """Reply to a downlink; nothing is sent when it wants no reply."""
        if downlink.ack:
            message = "success" if code == 200 else "error"
            payload = alink.build_answer(downlink.id, code, data, message=message, name=downlink.name)
            await self._send(downlink.device, downlink.name + alink.REPLY, payload)

    async def _send(self, device: DeviceId, name: str, payload: bytes) -> None:
        self._on_send(name)
        if self._session is None:
            raise CloudBusy(f"{name}: there is no session")
        try:
            await self._service.receive(self._session, alink.topic_of(device, name), payload)
        except InputRefused as refusal:
            raise CloudRefused(refusal.code, f"{name}: {refusal}") from refusal
        except StoreError as error:
            raise CloudBusy(f"{name}: {error}") from error

    async def _wait(self, waiting: asyncio.Future[Reply | None]) -> Reply | None:
        async with asyncio.TaskGroup() as group:
            timer = group.create_task(self._expire(waiting))
            reply = await waiting
            timer.cancel()
        return reply

    async def _expire(self, waiting: asyncio.Future[Reply | None]) -> None:
        await self._clock.sleep(PATIENCE)
        _settle(waiting, None)

    def _take(self, topic: str, payload: bytes, arrived: Callable[[Downlink], None]) -> None:
        """One message of the service; broken ones are dropped, as any device does."""
        try:
            place, message = alink.read_topic(topic), alink.read_message(payload)
        except FrameError:
            return
        if place is None:
            return
        device, name = place
        if isinstance(message, alink.Answer):
            waiting = self._waiting.get(str(message.id))
            if waiting is not None and (name, message.code) != TAKEN_OVER:
                _settle(waiting, Reply(message.code, message.data, message.message))
        else:
            arrived(Downlink(device, name, message.id, message.params, message.ack))


def _settle(waiting: asyncio.Future[Reply | None], reply: Reply | None) -> None:
    if not waiting.done():
        waiting.set_result(reply)
