"""Tickets: each pair of state and change, their clocks, and the body of a done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.admission import JoinRequest
from agent.errors import InputRefused
from agent.model import DeviceId
from agent.tickets import (
    Change,
    DoneRequest,
    SignParams,
    State,
    Ticket,
    change_state,
    check_standing,
    complete,
    is_over,
    issue,
    open_for,
    read_done,
    void_for,
)

REQUEST = JoinRequest("zigbee", "00124b0001020304", DeviceId("a1Lock", "lock-01"))
FRESH = issue(REQUEST, boot_id="a", now=100.0)
SIGN = "874B" * 16
BODY = {"v": 1, "sign_params": {"clientId": "a1Lock.lock-01", "signMethod": "hmacSha256", "sign": SIGN}}

# Each pair: the state it leads to, or x where the change is illegal.
EXPECTED = """
          done    online failed voided
issued    joining x      x      voided
joining   x       online failed x
online    x       x      x      x
failed    x       x      x      x
voided    x       x      x      x
"""
HEAD, *ROWS = (line.split() for line in EXPECTED.strip().splitlines())
PAIRS = [(row[0], change, after) for row in ROWS for change, after in zip(HEAD, row[1:], strict=True)]


def in_state(state: State) -> Ticket:
    settled = None if state in (State.ISSUED, State.JOINING) else 130.0
    return replace(FRESH, state=state, settled=settled)


def test_the_table_below_is_complete() -> None:
    assert {(state, change) for state, change, _ in PAIRS} == {
        (str(s), str(c)) for s in State for c in Change
    }


@pytest.mark.parametrize(("state", "change", "after"), PAIRS)
def test_each_pair_of_state_and_change(state: str, change: str, after: str) -> None:
    ticket = in_state(State(state))
    if after == "x":
        with pytest.raises(ValueError, match=f"{state} cannot be {change}"):
            change_state(ticket, Change(change), now=140.0)
        return
    changed = change_state(ticket, Change(change), now=140.0, code=200, sentence="So it is.")
    assert (changed.state, changed.code, changed.sentence) == (after, 200, "So it is.")
    assert changed.settled == (None if after == "joining" else 140.0)
    assert (changed.id, changed.request, changed.ends) == (ticket.id, ticket.request, ticket.ends)


def test_a_ticket_is_good_for_sixty_seconds_and_ids_differ() -> None:
    assert (FRESH.state, FRESH.decided, FRESH.ends) == (State.ISSUED, 100.0, 160.0)
    ids = {issue(REQUEST, boot_id="a", now=100.0).id for _ in range(100)}
    assert len(ids) == 100
    assert min(map(len, ids)) >= 32
    assert FRESH.id not in repr(FRESH)


@pytest.mark.parametrize("now", [100.0, 159.9])
def test_it_is_redeemed_once(now: float) -> None:
    joining = complete(FRESH, boot_id="a", now=now)
    assert joining.state is State.JOINING
    with pytest.raises(InputRefused, match="redeemed already") as caught:
        complete(joining, boot_id="a", now=now)
    assert caught.value.code == 409


@pytest.mark.parametrize(
    ("state", "boot_id", "now", "code"),
    [
        (State.ISSUED, "a", 160.0, 410),
        (State.ISSUED, "b", 101.0, 410),  # another boot
        (State.ISSUED, "", 101.0, 410),  # who knows which boot
        (State.VOIDED, "a", 101.0, 410),
        (State.JOINING, "a", 1e6, 409),
        (State.ONLINE, "a", 101.0, 409),
        (State.FAILED, "a", 101.0, 409),
    ],
)
def test_too_late_or_twice(state: State, boot_id: str, now: float, code: int) -> None:
    with pytest.raises(InputRefused) as caught:
        complete(in_state(state), boot_id=boot_id, now=now)
    assert caught.value.code == code


def test_a_redeemed_ticket_may_be_asked_for_its_state_long_after_its_sixty_seconds() -> None:
    for state in (State.JOINING, State.ONLINE, State.FAILED):
        check_standing(in_state(state), boot_id="a", now=700.0)
    with pytest.raises(InputRefused):
        check_standing(FRESH, boot_id="a", now=160.0)


@pytest.mark.parametrize(
    ("state", "boot_id", "now", "over"),
    [
        (State.ISSUED, "a", 759.9, False),  # 600 s after its end at 160
        (State.ISSUED, "a", 760.0, True),
        (State.ISSUED, "b", 101.0, True),
        (State.ONLINE, "a", 729.9, False),  # 600 s after it settled at 130
        (State.ONLINE, "a", 730.0, True),
        (State.FAILED, "a", 730.0, True),
        (State.VOIDED, "a", 730.0, True),
        (State.VOIDED, "b", 131.0, True),
        (State.JOINING, "a", 1e6, False),
        (State.JOINING, "b", 1e6, False),
    ],
)
def test_how_long_a_ticket_is_kept(state: State, boot_id: str, now: float, over: bool) -> None:
    assert is_over(in_state(state), boot_id=boot_id, now=now) is over


def test_never_voids_the_open_tickets_of_its_product() -> None:
    other = replace(FRESH, id="other", request=replace(REQUEST, device=DeviceId("a1Lamp", "lamp-01")))
    tickets = [FRESH, other, *(in_state(state) for state in State if state is not State.ISSUED)]
    voided = void_for(tickets, "a1Lock", now=120.0)
    assert [(t.id, t.state, t.settled) for t in voided] == [(FRESH.id, State.VOIDED, 120.0)]
    assert {t.id for t in void_for(tickets, None, now=120.0)} == {FRESH.id, "other"}
    assert void_for(tickets, "a1Hub", now=120.0) == []


def test_asking_twice_finds_the_open_ticket() -> None:
    assert open_for([in_state(State.VOIDED), FRESH], REQUEST, boot_id="a", now=159.0) is FRESH
    assert open_for([FRESH], REQUEST, boot_id="a", now=160.0) is None
    assert open_for([FRESH], REQUEST, boot_id="b", now=101.0) is None
    assert open_for([FRESH], replace(REQUEST, address="other"), boot_id="a", now=101.0) is None
    assert open_for([in_state(State.JOINING)], REQUEST, boot_id="a", now=101.0) is None


def test_a_done_body_is_read() -> None:
    assert read_done({"v": 1}) == DoneRequest()
    assert read_done({"v": 1, "sign_params": None, "token": None, "extra": 1}) == DoneRequest()
    params = SignParams("a1Lock.lock-01", "hmacSha256", SIGN)
    assert read_done(BODY) == DoneRequest(params)
    token = read_done({"v": 1, "token": "00112233445566778899aAbBcCdDeEfF"}).token
    assert token == bytes.fromhex("00112233445566778899aabbccddeeff")
    full = read_done({"v": 1, "sign_params": {**BODY["sign_params"], "random": "ab" * 16}})  # type: ignore[dict-item]
    assert full.sign_params == replace(params, random="ab" * 16)


def test_no_repr_of_a_done_shows_its_secrets() -> None:
    done = read_done({**BODY, "token": "5e" * 16})
    for shown in (repr(done), repr(done.sign_params)):
        assert SIGN not in shown
        assert repr(done.token) not in shown


BAD_VERSIONS: list[object] = [None, 2, "1", True]
BAD_TEXTS: list[object] = [7, True, [], {}, ""]


@pytest.mark.parametrize("body", [None, [], "x", 1])
def test_a_done_that_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(InputRefused) as caught:
        read_done(body)
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("v", value) for value in BAD_VERSIONS),
        *(("token", value) for value in (*BAD_TEXTS, "0" * 31, "0" * 34, "g" * 32, "0" * 32 + "\n")),
        *(("sign_params", value) for value in (*BAD_TEXTS[:3], "x", "")),
    ],
)
def test_a_done_with_a_wrong_field_names_it(name: str, value: object) -> None:
    with pytest.raises(InputRefused, match=f"field {name} ") as caught:
        read_done({"v": 1, name: value})
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("clientId", value) for value in (*BAD_TEXTS, None, "a" * 257, "a\n")),
        *(("signMethod", value) for value in (*BAD_TEXTS, None, "md5", "hmacSha512")),
        *(("sign", value) for value in (*BAD_TEXTS, None, "ab" * 15, "ab" * 65, "abc" * 11, "xy" * 16)),
        *(("random", value) for value in (*BAD_TEXTS, "a" * 65, "\x00")),
    ],
)
def test_sign_params_with_a_wrong_field_name_it_and_never_show_it(name: str, value: object) -> None:
    params = {"clientId": "c", "signMethod": "SHA256", "sign": SIGN, "random": "r", name: value}
    with pytest.raises(InputRefused, match=f"field {name} ") as caught:
        read_done({"v": 1, "sign_params": params})
    assert caught.value.code == 400
    assert SIGN not in str(caught.value)
