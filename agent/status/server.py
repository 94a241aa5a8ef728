"""The daemon's local sockets: HTTP/1.1 on three Unix sockets, one right each."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

from agent.errors import AgentError
from agent.ingress import Ingress
from agent.ports import Clock
from agent.status.connection import Connection, turn_away
from agent.status.message import Answer, Request, Stream, refusal
from agent.status.routing import answer, explain
from agent.status.sockets import Listener, Right
from agent.status.verbs import Agent

CONNECTIONS = 64  # open at once on each socket
ACCEPT_PAUSE = 1.0  # seconds without accepting after the kernel refused, for example for want of files

log = logging.getLogger("enrolld.status")


class SocketServer:
    """Answers on sockets that `agent.status.sockets.bind_all` opened, or that systemd handed over.

    Opening is apart from serving, so that what can fail fails before any job runs.
    """

    def __init__(self, agent: Agent, ingress: Ingress, clock: Clock, listeners: Sequence[Listener]) -> None:
        self._agent = agent
        self._ingress = ingress
        self._clock = clock
        self._listeners = listeners
        self._open: Counter[Right] = Counter()

    async def serve(self) -> NoReturn:
        """Answer until cancelled; then every connection is closed and our socket files are removed.

        A task cancelled before its first turn runs nothing of this: who bound the listeners closes them too.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for listener in self._listeners:
                    tasks.create_task(self._accept(listener, tasks), name=f"accept {listener.right.value}")
            raise AssertionError("accepting never ends by itself")
        finally:
            for listener in self._listeners:
                listener.close()

    async def _accept(self, listener: Listener, tasks: asyncio.TaskGroup) -> NoReturn:
        loop = asyncio.get_running_loop()
        listener.socket.settimeout(0)  # one from systemd may block
        while True:
            try:
                peer, _ = await loop.sock_accept(listener.socket)
            except OSError as error:
                log.warning("cannot accept on %s: %s", listener.right.value, error.strerror)
                await self._clock.sleep(ACCEPT_PAUSE)
                continue
            if self._open[listener.right] >= CONNECTIONS:
                turn_away(peer, refusal(503, "busy", f"{CONNECTIONS} connections are open already"))
                continue
            self._open[listener.right] += 1
            tasks.create_task(self._serve_peer(listener.right, peer), name=f"peer {listener.right.value}")

    async def _serve_peer(self, right: Right, peer: socket.socket) -> None:
        async def respond(request: Request) -> Answer | Stream:
            return await self._answer(right, request)

        try:
            await Connection(peer, respond).serve()
        except Exception as error:  # noqa: BLE001  ingress boundary
            self._ingress.caught("socket connection", b"", error)
        finally:
            self._open[right] -= 1

    async def _answer(self, right: Right, request: Request) -> Answer | Stream:
        try:
            return await answer(self._agent, right, request)
        except AgentError as error:
            return explain(error)
        except Exception as error:  # noqa: BLE001  ingress boundary
            # Not the body: it may hold a passphrase, and what is caught is kept.
            line = f"{request.method} {request.target}".encode("ascii")
            self._ingress.caught("socket request", line, error)
            return refusal(500, "internal", "enrolld failed on that request; its log and health say more")
