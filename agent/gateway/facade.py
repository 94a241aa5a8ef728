"""The gateway as its sockets see it: documents to read, and the commands that change something."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.admission import Decision
from agent.config import Settings
from agent.entries import Entry, access_point_document, document
from agent.errors import InputRefused
from agent.events import EventLog
from agent.gateway import documents
from agent.gateway.documents import Document
from agent.gateway.door import Door
from agent.gateway.history import History
from agent.gateway.ledger import Ledger
from agent.gateway.roster import Roster
from agent.gateway.starts import Started, Starts, device_of
from agent.gateway.why import Why
from agent.health import Health
from agent.model import BleRecord
from agent.ports import Clock
from agent.registry import Registry

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@dataclass(slots=True)
class Surroundings:
    """What lies beside the gateway: radios, the link, the report pace, the embedded service's accounts."""

    adapters: Callable[[], list[Document]]
    link: Callable[[], Document]
    on_report: Callable[[], int]
    create_account: Callable[[str], Awaitable[Document]]
    version: str
    started: float


class Gateway:
    """One function for each verb; the cloud's downlinks reach the same ones behind it."""

    def __init__(
        self,
        *,
        settings: Callable[[], Settings],
        ledger: Ledger,
        door: Door,
        roster: Roster,
        starts: Starts,
        history: History,
        registry: Registry,
        health: Health,
        log: EventLog,
        clock: Clock,
        surroundings: Surroundings,
    ) -> None:
        self.log = log
        self._settings = settings
        self._ledger = ledger
        self._door = door
        self._roster = roster
        self._starts = starts
        self._registry = registry
        self._health = health
        self._clock = clock
        self._around = surroundings
        self._history = history
        self._why = Why(ledger, door, history, registry, clock, settings)

    # Reading

    def status(self) -> Document:
        """How everything is, in short."""
        gateway = self._settings().gateway
        permits = self.permits()
        waiting = self.tokens()
        return {
            "v": 1,
            "version": self._around.version,
            "gateway": {
                "product_key": gateway.product_key,
                "device_name": gateway.device_name,
                "bound": self._ledger.gateway_bound,
            },
            "uptime": documents.seconds(self._clock.boot() - self._around.started),
            "link": self._around.link(),
            "adapters": self._around.adapters(),
            "permits": {"open": permits["windows"], "denied": permits["denied"]},
            "enrollees": {**self._registry.totals(), "on_report": self._around.on_report()},
            "subdevices": {"total": len(self._ledger.topology), "online": len(self._roster.online)},
            "joins": {"admitted": self._history.admitted, "refused": dict(self._history.refused)},
            "tokens": {"waiting": waiting["waiting"], "oldest": waiting["oldest"]},
            "warnings": [documents.warning_row(warning) for warning in self._health.warnings()],
        }

    def enrollees(self) -> Document:
        """All that was heard lately: enrollees and access points."""
        now, utc = self._clock.boot(), self._clock.utc()
        rows = [document(e, now, utc, joined=self.is_joined(e)) for e in self._registry.entries()]
        points = [access_point_document(entry, now) for entry in self._registry.access_points()]
        return {"v": 1, "enrollees": rows, "access_points": points}

    def is_joined(self, entry: Entry) -> bool:
        """True when the enrollee is in the topology, by its record or by its name."""
        record, topology = entry.record, self._ledger.topology
        if isinstance(record, BleRecord):
            return topology.by_record(record.product_id, record.mac) is not None
        device = device_of(entry)
        return device is not None and device in topology

    def permits(self) -> Document:
        """The windows."""
        ceiling = self._settings().permits.ceiling
        return documents.permits_document(self._ledger.permits, ceiling, self._clock.boot())

    def subdevices(self) -> Document:
        """The topology."""
        online = self._roster.online
        subs = [documents.subdevice_row(sub, online=sub.device in online) for sub in self._ledger.topology]
        return {"v": 1, "subdevices": subs}

    def tokens(self) -> Document:
        """Bind tokens on their way."""
        return documents.tokens_document(
            self._ledger.tokens.values(), self._ledger.dropped, self._clock.boot_id, self._clock.boot()
        )

    def adapters(self) -> Document:
        """The radios."""
        return {"v": 1, "adapters": self._around.adapters()}

    def health(self) -> Document:
        """Named troubles."""
        return documents.health_document(self._health)

    def why(self, name: str) -> Document:
        """The facts behind the last decision on a device; InputRefused 404 when nothing is known of it."""
        return self._why.document(name)

    # Changing

    async def permit(self, product_key: str | None, time: object, by: str) -> Document:
        """Open or close a window."""
        await self._door.permit(product_key, time, by=by)
        return {**self.permits(), "code": 200}

    async def join(self, body: Document) -> Document:
        """Decide on a join of another stack's device."""
        decision, ticket = await self._door.join(body)
        answer = _answer(decision)
        answer["ticket"] = None if ticket is None else ticket.id
        return answer

    async def complete_join(self, ticket: str, body: Document) -> Document:
        """Take over a join that the other stack has finished."""
        await self._door.complete(ticket, body)
        return {"v": 1, "state": "joining"}  # also for a direct device, whose part here is over at once

    def join_state(self, ticket: str) -> Document:
        """How a join goes."""
        return documents.ticket_document(self._door.ticket(ticket))

    async def provision(
        self,
        enrollee: str,
        network: str | None,
        passphrase: str | None,
        overwrite: bool,
        by: str,
    ) -> Document:
        """Start a direct device; the same function as the cloud's checkin."""
        if passphrase is not None:
            raise InputRefused(
                "no passphrase is taken: this version lets the device in, and another stack hands over the "
                "network; leave out --passphrase-stdin",
                code=400,
            )
        return _started(self._starts.provision(enrollee, network, overwrite=overwrite, by=by))

    async def forget(self, name: str, by: str) -> Document:
        """Take a sub-device out of the topology."""
        sub = self._ledger.topology.find(name)
        if sub is None:
            raise InputRefused(f"{name!r} is not a sub-device of this gateway", code=404)
        left = await self._roster.forget(sub.device, by=by)
        return {"v": 1, **documents.subdevice_row(left, online=False)}

    async def create_account(self, name: str) -> Document:
        """A new account of the embedded service, with all that an app needs; InputRefused 409 when taken."""
        return await self._around.create_account(name)

    def set_log_level(self, level: str) -> Document:
        """Change how much is logged, until the next reload or restart."""
        if level not in LEVELS:
            raise InputRefused(f"a log level is one of {', '.join(LEVELS)}", code=400)
        logging.getLogger("enrolld").setLevel(LEVELS[level])
        return {"v": 1, "level": level}


def _answer(decision: Decision) -> Document:
    return {
        "v": 1,
        "decision": "admitted" if decision.admitted else "refused",
        "reason": str(decision.reason),
        "sentence": decision.sentence,
        "ticket": None,
        "ends_in": None if decision.ends_in is None else documents.seconds(decision.ends_in),
    }


def _started(started: Started) -> Document:
    answer = _answer(started.decision)
    del answer["ticket"]
    return {**answer, "enrollee": started.enrollee}
