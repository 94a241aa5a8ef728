"""The life of tokens: each pair of state and change, what may be sent, and when a fresh one is due."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.model import DeviceId
from agent.tokens import (
    Change,
    State,
    Token,
    change_state,
    is_alive,
    life,
    mint,
    pause,
    renewal_at,
    renewal_due,
    sendable,
)

TOKEN = Token(1, bytes.fromhex("5ec4e7" * 5 + "00"), DeviceId("a1Lamp", "lamp-01"), "a", 100.0, 220.0)

# Each pair: the state it leads to, or x where the change is illegal.
EXPECTED = """
           reported bound dropped
waiting    reported bound dead
reported   reported bound dead
bound      bound    bound x
dead       dead     x     dead
"""
HEAD, *ROWS = (line.split() for line in EXPECTED.strip().splitlines())
PAIRS = [(row[0], change, after) for row in ROWS for change, after in zip(HEAD, row[1:], strict=True)]


def test_the_table_below_is_complete() -> None:
    assert {(state, change) for state, change, _ in PAIRS} == {
        (str(s), str(c)) for s in State for c in Change
    }


@pytest.mark.parametrize(("state", "change", "after"), PAIRS)
def test_each_pair_of_state_and_change(state: str, change: str, after: str) -> None:
    token = replace(TOKEN, state=State(state))
    if after == "x":
        with pytest.raises(ValueError, match=f"{state} cannot be {change}"):
            change_state(token, Change(change))
    else:
        assert change_state(token, Change(change)) == replace(token, state=State(after))


@pytest.mark.parametrize(
    ("remain", "seconds"),
    [
        (None, 120.0),
        (90000, 90.0),  # milliseconds, wifi-awss.md 4
        (1500.5, 1.5005),
        (0, 0.0),
        (-1, 0.0),
        (10**400, 3600.0),
        (float("inf"), 3600.0),
        (float("nan"), 120.0),
        ("90000", 120.0),
        (True, 120.0),
        ([], 120.0),
    ],
)
def test_the_life_of_a_token(remain: object, seconds: float) -> None:
    assert life(remain) == pytest.approx(seconds)


def test_minted_tokens_are_sixteen_octets_and_differ() -> None:
    minted = {mint() for _ in range(100)}
    assert len(minted) == 100
    assert {len(token) for token in minted} == {16}


def test_no_repr_shows_a_value() -> None:
    assert TOKEN.value.hex() not in repr(TOKEN)
    assert repr(TOKEN.value) not in repr(TOKEN)


@pytest.mark.parametrize(
    ("boot_id", "now", "alive"),
    [("a", 100.0, True), ("a", 219.9, True), ("a", 220.0, False), ("b", 101.0, False), ("", 101.0, False)],
)
def test_a_token_lives_in_its_boot_until_its_end(boot_id: str, now: float, alive: bool) -> None:
    assert is_alive(TOKEN, boot_id, now) is alive


def test_tokens_of_an_unknown_boot_are_dead() -> None:
    assert not is_alive(replace(TOKEN, boot_id=""), "", 101.0)


def test_what_may_be_sent_nearest_end_first() -> None:
    late = replace(TOKEN, id=2, expires=300.0)
    near = replace(TOKEN, id=3, expires=210.0)
    gone = replace(TOKEN, id=4, expires=199.0)
    foreign = replace(TOKEN, id=5, boot_id="b", expires=900.0)
    settled = [replace(near, id=9, state=state) for state in (State.REPORTED, State.BOUND, State.DEAD)]
    send, dropped = sendable([late, gone, TOKEN, foreign, *settled, near], "a", 200.0)
    assert [token.id for token in send] == [3, 1, 2]
    assert [(token.id, str(why)) for token, why in dropped] == [(4, "expired"), (5, "rebooted")]


def test_tokens_that_end_together_go_in_the_order_of_their_making() -> None:
    send, _ = sendable([replace(TOKEN, id=n) for n in (3, 1, 2)], "a", 200.0)
    assert [token.id for token in send] == [1, 2, 3]


def test_the_pauses_between_attempts() -> None:
    assert [pause(n) for n in range(7)] == [0, 3, 6, 12, 24, 30, 30]
    assert pause(10**6) == 30


@pytest.mark.parametrize(
    ("latest", "bound", "login", "due"),
    [
        (None, False, None, None),  # not logged in
        (None, False, 500.0, 500.0),  # at login
        (None, True, 500.0, None),
        (TOKEN, True, 100.0, None),
        (TOKEN, False, 100.0, 190.0),  # 90 s after the one before
        (replace(TOKEN, state=State.REPORTED), False, 100.0, 190.0),
        (replace(TOKEN, state=State.DEAD), False, 100.0, 100.0),
        (replace(TOKEN, boot_id="b"), False, 100.0, 100.0),
        (TOKEN, False, 150.0, 190.0),  # logged in once more
        (replace(TOKEN, made=609.0), False, 100.0, 699.0),
        (replace(TOKEN, made=610.0), False, 100.0, None),  # 600 s after login there are no more
    ],
)
def test_when_a_fresh_token_is_due(
    latest: Token | None, bound: bool, login: float | None, due: float | None
) -> None:
    assert renewal_at(latest, bound=bound, login=login, boot_id="a") == due
    if due is not None:
        assert not renewal_due(latest, bound=bound, login=login, boot_id="a", now=due - 0.1)
        assert renewal_due(latest, bound=bound, login=login, boot_id="a", now=due)
    else:
        assert not renewal_due(latest, bound=bound, login=login, boot_id="a", now=1e6)


def test_one_that_is_late_is_not_made_after_the_login_window() -> None:
    assert renewal_due(TOKEN, bound=False, login=100.0, boot_id="a", now=699.9)
    assert not renewal_due(TOKEN, bound=False, login=100.0, boot_id="a", now=700.0)


def test_the_gateway_itself_renews_until_it_is_bound() -> None:
    old = replace(TOKEN, made=100_000.0, expires=100_120.0)
    assert renewal_at(old, bound=False, login=100.0, boot_id="a", window=None) == 100_090.0
    assert renewal_due(old, bound=False, login=100.0, boot_id="a", now=100_090.0, window=None)
    assert not renewal_due(old, bound=True, login=100.0, boot_id="a", now=100_090.0, window=None)


def test_a_login_brings_seven_tokens_at_most() -> None:
    made: list[float] = []
    latest: Token | None = None
    for second in range(1000):
        now = 50.0 + second
        if renewal_due(latest, bound=False, login=50.0, boot_id="a", now=now):
            latest = replace(TOKEN, id=second, made=now, expires=now + life())
            made.append(now - 50.0)
    assert made == [0, 90, 180, 270, 360, 450, 540]
