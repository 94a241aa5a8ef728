"""Rows go in and come out as the same values, through a real file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent import records
from agent.admission import JoinRequest
from agent.model import DeviceId
from agent.permits import Permits, Window
from agent.store import Store
from agent.tickets import Change, change_state, issue
from agent.tokens import State as TokenState
from agent.topology import State, SubDevice

LAMP = DeviceId("a1Lamp", "lamp-01")
LOCK = DeviceId("a1Lock", "lock-01")
MEMBER = SubDevice(
    LAMP,
    State.MEMBER,
    bound=True,
    medium="ble",
    address="5A:00:00:00:00:02",
    joined_utc=1.7e9 + 1,
    first_login=12.25,
    first_login_boot_id="a",
    product_id=0xFFFFFFFF,
    mac=bytes(range(6)),
)
JOINING = SubDevice(
    LOCK, State.JOINING, bound=False, medium="zigbee", address="é-1", joined_utc=1.7e9, first_login=None
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path / "state.db")
    await store.open()
    yield store
    await store.close()


async def test_permits(store: Store) -> None:
    assert await store.read(records.load_permits) == (Permits(), "")
    windows = {
        None: Window(None, 0.0, None, capped=False, by="cloud", carried=True),
        "P": Window("P", 1234567.123456, 1234627.123456, capped=True, by="cli"),
    }
    for permits in (Permits(windows, frozenset({"Q", "R"})), Permits({"P": windows["P"]}), Permits()):
        await store.write(lambda db, p=permits: records.save_permits(db, p, "boot-7"))  # type: ignore[misc]
        assert await store.read(records.load_permits) == (permits, "boot-7")


async def test_topology(store: Store) -> None:
    for sub in (MEMBER, JOINING, replace(JOINING, state=State.MEMBER)):
        await store.write(lambda db, s=sub: records.put_subdevice(db, s))  # type: ignore[misc]
    topology = await store.read(records.load_topology)
    assert list(topology) == [replace(JOINING, state=State.MEMBER), MEMBER]  # in the order of joining
    assert topology.by_record(0xFFFFFFFF, bytes(range(6))) == MEMBER
    assert await store.read(lambda db: records.get_subdevice(db, LAMP)) == MEMBER
    assert await store.write(lambda db: records.delete_subdevice(db, LAMP))
    assert await store.read(lambda db: records.get_subdevice(db, LAMP)) is None
    assert not await store.write(lambda db: records.delete_subdevice(db, LAMP))
    assert len(await store.read(records.load_topology)) == 1


async def test_tickets(store: Store) -> None:
    first = issue(JoinRequest("zigbee", "01", LOCK), boot_id="a", now=10.0)
    second = issue(JoinRequest("thread", "02", LOCK), boot_id="a", now=11.0)
    failed = change_state(
        change_state(first, Change.DONE, now=12.0), Change.FAILED, now=13.0, code=6401, sentence="No."
    )
    for ticket in (second, first, failed):
        await store.write(lambda db, t=ticket: records.put_ticket(db, t))  # type: ignore[misc]
    assert await store.read(records.load_tickets) == [failed, second]
    assert await store.read(lambda db: records.get_ticket(db, first.id)) == failed
    assert await store.read(lambda db: records.get_ticket(db, "none")) is None
    assert await store.write(lambda db: records.prune_tickets(db, "a", 612.9)) == []
    assert await store.write(lambda db: records.prune_tickets(db, "a", 613.0)) == [first.id]
    assert await store.read(records.load_tickets) == [second]


async def test_a_token_counts_once_per_device(store: Store) -> None:
    value = bytes(range(16))
    add = records.add_token
    token = await store.write(lambda db: add(db, value, LAMP, boot_id="a", made=1.0, expires=121.0))
    assert token is not None
    assert await store.write(lambda db: add(db, value, LAMP, boot_id="a", made=2.0, expires=122.0)) is None
    other = await store.write(lambda db: add(db, value, LOCK, boot_id="b", made=2.0, expires=122.0))
    assert other is not None
    assert await store.read(records.load_tokens) == [token, other]
    reported = replace(token, state=TokenState.REPORTED, attempts=3)
    await store.write(lambda db: records.put_token(db, reported))
    assert await store.read(records.load_tokens) == [reported, other]
    assert await store.read(lambda db: records.get_token(db, token.id)) == reported
    assert await store.read(lambda db: records.get_token(db, 99)) is None
    assert await store.write(lambda db: records.prune_tokens(db, "a", 120.9)) == [other.id]
    assert await store.read(records.load_tokens) == [reported]
    assert await store.write(lambda db: records.prune_tokens(db, "a", 121.0)) == [token.id]


async def test_the_outbox_keeps_order_and_takes_each_key_once(store: Store) -> None:
    kinds = records.OutboxKind
    body = {"deviceName": "lamp-01", "n": [1, None, "é"]}
    first = await store.write(lambda db: records.add_item(db, kinds.BIND, "bind/1", body, 1.7e9))
    second = await store.write(lambda db: records.add_item(db, kinds.RESET, "reset", {}, 1.7e9))
    assert first is not None
    assert second is not None
    assert await store.write(lambda db: records.add_item(db, kinds.BIND, "bind/1", {}, 1.8e9)) is None
    assert await store.write(lambda db: records.count_attempt(db, first)) == 1
    assert await store.write(lambda db: records.count_attempt(db, first)) == 2
    assert await store.read(records.items) == [
        records.OutboxItem(first, kinds.BIND, "bind/1", body, 1.7e9, 2),
        records.OutboxItem(second, kinds.RESET, "reset", {}, 1.7e9, 0),
    ]
    assert "lamp-01" not in repr(await store.read(records.items))
    assert await store.write(lambda db: records.drop_item(db, first))
    assert not await store.write(lambda db: records.drop_item(db, first))
    assert await store.write(lambda db: records.count_attempt(db, first)) == 0
    again = await store.write(lambda db: records.add_item(db, kinds.BIND, "bind/1", body, 1.8e9))
    assert again is not None
    assert again > second  # ids are never used twice


async def test_an_outbox_item_may_take_the_place_of_the_one_with_its_key(store: Store) -> None:
    kind = records.OutboxKind.TOPOLOGY
    first, replaced = await store.write(lambda db: records.put_item(db, kind, "topo/1", {"n": 1}, 1.7e9))
    assert replaced is None
    second, replaced = await store.write(lambda db: records.put_item(db, kind, "topo/1", {"n": 2}, 1.8e9))
    assert replaced == first.id
    assert await store.read(records.items) == [second]
    assert second.body == {"n": 2}
    assert await store.write(lambda db: records.drop_key(db, "topo/1")) == second.id
    assert await store.write(lambda db: records.drop_key(db, "topo/1")) is None


async def test_received_secrets(store: Store) -> None:
    assert await store.read(lambda db: records.get_secret(db, LAMP)) is None
    for secret in ("one", "two"):
        await store.write(lambda db, s=secret: records.put_secret(db, LAMP, s))  # type: ignore[misc]
    assert await store.read(lambda db: records.get_secret(db, LAMP)) == "two"
    assert await store.read(lambda db: records.get_secret(db, LOCK)) is None
    assert await store.write(lambda db: records.delete_secret(db, LAMP))
    assert not await store.write(lambda db: records.delete_secret(db, LAMP))
    assert await store.read(lambda db: records.get_secret(db, LAMP)) is None


async def test_named_texts(store: Store) -> None:
    for name, value in (("name.a", "1"), ("name.b", "2"), ("nam%", "3"), ("name.a", "4")):
        await store.write(lambda db, n=name, v=value: records.set_meta(db, n, v))  # type: ignore[misc]
    assert await store.read(lambda db: records.get_meta(db, "name.a")) == "4"
    assert await store.read(lambda db: records.get_meta(db, "name")) is None
    assert await store.write(lambda db: records.delete_meta(db, "name.a"))
    assert not await store.write(lambda db: records.delete_meta(db, "name.a"))
    assert await store.read(lambda db: records.get_meta(db, "name.a")) is None
    assert await store.read(lambda db: records.get_meta(db, "name.b")) == "2"
