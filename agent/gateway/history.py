"""The last decision on each device, for ``why``: bounded, and told of at a bounded pace."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass

from agent.admission import Decision, JoinRequest
from agent.events import EventLog
from agent.ports import Clock

KEPT = 1024
QUIET = 10.0  # seconds between two refusals told of one device
TOLD_AT_ONCE = 64  # refusals of different devices; after those one a second, so that they push out no news


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, on what request, and when (UTC and boot seconds)."""

    request: JoinRequest
    decision: Decision
    utc: float
    boot: float


class History:
    """Remembers the last decision on each of 1024 devices and counts all of them."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._last: OrderedDict[str, Decided] = OrderedDict()
        self._told: OrderedDict[str, float] = OrderedDict()
        self._budget, self._filled = float(TOLD_AT_ONCE), 0.0
        self.refused: Counter[str] = Counter()
        self.admitted = 0

    def decided(self, request: JoinRequest, decision: Decision, clock: Clock) -> None:
        """Take in one decision; refusals are counted, and become events at a bounded pace."""
        name = request.enrollee or str(request.device)
        self._last[name] = Decided(request, decision, clock.utc(), clock.boot())
        self._last.move_to_end(name)
        if len(self._last) > KEPT:
            self._last.popitem(last=False)
        if decision.admitted:
            self.admitted += 1
        else:
            self.refused[decision.reason] += 1
            self._tell(name, request, decision, clock.boot())

    def of(self, name: str) -> Decided | None:
        """The last decision on ``pk/dn`` or an enrollee id."""
        return self._last.get(name)

    def find(self, device_name: str) -> list[Decided]:
        """The last decisions on devices of that device name or address."""
        return [
            decided
            for decided in self._last.values()
            if device_name in (decided.request.device.device_name, decided.request.address)
        ]

    def _tell(self, name: str, request: JoinRequest, decision: Decision, now: float) -> None:
        told = self._told.get(name)
        if (told is not None and now - told < QUIET) or not self._take(now):
            return
        self._told[name] = now
        self._told.move_to_end(name)
        if len(self._told) > KEPT:
            self._told.popitem(last=False)
        self._log.emit(
            "join_refused",
            device=request.subject,
            medium=request.medium,
            reason=str(decision.reason),
            sentence=decision.sentence,
        )

    def _take(self, now: float) -> bool:
        self._budget = min(TOLD_AT_ONCE, self._budget + max(0.0, now - self._filled))
        self._filled = now
        if self._budget < 1:
            return False
        self._budget -= 1
        return True
