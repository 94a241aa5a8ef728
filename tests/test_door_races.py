"""Two requests at the door at once, while the store's thread still writes the first."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from agent.clock import SystemClock
from agent.errors import InputRefused
from agent.events import EventLog
from agent.gateway.door import Door
from agent.gateway.history import History
from agent.gateway.ledger import Ledger
from agent.model import DeviceId, Product
from agent.store import Store
from agent.tickets import State

PLUG = DeviceId("a1DemoPlug1", "plug-01")
ASKED = {"v": 1, "medium": "zigbee", "address": "1", "product_key": "a1DemoPlug1", "device_name": "plug-01"}
DONE = {"v": 1, "sign_params": None, "token": None}


class Commits:
    """Counts commits, so that the loop can be kept busy until its store's thread has done so many."""

    def __init__(self) -> None:
        self._done = threading.Semaphore(0)

    def commit(self, moment: str) -> None:
        if moment == "after":
            self._done.release()

    def forget(self) -> None:
        while self._done.acquire(blocking=False):
            continue

    async def hold_loop(self, commits: int) -> None:
        """Let nothing run in the loop until that many commits are done."""
        for _ in range(commits):
            assert self._done.acquire(timeout=10)


async def open_door(path: Path, commits: Commits) -> tuple[Store, Ledger, Door]:
    """A door with one product and an open window."""
    clock = SystemClock()
    log = EventLog(clock)
    store = Store(path / "enrolld.db", on_commit=commits.commit)
    ledger = Ledger(store, log)
    products = {"a1DemoPlug1": Product("a1DemoPlug1", "Plug", 5)}
    door = Door(ledger, History(log), clock, products=lambda: products, ceiling=lambda: None)
    await ledger.load(door.restore)
    await door.permit("a1DemoPlug1", 600, by="cli")
    return store, ledger, door


async def test_asking_again_beside_the_done_does_not_reopen_the_ticket(tmp_path: Path) -> None:
    commits = Commits()
    store, ledger, door = await open_door(tmp_path, commits)
    _, ticket = await door.join(ASKED)
    assert ticket is not None
    commits.forget()
    _, (decision, second), _ = await asyncio.gather(
        door.complete(ticket.id, DONE), door.join(ASKED), commits.hold_loop(2)
    )
    assert (decision.admitted, second) == (False, None)
    assert ledger.tickets[ticket.id].state is State.JOINING
    await store.close()


async def test_of_two_dones_at_once_one_counts(tmp_path: Path) -> None:
    commits = Commits()
    store, ledger, door = await open_door(tmp_path, commits)
    _, ticket = await door.join(ASKED)
    assert ticket is not None
    commits.forget()
    answers = await asyncio.gather(
        door.complete(ticket.id, DONE),
        door.complete(ticket.id, DONE),
        commits.hold_loop(1),
        return_exceptions=True,
    )
    assert [getattr(answer, "code", None) for answer in answers] == [None, 409, None]
    assert isinstance(answers[1], InputRefused)
    assert len(ledger.outbox) == 1
    await store.close()
