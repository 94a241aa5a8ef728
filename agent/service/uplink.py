"""A direct device's own connection to the embedded service, in real bytes (port DeviceUplink)."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from agent.codec import alink
from agent.codec.alink_sign import connect_credentials
from agent.errors import CloudBusy, CloudRefused, FrameError, InputRefused, StoreError
from agent.model import DeviceId
from agent.ports import Reply
from agent.service.service import Service, Session

TIMESTAMP = "2524608000000"  # opaque to the platform; the C SDK pins this one (cloud-device-channel.md 1)


class EmbeddedUplink:
    """Where direct devices connect when the cloud is in this process."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def connect(self, device: DeviceId, secret: str) -> AbstractAsyncContextManager[EmbeddedConnection]:
        """Log in with the deviceSecret; CloudRefused 401 when it is not the device's, 403 for other kinds."""
        return _connect(self._service, device, secret)


class EmbeddedConnection:
    """An open connection of one direct device."""

    def __init__(self, service: Service, device: DeviceId) -> None:
        self._service = service
        self._device = device
        self._ids = itertools.count(1)
        self._replies: dict[str, Reply] = {}
        self.session: Session | None = None
        self.notices: list[tuple[str, object]] = []

    def take(self, topic: str, payload: bytes) -> None:
        """What the service sends: a reply is kept for whoever asked, a notice for whoever looks."""
        try:
            place, message = alink.read_topic(topic), alink.read_message(payload)
        except FrameError:
            return
        if isinstance(message, alink.Answer):
            self._replies[str(message.id)] = Reply(message.code, message.data, message.message)
        elif place is not None:
            self.notices.append((place[1], message.params))

    async def match(self, token: bytes) -> Reply:
        """Report a bind token of 16 octets; CloudBusy when the service does not answer."""
        number = str(next(self._ids))
        payload = alink.build_request(number, alink.MATCH, {"token": token.hex().upper()})
        try:
            if self.session is not None:
                await self._service.receive(self.session, alink.topic_of(self._device, alink.MATCH), payload)
        except StoreError as error:
            raise CloudBusy(f"match: {error}") from error
        reply = self._replies.pop(number, None)
        if reply is None:
            raise CloudBusy("match: no reply, the connection is closed")
        return reply


@asynccontextmanager
async def _connect(service: Service, device: DeviceId, secret: str) -> AsyncIterator[EmbeddedConnection]:
    connection = EmbeddedConnection(service, device)
    try:
        session = await service.connect_signed(
            connect_credentials(device, secret, TIMESTAMP), connection.take
        )
    except InputRefused as refusal:
        raise CloudRefused(refusal.code, f"{device}: {refusal}") from refusal
    except StoreError as error:
        raise CloudBusy(f"connect: {error}") from error
    connection.session = session
    try:
        yield connection
    finally:
        service.disconnect(session)
