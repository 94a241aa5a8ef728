"""What happens, written to the log: one structured entry for each event, its device, window and session."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import NoReturn

from agent.events import EventLog
from agent.model import Event

SESSIONS = 256  # devices whose session is remembered
ANY = "any"
BEGIN = {"join_admitted", "provisioning_started"}
END = {"subdevice_online", "subdevice_failed", "provisioning_ended"}
SEVERITIES = {"error": logging.ERROR, "warning": logging.WARNING}
# What strangers on the air, or a simulated home, could repeat for ever.
QUIET = ("enrollee_", "home_", "user_")
# Under which name a field of an event is a field of the entry.
SHOWN = {
    "device": "device",
    "id": "enrollee",
    "radio": "radio",
    "code": "code",
    "subject": "subject",
    "reason": "reason",
    "by": "by",
}

log = logging.getLogger("enrolld.events")


class Logbook:
    """Writes the events of one run. An event never holds a secret, so neither does an entry."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._seq = 0
        self._sessions: OrderedDict[str, str] = OrderedDict()

    async def run(self) -> NoReturn:
        """Write each event as it comes, until cancelled."""
        while True:
            self.write()
            await self._events.wait(self._seq)

    def write(self) -> None:
        """Write what was not written yet."""
        missed, events = self._events.after(self._seq)
        if missed:
            log.warning("%d events came too fast to be written", missed)
        for event in events:
            self._seq = event.seq
            level = _level(event)
            if log.isEnabledFor(level):
                fields = self._fields(event)
                # Each kind is a text of its own: the rate limit counts by it.
                log.log(
                    level, f"{event.kind.replace('_', ' ')}%s", _words(event.fields), extra={"fields": fields}
                )

    def _fields(self, event: Event) -> dict[str, str]:
        fields = {"event": event.kind}
        for name, shown in SHOWN.items():
            if event.fields.get(name) is not None:
                fields[shown] = str(event.fields[name])
        if event.kind.startswith("permit_"):
            fields["window"] = str(event.fields.get("product_key") or ANY)
        device = fields.get("device")
        if device is not None:
            session = self._session(event, device)
            if session is not None:
                fields["session"] = session
        return fields

    def _session(self, event: Event, device: str) -> str | None:
        """What one join or start has in common: the number of the event that it began with."""
        if event.kind in BEGIN:
            self._sessions[device] = f"{event.seq}"
            self._sessions.move_to_end(device)
            if len(self._sessions) > SESSIONS:
                self._sessions.popitem(last=False)
        if event.kind in END:
            return self._sessions.pop(device, None)
        return self._sessions.get(device)


def _level(event: Event) -> int:
    if event.kind == "warning_raised":
        return SEVERITIES.get(str(event.fields.get("severity")), logging.WARNING)
    return logging.DEBUG if event.kind.startswith(QUIET) else logging.INFO


def _words(fields: Mapping[str, object]) -> str:
    sentence = fields.get("sentence") or fields.get("text")
    names = ("device", "id", "product_key", "radio", "code", "subject", "reason", "by", "ends_in", "version")
    words = [f"{name} {fields[name]}" for name in names if fields.get(name) not in (None, "", sentence)]
    if sentence:
        words.append(str(sentence))
    return f": {', '.join(words)}" if words else ""
