"""Events as server-sent events (the EventSource format of the HTML standard, section 9.2)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

from agent.codec.strictjson import write_json
from agent.events import EventLog
from agent.model import Event
from agent.status.message import Send

EVENT_STREAM = "text/event-stream"
HEARTBEAT_SECONDS = 15.0
HEARTBEAT = b": here\n\n"


def utc_text(seconds: float) -> str:
    """Seconds since 1970 as ``2026-01-31T10:41:07.250Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_event(event: Event) -> bytes:
    """One event in the stream: its number, its kind, and one JSON document."""
    content = {"v": 1, "seq": event.seq, "at": utc_text(event.at), "kind": event.kind, **event.fields}
    head = f"id: {event.seq}\nevent: {event.kind}\ndata: ".encode()
    return head + write_json(content) + b"\n\n"  # JSON escapes every line break in a text


def read_kept(log: EventLog, after: int | None) -> tuple[int, bytes]:
    """The newest number, and the kept events after ``after``; None means all that are kept.

    What was forgotten already is told in an event ``missed``. A number that is still to come was read
    from an earlier life of the daemon (each starts at 1): then everything kept is new to the reader.
    """
    seq = after if after is not None and after <= log.last else 0
    missed, events = log.after(seq)
    told = [write_event(event) for event in events]
    if missed and after is not None:
        told.insert(0, b'event: missed\ndata: {"v":1,"missed":%d}\n\n' % missed)
    return log.last, b"".join(told)


async def follow(log: EventLog, after: int | None, send: Send) -> None:
    """Send the kept events and then each new one, until cancelled or ``send`` fails.

    While a slow reader keeps ``send`` waiting nothing is queued for it: it is told what it missed.
    A comment line in quiet times lets either end learn that the other is gone.
    """
    while True:
        after, data = read_kept(log, after)
        await send(data or HEARTBEAT)
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await log.wait(after)
