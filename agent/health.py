"""Named troubles: set and cleared where the trouble is, read everywhere (``status``, ``health``, metrics).

Beside them the signs of life of the jobs, which the watchdog reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.model import Event

Emit = Callable[..., Event]
PATIENCE = 60.0  # seconds: a job on a slow disk or a slow cloud is not stuck


@dataclass(frozen=True, slots=True)
class Warning:
    """One trouble: ``code`` names it, ``subject`` says of what (a radio, a product), ``since`` is UTC."""

    code: str
    subject: str
    severity: str  # "error": something does not work; "warning": something needs a look
    text: str
    since: float
    caused_by: str | None = None  # the code of the trouble behind this one


class Turns:
    """By when each job's loop must have turned again (boot time)."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def turned(self, job: str, now: float, within: float = PATIENCE) -> None:
        """The job is alive, and will say so again within that many seconds."""
        self._due[job] = now + within

    def rest(self, job: str) -> None:
        """The job waits for the world outside, for as long as that takes, or has ended."""
        self._due.pop(job, None)

    def overdue(self, now: float) -> list[str]:
        """The jobs that are stuck."""
        return sorted(job for job, due in self._due.items() if due < now)


class Health:
    """The troubles of now, at most one per (code, subject); ``turns`` are the jobs' signs of life."""

    def __init__(self, utc: Callable[[], float], emit: Emit) -> None:
        self._utc = utc
        self._emit = emit
        self._warnings: dict[tuple[str, str], Warning] = {}
        self.turns = Turns()

    def set(
        self,
        code: str,
        text: str,
        *,
        subject: str = "",
        severity: str = "warning",
        caused_by: str | None = None,
    ) -> None:
        """Say that a trouble is there; repeating it keeps ``since`` and only renews the text."""
        key = (code, subject)
        known = self._warnings.get(key)
        since = known.since if known else self._utc()
        self._warnings[key] = Warning(code, subject, severity, text, since, caused_by)
        if known is None:
            self._emit("warning_raised", code=code, subject=subject, severity=severity, text=text)

    def clear(self, code: str, *, subject: str = "") -> None:
        """Say that a trouble is over; nothing happens when it was not there."""
        if self._warnings.pop((code, subject), None) is not None:
            self._emit("warning_cleared", code=code, subject=subject)

    def has(self, code: str, *, subject: str = "") -> bool:
        """True while that trouble is there."""
        return (code, subject) in self._warnings

    def warnings(self) -> list[Warning]:
        """All troubles of now, errors first, then the oldest first."""
        return sorted(
            self._warnings.values(), key=lambda w: (w.severity != "error", w.since, w.code, w.subject)
        )
