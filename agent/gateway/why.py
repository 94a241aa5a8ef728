"""``why``: the chain of facts behind the last decision on a device, or what the door would say now."""

from __future__ import annotations

from collections.abc import Callable

from agent.config import Settings
from agent.entries import CLASS_NAMES, Entry
from agent.errors import InputRefused
from agent.gateway.documents import Document, decision_row
from agent.gateway.door import Door
from agent.gateway.history import Decided, History
from agent.gateway.ledger import Ledger
from agent.gateway.starts import request_of
from agent.model import DeviceId
from agent.ports import Clock
from agent.registry import Registry
from agent.topology import SubDevice


class Why:
    """Explains devices by enrollee id, MAC, address, ``pk/dn`` or device name."""

    def __init__(
        self,
        ledger: Ledger,
        door: Door,
        history: History,
        registry: Registry,
        clock: Clock,
        settings: Callable[[], Settings],
    ) -> None:
        self._ledger = ledger
        self._door = door
        self._history = history
        self._registry = registry
        self._clock = clock
        self._settings = settings

    def document(self, name: str) -> Document:
        """The facts on one device; InputRefused 404 when nothing is known of it, or several fit."""
        sub = self._ledger.topology.find(name)
        entry = self._entry(name)
        decided = self._decided(name, entry, sub)
        if sub is None and entry is None and decided is None:
            raise InputRefused(
                f"nothing is known of {name!r}: it was not heard lately, never asked to join, and is no "
                "sub-device; `enrollctl enrollees` and `enrollctl subdevices` list what is known",
                code=404,
            )
        facts: list[tuple[str, str]] = []
        if entry is not None:
            facts += self._heard(entry)
        if sub is not None:
            facts += self._member(sub)
        if decided is not None:
            facts += [(fact.name, fact.sentence) for fact in decided.decision.facts]
        facts += self._now(entry, decided)
        return {
            "v": 1,
            "subject": str(sub.device) if sub else entry.id if entry else name,
            "decision": None if decided is None else decision_row(decided),
            "facts": [{"name": fact, "sentence": sentence} for fact, sentence in facts],
        }

    def _entry(self, name: str) -> Entry | None:
        try:
            return self._registry.find(name)
        except InputRefused:
            return None

    def _decided(self, name: str, entry: Entry | None, sub: SubDevice | None) -> Decided | None:
        names = [name]
        if entry is not None:
            names += [entry.id, entry.id.removeprefix("wifi:")]
        if sub is not None:
            names.append(str(sub.device))
        for one in names:
            decided = self._history.of(one)
            if decided is not None:
                return decided
        found = self._history.find(name)
        if len({decided.request.device for decided in found}) > 1:
            devices = ", ".join(sorted(str(decided.request.device) for decided in found)[:3])
            raise InputRefused(f"{name!r} fits several devices ({devices}); say which", code=409)
        return found[-1] if found else None

    def _heard(self, entry: Entry) -> list[tuple[str, str]]:
        now = self._clock.boot()
        strength = "" if entry.rssi is None else f", last at {entry.rssi} dBm"
        facts = [
            ("heard", f"It was heard {entry.count} times, {_ago(now - entry.last)}{strength}."),
            ("class", f"It counts as {CLASS_NAMES[entry.rank].replace('_', ' ')}."),
        ]
        if entry.product is None:
            facts.append(("product", "No product file here names its product."))
        if entry.reported is not None:
            facts.append(("report", f"It was reported to the cloud {_ago(now - entry.reported)}."))
        return facts

    def _member(self, sub: SubDevice) -> list[tuple[str, str]]:
        bound = "bound to a user" if sub.bound else "not bound to a user"
        facts = [("member", f"It is a sub-device by {sub.medium}, {sub.state}, {bound}.")]
        secret = self._ledger.outbox.values()
        waiting = [item for item in secret if item.body.get("device") == list(_names(sub.device))]
        if waiting:
            facts.append(("outbox", f"{len(waiting)} message about it waits for the cloud's answer."))
        return facts

    def _now(self, entry: Entry | None, decided: Decided | None) -> list[tuple[str, str]]:
        """What the door would say at this moment, where that can be asked."""
        request = decided.request if decided is not None else None if entry is None else request_of(entry)
        if request is None:
            return []
        return [("now", f"If it asked now: {self._door.preview(request).sentence}")]


def _names(device: DeviceId) -> tuple[str, str]:
    return device.product_key, device.device_name


def _ago(seconds: float) -> str:
    return f"{max(0.0, seconds):.0f} s ago"
