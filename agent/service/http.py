"""The provisioning service on a socket: a thin front of aiohttp, which is loaded when it listens."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from agent.codec.apigw import ReceivedRequest
from agent.config import ServiceSettings
from agent.config.values import split_address
from agent.errors import HardwareError
from agent.service.entrance import Entrance, HttpAnswer, refuse

if TYPE_CHECKING:
    from aiohttp import StreamReader, web
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage
    from aiohttp.web_protocol import RequestHandler

    Connection = RequestHandler
    Server = web.Server

LONGEST_BODY = 64 * 1024
STOPS_WITHIN = 0.5  # seconds for answers that are under way when the service ends
HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    "Server": "enrolld",
    "Cache-Control": "no-store",
}

log = logging.getLogger("enrolld.http")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 is any free one; with both files it is TLS."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "https" if self.certificate else "http"


def read_address(settings: ServiceSettings) -> Address | None:
    """Where the settings have the service listen; None for nowhere."""
    place = split_address(settings.listen)
    return None if place is None else Address(*place, settings.tls_certificate, settings.tls_key)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for a connection's first headers and for each body, seconds between requests, connections."""

    request: float = 10.0
    idle: float = 20.0
    connections: int = 512


class Front:
    """One listening socket; ``url`` is None, and ``listening`` not set, while nobody listens."""

    def __init__(self, entrance: Entrance, address: Address, limits: Limits | None = None) -> None:
        self._entrance = entrance
        self._address = address
        self._limits = limits or Limits()
        self._deadlines: dict[Connection, float] = {}
        self.url: str | None = None
        self.listening = asyncio.Event()

    async def serve(self, opened: Callable[[str], Awaitable[None]]) -> None:
        """Listen until cancelled; ``opened`` is told the URL once it does.

        HardwareError ``service_address`` when the address cannot be had, ``service_tls`` when the
        certificate or its key cannot.
        """
        from aiohttp import web

        tls = _read_tls(self._address)
        server = web.Server(
            self._handle,
            request_factory=_limit_body,
            access_log=None,
            logger=log,
            keepalive_timeout=self._limits.idle,
            lingering_time=min(2.0, self._limits.request),
            auto_decompress=False,
        )
        listener = await self._listen(server, tls)
        try:
            self.url = f"{self._address.scheme}://{_name_address(self._address, listener)}"
            self.listening.set()
            await opened(self.url)
            await self._watch(server)
        finally:
            self.listening.clear()
            self.url = None
            listener.close()
            await server.shutdown(STOPS_WITHIN)

    async def _listen(self, server: Server, tls: ssl.SSLContext | None) -> asyncio.Server:
        def accept() -> asyncio.Protocol:
            return server() if len(server.connections) < self._limits.connections else _Closer()

        loop, address = asyncio.get_running_loop(), self._address
        patience = self._limits.request if tls else None
        try:
            return await loop.create_server(
                accept, address.host, address.port, ssl=tls, ssl_handshake_timeout=patience
            )
        except OSError as error:
            where = f"{address.host}:{address.port}"
            sentence = f"service.listen {where}: {error.strerror or error}"
            raise HardwareError("service_address", sentence) from error

    async def _watch(self, server: Server) -> None:
        """End the connections that are past their deadline; new ones get the one for their first request."""
        loop, turn = asyncio.get_running_loop(), min(self._limits.request, self._limits.idle) / 4
        while True:
            await asyncio.sleep(turn)
            now, deadlines = loop.time(), {}
            for connection in server.connections:
                deadline = self._deadlines.get(connection, now + self._limits.request - turn)
                if deadline > now:
                    deadlines[connection] = deadline
                elif connection.transport is not None:
                    connection.transport.abort()
            self._deadlines = deadlines

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        self._deadlines[request.protocol] = asyncio.get_running_loop().time() + self._limits.idle
        content = request.content
        body: bytes | HttpAnswer
        if content.is_eof() and content.exception() is None:
            arrived = content.read_nowait()
            body = arrived if len(arrived) <= LONGEST_BODY else _TOO_LONG
        else:
            body = await self._read(request)
        if isinstance(body, HttpAnswer):
            response = _respond(body)
            response.force_close()
            return response
        headers = list(request.headers.items())
        received = ReceivedRequest(request.method, request.raw_path, headers, body)
        return _respond(await self._entrance.answer(received))

    async def _read(self, request: web.BaseRequest) -> bytes | HttpAnswer:
        """A body of which a part is still to come, or what to answer when it is too long, slow or broken."""
        from aiohttp import ClientPayloadError, web

        if (request.content_length or 0) > LONGEST_BODY:
            return _TOO_LONG
        try:
            async with asyncio.timeout(self._limits.request):
                if request.headers.get("Expect", "").lower() == "100-continue":
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    request.writer.output_size = 0
                return await request.read()
        except TimeoutError:
            return refuse(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time")
        except web.HTTPRequestEntityTooLarge:
            return _TOO_LONG
        except (ClientPayloadError, web.RequestPayloadError, OSError):
            return refuse(HTTPStatus.BAD_REQUEST, "the body is incomplete")


_TOO_LONG = refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {LONGEST_BODY} octets")


class _Closer(asyncio.Protocol):
    """A connection too many: it is closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _respond(answer: HttpAnswer) -> web.Response:
    from aiohttp import web

    headers = HEADERS | dict(answer.headers) if answer.headers else HEADERS
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _limit_body(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: Connection,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """A request that never reads more than a body may have."""
    from aiohttp import web

    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LONGEST_BODY)


def _read_tls(address: Address) -> ssl.SSLContext | None:
    if address.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # A key that needs a passphrase must not ask for it on a terminal.
        context.load_cert_chain(address.certificate, address.key, password=lambda: "")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = (error.strerror or error) if isinstance(error, OSError) else error
        sentence = f"service.tls_certificate {address.certificate}, tls_key {address.key}: {reason}"
        raise HardwareError("service_tls", sentence) from error
    return context


def _name_address(address: Address, listener: asyncio.Server) -> str:
    """Host and port for a URL: the port that was taken, this machine's name where every address is meant."""
    port = listener.sockets[0].getsockname()[1]
    if address.host in ("0.0.0.0", "::"):  # noqa: S104  compared, not listened on
        return f"{socket.gethostname()}:{port}"
    return f"[{address.host}]:{port}" if ":" in address.host else f"{address.host}:{port}"


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """False for what a peer's broken HTTP would write, trace and all: each stranger could fill the log."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or kind.__module__ != "aiohttp.http_exceptions"


log.addFilter(_is_worth_a_line)
