"""Bind tokens and bindings: made, reported, bound, dropped (DESIGN 5, Whose token)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace

from agent import records, tokens
from agent.gateway.ledger import GATEWAY_BOUND, Effect, Ledger
from agent.model import DeviceId
from agent.ports import Clock
from agent.tokens import Token
from agent.topology import State


class Bindings:
    """The tokens of the gateway and its sub-devices, and who is bound; each method is one durable change."""

    def __init__(self, ledger: Ledger, clock: Clock, gateway: DeviceId) -> None:
        self._ledger = ledger
        self._clock = clock
        self._gateway = gateway

    async def mint(self, device: DeviceId) -> None:
        """A fresh bind token for the gateway or a member, waiting to be reported; none for who has left."""

        def change(db: sqlite3.Connection) -> Effect:
            effect = Effect()
            sub = records.get_subdevice(db, device)
            if device == self._gateway or (sub is not None and sub.state is State.MEMBER):
                add_token(db, effect, tokens.mint(), device, self._clock)
            return effect

        await self._ledger.write(change)

    async def tried(self, token: Token) -> None:
        """Count one more attempt to report a token."""
        await self._change(token, lambda known, _: replace(known, attempts=known.attempts + 1))

    async def reported(self, token: Token) -> None:
        """The cloud answered 200 to a token."""

        def report(known: Token, effect: Effect) -> Token:
            effect.tell("token_reported", device=str(known.device))
            return tokens.change_state(known, tokens.Change.REPORTED)

        await self._change(token, report)

    async def dropped(self, token: Token, reason: str) -> None:
        """A waiting token will never be sent; nothing happens when it waits no more."""

        def drop(known: Token, effect: Effect) -> Token:
            if known.state is not tokens.State.WAITING:
                return known
            effect.tell("token_dropped", device=str(known.device), reason=reason)
            return tokens.change_state(known, tokens.Change.DROPPED)

        await self._change(token, drop)

    async def bound(self, device: DeviceId, *, is_bound: bool) -> None:
        """A user bound or unbound the gateway or one of its sub-devices."""

        def change(db: sqlite3.Connection) -> Effect:
            effect = Effect()
            if device == self._gateway:
                records.set_meta(db, GATEWAY_BOUND, "yes" if is_bound else "no")
                effect.gateway_bound = is_bound
                effect.tell("gateway_bound" if is_bound else "gateway_unbound", device=str(device))
            elif not _bind_sub(db, effect, device, is_bound=is_bound):
                return effect
            if is_bound:
                _bind_tokens(db, effect, device)
            return effect

        await self._ledger.write(change)

    async def prune(self) -> None:
        """Take tokens and tickets that are over off the disk; a token that waited counts as dropped."""
        boot_id, now = self._clock.boot_id, self._clock.boot()

        def change(db: sqlite3.Connection) -> Effect:
            effect = Effect()
            for ticket_id in records.prune_tickets(db, boot_id, now):
                effect.tickets[ticket_id] = None
            _, dead = tokens.sendable(records.load_tokens(db), boot_id, now)
            for token, reason in dead:
                effect.tell("token_dropped", device=str(token.device), reason=str(reason))
            for token_id in records.prune_tokens(db, boot_id, now):
                effect.tokens[token_id] = None
            return effect

        await self._ledger.write(change)

    async def _change(self, token: Token, step: Callable[[Token, Effect], Token]) -> None:
        def change(db: sqlite3.Connection) -> Effect:
            effect = Effect()
            known = records.get_token(db, token.id)
            if known is not None:
                after = step(known, effect)
                records.put_token(db, after)
                effect.tokens[after.id] = after
            return effect

        await self._ledger.write(change)


def add_token(db: sqlite3.Connection, effect: Effect, value: bytes, device: DeviceId, clock: Clock) -> None:
    """Add a waiting token of 16 octets inside a change; a value that the device had before is not new."""
    now = clock.boot()
    token = records.add_token(db, value, device, boot_id=clock.boot_id, made=now, expires=now + tokens.life())
    if token is not None:
        effect.tokens[token.id] = token


def _bind_sub(db: sqlite3.Connection, effect: Effect, device: DeviceId, *, is_bound: bool) -> bool:
    known = records.get_subdevice(db, device)
    if known is None:
        return False
    sub = replace(known, bound=is_bound)
    records.put_subdevice(db, sub)
    effect.subs[device] = sub
    effect.tell("subdevice_bound" if is_bound else "subdevice_unbound", device=str(device))
    return True


def _bind_tokens(db: sqlite3.Connection, effect: Effect, device: DeviceId) -> None:
    for token in records.load_tokens(db):
        if token.device == device and tokens.Change.BOUND in tokens.CHANGES[token.state]:
            bound = tokens.change_state(token, tokens.Change.BOUND)
            records.put_token(db, bound)
            effect.tokens[bound.id] = bound
