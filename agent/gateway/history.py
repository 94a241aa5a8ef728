"""The last decision on each device, for ``why``: bounded, and told of at a bounded pace."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass

from agent.admission import Decision, JoinRequest
from agent.events import EventLog
from agent.model import DeviceId
from agent.ports import Clock

KEPT = 1024
QUIET = 10.0  # seconds between two refusals told of one device


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, on what request, and when (UTC and boot seconds)."""

    request: JoinRequest
    decision: Decision
    utc: float
    boot: float


class History:
    """Remembers the last decision on each of 1024 devices and counts all refusals by reason."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._last: OrderedDict[str, Decided] = OrderedDict()
        self._told: OrderedDict[str, float] = OrderedDict()
        self.refused: Counter[str] = Counter()

    def decided(self, request: JoinRequest, decision: Decision, clock: Clock) -> None:
        """Take in one decision; a refusal becomes an event, at most one in 10 s for each device."""
        name = request.enrollee or str(request.device)
        self._last[name] = Decided(request, decision, clock.utc(), clock.boot())
        self._last.move_to_end(name)
        if len(self._last) > KEPT:
            self._last.popitem(last=False)
        if not decision.admitted:
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
        if told is not None and now - told < QUIET:
            return
        self._told[name] = now
        self._told.move_to_end(name)
        if len(self._told) > KEPT:
            self._told.popitem(last=False)
        self._log.emit(
            "join_refused",
            device=_shown(request.device),
            medium=request.medium,
            reason=str(decision.reason),
            sentence=decision.sentence,
        )


def _shown(device: DeviceId) -> str:
    return str(device)
