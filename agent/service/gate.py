"""Which requests of the HTTP API come from an app: signature, body, date, and each nonce once (HTTP 2)."""

from __future__ import annotations

import heapq

from agent.codec.apigw import (
    SIGNATURE,
    TOLERANCE,
    Fault,
    GatewayRefused,
    ReceivedRequest,
    verify,
)
from agent.ports import Clock
from agent.service.book_accounts import AppKey

MOST_NONCES = 65_536


class Nonces:
    """The nonces of requests whose date is still good, of at most so many.

    Where one more has no room the earliest date leaves, and no request of that date or an earlier one is
    taken any more: memory is bounded, and nothing is ever taken twice.
    """

    def __init__(self, most: int = MOST_NONCES) -> None:
        self._most = most
        self._known: set[int] = set()
        self._by_date: list[tuple[float, int]] = []
        self._horizon = float("-inf")

    def __len__(self) -> int:
        return len(self._by_date)

    def take(self, nonce: str, sent: float, utc: float) -> None:
        """Note the nonce of a request of that date; GatewayRefused when it is known, or the date too old."""
        while self._by_date and self._by_date[0][0] < utc - TOLERANCE:
            self._drop_earliest()
        if sent <= self._horizon:
            raise GatewayRefused(Fault.DATE_OLD)
        mark = hash(nonce)  # 64 bits, by a key of this process
        if mark in self._known:
            raise GatewayRefused(Fault.NONCE_USED)
        self._known.add(mark)
        heapq.heappush(self._by_date, (sent, mark))
        if len(self._by_date) > self._most:
            self._horizon = self._drop_earliest()

    def _drop_earliest(self) -> float:
        date, mark = heapq.heappop(self._by_date)
        self._known.discard(mark)
        return date


class Gate:
    """Checks requests by the app key of this service; ``lab`` leaves dates and nonces unchecked."""

    def __init__(self, app: AppKey, clock: Clock, *, lab: bool = False) -> None:
        self._app = app
        self._clock = clock
        self._lab = lab
        self._nonces = Nonces()

    def admit(self, request: ReceivedRequest) -> str:
        """The app key whose request it is; GatewayRefused for every other, and for a repeat.

        Without a signed nonce its signature stands for one.
        """
        utc = self._clock.utc()
        verified = verify(request, self._secret_of, utc=None if self._lab else utc)
        if verified.sent is not None:
            nonce = verified.nonce or find_header(request, SIGNATURE)
            self._nonces.take(nonce, verified.sent, utc)
        return verified.app_key

    def _secret_of(self, key: str) -> str | None:
        return self._app.secret if key == self._app.key else None


def find_header(request: ReceivedRequest, wanted: str) -> str:
    """The first header of that lower-case name, or nothing."""
    return next((value for name, value in request.headers if name.lower() == wanted), "")
