"""The one SQLite file: everything that must survive a power cut, and the one thread that touches it.

What a write returned is on the disk (WAL, synchronous=FULL); what it refused left no trace. While the file
cannot be had, each call tries to open it again and answers StoreError, and the daemon goes on (DESIGN 4).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from agent.errors import StoreError

T = TypeVar("T")
Steps = Sequence[Sequence[str]]

LOCK_WAIT_MS = 1000  # another process holds the lock for one transaction at most

# One entry per version of the file; never change one that was released, append the next.
STEPS: Steps = (
    (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        # product_key '' is any product; ends NULL is always open
        """CREATE TABLE windows (
            product_key TEXT PRIMARY KEY, opened REAL NOT NULL, ends REAL, capped INTEGER NOT NULL,
            opener TEXT NOT NULL, carried INTEGER NOT NULL) WITHOUT ROWID""",
        "CREATE TABLE denied (product_key TEXT PRIMARY KEY) WITHOUT ROWID",
        """CREATE TABLE subdevices (
            product_key TEXT NOT NULL, device_name TEXT NOT NULL, state TEXT NOT NULL, bound INTEGER NOT NULL,
            medium TEXT NOT NULL, address TEXT NOT NULL, joined_utc REAL NOT NULL, first_login REAL,
            first_login_boot_id TEXT NOT NULL, product_id INTEGER, mac BLOB,
            PRIMARY KEY (product_key, device_name)) WITHOUT ROWID""",
        """CREATE TABLE tickets (
            id TEXT PRIMARY KEY, medium TEXT NOT NULL, address TEXT NOT NULL, product_key TEXT NOT NULL,
            device_name TEXT NOT NULL, decided REAL NOT NULL, ends REAL NOT NULL, boot_id TEXT NOT NULL,
            state TEXT NOT NULL, code INTEGER, sentence TEXT NOT NULL, settled REAL) WITHOUT ROWID""",
        """CREATE TABLE tokens (
            id INTEGER PRIMARY KEY AUTOINCREMENT, value BLOB NOT NULL, product_key TEXT NOT NULL,
            device_name TEXT NOT NULL, boot_id TEXT NOT NULL, made REAL NOT NULL, expires REAL NOT NULL,
            state TEXT NOT NULL, attempts INTEGER NOT NULL, UNIQUE (product_key, device_name, value))""",
        """CREATE TABLE outbox (
            id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL UNIQUE,
            body BLOB NOT NULL, made_utc REAL NOT NULL, attempts INTEGER NOT NULL)""",
        """CREATE TABLE secrets (
            product_key TEXT NOT NULL, device_name TEXT NOT NULL, secret TEXT NOT NULL,
            PRIMARY KEY (product_key, device_name)) WITHOUT ROWID""",
    ),
)


class Store:
    """A SQLite file behind one thread; ``steps`` are the migrations that make its tables.

    ``on_commit`` is called in that thread with ``"before"`` and ``"after"`` around each COMMIT.
    """

    def __init__(
        self, path: Path, *, on_commit: Callable[[str], None] | None = None, steps: Steps = STEPS
    ) -> None:
        self._path = path
        self._on_commit = on_commit
        self._steps = steps
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._db: sqlite3.Connection | None = None
        self._available = False
        self._closed = False

    @property
    def available(self) -> bool:
        """True while the file can be written, as far as the last call tells."""
        return self._available

    async def open(self) -> None:
        """Open the file, make or migrate its tables, and prove that it can be written.

        StoreError when that fails; every later call tries again, and so may this one, as often as wanted.
        """
        await self._call(partial(self._write, _do_nothing))

    async def close(self) -> None:
        """Close the file once everything asked before is done; later calls are StoreErrors."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    async def write(
        self, change: Callable[[sqlite3.Connection], T], then: Callable[[T], None] | None = None
    ) -> T:
        """What ``change`` returns, once its one transaction is on the disk.

        ``then`` gets the same in the event loop, in commit order, before any later write returns, and
        also when the caller was cancelled meanwhile: memory follows the disk there. An exception out of
        ``change`` undoes everything and is raised here; trouble with the file is StoreError.
        """
        return await self._call(partial(self._write, change), then)

    async def read(self, look: Callable[[sqlite3.Connection], T]) -> T:
        """What ``look`` returns, from one consistent state; anything that it writes is undone."""
        return await self._call(partial(self._read, look))

    async def _call(self, work: Callable[[], T], then: Callable[[T], None] | None = None) -> T:
        if self._closed:
            raise StoreError(f"the store {self._path.name} is closed")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        # The caller waits for `answer` and never for the thread, so cancelling it cannot take back a write.
        def settle(done: asyncio.Future[T]) -> None:
            error = done.exception()
            if error is not None:
                if not answer.done():
                    answer.set_exception(error)
                return
            if not answer.done():
                answer.set_result(done.result())
            if then is not None:
                then(done.result())

        loop.run_in_executor(self._thread, self._guard, work).add_done_callback(settle)
        return await answer

    # From here on everything runs in the store's thread.

    def _guard(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            self._available = False
            if not _passes(error):
                self._disconnect()  # the next call opens the file afresh: a hand may have mended it
            raise StoreError(f"the store {self._path} does not work: {_sentence(error)}") from error

    def _connect(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = self._opened()
        return self._db

    def _disconnect(self) -> None:
        self._available = False
        db, self._db = self._db, None
        if db is not None:
            _close(db)

    def _opened(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_new = _make_private(self._path)
        db = sqlite3.connect(self._path, timeout=LOCK_WAIT_MS / 1000, isolation_level=None)
        try:
            self._check_version(db)
            _prepare(db)
            self._migrate(db)
            if is_new:
                _sync_directory(self._path.parent)
        except BaseException:
            _close(db)
            raise
        return db

    def _check_version(self, db: sqlite3.Connection) -> None:
        version, newest = _version(db), len(self._steps)
        if version > newest:
            raise StoreError(
                f"the store {self._path} has version {version}, made by a newer enrolld; "
                f"this one knows versions up to {newest}"
            )

    def _migrate(self, db: sqlite3.Connection) -> None:
        for number in range(_version(db), len(self._steps)):
            self._transact(db, partial(_step_up, statements=self._steps[number], number=number))

    def _write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        db = self._connect()
        result = self._transact(db, change if self._available else partial(_prove, change))
        self._available = True
        return result

    def _transact(self, db: sqlite3.Connection, change: Callable[[sqlite3.Connection], T]) -> T:
        db.execute("BEGIN IMMEDIATE")
        try:
            result = change(db)
            self._tell("before")
            db.execute("COMMIT")
        finally:
            if db.in_transaction:  # not committed: undo, unless SQLite has done so (disk full)
                db.execute("ROLLBACK")
        self._tell("after")
        return result

    def _read(self, look: Callable[[sqlite3.Connection], T]) -> T:
        db = self._connect()
        db.execute("BEGIN")
        try:
            return look(db)
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")

    def _tell(self, moment: str) -> None:
        if self._on_commit is not None:
            self._on_commit(moment)


def _make_private(path: Path) -> bool:
    """Create the file 0600 when it is missing (WAL and shared memory take its mode); True if it was."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        return False
    return True


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA secure_delete = ON")  # a forgotten secret is overwritten
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"the file is damaged ({verdict}); move it away to start afresh")


def _version(db: sqlite3.Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def _prove(change: Callable[[sqlite3.Connection], T], db: sqlite3.Connection) -> T:
    """Make sure that the transaction writes something: one without changes succeeds on a full disk too."""
    db.execute(f"PRAGMA user_version = {_version(db)}")
    return change(db)


def _do_nothing(_: sqlite3.Connection) -> None:
    """The change of a write that only proves that writing works."""


def _step_up(db: sqlite3.Connection, *, statements: Sequence[str], number: int) -> None:
    if _version(db) > number:  # another process was faster
        return
    for statement in statements:
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {number + 1}")


def _passes(error: sqlite3.Error | OSError) -> bool:
    """True for a full disk or a lock: the connection stays good, and may be all that still reads."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _close(db: sqlite3.Connection) -> None:
    try:
        db.close()
    except sqlite3.Error:
        return  # the last checkpoint failed; the WAL keeps what was committed


def _sentence(error: sqlite3.Error | OSError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    code = getattr(error, "sqlite_errorname", None)
    return f"{error} ({code})" if code else str(error)
