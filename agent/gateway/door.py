"""The door as a running thing: windows that open and close, joins that ask, tickets, start commands.

Every path ends in `agent.admission.decide`. What is admitted is decided once more inside the transaction
that issues its ticket, on windows and topology as they are on the disk, so that nothing can slip in between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace

from agent import admission, permits, records, tickets
from agent.admission import SENTENCES, Decision, Grant, JoinRequest, Reason
from agent.errors import InputRefused, StoreError
from agent.gateway.bindings import add_token
from agent.gateway.history import History
from agent.gateway.ledger import Effect, Ledger, login_name, topology_key
from agent.gateway.login import params_text
from agent.gateway.roster import abandon_tickets
from agent.model import DeviceId, Kind, Product
from agent.permits import Closed, Permits
from agent.ports import Clock
from agent.records import OutboxKind
from agent.tickets import DoneRequest, Ticket
from agent.tickets import State as TicketState
from agent.topology import State, SubDevice, Topology

GRANTS = 256  # start commands at once; the oldest gives way


class Door:
    """Opens and closes windows, decides on joins, and keeps the tickets of those admitted."""

    def __init__(
        self,
        ledger: Ledger,
        history: History,
        clock: Clock,
        *,
        products: Callable[[], Mapping[str, Product]],
        ceiling: Callable[[], int | None],
        identify: Callable[[JoinRequest], JoinRequest] = lambda request: request,
    ) -> None:
        self._ledger = ledger
        self._history = history
        self._clock = clock
        self._products = products
        self._ceiling = ceiling
        self._identify = identify
        self._grants: dict[str, Grant] = {}

    # Windows

    def restore(self, db: sqlite3.Connection) -> Effect:
        """What an earlier process or boot left, settled by the clock rule and the ceiling of now."""
        now, boot_id = self._clock.boot(), self._clock.boot_id
        saved, saved_boot_id = records.load_permits(db)
        left, closed = permits.restore(saved, saved_boot_id, boot_id, now)
        left, capped = permits.cap(left, self._ceiling(), now)
        records.save_permits(db, left, boot_id)
        records.prune_tickets(db, boot_id, now)
        effect = Effect(permits=left)
        _tell_closed(effect, closed + capped)
        return effect

    async def permit(self, product_key: object, time: object, *, by: str) -> None:
        """One permit command of the cloud, a socket or the command line; InputRefused 460 changes nothing."""
        key = permits.read_product(product_key)
        seconds = permits.read_time(time)

        def change(db: sqlite3.Connection) -> Effect:
            now = self._clock.boot()
            before, _ = records.load_permits(db)
            after, closed = permits.apply(before, key, seconds, now=now, by=by, ceiling=self._ceiling())
            records.save_permits(db, after, self._clock.boot_id)
            effect = Effect(permits=after)
            _tell_closed(effect, closed)
            if seconds == permits.NEVER:
                effect.tickets |= _void(db, key, now)
                effect.tell("permit_denied", product_key=key, by=by)
            else:
                window = after.windows[key]
                ends_in = None if window.ends is None else window.ends - now
                effect.tell("permit_opened", product_key=key, ends_in=ends_in, by=by, capped=window.capped)
            return effect

        await self._ledger.write(change)

    async def close_ended(self) -> None:
        """Take windows whose end has come off the disk, and say so."""
        await self._ledger.write(lambda db: self._settle(db, None))

    async def cut(self) -> None:
        """Apply a lowered ceiling to the windows that are open."""
        await self._ledger.write(lambda db: self._settle(db, self._ceiling()))

    def _settle(self, db: sqlite3.Connection, ceiling: int | None) -> Effect:
        before, _ = records.load_permits(db)
        after, closed = permits.cap(before, ceiling, self._clock.boot())
        records.save_permits(db, after, self._clock.boot_id)
        effect = Effect(permits=after)
        _tell_closed(effect, closed)
        return effect

    # Start commands

    def start(self, request: JoinRequest, timeout: object, *, by: str) -> Decision:
        """Grant a direct device its start, if the door would let it in; good for ``timeout`` (<= 0: 60 s)."""
        now = self._clock.boot()
        name = request.enrollee or str(request.device)
        grant = admission.open_grant(name, timeout, now=now, by=by)
        grants = (*self._grants.values(), grant)
        decision = self._decide(request, self._ledger.permits, now, grants, self._ledger.topology)
        self._history.decided(request, decision, self._clock)
        if decision.admitted:
            self._grants.pop(name, None)
            if len(self._grants) >= GRANTS:
                self._grants.pop(next(iter(self._grants)))
            self._grants[name] = grant
        return decision

    def take_ended_grants(self) -> list[Grant]:
        """The start commands whose time is over, each once."""
        now = self._clock.boot()
        over = [grant for grant in self._grants.values() if grant.ends <= now]
        for grant in over:
            del self._grants[grant.name]
        return over

    # Joins

    def preview(self, request: JoinRequest) -> Decision:
        """What the door would say now; nothing is recorded."""
        grants = tuple(self._grants.values())
        return self._decide(request, self._ledger.permits, self._clock.boot(), grants, self._ledger.topology)

    async def join(self, body: object) -> tuple[Decision, Ticket | None]:
        """Decide on ``POST /v1/joins``; the ticket of an admission is on the disk when this returns.

        StoreError while nothing can be written: every join is to be tried again (DESIGN 4).
        """
        request = admission.read_join(body)
        product = self._products().get(request.device.product_key)
        if product is not None:  # the kind is the product file's, never the asker's
            request = self._identify(replace(request, kind=product.kind))
        decision = self.preview(request)
        ticket: Ticket | None = None
        if decision.admitted:
            decision, ticket = await self._issue(request)
        self._history.decided(request, decision, self._clock)
        if ticket is None and not self._ledger.writable:
            # Whatever the decision: what is known of windows and members may be nothing at all.
            raise StoreError(SENTENCES[Reason.STORE_UNAVAILABLE])
        return decision, ticket

    async def _issue(self, request: JoinRequest) -> tuple[Decision, Ticket | None]:
        now = self._clock.boot()
        held = tickets.open_for(self._ledger.tickets.values(), request, boot_id=self._clock.boot_id, now=now)
        final: list[Decision] = []

        def change(db: sqlite3.Connection) -> Effect:
            on_disk, _ = records.load_permits(db)
            grants = tuple(self._grants.values())
            decision = self._decide(request, on_disk, now, grants, records.load_topology(db))
            final.append(decision)
            effect = Effect()
            if decision.admitted:
                ticket = _renew(db, held, now) or tickets.issue(request, boot_id=self._clock.boot_id, now=now)
                records.put_ticket(db, ticket)
                effect.tickets[ticket.id] = ticket
                device = request.device
                effect.tell(
                    "join_admitted", device=str(device), medium=request.medium, reason=decision.reason
                )
            return effect

        effect = await self._ledger.write(change)
        return final[0], next(iter(effect.tickets.values()), None)

    async def complete(self, ticket_id: str, body: object) -> Ticket:
        """``POST /v1/joins/{ticket}/done``: the join is on the disk when this returns; 404, 409, 410."""
        done = tickets.read_done(body)
        asked = self.ticket(ticket_id).request

        def change(db: sqlite3.Connection) -> Effect:
            known = records.get_ticket(db, ticket_id)
            if known is None:
                raise InputRefused("there is no such ticket; ask to join again", code=404)
            now = self._clock.boot()
            ticket = tickets.complete(known, boot_id=self._clock.boot_id, now=now)
            product = self._products().get(ticket.request.device.product_key)
            if product is not None and product.kind is Kind.DIRECT:
                return _finish_direct(db, ticket, now)
            return self._begin(db, ticket, done)

        effect = await self._ledger.write(change)
        ticket = effect.tickets[ticket_id]
        if ticket is None:
            raise AssertionError("a completed ticket is there")
        for name in (str(asked.device), asked.enrollee):  # as `start` names a grant: a start is for once
            self._grants.pop(name or "", None)
        return ticket

    def ticket(self, ticket_id: str) -> Ticket:
        """The ticket of that id as it stands; InputRefused 404 when there is none, 410 when it is dead."""
        ticket = self._ledger.tickets.get(ticket_id)
        if ticket is None or tickets.is_over(ticket, boot_id=self._clock.boot_id, now=self._clock.boot()):
            raise InputRefused("there is no such ticket; ask to join again", code=404)
        tickets.check_standing(ticket, boot_id=self._clock.boot_id, now=self._clock.boot())
        return ticket

    def _begin(self, db: sqlite3.Connection, ticket: Ticket, done: DoneRequest) -> Effect:
        request = self._identify(ticket.request)
        device = request.device
        effect = Effect(tickets={ticket.id: ticket})
        sentence = "A later join of the same device took its place."
        abandon_tickets(db, effect, device, self._clock.boot(), sentence)
        records.put_ticket(db, ticket)
        self._enter(db, effect, request)
        if done.sign_params is not None:
            records.set_meta(db, login_name(device), params_text(done.sign_params))
        if done.token is not None:  # its life counts from now, however long the cloud is away
            add_token(db, effect, done.token, device, self._clock)
        body: dict[str, object] = {"op": "add", "device": [*_names(device)], "ticket": ticket.id}
        item, replaced = records.put_item(
            db, OutboxKind.TOPOLOGY, topology_key(device), body, self._clock.utc()
        )
        effect.items[item.id] = item
        if replaced is not None:
            effect.items[replaced] = None
        effect.tell("subdevice_joining", device=str(device), medium=request.medium)
        return effect

    def _enter(self, db: sqlite3.Connection, effect: Effect, request: JoinRequest) -> None:
        """Make the device a joining sub-device unless it is one; InputRefused 409 while it is removed."""
        known = records.get_subdevice(db, request.device)
        if known is not None and known.state is State.REMOVING:
            raise InputRefused(SENTENCES[Reason.BEING_REMOVED].format(device=request.device), code=409)
        if known is not None:
            return
        sub = SubDevice(
            request.device,
            State.JOINING,
            bound=False,
            medium=request.medium,
            address=request.address,
            joined_utc=self._clock.utc(),
            product_id=request.product_id,
            mac=request.mac,
        )
        records.put_subdevice(db, sub)
        effect.subs[request.device] = sub

    def _decide(
        self,
        request: JoinRequest,
        windows: Permits,
        now: float,
        grants: tuple[Grant, ...],
        members: Topology,
    ) -> Decision:
        return admission.decide(
            request,
            permits=windows,
            products=self._products(),
            topology=members,
            grants=grants,
            now=now,
            writable=self._ledger.writable,
        )


def _renew(db: sqlite3.Connection, held: Ticket | None, now: float) -> Ticket | None:
    """The ticket that the asker holds, with a new life, unless it was redeemed or voided meanwhile."""
    known = None if held is None else records.get_ticket(db, held.id)
    if held is None or known is None or known.state is not TicketState.ISSUED:
        return None
    return tickets.renew(held, now=now)


def _finish_direct(db: sqlite3.Connection, ticket: Ticket, now: float) -> Effect:
    """A direct device logs in by itself: with its credentials handed over, the gateway's part is done."""
    sentence = "It connects to the cloud by itself; the gateway's part is done."
    settled = tickets.change_state(ticket, tickets.Change.ONLINE, now=now, sentence=sentence)
    records.put_ticket(db, settled)
    effect = Effect(tickets={ticket.id: settled})
    effect.tell("provisioning_ended", device=str(ticket.request.device), outcome="done")
    return effect


def _void(db: sqlite3.Connection, key: str | None, now: float) -> dict[str, Ticket | None]:
    voided = tickets.void_for(records.load_tickets(db), key, now=now)
    for ticket in voided:
        records.put_ticket(db, ticket)
    return {ticket.id: ticket for ticket in voided}


def _tell_closed(effect: Effect, closed: list[Closed]) -> None:
    for end in closed:
        effect.tell("permit_closed", product_key=end.window.product_key, reason=str(end.reason))


def _names(device: DeviceId) -> tuple[str, str]:
    return device.product_key, device.device_name
