"""A server on real Unix sockets for tests, and clients that speak to it without any HTTP library."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from agent.health import Health
from agent.ingress import Ingress
from agent.status.server import SocketServer
from agent.status.sockets import Listener, Right, bind_all
from tests.jumping import JumpingClock
from tests.recording import RecordingAgent

READ, JOIN, ADMIN = (right.value for right in Right)


@dataclass
class Served:
    """A running server: what it talks to, where it listens, the task that serves."""

    agent: RecordingAgent
    run: Path
    health: Health
    task: asyncio.Task[None]


@contextmanager
def bound(run: Path) -> Iterator[list[Listener]]:
    listeners = bind_all(run)
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


@asynccontextmanager
async def serving(run: Path, *, strict: bool = True) -> AsyncIterator[Served]:
    clock = JumpingClock()
    agent = RecordingAgent(clock)
    health = Health(clock.utc, agent.log.emit)
    with bound(run) as listeners:
        server = SocketServer(agent, Ingress(health, strict=strict), clock, listeners)
        async with asyncio.TaskGroup() as tasks:
            task: asyncio.Task[None] = tasks.create_task(server.serve())
            yield Served(agent, run, health, task)
            task.cancel()


class Peer:
    """A client that sends bytes as they are and reads responses without any HTTP library."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(0)
        self.path = path
        self.buffer = b""

    async def __aenter__(self) -> Self:
        await asyncio.get_running_loop().sock_connect(self.socket, str(self.path))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.socket.close()

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def more(self) -> bool:
        data = await asyncio.get_running_loop().sock_recv(self.socket, 65536)
        self.buffer += data
        return bool(data)

    async def until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            if not await self.more():
                raise EOFError(self.buffer)
        taken, _, self.buffer = self.buffer.partition(mark)
        return taken

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        """One response that has a Content-Length."""
        lines = (await self.until(b"\r\n\r\n")).decode("ascii").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        length = int(headers["content-length"])
        while len(self.buffer) < length:
            assert await self.more(), "the body is cut off"
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(lines[0].split(" ")[1]), headers, body

    async def ended(self) -> bool:
        """True once the server has closed and sent nothing more."""
        return not await self.more() and not self.buffer

    async def ask(self, method: str, target: str, body: bytes | None = None) -> tuple[int, Any]:
        await self.send(message(method, target, body))
        status, _, answered = await self.response()
        return status, json.loads(answered)


def message(method: str, target: str, body: bytes | None = None) -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nHost: enrolld\r\n"
    if body is None:
        return f"{head}\r\n".encode()
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def ask(path: Path, method: str, target: str, body: bytes | None = None) -> tuple[int, Any]:
    async with Peer(path) as peer:
        return await peer.ask(method, target, body)


class Follower(Peer):
    """A reader of the stream, which comes in HTTP chunks."""

    async def follow(self, after: int = 0) -> None:
        await self.send(message("GET", f"/v1/events?follow=1&after={after}"))
        head = await self.until(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head

    async def chunk(self) -> bytes:
        length = int(await self.until(b"\r\n"), 16)
        while len(self.buffer) < length + 2:
            assert await self.more()
        data, self.buffer = self.buffer[:length], self.buffer[length + 2 :]
        return data


def read_stream(data: bytes) -> list[tuple[str | None, Any]]:
    """What an EventSource would hand on: (id, data) of each block that has data."""
    found = []
    for block in data.decode("utf-8").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if "data" in lines:
            found.append((lines.get("id"), json.loads(lines["data"])))
    return found
