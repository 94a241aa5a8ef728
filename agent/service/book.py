"""The state of the provisioning service: one SQLite file, one connection, one transaction per request.

What must survive a power cut is in the file (accounts, devices, bindings, tokens, topology). What is
true only while connections are open (enrollees, sessions of sub-devices) is in a second, attached database in
memory, so that a report every minute costs no flash and a refused request leaves no trace in either.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import StoreError
from agent.service.book_accounts import Accounts, AppKey
from agent.service.book_air import Enrollees, Sessions
from agent.service.book_devices import Devices, Topology
from agent.service.book_logins import Logins
from agent.service.book_tokens import Tokens

Hook = Callable[[str], None]

BUSY = 0.2  # seconds to wait for another process that writes (an account being made)

MIGRATIONS = (
    """
    CREATE TABLE keys (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE accounts (
        identity TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, home TEXT NOT NULL,
        auth_digest BLOB NOT NULL UNIQUE
    ) WITHOUT ROWID;
    CREATE TABLE devices (
        product_key TEXT, device_name TEXT, iot_id TEXT NOT NULL UNIQUE, created REAL NOT NULL,
        secret TEXT, is_gateway INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL DEFAULT 'enabled',
        bound_to TEXT, bound_home TEXT, bound_at REAL, binds INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (product_key, device_name)
    ) WITHOUT ROWID;
    CREATE TABLE topology (
        product_key TEXT, device_name TEXT, gateway_key TEXT NOT NULL, gateway_name TEXT NOT NULL,
        added REAL NOT NULL, PRIMARY KEY (product_key, device_name)
    ) WITHOUT ROWID;
    CREATE INDEX topology_gateway ON topology (gateway_key, gateway_name);
    CREATE TABLE tokens (
        token TEXT, product_key TEXT, device_name TEXT, boot_id TEXT NOT NULL, reported REAL NOT NULL,
        reports INTEGER NOT NULL DEFAULT 1, binds INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (token, product_key, device_name)
    ) WITHOUT ROWID;
    CREATE INDEX tokens_device ON tokens (product_key, device_name);
    """,
    """
    CREATE TABLE account_sessions (
        refresh BLOB PRIMARY KEY, token BLOB NOT NULL UNIQUE, identity TEXT NOT NULL, opened REAL NOT NULL,
        token_until REAL NOT NULL, refresh_until REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX account_sessions_identity ON account_sessions (identity, opened);
    CREATE INDEX devices_owner ON devices (bound_to);
    """,
)

IN_MEMORY = """
    CREATE TABLE air.enrollees (
        gateway_key TEXT, gateway_name TEXT, enrollee TEXT,
        product_key TEXT NOT NULL, device_name TEXT NOT NULL,
        generation TEXT, ssid TEXT NOT NULL, bssid TEXT NOT NULL, rssi INTEGER, type INTEGER NOT NULL,
        created REAL NOT NULL, modified REAL NOT NULL, seen REAL NOT NULL, life REAL NOT NULL,
        provisioning_until REAL NOT NULL DEFAULT 0, checkin TEXT,
        PRIMARY KEY (gateway_key, gateway_name, enrollee)
    ) WITHOUT ROWID;
    CREATE INDEX air.enrollees_order ON enrollees (created, enrollee, gateway_key, gateway_name);
    CREATE INDEX air.enrollees_end ON enrollees (seen + life);
    CREATE TABLE air.sessions (
        product_key TEXT, device_name TEXT, gateway_key TEXT NOT NULL, gateway_name TEXT NOT NULL,
        since REAL NOT NULL, PRIMARY KEY (product_key, device_name)
    ) WITHOUT ROWID;
    CREATE INDEX air.sessions_gateway ON sessions (gateway_key, gateway_name);
    CREATE TABLE air.logins (product_key TEXT, device_name TEXT, at REAL NOT NULL);
    CREATE INDEX air.logins_device ON logins (product_key, device_name, at);
"""


class Book:
    """Typed access to the state, theme by theme; every use stands inside `transaction`.

    All calls come from one thread at a time. A failure of SQLite leaves as `StoreError`.
    """

    def __init__(self, path: Path, entropy: Callable[[int], bytes], hook: Hook | None = None) -> None:
        self._hook = hook or (lambda _: None)
        try:
            path.touch(mode=0o600)  # it holds minted secrets
        except OSError as error:
            raise StoreError(f"the service's state: {error}") from error
        with _translated():
            self._db = sqlite3.connect(path, timeout=BUSY, check_same_thread=False, isolation_level=None)
            try:
                _prepare(self._db)
                self.devices = Devices(self._db, _read_key(self._db, "iot_id", entropy(32)))
                self.app = _read_app(self._db, entropy)
            except BaseException:
                self._db.close()
                raise
        self.accounts = Accounts(self._db)
        self.logins = Logins(self._db)
        self.topology = Topology(self._db)
        self.tokens = Tokens(self._db)
        self.enrollees = Enrollees(self._db)
        self.sessions = Sessions(self._db)

    @property
    def url(self) -> str | None:
        """Where the service answered HTTP last."""
        row = self._db.execute("SELECT value FROM keys WHERE name = 'url'").fetchone()
        return row[0].decode() if row else None

    def note_url(self, url: str) -> None:
        """Keep where the service answers HTTP."""
        self._db.execute("INSERT OR REPLACE INTO keys VALUES ('url', ?)", (url.encode(),))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def transaction(self, *, reading: bool = False) -> Transaction:
        """All or nothing: what is done inside is on the disk afterwards, or undone when anything is raised.

        The hook is called with ``before`` and ``after`` around the commit of a change. ``reading`` takes no
        lock that another process could hold; nothing is changed on the disk then.
        """
        return Transaction(self._db, None if reading else self._hook)


class Transaction:
    """One transaction as a context; without a hook it only reads. StoreError when SQLite fails."""

    __slots__ = ("_changes", "_db", "_hook")

    def __init__(self, db: sqlite3.Connection, hook: Hook | None) -> None:
        self._db = db
        self._hook = hook
        self._changes = db.total_changes

    def __enter__(self) -> None:
        try:
            self._db.execute("BEGIN" if self._hook is None else "BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise _translate(error) from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if kind is None:
            try:
                self._commit()
            except BaseException as failure:
                self._undo()
                if isinstance(failure, sqlite3.Error):
                    raise _translate(failure) from failure
                raise
        else:  # a refusal, a fault, a power cut of the tests: none may leave half a change
            self._undo()
            if isinstance(error, sqlite3.Error):
                raise _translate(error) from error

    def _commit(self) -> None:
        if self._hook is None or self._db.total_changes == self._changes:
            self._db.execute("COMMIT")
        else:
            self._hook("before")
            self._db.execute("COMMIT")
            self._hook("after")

    def _undo(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise _translate(error) from error


def _translate(error: sqlite3.Error) -> StoreError:
    return StoreError(f"the service's state: {error}")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error) from error


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("ATTACH ':memory:' AS air")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StoreError(f"the service's state is of version {version}; this program knows {len(MIGRATIONS)}")
    for number in range(version, len(MIGRATIONS)):
        db.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")
    db.executescript(IN_MEMORY)


def _read_key(db: sqlite3.Connection, name: str, made: bytes) -> bytes:
    """The key of that name; the one that was made just now is written when there is none: the first start."""
    db.execute("INSERT OR IGNORE INTO keys VALUES (?, ?)", (name, made))
    (key,) = db.execute("SELECT value FROM keys WHERE name = ?", (name,)).fetchone()
    return bytes(key)


def _read_app(db: sqlite3.Connection, entropy: Callable[[int], bytes]) -> AppKey:
    """What requests of the HTTP API are signed with: a key of eight digits and a secret of 32 hex digits."""
    number = 10_000_000 + int.from_bytes(entropy(8), "big") % 90_000_000
    key = _read_key(db, "app_key", str(number).encode())
    secret = _read_key(db, "app_secret", entropy(16).hex().encode())
    return AppKey(key.decode(), secret.decode())
