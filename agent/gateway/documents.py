"""The documents of the status socket, made from what the gateway knows; nothing secret is in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from agent import tokens
from agent.gateway.history import Decided
from agent.health import Health, Warning
from agent.permits import Permits, Window
from agent.tickets import State as TicketState
from agent.tickets import Ticket
from agent.tokens import Token
from agent.topology import State, SubDevice

Document = dict[str, object]


def iso(utc: float) -> str:
    """UTC seconds as ISO-8601 text."""
    return datetime.fromtimestamp(utc, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def permits_document(permits: Permits, ceiling: int | None, now: float) -> Document:
    """Windows that are open now, and products denied by name."""
    windows = [window_row(window, now) for window in permits.windows.values() if window.is_open(now)]
    return {"v": 1, "windows": windows, "denied": sorted(permits.denied), "ceiling": ceiling}


def window_row(window: Window, now: float) -> Document:
    """One open window; product_key null is any product."""
    return {
        "product_key": window.product_key,
        "always": window.ends is None,
        "ends_in": None if window.ends is None else seconds(window.ends - now),
        "opened_ago": None if window.carried else seconds(now - window.opened),
        "by": window.by,
        "capped": window.capped,
    }


def subdevice_row(sub: SubDevice, *, online: bool) -> Document:
    """One sub-device; a member is online or offline."""
    state = str(sub.state)
    if sub.state is State.MEMBER:
        state = "online" if online else "offline"
    return {
        "id": str(sub.device),
        "product_key": sub.device.product_key,
        "device_name": sub.device.device_name,
        "state": state,
        "bound": sub.bound,
        "medium": sub.medium,
        "address": sub.address,
        "joined": iso(sub.joined_utc),
    }


def tokens_document(known: Iterable[Token], dropped: Counter[str], boot_id: str, now: float) -> Document:
    """Tokens by state and age, never their values."""
    alive = [token for token in known if tokens.is_alive(token, boot_id, now)]
    waiting = [token for token in alive if token.state is tokens.State.WAITING]
    return {
        "v": 1,
        "waiting": len(waiting),
        "oldest": max((seconds(now - token.made) for token in waiting), default=None),
        "margin": min((seconds(token.expires - now) for token in waiting), default=None),
        "dropped": dict(dropped),
        "tokens": [token_row(token, now) for token in alive],
    }


def token_row(token: Token, now: float) -> Document:
    """One token: whose, how far, how long it still lives."""
    return {
        "device": str(token.device),
        "state": str(token.state),
        "age": seconds(now - token.made),
        "life_left": seconds(token.expires - now),
        "attempts": token.attempts,
    }


def health_document(health: Health) -> Document:
    """All named troubles; ok is false while one of severity error is among them."""
    warnings = health.warnings()
    ok = all(warning.severity != "error" for warning in warnings)
    return {"v": 1, "ok": ok, "warnings": [warning_row(warning) for warning in warnings]}


def warning_row(warning: Warning) -> Document:
    """One named trouble."""
    return {
        "code": warning.code,
        "subject": warning.subject,
        "severity": warning.severity,
        "text": warning.text,
        "since": iso(warning.since),
        "caused_by": warning.caused_by,
    }


def decision_row(decided: Decided) -> Document:
    """What the door said, and when."""
    decision = decided.decision
    return {
        "admitted": decision.admitted,
        "reason": str(decision.reason),
        "sentence": decision.sentence,
        "at": iso(decided.utc),
    }


def ticket_document(ticket: Ticket) -> Document:
    """``GET /v1/joins/{ticket}``: an issued one waits for its ``done``."""
    state = "admitted" if ticket.state is TicketState.ISSUED else str(ticket.state)
    return {"v": 1, "state": state, "code": ticket.code, "sentence": ticket.sentence}


def seconds(value: float) -> float:
    """A duration for display: never negative, in milliseconds."""
    return round(max(0.0, value), 3)
