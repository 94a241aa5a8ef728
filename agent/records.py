"""The rows of the store as typed values: functions on a connection, to be called inside its transactions.

The tables are made by `agent.store`. Values that hold secrets come out with no repr of them.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from agent.admission import JoinRequest
from agent.model import DeviceId
from agent.permits import Permits, Window
from agent.tickets import State as TicketState
from agent.tickets import Ticket, is_over
from agent.tokens import State as TokenState
from agent.tokens import Token
from agent.topology import State, SubDevice, Topology

PERMITS_BOOT_ID = "permits.boot_id"

Row = tuple[Any, ...]


class OutboxKind(StrEnum):
    """The durable classes that live until they are answered; tokens die and have a table of their own."""

    BIND = "bind"
    TOPOLOGY = "topology"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """One message that must reach the cloud once: ``key`` is the local idempotency id, never on the wire."""

    id: int
    kind: OutboxKind
    key: str
    body: dict[str, Any] = field(repr=False)
    made_utc: float
    attempts: int = 0


def save_permits(db: sqlite3.Connection, permits: Permits, boot_id: str) -> None:
    """Replace the stored windows and denials, and the boot that the times are of."""
    db.execute("DELETE FROM windows")
    db.execute("DELETE FROM denied")
    db.executemany(
        "INSERT INTO windows VALUES (?, ?, ?, ?, ?, ?)",
        [
            (w.product_key or "", w.opened, w.ends, w.capped, w.by, w.carried)
            for w in permits.windows.values()
        ],
    )
    db.executemany("INSERT INTO denied VALUES (?)", [(key,) for key in sorted(permits.denied)])
    set_meta(db, PERMITS_BOOT_ID, boot_id)


def load_permits(db: sqlite3.Connection) -> tuple[Permits, str]:
    """The stored windows and denials, and the boot id they are of; empty when nothing was stored."""
    rows = db.execute("SELECT product_key, opened, ends, capped, opener, carried FROM windows")
    windows = [
        Window(key or None, opened, ends, bool(capped), opener, bool(carried))
        for key, opened, ends, capped, opener, carried in rows
    ]
    denied = frozenset(key for (key,) in db.execute("SELECT product_key FROM denied"))
    return Permits({w.product_key: w for w in windows}, denied), get_meta(db, PERMITS_BOOT_ID) or ""


def put_subdevice(db: sqlite3.Connection, sub: SubDevice) -> None:
    """Add a sub-device, or replace the one of that name."""
    db.execute(
        "INSERT OR REPLACE INTO subdevices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *_names(sub.device),
            sub.state,
            sub.bound,
            sub.medium,
            sub.address,
            sub.joined_utc,
            sub.first_login,
            sub.first_login_boot_id,
            sub.product_id,
            sub.mac,
        ),
    )


def delete_subdevice(db: sqlite3.Connection, device: DeviceId) -> bool:
    """Forget a sub-device; False when there was none of that name."""
    return _delete(db, "DELETE FROM subdevices WHERE product_key = ? AND device_name = ?", _names(device))


def get_subdevice(db: sqlite3.Connection, device: DeviceId) -> SubDevice | None:
    """The stored sub-device of that name."""
    query = "SELECT * FROM subdevices WHERE product_key = ? AND device_name = ?"
    return next((_subdevice(row) for row in _rows(db, query, _names(device))), None)


def load_topology(db: sqlite3.Connection) -> Topology:
    """All stored sub-devices, in the order of their joining."""
    query = "SELECT * FROM subdevices ORDER BY joined_utc, product_key, device_name"
    return Topology(_subdevice(row) for row in _rows(db, query))


def put_ticket(db: sqlite3.Connection, ticket: Ticket) -> None:
    """Add a ticket, or replace the one of that id."""
    request = ticket.request
    db.execute(
        "INSERT OR REPLACE INTO tickets VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            ticket.id,
            request.medium,
            request.address,
            *_names(request.device),
            ticket.decided,
            ticket.ends,
            ticket.boot_id,
            ticket.state,
            ticket.code,
            ticket.sentence,
            ticket.settled,
        ),
    )


def get_ticket(db: sqlite3.Connection, ticket_id: str) -> Ticket | None:
    """The stored ticket of that id."""
    found = _rows(db, "SELECT * FROM tickets WHERE id = ?", (ticket_id,))
    return next((_ticket(row) for row in found), None)


def load_tickets(db: sqlite3.Connection) -> list[Ticket]:
    """All stored tickets."""
    return [_ticket(row) for row in _rows(db, "SELECT * FROM tickets ORDER BY decided, id")]


def prune_tickets(db: sqlite3.Connection, boot_id: str, now: float) -> list[str]:
    """Forget the tickets that are over, and say their ids."""
    over = [ticket.id for ticket in load_tickets(db) if is_over(ticket, boot_id=boot_id, now=now)]
    db.executemany("DELETE FROM tickets WHERE id = ?", [(ticket_id,) for ticket_id in over])
    return over


def add_token(
    db: sqlite3.Connection, value: bytes, device: DeviceId, *, boot_id: str, made: float, expires: float
) -> Token | None:
    """A new waiting token, or None when that device has had that value before."""
    row = db.execute(
        "INSERT INTO tokens (value, product_key, device_name, boot_id, made, expires, state, attempts)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 0)"
        " ON CONFLICT (product_key, device_name, value) DO NOTHING RETURNING id",
        (value, *_names(device), boot_id, made, expires, TokenState.WAITING),
    ).fetchone()
    return None if row is None else Token(int(row[0]), value, device, boot_id, made, expires)


def put_token(db: sqlite3.Connection, token: Token) -> None:
    """Store the state and the attempts of a token that is there already."""
    db.execute(
        "UPDATE tokens SET state = ?, attempts = ? WHERE id = ?", (token.state, token.attempts, token.id)
    )


def get_token(db: sqlite3.Connection, token_id: int) -> Token | None:
    """The stored token of that id."""
    return next((_token(row) for row in _rows(db, "SELECT * FROM tokens WHERE id = ?", (token_id,))), None)


def load_tokens(db: sqlite3.Connection) -> list[Token]:
    """All stored tokens, oldest first."""
    return [_token(row) for row in _rows(db, "SELECT * FROM tokens ORDER BY id")]


def prune_tokens(db: sqlite3.Connection, boot_id: str, now: float) -> list[int]:
    """Forget the tokens that are past their life or of another boot than this one, and say their ids."""
    rows = db.execute("DELETE FROM tokens WHERE boot_id <> ? OR expires <= ? RETURNING id", (boot_id, now))
    return [int(token_id) for (token_id,) in rows.fetchall()]


def add_item(
    db: sqlite3.Connection, kind: OutboxKind, key: str, body: dict[str, Any], made_utc: float
) -> int | None:
    """The id of a new outbox item, or None when one with that key waits already."""
    row = db.execute(
        "INSERT INTO outbox (kind, key, body, made_utc, attempts) VALUES (?, ?, ?, ?, 0)"
        " ON CONFLICT (key) DO NOTHING RETURNING id",
        (kind, key, msgspec.json.encode(body), made_utc),
    ).fetchone()
    return None if row is None else int(row[0])


def put_item(
    db: sqlite3.Connection, kind: OutboxKind, key: str, body: dict[str, Any], made_utc: float
) -> tuple[OutboxItem, int | None]:
    """A new outbox item in the place of the one with that key, and the id of the one that it replaced."""
    replaced = drop_key(db, key)
    item_id = add_item(db, kind, key, body, made_utc)
    if item_id is None:
        raise AssertionError("the key was taken out just now")
    return OutboxItem(item_id, kind, key, body, made_utc), replaced


def drop_key(db: sqlite3.Connection, key: str) -> int | None:
    """Take out the outbox item with that key, and say its id; None when there was none."""
    row = db.execute("DELETE FROM outbox WHERE key = ? RETURNING id", (key,)).fetchone()
    return None if row is None else int(row[0])


def items(db: sqlite3.Connection) -> list[OutboxItem]:
    """All outbox items in the order in which they were added."""
    return [
        OutboxItem(
            row["id"],
            OutboxKind(row["kind"]),
            row["key"],
            msgspec.json.decode(row["body"], type=dict[str, Any]),
            row["made_utc"],
            row["attempts"],
        )
        for row in _rows(db, "SELECT * FROM outbox ORDER BY id")
    ]


def count_attempt(db: sqlite3.Connection, item_id: int) -> int:
    """Count one more attempt of an outbox item, and say how many there are now; 0 when it is gone."""
    row = db.execute(
        "UPDATE outbox SET attempts = attempts + 1 WHERE id = ? RETURNING attempts", (item_id,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def drop_item(db: sqlite3.Connection, item_id: int) -> bool:
    """Take an answered item out; False when it was gone."""
    return _delete(db, "DELETE FROM outbox WHERE id = ?", (item_id,))


def put_secret(db: sqlite3.Connection, device: DeviceId, secret: str) -> None:
    """Keep the deviceSecret that the cloud sent for a device."""
    db.execute("INSERT OR REPLACE INTO secrets VALUES (?, ?, ?)", (*_names(device), secret))


def get_secret(db: sqlite3.Connection, device: DeviceId) -> str | None:
    """The deviceSecret that the cloud sent for a device."""
    return _value(db, "SELECT secret FROM secrets WHERE product_key = ? AND device_name = ?", _names(device))


def delete_secret(db: sqlite3.Connection, device: DeviceId) -> bool:
    """Forget a received deviceSecret; False when there was none."""
    return _delete(db, "DELETE FROM secrets WHERE product_key = ? AND device_name = ?", _names(device))


def set_meta(db: sqlite3.Connection, name: str, value: str) -> None:
    """Keep one named text."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def get_meta(db: sqlite3.Connection, name: str) -> str | None:
    """The text of that name."""
    return _value(db, "SELECT value FROM meta WHERE name = ?", (name,))


def delete_meta(db: sqlite3.Connection, name: str) -> bool:
    """Forget the text of that name; False when there was none."""
    return _delete(db, "DELETE FROM meta WHERE name = ?", (name,))


def _subdevice(row: sqlite3.Row) -> SubDevice:
    return SubDevice(
        DeviceId(row["product_key"], row["device_name"]),
        State(row["state"]),
        bool(row["bound"]),
        row["medium"],
        row["address"],
        row["joined_utc"],
        row["first_login"],
        row["first_login_boot_id"],
        row["product_id"],
        row["mac"],
    )


def _ticket(row: sqlite3.Row) -> Ticket:
    return Ticket(
        id=row["id"],
        request=JoinRequest(row["medium"], row["address"], DeviceId(row["product_key"], row["device_name"])),
        decided=row["decided"],
        ends=row["ends"],
        boot_id=row["boot_id"],
        state=TicketState(row["state"]),
        code=row["code"],
        sentence=row["sentence"],
        settled=row["settled"],
    )


def _token(row: sqlite3.Row) -> Token:
    return Token(
        row["id"],
        row["value"],
        DeviceId(row["product_key"], row["device_name"]),
        row["boot_id"],
        row["made"],
        row["expires"],
        TokenState(row["state"]),
        row["attempts"],
    )


def _names(device: DeviceId) -> tuple[str, str]:
    return device.product_key, device.device_name


def _rows(db: sqlite3.Connection, query: str, values: Row = ()) -> list[sqlite3.Row]:
    cursor = db.cursor()
    cursor.row_factory = sqlite3.Row
    return cursor.execute(query, values).fetchall()


def _delete(db: sqlite3.Connection, query: str, values: Row) -> bool:
    return db.execute(query, values).rowcount > 0


def _value(db: sqlite3.Connection, query: str, values: Row) -> str | None:
    row = db.execute(query, values).fetchone()
    return None if row is None else str(row[0])
