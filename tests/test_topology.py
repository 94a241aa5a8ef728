"""State changes of sub-devices, each pair of state and change; and the look-ups."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from agent.errors import InputRefused
from agent.model import DeviceId
from agent.topology import MEMBERS, Change, State, SubDevice, Topology, change_state

MAC = bytes.fromhex("a0b1c2d3e4f5")
LAMP = SubDevice(
    DeviceId("a1Lamp", "lamp-01"),
    State.MEMBER,
    bound=False,
    medium="ble",
    address="A0:B1:C2:D3:E4:F5",
    joined_utc=1.7e9,
    product_id=7,
    mac=MAC,
)
LOCK = SubDevice(
    DeviceId("a1Lock", "lock-01"),
    State.JOINING,
    bound=False,
    medium="zigbee",
    address="00124b0001020304",
    joined_utc=1.7e9,
)

# What cloud-device-channel.md 5.2 makes of each pair, by first letters; . is gone, x is illegal.
EXPECTED = """
            added failed disabled enabled forgotten deleted
joining     M     .      D        x       R         .
member      M     M      D        M       R         .
disabled    D     D      D        M       R         .
removing    R     R      R        R       R         .
"""


def expected() -> dict[tuple[str, str], str]:
    head, *rows = [line.split() for line in EXPECTED.strip().splitlines()]
    return {(row[0], change): cell for row in rows for change, cell in zip(head, row[1:], strict=True)}


@pytest.mark.parametrize(("state", "change"), list(product(State, Change)))
def test_each_pair_of_state_and_change(state: State, change: Change) -> None:
    cell = expected()[state, change]
    sub = replace(LAMP, state=state)
    if cell == "x":
        with pytest.raises(ValueError, match=f"{state} cannot be {change}"):
            change_state(sub, change)
        return
    after = change_state(sub, change)
    assert (after.state[0].upper() if after else ".") == cell
    assert after is None or replace(after, state=state) == sub


def test_look_ups() -> None:
    topology = Topology([LAMP, LOCK])
    assert len(topology) == 2
    assert list(topology) == [LAMP, LOCK]
    assert LAMP.device in topology
    assert topology.get(LOCK.device) == LOCK
    assert topology.by_record(7, MAC) == LAMP
    assert topology.by_record(8, MAC) is None
    assert topology.by_record(7, MAC[::-1]) is None


@pytest.mark.parametrize(
    "text", ["a1Lamp/lamp-01", "lamp-01", "A0:B1:C2:D3:E4:F5", "a0b1c2d3e4f5", "a0-b1-c2-d3-e4-f5"]
)
def test_a_sub_device_is_found_by_name_address_or_mac(text: str) -> None:
    assert Topology([LAMP, LOCK]).find(text) == LAMP


@pytest.mark.parametrize(
    "text", ["", "/", "lamp", "a1Lock/lamp-01", "a1Lamp/", "A0:B1:C2:D3:E4", "a1Lamp/lamp-01/"]
)
def test_what_is_not_there_is_not_found(text: str) -> None:
    assert Topology([LAMP, LOCK]).find(text) is None


def test_a_name_that_fits_two_is_refused() -> None:
    twin = replace(LAMP, device=DeviceId("a1Other", "lamp-01"), product_id=9)
    topology = Topology([LAMP, twin])
    with pytest.raises(InputRefused, match="2 sub-devices") as caught:
        topology.find("lamp-01")
    assert caught.value.code == 409
    assert topology.find("a1Other/lamp-01") == twin


def test_dropping_forgets_the_record_too() -> None:
    topology = Topology([LAMP, LOCK])
    assert topology.drop(LAMP.device) == LAMP
    assert topology.drop(LAMP.device) is None
    assert topology.by_record(7, MAC) is None
    assert list(topology) == [LOCK]


def test_putting_again_replaces() -> None:
    topology = Topology([LAMP])
    moved = replace(LAMP, mac=MAC[::-1], bound=True)
    topology.put(moved)
    assert topology.by_record(7, MAC) is None
    assert topology.by_record(7, MAC[::-1]) == moved
    assert len(topology) == 1


def test_a_record_belongs_to_the_sub_device_that_had_it_last() -> None:
    heir = replace(LAMP, device=DeviceId("a1Lamp", "lamp-02"))
    topology = Topology([LAMP, heir])
    assert topology.by_record(7, MAC) == heir
    topology.drop(LAMP.device)
    assert topology.by_record(7, MAC) == heir


def test_there_is_room_for_as_many_as_the_cloud_allows() -> None:
    topology = Topology(replace(LOCK, device=DeviceId("a1Lock", f"lock-{n}")) for n in range(MEMBERS))
    assert topology.is_full
    with pytest.raises(InputRefused) as caught:
        topology.put(LAMP)
    assert caught.value.code == 6400
    assert LAMP.device not in topology
    known = replace(LOCK, device=DeviceId("a1Lock", "lock-7"), bound=True)
    topology.put(known)
    assert topology.get(known.device) == known
    topology.drop(known.device)
    topology.put(LAMP)
    assert topology.is_full
