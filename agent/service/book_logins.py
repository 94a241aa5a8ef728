"""Open sessions of accounts: digests of their two tokens, and until when each is good (UTC)."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

MOST = 64  # sessions of one account; whoever logs in once more ends the one that was opened first


@dataclass(frozen=True, slots=True)
class Pass:
    """The digests of an iotToken and a refreshToken with their ends, in UTC seconds."""

    token: bytes = field(repr=False)
    token_until: float
    refresh: bytes = field(repr=False)
    refresh_until: float


class Logins:
    """The sessions of one book's accounts."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def open(self, identity: str, given: Pass, utc: float) -> None:
        """Enter a session; those that cannot be refreshed any more, and the oldest of too many, are gone."""
        self._db.execute("DELETE FROM account_sessions WHERE refresh_until <= ?", (utc,))
        self._db.execute(
            "INSERT INTO account_sessions (refresh, token, identity, opened, token_until, refresh_until) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (given.refresh, given.token, identity, utc, given.token_until, given.refresh_until),
        )
        self._db.execute(
            "DELETE FROM account_sessions WHERE identity = :who AND refresh NOT IN (SELECT refresh FROM "
            "account_sessions WHERE identity = :who ORDER BY opened DESC, refresh = :new DESC LIMIT :most)",
            {"who": identity, "new": given.refresh, "most": MOST},
        )

    def find(self, token: bytes, utc: float) -> tuple[str, str] | None:
        """Identity and home of the account whose iotToken has that digest and is good now."""
        row = self._db.execute(
            "SELECT identity, home FROM account_sessions JOIN accounts USING (identity) "
            "WHERE token = ? AND token_until > ?",
            (token, utc),
        ).fetchone()
        return (row[0], row[1]) if row else None

    def refresh_until(self, identity: str, refresh: bytes, utc: float) -> float | None:
        """Until when the session of that account and refreshToken can be refreshed; None when it cannot."""
        row = self._db.execute(
            "SELECT refresh_until FROM account_sessions "
            "WHERE refresh = ? AND identity = ? AND refresh_until > ?",
            (refresh, identity, utc),
        ).fetchone()
        return float(row[0]) if row else None

    def renew(self, refresh: bytes, token: bytes, until: float) -> None:
        """Give a session a new iotToken; its old one is void."""
        self._db.execute(
            "UPDATE account_sessions SET token = ?, token_until = ? WHERE refresh = ?",
            (token, until, refresh),
        )

    def end_by_token(self, token: bytes) -> bool:
        """End the session of that iotToken, expired or not; False when there is none."""
        return self._db.execute("DELETE FROM account_sessions WHERE token = ?", (token,)).rowcount == 1

    def end_by_refresh(self, identity: str, refresh: bytes) -> bool:
        """End the session of that account and refreshToken; False when there is none."""
        cursor = self._db.execute(
            "DELETE FROM account_sessions WHERE refresh = ? AND identity = ?", (refresh, identity)
        )
        return cursor.rowcount == 1
