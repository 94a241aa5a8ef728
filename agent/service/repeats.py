"""Binds that are sent again: for a minute they get the answer of the first (HTTP 3, idempotency)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from agent.codec.apigw_envelope import SUCCESS
from agent.ports import Clock
from agent.service.values import Answer

KEPT = 60.0  # seconds
MOST = 256


@dataclass(frozen=True, slots=True)
class Mark:
    """What makes two binds one: app key, path, the body's id and the digest of all its octets."""

    app_key: str
    path: str
    id: str
    digest: bytes = field(repr=False)


def mark_of(app_key: str, path: str, request_id: str, body: bytes) -> Mark:
    """The mark of one request."""
    return Mark(app_key, path, request_id, hashlib.sha256(body).digest())


class Repeats:
    """The answers of the last binds that succeeded; a refusal changed nothing and is not kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[Mark, tuple[float, Answer]] = {}
        self._turn = asyncio.Lock()

    async def once(
        self, mark: Mark, perform: Callable[[], Awaitable[Answer]], recheck: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """The answer of ``perform``, or the kept one where ``recheck`` still answers with success.

        One after the other: a repeat that comes while its first is at work waits for it.
        """
        async with self._turn:
            self._forget()
            kept = self._kept.get(mark)
            if kept is not None:
                checked = await recheck()
                return kept[1] if checked.code == SUCCESS else checked
            answer = await perform()
            if answer.code == SUCCESS:
                self._kept[mark] = (self._clock.boot(), answer)
            return answer

    def _forget(self) -> None:
        oldest = self._clock.boot() - KEPT
        while self._kept:
            mark, (since, _) = next(iter(self._kept.items()))
            if since >= oldest and len(self._kept) < MOST:
                return
            del self._kept[mark]
