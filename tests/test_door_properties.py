"""Random histories of the door against a naive reading of the rules, second by second.

The oracle below knows no end times: each window is a count of seconds left and a count of seconds it has
been open, and one tick takes one second from each. The door itself goes through a real file: every change
is written before it counts, and every restart reads what was written.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agent import permits as door
from agent import records
from agent.admission import Decision, JoinRequest, decide
from agent.errors import InputRefused
from agent.model import DeviceId, Product
from agent.permits import Closed, End, Permits
from agent.store import Store
from agent.tickets import Ticket, complete, issue, void_for
from agent.topology import State, SubDevice, Topology
from tests.jumping import JumpingLoop

Change = tuple[Permits, list[Closed]]

MEMORY = Path("/dev/shm")  # real files that cost no waiting for a disk
KNOWN = ("P", "Q")
PRODUCTS = {key: Product(key, key, net_type=4) for key in KNOWN}
NEVER = 65535
ANY = ""

products = st.sampled_from([*KNOWN, "stranger", ANY])
lengths = st.one_of(st.integers(1, 40), st.sampled_from([0, NEVER]), st.sampled_from([0, NEVER, 600, 65534]))
ceilings = st.one_of(st.none(), st.integers(1, 60), st.just(3600))


@dataclass
class Count:
    """One window of the oracle: seconds left (None: no count), seconds open so far (None: nobody knows)."""

    left: int | None
    age: int | None = 0


@dataclass
class Slip:
    """One ticket of the oracle."""

    product: str
    left: int = 60
    dead: bool = False


@dataclass
class Oracle:
    """The rules of DESIGN 5 word by word; the keys of windows are products and ANY."""

    windows: dict[str, Count] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    slips: dict[str, Slip] = field(default_factory=dict)
    ceiling: int | None = None

    def command(self, product: str, seconds: int) -> None:
        if seconds == NEVER:
            self.never(product)
            return
        left: int | None = seconds
        if self.ceiling is not None:
            left = self.ceiling if seconds == 0 else min(seconds, self.ceiling)
        self.windows[product] = Count(None if left == 0 else left)
        if product == ANY:
            self.denied.clear()
        self.denied.discard(product)

    def never(self, product: str) -> None:
        if product == ANY:
            self.windows.clear()
            self.denied.clear()
        else:
            self.windows.pop(product, None)
            self.denied.add(product)
        for slip in self.slips.values():
            slip.dead = slip.dead or product in (ANY, slip.product)

    def tick(self) -> None:
        for count in self.windows.values():
            count.left = None if count.left is None else count.left - 1
            count.age = None if count.age is None else count.age + 1
        for slip in self.slips.values():
            slip.left -= 1
        self.sweep()

    def set_ceiling(self, ceiling: int | None) -> None:
        self.ceiling = ceiling
        if ceiling is None:
            return
        for count in self.windows.values():
            allowed = 0 if count.age is None else ceiling - count.age
            count.left = allowed if count.left is None else min(count.left, allowed)
        self.sweep()

    def reboot(self) -> None:
        self.windows = {key: Count(None, None) for key, count in self.windows.items() if count.left is None}
        self.slips = {}

    def sweep(self) -> None:
        self.windows = {k: c for k, c in self.windows.items() if c.left is None or c.left > 0}

    def is_open(self, product: str) -> bool:
        return (
            product in KNOWN
            and product not in self.denied
            and (product in self.windows or ANY in self.windows)
        )

    def left(self, product: str) -> int | None:
        counts = [self.windows[key].left for key in (product, ANY) if key in self.windows]
        return None if None in counts else max(count for count in counts if count is not None)


class Door(RuleBasedStateMachine):
    """One gateway's door through commands, time, restarts and reboots."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=JumpingLoop)
        self.directory = Path(
            tempfile.mkdtemp(prefix="enrolld-door-", dir=MEMORY if MEMORY.is_dir() else None)
        )
        self.oracle = Oracle()
        self.permits = Permits()
        self.tickets: dict[str, Ticket] = {}
        self.members = Topology()
        self.boot_id = "boot-0"
        self.boots = 0
        self.utc = 1.7e9
        self.opened = self.ended = 0
        self.store = self.open_store()

    @initialize(quarters=st.integers(0, 400_000))
    def begin(self, quarters: int) -> None:
        self.now = quarters / 4  # in binary fractions, so that sums are exact

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        shutil.rmtree(self.directory)

    # What the daemon does: write first, then remember.

    def open_store(self) -> Store:
        store = Store(self.directory / "state.db")
        self.runner.run(store.open())
        return store

    def remember(self, permits: Permits, closed: list[Closed]) -> None:
        self.ended += len(closed)
        boot_id = self.boot_id
        self.runner.run(self.store.write(lambda db: records.save_permits(db, permits, boot_id)))
        self.permits = permits

    def keep(self, ticket: Ticket) -> None:
        self.runner.run(self.store.write(lambda db: records.put_ticket(db, ticket)))
        self.tickets[ticket.id] = ticket

    def restart(self) -> None:
        self.runner.run(self.store.close())
        self.store = self.open_store()
        saved, boot_id = self.runner.run(self.store.read(records.load_permits))
        assert saved.windows == self.permits.windows
        self.remember(*self.restore(saved, boot_id))
        self.remember(*self.cap(self.oracle.ceiling))
        self.tickets = {t.id: t for t in self.runner.run(self.store.read(records.load_tickets))}
        members, self.members = self.members, self.runner.run(self.store.read(records.load_topology))
        assert set(self.members) == set(members)

    def command(self, product: str | None, seconds: int) -> Change:
        ceiling = self.oracle.ceiling
        return door.apply(self.permits, product, seconds, now=self.now, by="cloud", ceiling=ceiling)

    def cap(self, ceiling: int | None) -> Change:
        return door.cap(self.permits, ceiling, self.now)

    def restore(self, saved: Permits, boot_id: str) -> Change:
        return door.restore(saved, boot_id, self.boot_id, self.now)

    def joined(self, ticket: Ticket) -> None:
        request = ticket.request
        sub = SubDevice(
            request.device,
            State.MEMBER,
            bound=False,
            medium=request.medium,
            address=request.address,
            joined_utc=self.utc,
        )
        self.runner.run(self.store.write(lambda db: records.put_subdevice(db, sub)))
        self.members.put(sub)

    def request(self, product: str) -> JoinRequest:
        name = f"dev-{len(self.oracle.slips)}-{len(self.members)}-{self.boots}"
        return JoinRequest("zigbee", name, DeviceId(product, name))

    def ask(self, product: str) -> Decision:
        return decide(
            self.request(product),
            permits=self.permits,
            products=PRODUCTS,
            topology=self.members,
            grants=(),
            now=self.now,
        )

    # What happens to it.

    @rule(commands=st.lists(st.tuples(products, lengths), min_size=1, max_size=4))
    def permit(self, commands: list[tuple[str, int]]) -> None:
        for product, seconds in commands:
            after, closed = self.command(product, seconds)
            self.opened += seconds != NEVER
            self.remember(after, closed)
            self.oracle.command(product, seconds)
            if seconds == NEVER:
                for ticket in void_for(self.tickets.values(), product or None, now=self.now):
                    self.keep(ticket)
            self.door_agrees_with_the_oracle()

    @rule(seconds=st.integers(1, 50))
    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.oracle.tick()
            self.door_agrees_with_the_oracle()

    @rule(seconds=st.sampled_from([500, 3600, 66_000]))
    def wait_long(self, seconds: int) -> None:
        self.now += seconds
        for _ in range(seconds):
            self.oracle.tick()

    @rule()
    def sweep(self) -> None:
        before = self.permits
        self.remember(*door.expire(before, self.now))
        assert set(self.permits.windows) == {key or None for key in self.oracle.windows}
        end = door.next_end(self.permits)
        lefts = [count.left for count in self.oracle.windows.values() if count.left is not None]
        assert end == (self.now + min(lefts) if lefts else None)

    @rule(ceiling=ceilings)
    def set_ceiling(self, ceiling: int | None) -> None:
        self.oracle.set_ceiling(ceiling)
        self.remember(*self.cap(ceiling))

    @rule(product=products, seconds=lengths, age=st.integers(1, 30), ceiling=ceilings)
    def set_ceiling_under_an_open_window(
        self, product: str, seconds: int, age: int, ceiling: int | None
    ) -> None:
        self.set_ceiling(None)
        self.permit([(product, seconds)])
        self.wait(age)
        self.set_ceiling(ceiling)

    @rule(pause=st.integers(0, 30))
    def restart_process(self, pause: int) -> None:
        self.now += pause
        for _ in range(pause):
            self.oracle.tick()
        if not self.boot_id:  # nobody can say that there was no reboot
            self.oracle.reboot()
            self.oracle.set_ceiling(self.oracle.ceiling)
        self.restart()

    @rule(quarters=st.integers(0, 4000), is_known=st.booleans())
    def reboot(self, quarters: int, is_known: bool) -> None:
        self.boots += 1
        self.boot_id = f"boot-{self.boots}" if is_known else ""
        self.now = quarters / 4
        self.oracle.reboot()
        self.oracle.set_ceiling(self.oracle.ceiling)
        self.restart()

    @rule(step=st.sampled_from([-1e9, -3600.0, 86_400.0, 1e9]))
    def step_utc(self, step: float) -> None:
        self.utc += step  # it shows in the rows of members and must not in any decision

    @rule(product=st.sampled_from(KNOWN))
    def ask_for_a_ticket(self, product: str) -> None:
        if self.ask(product).admitted:
            ticket = issue(self.request(product), boot_id=self.boot_id, now=self.now)
            self.keep(ticket)
            self.oracle.slips[ticket.id] = Slip(product)

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def redeem(self, data: st.DataObject) -> None:
        ticket = self.tickets[data.draw(st.sampled_from(sorted(self.tickets)))]
        slip = self.oracle.slips.get(ticket.id)
        good = slip is not None and slip.left > 0 and not slip.dead and self.boot_id != ""
        if not good:
            with pytest.raises(InputRefused, match="ticket"):
                complete(ticket, boot_id=self.boot_id, now=self.now)
            return
        self.keep(complete(ticket, boot_id=self.boot_id, now=self.now))
        self.joined(ticket)
        assert slip is not None
        slip.dead = True

    # What must hold.

    @invariant()
    def door_agrees_with_the_oracle(self) -> None:
        for product in (*KNOWN, "stranger"):
            decision = self.ask(product)
            assert decision.admitted == self.oracle.is_open(product), (product, decision)
            if decision.admitted:
                assert decision.ends_in == self.oracle.left(product)

    @invariant()
    def no_window_is_longer_than_the_ceiling(self) -> None:
        ceiling = self.oracle.ceiling
        for window in self.permits.windows.values():
            if ceiling is not None and window.is_open(self.now):
                assert window.ends is not None
                assert window.ends - window.opened <= ceiling

    @invariant()
    def every_window_ends_once(self) -> None:
        assert self.opened == self.ended + len(self.permits.windows)


Door.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestDoor = Door.TestCase


# The oracle must be able to object: doors with one rule broken are found out.


class NeverIsLong(Door):
    """Takes 65535 for eighteen hours, as shipping gateways do."""

    def command(self, product: str | None, seconds: int) -> Change:
        return super().command(product, min(seconds, 65534))


class AnyIsStronger(Door):
    """Forgets that a product was closed by name."""

    def command(self, product: str | None, seconds: int) -> Change:
        after, closed = super().command(product, seconds)
        return Permits(after.windows), closed


class BootsAreAlike(Door):
    """Trusts the boot times of another boot."""

    def restore(self, saved: Permits, boot_id: str) -> Change:
        return door.restore(saved, "same", "same", self.now)


class CeilingStartsNow(Door):
    """Counts a lowered ceiling from the moment that it was lowered."""

    def cap(self, ceiling: int | None) -> Change:
        before, closed = door.expire(self.permits, self.now)
        moved = {key: replace(window, opened=self.now) for key, window in before.windows.items()}
        after, cut = door.cap(Permits(moved, before.denied), ceiling, self.now)
        return after, closed + cut


@pytest.mark.parametrize("broken", [NeverIsLong, AnyIsStronger, BootsAreAlike, CeilingStartsNow])
def test_a_broken_door_is_found_out(broken: type[Door]) -> None:
    quick = settings(
        Door.TestCase.settings, max_examples=500, phases=[Phase.generate], report_multiple_bugs=False
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(broken, settings=quick)


def test_the_reasons_of_an_end_are_the_five_of_the_design() -> None:
    assert [str(end) for end in End] == ["expired", "closed", "rebooted", "capped", "replaced"]
