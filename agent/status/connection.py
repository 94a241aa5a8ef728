"""One HTTP/1.1 connection on a Unix socket: h11 decides what is legal, the loop moves the bytes.

The loop's socket calls are used and not asyncio's stream objects: those start a task of their own for
each connection, and here every task belongs to the server's group. Nothing is read while a request is
answered, so a peer that leaves cannot cancel what it asked for.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

import h11

from agent.status.message import Answer, Request, Stream, refusal

BODY_OCTETS = 64 * 1024
HEAD_OCTETS = 16 * 1024
READ_OCTETS = 64 * 1024
IDLE_SECONDS = 60.0
REQUEST_SECONDS = 10.0  # from the first byte of a request to its last
WRITE_SECONDS = 30.0  # for the kernel to take an answer: a reader slower than that has left
STALL_SECONDS = 600.0  # the same for a stream, whose reader may be stopped in a shell for a while
LINGER_SECONDS = 2.0
LINGER_OCTETS = 1024 * 1024

log = logging.getLogger("enrolld.status")

Respond = Callable[[Request], Awaitable[Answer | Stream]]


class BadRequest(Exception):
    """What the peer sent cannot become a request; ``answer`` tells it so, then the connection ends."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Connection:
    """The server's end of one accepted, non-blocking socket."""

    def __init__(self, peer: socket.socket, respond: Respond) -> None:
        self._peer = peer
        self._respond = respond
        self._loop = asyncio.get_running_loop()
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_OCTETS)

    async def serve(self) -> None:
        """Answer one request after the other until the peer leaves, idles or misbehaves."""
        try:
            while await self._exchange():
                self._http.start_next_cycle()
        except* ConnectionError as gone:
            log.debug("a peer left: %s", gone.exceptions)
        finally:
            self._peer.close()

    async def _exchange(self) -> bool:
        """True when the same connection may carry another request."""
        try:
            request = await self._read_request()
        except BadRequest as bad:
            await self._send_answer(bad.answer, close=True)
            await self._linger()
            return False
        if request is None:
            return False
        answer = await self._respond(request)
        if isinstance(answer, Stream):
            await self._send_stream(answer)
        else:
            await self._send_answer(answer, with_body=request.method != "HEAD")
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _read_request(self) -> Request | None:
        """The next request; None when the peer has left or kept silent for a minute."""
        if not any(self._http.trailing_data):  # else the next one is here already: pipelined
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    self._http.receive_data(await self._loop.sock_recv(self._peer, READ_OCTETS))
            except TimeoutError:
                return None
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                return await self._read_message()
        except TimeoutError:
            sentence = f"the request was not complete {REQUEST_SECONDS:.0f} s after its first byte"
            raise BadRequest(refusal(408, "slow", sentence)) from None
        except h11.RemoteProtocolError as error:
            raise BadRequest(refusal(error.error_status_hint, "malformed", str(error))) from error

    async def _read_message(self) -> Request | None:
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        body = bytearray()
        announced = dict(head.headers).get(b"content-length", b"0")
        self._check_size(int(announced))  # before "100 Continue" asks for the body
        while not isinstance(event := await self._next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
                self._check_size(len(body))
        return Request(head.method.decode("ascii"), head.target.decode("ascii"), bytes(body))

    def _check_size(self, octets: int) -> None:
        if octets > BODY_OCTETS:
            raise BadRequest(refusal(413, "too_large", f"a body holds at most {BODY_OCTETS} bytes"))

    async def _next_event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value,unused-ignore]
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await self._loop.sock_recv(self._peer, READ_OCTETS))

    async def _send_answer(self, answer: Answer, *, with_body: bool = True, close: bool = False) -> None:
        headers = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))]
        headers += answer.headers.items()
        if close:
            headers.append(("Connection", "close"))
        await self._send(
            h11.Response(status_code=answer.status, headers=headers),
            h11.Data(data=answer.body if with_body else b""),  # RFC 9110, 9.3.2: HEAD has none
            h11.EndOfMessage(),
        )

    async def _send_stream(self, stream: Stream) -> None:
        headers = [("Content-Type", stream.content_type), ("Cache-Control", "no-store")]
        await self._send(h11.Response(status_code=200, headers=headers))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_peer())
            await stream.run(self._send_data)

    async def _watch_peer(self) -> None:
        """Raise ConnectionError when the reader of a stream leaves; what it still says is not read."""
        while await self._loop.sock_recv(self._peer, READ_OCTETS):
            continue
        raise ConnectionResetError("the reader of a stream closed it")

    async def _send_data(self, data: bytes) -> None:
        await self._send(h11.Data(data=data), within=STALL_SECONDS)

    async def _send(self, *events: h11.Event, within: float = WRITE_SECONDS) -> None:
        data = b"".join(self._http.send(event) or b"" for event in events)
        try:
            async with asyncio.timeout(within):
                await self._loop.sock_sendall(self._peer, data)
        except TimeoutError:
            raise ConnectionAbortedError(f"nothing was read for {within:.0f} s") from None

    async def _linger(self) -> None:
        """Take what is still on its way, so that the peer is not cut off before it reads our answer."""
        self._peer.shutdown(socket.SHUT_WR)
        left = LINGER_OCTETS
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while left > 0 and (data := await self._loop.sock_recv(self._peer, READ_OCTETS)):
                    left -= len(data)
        except TimeoutError:
            log.debug("a peer goes on sending after its request was refused")


def turn_away(peer: socket.socket, answer: Answer) -> None:
    """Answer a connection without reading from it, and close it; never waits."""
    http = h11.Connection(h11.SERVER)
    headers = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))]
    head = http.send(h11.Response(status_code=answer.status, headers=[*headers, ("Connection", "close")]))
    try:
        peer.send((head or b"") + answer.body)
    except OSError as error:
        log.debug("a peer left before it could be turned away: %s", error)
    finally:
        peer.close()
