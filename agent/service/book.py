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
from agent.service.book_accounts import Accounts
from agent.service.book_air import Enrollees, Sessions
from agent.service.book_devices import Devices, Topology
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
                self.devices = Devices(self._db, _read_key(self._db, entropy))
            except BaseException:
                self._db.close()
                raise
        self.accounts = Accounts(self._db)
        self.topology = Topology(self._db)
        self.tokens = Tokens(self._db)
        self.enrollees = Enrollees(self._db)
        self.sessions = Sessions(self._db)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: what is done inside is on the disk afterwards, or undone when anything is raised.

        The hook is called with ``before`` and ``after`` around the commit of a change.
        """
        with _translated():
            changes = self._db.total_changes
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                changed = self._db.total_changes > changes
                if changed:
                    self._hook("before")
                self._db.execute("COMMIT")
            except (
                BaseException
            ):  # a refusal, a fault, a power cut of the tests: none may leave half a change
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        if changed:
            self._hook("after")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"the service's state: {error}") from error


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


def _read_key(db: sqlite3.Connection, entropy: Callable[[int], bytes]) -> bytes:
    """The key that iotIds are made with, written at the first start."""
    db.execute("INSERT OR IGNORE INTO keys VALUES ('iot_id', ?)", (entropy(32),))
    (key,) = db.execute("SELECT value FROM keys WHERE name = 'iot_id'").fetchone()
    return bytes(key)
