"""A tiny gateway behind a Unix socket for the tests of those who ask to join."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h11

Document = dict[str, Any]
Answer = tuple[int, Document] | bytes | None
"""Status and document; octets to send as they are; None hangs up."""


class Door:
    """Answers each request by ``answer(method, target, body)`` and keeps what was asked."""

    def __init__(self, answer: Callable[[str, str, Document | None], Answer]) -> None:
        self.asked: list[tuple[str, str, Document | None]] = []
        self._answer = answer

    @asynccontextmanager
    async def open(self, socket: Path) -> AsyncIterator[Door]:
        """Serve until the end of the context; the socket file is gone then."""
        server = await asyncio.start_unix_server(self._serve, socket)
        try:
            yield self
        finally:
            server.close()
            socket.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        method, target, data = "", "", b""
        try:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await reader.read(65_536))
                elif isinstance(event, h11.Request):
                    method, target = event.method.decode(), event.target.decode()
                elif isinstance(event, h11.Data):
                    data += event.data
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    return
            body = json.loads(data) if data else None
            self.asked.append((method, target, body))
            writer.write(encode(connection, self._answer(method, target, body)))
            await writer.drain()
        finally:
            writer.close()
            await writer.wait_closed()


def encode(connection: h11.Connection, answer: Answer) -> bytes:
    if answer is None or isinstance(answer, bytes):
        return answer or b""
    status, document = answer
    data = json.dumps(document).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
    parts = (h11.Response(status_code=status, headers=headers), h11.Data(data), h11.EndOfMessage())
    return b"".join(connection.send(part) or b"" for part in parts)


ADMITTED = (200, {"v": 1, "decision": "admitted", "reason": "window_open", "ticket": "t-1", "ends_in": 5.0})
REFUSED = (200, {"v": 1, "decision": "refused", "reason": "window_closed", "sentence": "No window is open."})
JOINING = (202, {"v": 1, "state": "joining"})


def state(name: str, **more: object) -> tuple[int, Document]:
    return 200, {"v": 1, "state": name, **more}


def error(status: int, code: str) -> tuple[int, Document]:
    return status, {"v": 1, "error": {"code": code, "sentence": f"It was {code}."}}
