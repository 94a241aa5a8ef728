"""Every reason of the door, the order of objections, and the body of a join."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from agent.admission import SENTENCES, Decision, Grant, JoinRequest, Reason, decide, open_grant, read_join
from agent.errors import InputRefused
from agent.model import DeviceId, Kind, Product
from agent.permits import Permits, Window, apply
from agent.topology import MEMBERS, State, SubDevice, Topology

NOW = 1000.0
MAC = bytes.fromhex("a0b1c2d3e4f5")
LAMP = Product("a1Lamp", "Lamp", net_type=5, product_ids=(7,))
LOCK = Product("a1Lock", "Lock", net_type=4, security="none")
PLUG = Product("a1Plug", "Plug", net_type=3)
HUB = Product("a1Hub", "Hub", net_type=7, node_type=1)
PRODUCTS = {p.product_key: p for p in (LAMP, LOCK, PLUG, HUB)}

ZIGBEE = JoinRequest("zigbee", "00124b0001020304", DeviceId("a1Lock", "lock-01"))
BLE = JoinRequest(
    "ble",
    "5A:00:00:00:00:01",
    DeviceId("a1Lamp", ""),
    enrollee="ble:A0:B1:C2:D3:E4:F5/00000007",
    product_id=7,
    mac=MAC,
    bound=None,
    secured=True,
)
COMBO = JoinRequest(
    "wifi",
    "A0:B1:C2:D3:E4:F6",
    DeviceId("a1Plug", "plug-01"),
    kind=Kind.DIRECT,
    enrollee="wifi:a1Plug/plug-01",
)
KNOWN_LOCK = SubDevice(
    ZIGBEE.device, State.MEMBER, bound=True, medium=ZIGBEE.medium, address=ZIGBEE.address, joined_utc=1.7e9
)
KNOWN_LAMP = SubDevice(
    DeviceId("a1Lamp", "lamp-01"),
    State.MEMBER,
    bound=True,
    medium="ble",
    address="5A:00:00:00:00:02",
    joined_utc=1.7e9,
    product_id=7,
    mac=MAC,
)


def permits(*commands: tuple[str | None, int], now: float = NOW) -> Permits:
    result = Permits()
    for product_key, seconds in commands:
        result, _ = apply(result, product_key, seconds, now=now, by="cloud", ceiling=None)
    return result


ALL_OPEN = permits((None, 60))


def ask(
    request: JoinRequest,
    windows: Permits = ALL_OPEN,
    *,
    known: tuple[SubDevice, ...] = (),
    products: Mapping[str, Product] = PRODUCTS,
    grants: tuple[Grant, ...] = (),
    **more: Any,
) -> Decision:
    topology = Topology(known)
    return decide(
        request, permits=windows, products=products, topology=topology, grants=grants, now=NOW, **more
    )


def test_inside_a_window_a_sub_device_is_admitted() -> None:
    decision = ask(ZIGBEE, permits(("a1Lock", 60)))
    assert (decision.admitted, decision.reason, decision.ends_in) == (True, Reason.WINDOW_OPEN, 60.0)
    assert decision.window == Window("a1Lock", NOW, NOW + 60, capped=False, by="cloud")
    assert decision.sentence == "Lock may join: a window opened by cloud ends in 60 s."


def test_an_always_open_window_has_no_end() -> None:
    decision = ask(BLE, permits((None, 0)))
    assert decision.admitted
    assert decision.ends_in is None
    assert "with the next command" in decision.sentence


@pytest.mark.parametrize("name", ["a1Plug/plug-01", "wifi:a1Plug/plug-01"])
def test_a_direct_device_is_admitted_by_the_command_that_names_it(name: str) -> None:
    decision = ask(COMBO, Permits(), grants=(Grant(name, NOW + 12.5, "cli"),))
    assert (decision.admitted, decision.reason, decision.ends_in) == (True, Reason.START_COMMAND, 12.5)
    assert decision.window is None
    assert decision.sentence == "a1Plug/plug-01 was named by a start command of cli, which is good for 13 s."


@pytest.mark.parametrize(
    "grants",
    [
        (),
        (Grant("a1Plug/plug-01", NOW, "cloud"),),
        (Grant("a1Plug/plug-02", NOW + 60, "cloud"),),
        (Grant("", 1e9, ""),),
    ],
)
def test_no_window_lets_a_direct_device_in(grants: tuple[Grant, ...]) -> None:
    decision = ask(COMBO, permits((None, 0), ("a1Plug", 0)), grants=grants)
    assert (decision.admitted, decision.reason) == (False, Reason.NO_START_COMMAND)


def test_no_start_command_lets_a_sub_device_in() -> None:
    grants = (Grant("a1Lock/lock-01", NOW + 60, "cloud"),)
    assert ask(ZIGBEE, Permits(), grants=grants).reason is Reason.WINDOW_CLOSED


LATE = permits((None, 60), now=NOW - 60)
DENIED = permits((None, 60), ("a1Lock", 65535))


@pytest.mark.parametrize(
    ("reason", "decision"),
    [
        (Reason.UNKNOWN_PRODUCT, ask(ZIGBEE, products={})),
        (Reason.UNKNOWN_PRODUCT, ask(replace(ZIGBEE, device=DeviceId("a1lock", "lock-01")))),
        (Reason.GATEWAY_PRODUCT, ask(replace(ZIGBEE, device=DeviceId("a1Hub", "hub-01")))),
        (Reason.WRONG_KIND, ask(replace(ZIGBEE, device=DeviceId("a1Plug", "plug-01")))),
        (Reason.WRONG_KIND, ask(replace(BLE, kind=Kind.DIRECT))),
        (Reason.NAME_INVALID, ask(replace(ZIGBEE, device=DeviceId("a1Lock", "")))),
        (Reason.NAME_INVALID, ask(replace(BLE, device=DeviceId("a1Lamp", "abc")))),
        (Reason.NAME_INVALID, ask(replace(BLE, device=DeviceId("a1Lamp", "a/bcd")))),
        (Reason.SECURITY_DOWNGRADE, ask(replace(BLE, secured=False))),
        (Reason.DEVICE_BOUND, ask(replace(BLE, bound=True))),
        (Reason.ALREADY_MEMBER, ask(BLE, known=(KNOWN_LAMP,))),
        (Reason.ALREADY_MEMBER, ask(replace(ZIGBEE, address="other"), known=(KNOWN_LOCK,))),
        (Reason.ALREADY_MEMBER, ask(replace(ZIGBEE, medium="thread"), known=(KNOWN_LOCK,))),
        (Reason.JOIN_RUNNING, ask(ZIGBEE, known=(replace(KNOWN_LOCK, state=State.JOINING),))),
        (Reason.DEVICE_DISABLED, ask(ZIGBEE, known=(replace(KNOWN_LOCK, state=State.DISABLED),))),
        (Reason.BEING_REMOVED, ask(ZIGBEE, known=(replace(KNOWN_LOCK, state=State.REMOVING),))),
        (Reason.PRODUCT_DENIED, ask(ZIGBEE, DENIED)),
        (Reason.WINDOW_EXPIRED, ask(ZIGBEE, LATE)),
        (Reason.WINDOW_CLOSED, ask(ZIGBEE, Permits())),
        (Reason.WINDOW_CLOSED, ask(ZIGBEE, permits(("a1Lamp", 0)))),
        (Reason.NO_START_COMMAND, ask(COMBO)),
        (Reason.TOO_SOON, ask(BLE, tried=NOW - 29.9)),
        (Reason.STORE_UNAVAILABLE, ask(ZIGBEE, writable=False)),
    ],
)
def test_each_refusal(reason: Reason, decision: Decision) -> None:
    assert (decision.admitted, decision.reason) == (False, reason)
    assert decision.window is None
    assert decision.ends_in is None
    assert decision.sentence in [fact.sentence for fact in decision.facts]


def test_a_full_topology_refuses_newcomers_only() -> None:
    crowd = tuple(replace(KNOWN_LOCK, device=DeviceId("a1Lock", f"other-{n}")) for n in range(MEMBERS))
    assert ask(ZIGBEE, known=crowd).reason is Reason.TOPOLOGY_FULL
    assert ask(ZIGBEE, known=(*crowd[1:], KNOWN_LOCK)).admitted


@pytest.mark.parametrize(
    "decision",
    [
        ask(ZIGBEE, known=(KNOWN_LOCK,)),  # the same device once more, for example after a reset
        ask(replace(BLE, overwrite=True), known=(KNOWN_LAMP,)),
        ask(replace(BLE, bound=True, overwrite=True)),
        ask(replace(BLE, bound=False)),
        ask(replace(BLE, secured=None)),
        ask(replace(BLE, secured=False), products={"a1Lamp": replace(LAMP, security="none")}),
        ask(BLE, tried=NOW - 30.0),
        ask(BLE, permits(("a1Lock", 65535), (None, 60))),
        ask(BLE, permits((None, 60), ("a1Lock", 65535))),
    ],
)
def test_what_is_no_objection(decision: Decision) -> None:
    assert decision.admitted, decision.sentence


@pytest.mark.parametrize("request_", [replace(BLE, overwrite=True, bound=True), ZIGBEE])
def test_neither_overwrite_nor_membership_replaces_the_window(request_: JoinRequest) -> None:
    decision = ask(request_, Permits(), known=(KNOWN_LAMP, KNOWN_LOCK))
    assert (decision.admitted, decision.reason) == (False, Reason.WINDOW_CLOSED)


def test_what_no_window_would_cure_is_said_first_and_the_rest_is_among_the_facts() -> None:
    decision = ask(replace(BLE, bound=True), Permits())
    assert decision.reason is Reason.DEVICE_BOUND
    facts = {fact.name: fact.sentence for fact in decision.facts}
    assert facts["right"] == "No window is open for Lamp."
    assert list(facts) == [
        "product",
        "kind",
        "record",
        "name",
        "security",
        "bound",
        "topology",
        "right",
        "pace",
        "store",
    ]


def test_every_reason_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Reason)


@pytest.mark.parametrize(("timeout", "life"), [(None, 60), (0, 60), (-5, 60), (1, 1), (120, 120)])
def test_the_life_of_a_start_command(timeout: object, life: float) -> None:
    assert open_grant("x", timeout, now=NOW, by="cloud") == Grant("x", NOW + life, "cloud")


@pytest.mark.parametrize("timeout", ["60", 1.5, True, []])
def test_a_timeout_that_is_no_whole_number_is_refused(timeout: object) -> None:
    with pytest.raises(InputRefused) as caught:
        open_grant("x", timeout, now=NOW, by="cloud")
    assert caught.value.code == 460


BODY: dict[str, object] = {
    "v": 1,
    "medium": "zigbee",
    "address": "00124b0001020304",
    "product_key": "a1Lock",
    "device_name": "lock-01",
}


def test_a_join_body_is_read() -> None:
    assert read_join({**BODY, "extra": [1]}) == ZIGBEE


@pytest.mark.parametrize("body", [None, [], "x", 1, {}])
def test_a_body_that_is_no_join_is_refused(body: object) -> None:
    with pytest.raises(InputRefused) as caught:
        read_join(body)
    assert caught.value.code == 400


BAD_TEXTS: list[object] = [None, "", 7, True, [], {}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("v", value) for value in (None, 0, 2, "1", True, 1.0)),
        *(("medium", value) for value in (*BAD_TEXTS, "Zigbee", "1x", "a" * 17, "a b", "a\n")),
        *(("address", value) for value in (*BAD_TEXTS, "a" * 65, "a\x1b[2J", "a\n", "\u202e")),
        *(("product_key", value) for value in (*BAD_TEXTS, "a" * 21, "a/b", "a b", "é")),
        *(("device_name", value) for value in (*BAD_TEXTS, "abc", "a" * 33, "ab/cd", "abcd\n", "abcé")),
    ],
)
def test_a_join_body_with_a_wrong_field_names_it(name: str, value: object) -> None:
    absent = {key: known for key, known in BODY.items() if key != name}
    for body in ({**BODY, name: value}, absent):
        with pytest.raises(InputRefused, match=f"field {name} ") as caught:
            read_join(body)
        assert caught.value.code == 400


def test_a_device_heard_with_another_product_id_is_refused() -> None:
    liar = replace(BLE, product_id=0x7777)
    decision = ask(liar)
    assert decision.reason is Reason.WRONG_PRODUCT
    assert "0x00007777" in decision.sentence
