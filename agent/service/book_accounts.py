"""Accounts: a name, an identity, a home, and the digest of the code that opens a session."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AppKey:
    """What apps sign their requests with, made at the service's first start."""

    key: str
    secret: str = field(repr=False)


class Accounts:
    """The accounts of one book."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def add(self, name: str, identity: str, home: str, auth_digest: bytes) -> bool:
        """Enter an account; False, and nothing is changed, when there is one of that name."""
        cursor = self._db.execute(
            "INSERT OR IGNORE INTO accounts (identity, name, home, auth_digest) VALUES (?, ?, ?, ?)",
            (identity, name, home, auth_digest),
        )
        return cursor.rowcount == 1

    def has(self, identity: str) -> bool:
        """True when there is an account of that identity."""
        return bool(self._db.execute("SELECT 1 FROM accounts WHERE identity = ?", (identity,)).fetchone())

    def find(self, auth_digest: bytes) -> tuple[str, str] | None:
        """Identity and home of the account whose code has that digest."""
        row = self._db.execute(
            "SELECT identity, home FROM accounts WHERE auth_digest = ?", (auth_digest,)
        ).fetchone()
        return (row[0], row[1]) if row else None
