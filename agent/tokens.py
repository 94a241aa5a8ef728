"""The life of a bind token: what may still be sent, and when a fresh one is due (DESIGN 5, Whose token).

A token counts on boot time and dies with its boot; several of one device may be valid at once
(wifi-awss.md 5). Nothing here shows a token's value.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from agent.model import DeviceId

LENGTH = 16
LIFE = 120.0  # wifi-awss.md 5, the longest of the vendor's devices
LONGEST_LIFE = 3600.0  # whatever remainTime says, no token is carried longer
RENEWAL = 90.0
LOGIN_WINDOW = 600.0  # wifi-awss.md 5, time-window bind, counted from the login
FIRST_PAUSE = 3.0  # wifi-awss.md 5: the vendor's devices repeat after 3 s
LONGEST_PAUSE = 30.0


class State(StrEnum):
    """How far a token has come; ``reported`` means that the cloud answered 200."""

    WAITING = "waiting"
    REPORTED = "reported"
    BOUND = "bound"
    DEAD = "dead"


class Change(StrEnum):
    """What happens to a token."""

    REPORTED = "reported"
    BOUND = "bound"
    DROPPED = "dropped"


class Drop(StrEnum):
    """Why a token will never be sent."""

    EXPIRED = "expired"
    REBOOTED = "rebooted"


CHANGES: Mapping[State, Mapping[Change, State]] = {
    State.WAITING: {Change.REPORTED: State.REPORTED, Change.BOUND: State.BOUND, Change.DROPPED: State.DEAD},
    State.REPORTED: {
        Change.REPORTED: State.REPORTED,  # answers may come twice
        Change.BOUND: State.BOUND,
        Change.DROPPED: State.DEAD,
    },
    State.BOUND: {Change.REPORTED: State.BOUND, Change.BOUND: State.BOUND},
    State.DEAD: {Change.REPORTED: State.DEAD, Change.DROPPED: State.DEAD},
}


@dataclass(frozen=True, slots=True)
class Token:
    """One bind token of 16 octets of a device; ``made`` and ``expires`` are seconds of its boot."""

    id: int
    value: bytes = field(repr=False)
    device: DeviceId
    boot_id: str
    made: float
    expires: float
    state: State = State.WAITING
    attempts: int = 0


def mint() -> bytes:
    """Sixteen random octets that cannot be guessed."""
    return secrets.token_bytes(LENGTH)


def life(remain: object = None) -> float:
    """The seconds that a token lives, from a ``remainTime`` in milliseconds (wifi-awss.md 4).

    Absent or not a number: 120 s. Never negative, never above an hour.
    """
    if isinstance(remain, bool) or not isinstance(remain, (int, float)):
        return LIFE
    if isinstance(remain, float) and math.isnan(remain):
        return LIFE
    return min(max(remain, 0), 1000 * LONGEST_LIFE) / 1000


def change_state(token: Token, change: Change) -> Token:
    """The token after a change; ValueError for one that `CHANGES` lacks."""
    after = CHANGES[token.state].get(change)
    if after is None:
        raise ValueError(f"a token that is {token.state} cannot be {change}")
    return replace(token, state=after)


def is_alive(token: Token, boot_id: str, now: float) -> bool:
    """True while the token is of this boot and not past its life; an unknown boot id (empty) is another."""
    return bool(boot_id) and token.boot_id == boot_id and now < token.expires


def sendable(
    tokens: Iterable[Token], boot_id: str, now: float
) -> tuple[list[Token], list[tuple[Token, Drop]]]:
    """The waiting tokens in the order to send them, nearest end first; and those to drop, with the reason."""
    waiting = [token for token in tokens if token.state is State.WAITING]
    alive = [token for token in waiting if is_alive(token, boot_id, now)]
    dropped = [(token, _drop(token, boot_id)) for token in waiting if not is_alive(token, boot_id, now)]
    return sorted(alive, key=lambda t: (t.expires, t.id)), dropped


def pause(attempts: int) -> float:
    """How many seconds to wait after that many attempts: none before the first, then 3, 6, 12, 24, 30."""
    if attempts <= 0:
        return 0.0
    return min(FIRST_PAUSE * 2.0 ** min(attempts - 1, 8), LONGEST_PAUSE)


def renewal_at(
    latest: Token | None,
    *,
    bound: bool,
    login: float | None,
    boot_id: str,
    window: float | None = LOGIN_WINDOW,
) -> float | None:
    """The boot time at which a device needs a fresh token; None when it needs none any more.

    ``latest`` is its newest token, ``login`` the boot time of its login in this boot (None: not logged in),
    ``window`` how long after that it gets tokens (None, for the gateway itself: until bound). The first is
    due at login, the next 90 s after the one before; a dead one, or one of another boot, is none.
    """
    if bound or login is None:
        return None
    of_now = (
        latest is not None and bool(boot_id) and latest.boot_id == boot_id and latest.state is not State.DEAD
    )
    due = max(login, latest.made + RENEWAL) if latest is not None and of_now else login
    return None if window is not None and due >= login + window else due


def renewal_due(
    latest: Token | None,
    *,
    bound: bool,
    login: float | None,
    boot_id: str,
    now: float,
    window: float | None = LOGIN_WINDOW,
) -> bool:
    """True when a device needs a fresh token at ``now``; as `renewal_at`."""
    due = renewal_at(latest, bound=bound, login=login, boot_id=boot_id, window=window)
    in_time = window is None or login is None or now < login + window
    return due is not None and due <= now and in_time


def _drop(token: Token, boot_id: str) -> Drop:
    return Drop.EXPIRED if boot_id and token.boot_id == boot_id else Drop.REBOOTED
