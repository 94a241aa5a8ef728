"""What the gateway must not forget, in memory as it is on the disk: written first, remembered after.

A change is a function on the store's connection that reads what is there, writes what follows, and returns
an `Effect`. The store runs one after the other, and the ledger takes each effect over in the same order,
so memory never runs ahead of the disk, also when the caller of a change was cancelled.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from agent import records
from agent.errors import StoreError
from agent.events import EventLog
from agent.model import DeviceId
from agent.permits import Permits
from agent.records import OutboxItem
from agent.store import Store
from agent.tickets import Ticket
from agent.tokens import Token
from agent.topology import SubDevice, Topology

GATEWAY_BOUND = "gateway.bound"

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class Effect:
    """What one change did: new values, None for what is gone, and the events to tell of."""

    permits: Permits | None = None
    subs: dict[DeviceId, SubDevice | None] = field(default_factory=dict)
    tickets: dict[str, Ticket | None] = field(default_factory=dict)
    tokens: dict[int, Token | None] = field(default_factory=dict)
    items: dict[int, OutboxItem | None] = field(default_factory=dict)
    gateway_bound: bool | None = None
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def tell(self, kind: str, **fields: object) -> None:
        """Add an event, told once the change is on the disk."""
        self.events.append((kind, fields))


Change = Callable[[sqlite3.Connection], Effect]


class Ledger:
    """Windows, sub-devices, tickets, tokens and the outbox, as last written."""

    def __init__(self, store: Store, log: EventLog) -> None:
        self._store = store
        self._log = log
        self._loaded = False
        self._changed = asyncio.Event()
        self.permits = Permits()
        self.topology = Topology()
        self.tickets: dict[str, Ticket] = {}
        self.tokens: dict[int, Token] = {}
        self.outbox: dict[int, OutboxItem] = {}
        self.gateway_bound = False
        self.dropped: Counter[str] = Counter()

    @property
    def writable(self) -> bool:
        """True while changes are likely to be accepted."""
        return self._loaded and self._store.available

    async def load(self, restore: Change) -> None:
        """Read everything, after ``restore`` settled what another boot or process left; StoreError.

        What can be read and not written is shown all the same, as it would be settled; nothing is accepted.
        """
        try:
            await self._store.open()
            effect = await self._store.write(restore)
        except StoreError:
            await self._look(restore)
            raise
        await self._store.read(self._read)
        self._loaded = True
        self._tell(effect)

    async def _look(self, restore: Change) -> None:
        try:
            settled = await self._store.read(restore)  # what a read writes is undone
            await self._store.read(self._read)
        except StoreError:
            return
        self.permits = settled.permits or self.permits

    def _read(self, db: sqlite3.Connection) -> None:
        self.permits, _ = records.load_permits(db)
        self.topology = records.load_topology(db)
        self.tickets = {ticket.id: ticket for ticket in records.load_tickets(db)}
        self.tokens = {token.id: token for token in records.load_tokens(db)}
        self.outbox = {item.id: item for item in records.items(db)}
        self.gateway_bound = records.get_meta(db, GATEWAY_BOUND) == "yes"

    async def write(self, change: Change) -> Effect:
        """Make one change durable, then remember and tell it; StoreError when nothing was changed."""
        if not self._loaded:
            raise StoreError("the store could not be read yet, so nothing new is accepted")
        return await self._store.write(change, self._remember)

    async def secret_of(self, device: DeviceId) -> str | None:
        """The deviceSecret that the cloud sent for a device, if any."""
        return await self._store.read(lambda db: records.get_secret(db, device))

    async def login_of(self, device: DeviceId) -> str | None:
        """The login signature that a device handed over when it joined, as JSON text, if any."""
        return await self._store.read(lambda db: records.get_meta(db, login_name(device)))

    async def wait(self) -> None:
        """Return at the next change."""
        await self._changed.wait()

    def wake(self) -> None:
        """Let everybody who waits for a change look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _remember(self, effect: Effect) -> None:
        if effect.permits is not None:
            self.permits = effect.permits
        if effect.gateway_bound is not None:
            self.gateway_bound = effect.gateway_bound
        for device, sub in effect.subs.items():
            if sub is None:
                self.topology.drop(device)
            else:
                self.topology.put(sub)
        _merge(self.tickets, effect.tickets)
        _merge(self.tokens, effect.tokens)
        _merge(self.outbox, effect.items)
        self._tell(effect)

    def _tell(self, effect: Effect) -> None:
        for kind, fields in effect.events:
            if kind == "token_dropped":
                self.dropped[str(fields.get("reason"))] += 1
            self._log.emit(kind, **fields)
        self.wake()


def login_name(device: DeviceId) -> str:
    """Under which name the store keeps a device's own login signature."""
    return f"login.{device}"


def topology_key(device: DeviceId) -> str:
    """The idempotency id of what waits for a device's place in the topology: the last word wins."""
    return f"topology {device}"


def _merge(known: dict[K, V], news: Mapping[K, V | None]) -> None:
    for key, value in news.items():
        if value is None:
            known.pop(key, None)
        else:
            known[key] = value
