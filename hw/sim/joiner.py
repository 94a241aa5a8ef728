"""Another stack's request to join, scripted: HTTP over the gateway's ``join.sock`` (DESIGN 3).

It outlives the daemon: while nobody answers it tries again, and a ticket that was lost is asked for anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import h11
import msgspec

from agent.model import DeviceId
from agent.ports import Clock

REPLY_LIMIT = 65_536
REPLY_TIMEOUT = 10.0  # seconds for one request
PAUSE = 0.5  # seconds between polls, and before the next try when nobody answers

GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
BUSY = HTTPStatus.SERVICE_UNAVAILABLE
ALREADY_DONE = HTTPStatus.CONFLICT


@dataclass(frozen=True, slots=True)
class JoinWish:
    """Who asks, from where, and with which proof (None: the gateway logs it in with what it has).

    ``patience`` bounds everything, in seconds; after a refusal the wish is repeated every ``retry``
    seconds, or not when that is None.
    """

    device: DeviceId
    medium: str
    address: str
    sign_params: Mapping[str, str] | None = field(default=None, repr=False)
    patience: float = 30.0
    retry: float | None = None


@dataclass(frozen=True, slots=True)
class JoinOutcome:
    """How a join ended.

    ``decision`` is the door's: ``admitted``, ``refused``, or ``none`` when it never spoke. ``state`` is
    ``online``, ``failed``, ``refused``, ``joining`` (no longer waited for) or ``unanswered``.
    """

    decision: str
    state: str
    reason: str = ""
    sentence: str = ""
    code: int | None = None


class Unanswered(Exception):
    """Nobody answered one request, or the answer was none."""


class Joiner:
    """Asks for joins on one ``join.sock``."""

    def __init__(self, socket: Path, clock: Clock) -> None:
        self._socket = socket
        self._clock = clock

    async def join(self, wish: JoinWish) -> JoinOutcome:
        """Ask, complete the join and wait for its end, for as long as the wish's patience lasts."""
        deadline = self._clock.boot() + wish.patience
        while True:
            try:
                outcome = await self._join_once(wish, deadline)
            except Unanswered as error:
                return JoinOutcome("none", "unanswered", sentence=str(error))
            pause = PAUSE
            if outcome is not None:
                if outcome.state != "refused" or wish.retry is None:
                    return outcome
                pause = wish.retry
            if self._clock.boot() + pause > deadline:
                return outcome or JoinOutcome("none", "unanswered", sentence="the ticket was lost")
            await self._clock.sleep(pause)

    async def _join_once(self, wish: JoinWish, deadline: float) -> JoinOutcome | None:
        """One ticket's life; None when the gateway lost or voided the ticket."""
        asked = {"v": 1, "medium": wish.medium, "address": wish.address}
        asked |= {"product_key": wish.device.product_key, "device_name": wish.device.device_name}
        status, answer = await self._ask("POST", "/v1/joins", asked, deadline)
        if status != HTTPStatus.OK:
            return _failure("none", status, answer)
        if answer.get("decision") != "admitted":
            return JoinOutcome("refused", "refused", _text(answer, "reason"), _text(answer, "sentence"))
        place = f"/v1/joins/{answer.get('ticket')}"
        done = {"v": 1, "sign_params": wish.sign_params}
        status, answer = await self._ask("POST", f"{place}/done", done, deadline)
        if status in GONE:
            return None
        if status not in (HTTPStatus.ACCEPTED, ALREADY_DONE):
            return _failure("admitted", status, answer)
        return await self._wait(place, deadline)

    async def _wait(self, place: str, deadline: float) -> JoinOutcome | None:
        while self._clock.boot() < deadline:
            status, answer = await self._ask("GET", place, None, deadline)
            if status in GONE:
                return None
            if status != HTTPStatus.OK:
                return _failure("admitted", status, answer)
            if answer.get("state") in {"online", "failed"}:
                return _end(answer)
            await self._clock.sleep(PAUSE)
        return JoinOutcome("admitted", "joining")

    async def _ask(
        self, method: str, target: str, body: object, deadline: float
    ) -> tuple[int, dict[str, Any]]:
        """One request, again and again until it is answered; Unanswered when it is not in time."""
        while True:
            try:
                status, answer = await exchange(self._socket, method, target, body)
                if status != BUSY:
                    return status, answer
                trouble = "the gateway cannot write its store"
            except (OSError, Unanswered) as error:  # TimeoutError is an OSError
                trouble = str(error) or type(error).__name__
            if self._clock.boot() + PAUSE > deadline:
                raise Unanswered(f"{method} {target}: {trouble}")
            await self._clock.sleep(PAUSE)


async def exchange(socket: Path, method: str, target: str, body: object) -> tuple[int, dict[str, Any]]:
    """One HTTP request over a Unix socket: status and JSON object of the answer.

    OSError when the socket cannot be used or stays silent; Unanswered when what comes is no answer.
    """
    async with asyncio.timeout(REPLY_TIMEOUT):
        reader, writer = await asyncio.open_unix_connection(socket)
        try:
            return await _talk(reader, writer, method, target, body)
        except h11.RemoteProtocolError as error:
            raise Unanswered(f"the answer is not HTTP: {error}") from error
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _talk(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, target: str, body: object
) -> tuple[int, dict[str, Any]]:
    connection = h11.Connection(h11.CLIENT)
    data = b"" if body is None else msgspec.json.encode(body)
    headers = [("Host", "enrolld"), ("Connection", "close"), ("Content-Length", str(len(data)))]
    if data:
        headers.append(("Content-Type", "application/json"))
    request = h11.Request(method=method, target=target, headers=headers)
    for part in (request, h11.Data(data), h11.EndOfMessage()):
        writer.write(connection.send(part) or b"")
    await writer.drain()
    status, answer = 0, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(REPLY_LIMIT))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data) and len(answer) + len(event.data) <= REPLY_LIMIT:
            answer += event.data
        elif isinstance(event, h11.EndOfMessage):
            return status, _document(answer)
        else:
            raise Unanswered("the connection ended before the answer, or the answer is too long")


def _document(answer: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(answer, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unanswered(f"the answer is not a JSON object: {error}") from error


def _failure(decision: str, status: int, answer: Mapping[str, Any]) -> JoinOutcome:
    error = answer.get("error")
    told = error if isinstance(error, dict) else {}
    return JoinOutcome(decision, "failed", _text(told, "code"), _text(told, "sentence"), status)


def _end(answer: Mapping[str, Any]) -> JoinOutcome:
    code = answer.get("code")
    number = code if isinstance(code, int) else None
    return JoinOutcome("admitted", _text(answer, "state"), sentence=_text(answer, "sentence"), code=number)


def _text(document: Mapping[str, Any], member: str) -> str:
    value = document.get(member)
    return value if isinstance(value, str) else ""
