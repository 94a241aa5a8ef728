"""An HTTP server on loopback that keeps every request and answers by a script."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import h11

DROP = object()
HANG = object()
LOGIN = "/account/createSessionByAuthCode"
TOKEN = "8c2d4f6a0b1e3c5d7f9a0b2c4d6e8f10"


@dataclass(frozen=True)
class Raw:
    """An answer that is no envelope."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Recorded:
    """One request as it arrived."""

    path: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        return next(value for other, value in self.headers if other.lower() == name)


def data(value: object) -> dict[str, object]:
    """An envelope of success."""
    return {"code": 200, "data": value, "message": "success", "localizedMsg": "success", "id": "1"}


def error(code: int, message: str = "no") -> dict[str, object]:
    """An envelope of anything else."""
    return {"code": code, "data": None, "message": message, "localizedMsg": message, "id": "1"}


def grant(token: str = TOKEN, life: int = 72000) -> dict[str, object]:
    """What opens a session."""
    return data(
        {
            "identityId": "50f2op52a61e7de2f741cce66eaac900fd071323",
            "iotToken": token,
            "iotTokenExpire": life,
            "refreshToken": "4DF38E239EA0B9D5A6B04D5262D9C15F",
            "refreshTokenExpire": 720000,
        }
    )


@dataclass
class Recorder:
    """Answers by path: each of a list in turn, the last one for ever; logins are granted."""

    answers: dict[str, list[Any]] = field(default_factory=dict)
    requests: list[Recorded] = field(default_factory=list)
    url: str = ""

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def of(self, path: str) -> list[Recorded]:
        return [request for request in self.requests if request.path == path]

    def _next(self, path: str) -> Any:
        answers = self.answers.setdefault(path, [grant()] if path == LOGIN else [data(None)])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http, body = h11.Connection(h11.SERVER), b""
        request = None
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                return
        assert request is not None
        headers = [(name.decode(), value.decode()) for name, value in request.headers.raw_items()]
        path = request.target.decode()
        assert request.method == b"POST"
        self.requests.append(Recorded(path, headers, body))
        answer = self._next(path)
        if answer is HANG:
            await reader.read()  # until the client has lost its patience
        elif answer is not DROP:
            raw = answer if isinstance(answer, Raw) else Raw(200, json.dumps(answer).encode())
            writer.write(_encode(http, raw))
            await writer.drain()


def _encode(http: h11.Connection, raw: Raw) -> bytes:
    headers = [*raw.headers, ("Content-Length", str(len(raw.body))), ("Connection", "close")]
    events = (h11.Response(status_code=raw.status, headers=headers), h11.Data(raw.body), h11.EndOfMessage())
    return b"".join(http.send(event) or b"" for event in events)


@asynccontextmanager
async def recording(
    answers: dict[str, list[Any]] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Recorder]:
    """A recorder that listens until the block ends."""
    recorder = Recorder(answers or {})

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await recorder.serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    scheme = "https" if tls else "http"
    recorder.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield recorder
