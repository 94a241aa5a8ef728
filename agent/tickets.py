"""Tickets: the right of another stack's device to finish its join (DESIGN 3, POST /v1/joins).

A ticket is issued with an admission, is good for 60 s, is redeemed once (`complete`), and tells for ten
minutes after it settled how the join went. Times are boot seconds; a ticket of another boot has expired.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from agent.admission import JoinRequest
from agent.errors import InputRefused

LIFE = 60.0
KEPT = 600.0
TOKEN_TEXT = re.compile(r"[0-9A-Fa-f]{32}")
SIGN_TEXT = re.compile(r"(?:[0-9A-Fa-f]{2}){16,64}")
# cloud-device-channel.md 5.2 and ble-breeze.md 7: in any case of letters
SIGN_METHODS = frozenset({"hmacmd5", "hmacsha1", "hmacsha256", "sha256"})
CLIENT_ID_LENGTH = 256
RANDOM_LENGTH = 64


class State(StrEnum):
    """How far a ticket has come."""

    ISSUED = "issued"
    JOINING = "joining"
    ONLINE = "online"
    FAILED = "failed"
    VOIDED = "voided"


class Change(StrEnum):
    """What happens to a ticket."""

    DONE = "done"
    ONLINE = "online"
    FAILED = "failed"
    VOIDED = "voided"


CHANGES: Mapping[State, Mapping[Change, State]] = {
    State.ISSUED: {Change.DONE: State.JOINING, Change.VOIDED: State.VOIDED},
    State.JOINING: {Change.ONLINE: State.ONLINE, Change.FAILED: State.FAILED},
    State.ONLINE: {},
    State.FAILED: {},
    State.VOIDED: {},
}


@dataclass(frozen=True, slots=True)
class Ticket:
    """One admission of another stack's device; ``id`` is the bearer's proof, so no repr shows it.

    ``settled`` is when it became online, failed or voided; ``code`` is the cloud's code then.
    """

    id: str = field(repr=False)
    request: JoinRequest
    decided: float
    ends: float
    boot_id: str
    state: State = State.ISSUED
    code: int | None = None
    sentence: str = ""
    settled: float | None = None

    def is_expired(self, boot_id: str, now: float) -> bool:
        """True when it was not redeemed in its 60 s, or not in this boot."""
        foreign = not boot_id or self.boot_id != boot_id
        return self.state is State.ISSUED and (foreign or now >= self.ends)


@dataclass(frozen=True, slots=True)
class SignParams:
    """The login signature that the sub-device made itself, forwarded as it came."""

    client_id: str
    sign_method: str
    sign: str = field(repr=False)
    random: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class DoneRequest:
    """What ``POST /v1/joins/{ticket}/done`` brings: a signature and a bind token of 16 bytes, if any."""

    sign_params: SignParams | None = None
    token: bytes | None = field(default=None, repr=False)


def issue(request: JoinRequest, *, boot_id: str, now: float) -> Ticket:
    """A new ticket, with an id that cannot be guessed, for a request that was admitted at ``now``."""
    return Ticket(secrets.token_urlsafe(24), request, now, now + LIFE, boot_id)


def renew(ticket: Ticket, *, now: float) -> Ticket:
    """The same open ticket after a new decision at ``now``: that one stands for its own 60 s."""
    return replace(ticket, decided=now, ends=now + LIFE)


def change_state(
    ticket: Ticket, change: Change, *, now: float, code: int | None = None, sentence: str = ""
) -> Ticket:
    """The ticket after a change; ValueError for one that `CHANGES` lacks."""
    after = CHANGES[ticket.state].get(change)
    if after is None:
        raise ValueError(f"a ticket that is {ticket.state} cannot be {change}")
    settled = None if after is State.JOINING else now
    return replace(ticket, state=after, code=code, sentence=sentence, settled=settled)


def complete(ticket: Ticket, *, boot_id: str, now: float) -> Ticket:
    """The ticket once it is redeemed, joining; InputRefused 409 the second time, 410 when it is too late."""
    check_standing(ticket, boot_id=boot_id, now=now)
    if ticket.state is not State.ISSUED:
        raise InputRefused("this ticket was redeemed already; ask for its state instead", code=409)
    return change_state(ticket, Change.DONE, now=now)


def check_standing(ticket: Ticket, *, boot_id: str, now: float) -> None:
    """InputRefused 410 for a ticket that was voided, or that expired before it was redeemed."""
    if ticket.state is State.VOIDED:
        raise InputRefused("this ticket was voided by a command that closed the product", code=410)
    if ticket.is_expired(boot_id, now):
        raise InputRefused(
            f"this ticket expired, {LIFE:.0f} s after the decision; ask to join again", code=410
        )


def void_for(tickets: Iterable[Ticket], product_key: str | None, *, now: float) -> list[Ticket]:
    """The tickets that *never* for a product (None: any) voids, as they are afterwards.

    Only those not redeemed yet: a join that has begun is finished.
    """
    return [
        change_state(ticket, Change.VOIDED, now=now)
        for ticket in tickets
        if ticket.state is State.ISSUED and product_key in (None, ticket.request.device.product_key)
    ]


def open_for(tickets: Iterable[Ticket], request: JoinRequest, *, boot_id: str, now: float) -> Ticket | None:
    """The ticket that the same request holds already, so that asking twice makes no second one."""
    for ticket in tickets:
        is_open = ticket.state is State.ISSUED and not ticket.is_expired(boot_id, now)
        if is_open and ticket.request == request:
            return ticket
    return None


def is_over(ticket: Ticket, *, boot_id: str, now: float) -> bool:
    """True when a ticket may be forgotten: ten minutes after it settled or expired, or after a reboot.

    One that is joining never is: whoever runs the join settles it.
    """
    if ticket.state is State.JOINING:
        return False
    if not boot_id or ticket.boot_id != boot_id:
        return True
    return now >= (ticket.ends if ticket.settled is None else ticket.settled) + KEPT


def read_done(body: object) -> DoneRequest:
    """The body of ``POST /v1/joins/{ticket}/done``; InputRefused 400 names the field that is wrong.

    Members that are not known are ignored.
    """
    if not isinstance(body, dict):
        raise InputRefused("the body of a done is a JSON object", code=400)
    if type(body.get("v")) is not int or body["v"] != 1:
        raise InputRefused("the field v of a done is 1, the version of this interface", code=400)
    params = body.get("sign_params")
    token = body.get("token")
    return DoneRequest(
        None if params is None else _read_sign_params(params),
        None
        if token is None
        else bytes.fromhex(_text("token", token, TOKEN_TEXT.fullmatch, "32 hex digits")),
    )


def _read_sign_params(params: object) -> SignParams:
    if not isinstance(params, dict):
        raise InputRefused("the field sign_params of a done is null or a JSON object", code=400)
    random = params.get("random")
    return SignParams(
        client_id=_text(
            "clientId", params.get("clientId"), _upto(CLIENT_ID_LENGTH), "1 to 256 printable characters"
        ),
        sign_method=_text(
            "signMethod", params.get("signMethod"), _is_method, "hmacMd5, hmacSha1, hmacSha256 or sha256"
        ),
        sign=_text("sign", params.get("sign"), SIGN_TEXT.fullmatch, "32 to 128 hex digits"),
        random=None
        if random is None
        else _text("random", random, _upto(RANDOM_LENGTH), "1 to 64 printable characters"),
    )


def _text(name: str, value: object, is_valid: Callable[[str], object], rule: str) -> str:
    if not isinstance(value, str) or not is_valid(value):
        raise InputRefused(f"the field {name} of a done is {rule}", code=400)
    return value


def _upto(length: int) -> Callable[[str], bool]:
    return lambda text: 0 < len(text) <= length and text.isprintable()


def _is_method(text: str) -> bool:
    return text.lower() in SIGN_METHODS
