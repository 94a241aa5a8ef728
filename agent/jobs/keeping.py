"""Restarting a job that hardware or the network failed; anything else is a bug and ends the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.errors import AgentError, CloudBusy, CloudRefused, HardwareError, StoreError
from agent.health import PATIENCE, Health
from agent.ports import Clock

FIRST_DELAY = 1.0
LONGEST_DELAY = 60.0
HEALTHY_AFTER = 60.0


@dataclass(slots=True)
class Retry:
    """How a kept job fares: what stopped it last, and when it is tried again (boot time)."""

    trouble: str | None = None
    code: str | None = None
    next_try: float | None = None
    tries: int = 0


def first_of(group: ExceptionGroup[AgentError]) -> AgentError:
    """The first plain error inside nested exception groups."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, AgentError):
        raise TypeError("an exception group of agent errors holds agent errors only") from error
    return error


async def keep_running(
    name: str, job: Callable[[], Awaitable[None]], retry: Retry, *, health: Health, clock: Clock
) -> None:
    """Run ``job`` until it returns; restart it after a named trouble, 1 s later at first, then up to 60 s.

    The trouble becomes a warning with ``name`` as its subject; the job itself clears it once it works
    (see `recovered`). The delay returns to one second after a minute of health. For the watchdog it turns
    while it waits to try again; a try must end, or work, in a minute.
    """
    delay = FIRST_DELAY
    while True:
        began = clock.boot()
        health.turns.turned(name, began)
        error: AgentError | None = None
        try:
            await job()
        except* (HardwareError, CloudBusy, CloudRefused, StoreError) as group:
            error = first_of(group)
        if error is None:
            health.turns.rest(name)
            return
        now = clock.boot()
        if now - began >= HEALTHY_AFTER:
            delay = FIRST_DELAY
        code = trouble_code(error)
        if retry.code not in (None, code):
            health.clear(retry.code, subject=name)  # only the trouble of now stands
        retry.tries += 1
        retry.trouble = str(error)
        retry.code = code
        retry.next_try = now + delay
        health.set(code, f"{error}; next try in {delay:.0f} s", subject=name, severity="error")
        health.turns.turned(name, now, within=delay + PATIENCE)
        await clock.sleep(delay)
        delay = min(LONGEST_DELAY, delay * 2)


def recovered(name: str, retry: Retry, health: Health) -> None:
    """Clear what `keep_running` said about this job: from now on it may wait for the world outside."""
    health.turns.rest(name)
    if retry.code is not None:
        health.clear(retry.code, subject=name)
    retry.trouble = retry.code = retry.next_try = None
    retry.tries = 0


def trouble_code(error: AgentError) -> str:
    """The name under which ``health`` shows an error."""
    match error:
        case HardwareError(code=code):
            return code
        case CloudRefused():
            return "cloud_refused"
        case StoreError():
            return "store_unavailable"
        case _:
            return "cloud_unreachable"
