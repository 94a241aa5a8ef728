"""The sub-devices as a running thing: what joins settle to, what the cloud and the operator change.

Each method is one change of the ledger: the transaction reads what is on the disk and writes what follows.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from agent import records, tickets, tokens, topology
from agent.errors import InputRefused
from agent.events import EventLog
from agent.gateway.ledger import Effect, Ledger, login_name, topology_key
from agent.model import DeviceId
from agent.ports import Clock
from agent.records import OutboxItem, OutboxKind
from agent.topology import SubDevice


class Roster:
    """Changes the topology, and knows which sub-devices are logged in now."""

    def __init__(self, ledger: Ledger, log: EventLog, clock: Clock) -> None:
        self._ledger = ledger
        self._log = log
        self._clock = clock
        self.online: dict[DeviceId, float] = {}

    # Joins

    async def joined(self, item: OutboxItem, device: DeviceId) -> None:
        """The cloud took the device into the topology and logged it in."""
        now = self._clock.boot()

        def change(db: sqlite3.Connection) -> Effect:
            effect = Effect()
            if not _settle_item(db, effect, item):
                return effect  # forgotten or removed meanwhile
            _change_sub(db, effect, device, topology.Change.ADDED)
            _note_login(db, effect, device, self._clock)
            _settle_ticket(db, effect, item, now, tickets.Change.ONLINE, sentence="It is online.")
            effect.tell("subdevice_online", device=str(device))
            return effect

        self.online[device] = now
        await self._ledger.write(change)
        self._check_standing(device)

    async def failed(self, item: OutboxItem, device: DeviceId, code: int, sentence: str) -> None:
        """The cloud refused the device for good."""
        now = self._clock.boot()

        def change(db: sqlite3.Connection) -> Effect:
            effect = Effect()
            if not _settle_item(db, effect, item):
                return effect
            _change_sub(db, effect, device, topology.Change.FAILED)
            if records.get_subdevice(db, device) is None:
                _drop_tokens(db, effect, device)
            _settle_ticket(db, effect, item, now, tickets.Change.FAILED, code=code, sentence=sentence)
            effect.tell("subdevice_failed", device=str(device), code=code, sentence=sentence)
            return effect

        await self._ledger.write(change)

    async def logged_in(self, device: DeviceId) -> None:
        """A member is online again after the link was away."""
        self.online[device] = self._clock.boot()

        def change(db: sqlite3.Connection) -> Effect:
            effect = Effect()
            _note_login(db, effect, device, self._clock)
            effect.tell("subdevice_online", device=str(device))
            return effect

        await self._ledger.write(change)
        self._check_standing(device)

    def _check_standing(self, device: DeviceId) -> None:
        """A login counts for nothing once the device was disabled, forgotten or removed meanwhile."""
        sub = self._ledger.topology.get(device)
        if sub is None or sub.state is not topology.State.MEMBER:
            self.logged_out(device)

    def logged_out(self, device: DeviceId) -> None:
        """A sub-device has no session any more."""
        if self.online.pop(device, None) is not None:
            self._log.emit("subdevice_offline", device=str(device))

    async def keep_secret(self, device: DeviceId, secret: str) -> None:
        """Keep the deviceSecret that the cloud sent."""

        def change(db: sqlite3.Connection) -> Effect:
            records.put_secret(db, device, secret)
            return Effect()

        await self._ledger.write(change)

    # Leaving and standing

    async def forget(self, device: DeviceId, *, by: str) -> SubDevice:
        """Ask the cloud to take a sub-device out; InputRefused 404 when it is none of ours."""
        now = self._clock.boot()

        def change(db: sqlite3.Connection) -> Effect:
            effect = Effect()
            if records.get_subdevice(db, device) is None:
                raise InputRefused(f"{device} is not a sub-device of this gateway", code=404)
            _change_sub(db, effect, device, topology.Change.FORGOTTEN)
            abandon_tickets(db, effect, device, now, "It was forgotten before the join was finished.")
            body: dict[str, object] = {"op": "delete", "device": [device.product_key, device.device_name]}
            item, replaced = records.put_item(
                db, OutboxKind.TOPOLOGY, topology_key(device), body, self._clock.utc()
            )
            effect.items[item.id] = item
            if replaced is not None:
                effect.items[replaced] = None
            effect.tell("subdevice_removing", device=str(device), by=by)
            return effect

        effect = await self._ledger.write(change)
        self.logged_out(device)
        sub = effect.subs[device]
        if sub is None:
            raise AssertionError("a device being removed is still there")
        return sub

    async def removed(self, device: DeviceId, *, by: str) -> None:
        """The device is out of the topology: forget it, its secrets, its tokens, and what waits for it."""
        now = self._clock.boot()

        def change(db: sqlite3.Connection) -> Effect:
            effect = Effect()
            known = records.get_subdevice(db, device)
            replaced = records.drop_key(db, topology_key(device))
            if replaced is not None:
                effect.items[replaced] = None
            records.delete_secret(db, device)
            records.delete_meta(db, login_name(device))
            _drop_tokens(db, effect, device)
            abandon_tickets(db, effect, device, now, "It was removed before the join was finished.")
            if known is not None:
                records.delete_subdevice(db, device)
                effect.subs[device] = None
                effect.tell("subdevice_removed", device=str(device), by=by)
            return effect

        await self._ledger.write(change)
        self.logged_out(device)

    async def set_enabled(self, device: DeviceId, *, enabled: bool) -> None:
        """The cloud disabled or enabled a sub-device; nothing happens to one that is none of ours."""
        what = topology.Change.ENABLED if enabled else topology.Change.DISABLED

        def change(db: sqlite3.Connection) -> Effect:
            effect = Effect()
            if _change_sub(db, effect, device, what):
                effect.tell("subdevice_enabled" if enabled else "subdevice_disabled", device=str(device))
            return effect

        await self._ledger.write(change)
        if not enabled:
            self.logged_out(device)


def _settle_item(db: sqlite3.Connection, effect: Effect, item: OutboxItem) -> bool:
    """Take an answered item out; False when another change replaced it meanwhile."""
    if not records.drop_item(db, item.id):
        return False
    effect.items[item.id] = None
    return True


def _put_sub(db: sqlite3.Connection, effect: Effect, sub: SubDevice) -> None:
    records.put_subdevice(db, sub)
    effect.subs[sub.device] = sub


def _change_sub(db: sqlite3.Connection, effect: Effect, device: DeviceId, what: topology.Change) -> bool:
    known = records.get_subdevice(db, device)
    if known is None or what not in topology.CHANGES[known.state]:
        return False
    after = topology.change_state(known, what)
    if after is None:
        records.delete_subdevice(db, device)
        effect.subs[device] = None
    else:
        _put_sub(db, effect, after)
    return after is None or after.state is not known.state


def _note_login(db: sqlite3.Connection, effect: Effect, device: DeviceId, clock: Clock) -> None:
    """Remember the first login of this boot: bind tokens are made for 600 s from it."""
    known = effect.subs.get(device) or records.get_subdevice(db, device)
    if known is not None and known.first_login_boot_id != clock.boot_id:
        noted = replace(known, first_login=clock.boot(), first_login_boot_id=clock.boot_id)
        _put_sub(db, effect, noted)


def _settle_ticket(
    db: sqlite3.Connection,
    effect: Effect,
    item: OutboxItem,
    now: float,
    what: tickets.Change,
    *,
    sentence: str,
    code: int | None = None,
) -> None:
    ticket = records.get_ticket(db, str(item.body.get("ticket")))
    if ticket is not None and what in tickets.CHANGES[ticket.state]:
        settled = tickets.change_state(ticket, what, now=now, code=code, sentence=sentence)
        records.put_ticket(db, settled)
        effect.tickets[settled.id] = settled


def abandon_tickets(
    db: sqlite3.Connection, effect: Effect, device: DeviceId, now: float, sentence: str
) -> None:
    """Settle as failed the joins of a device that have begun and will not be finished."""
    for ticket in records.load_tickets(db):
        if ticket.request.device == device and tickets.Change.FAILED in tickets.CHANGES[ticket.state]:
            failed = tickets.change_state(ticket, tickets.Change.FAILED, now=now, sentence=sentence)
            records.put_ticket(db, failed)
            effect.tickets[failed.id] = failed


def _drop_tokens(db: sqlite3.Connection, effect: Effect, device: DeviceId) -> None:
    for token in records.load_tokens(db):
        if token.device == device and token.state is tokens.State.WAITING:
            dead = tokens.change_state(token, tokens.Change.DROPPED)
            records.put_token(db, dead)
            effect.tokens[dead.id] = dead
            effect.tell("token_dropped", device=str(device), reason="removed")
