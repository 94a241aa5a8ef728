"""The store: durable, all or nothing, and honest when the disk is not."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.errors import InputRefused, StoreError
from agent.store import STEPS, Store
from tests.jumping import run_jumping

NOTES = (("CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT NOT NULL)",),)
ROOT = Path(__file__).resolve().parents[1]


def add(text: str) -> Callable[[sqlite3.Connection], str]:
    def change(db: sqlite3.Connection) -> str:
        db.execute("INSERT INTO notes (text) VALUES (?)", (text,))
        return text

    return change


def texts(db: sqlite3.Connection) -> list[str]:
    return [text for (text,) in db.execute("SELECT text FROM notes ORDER BY n")]


def refuse(_: object) -> None:
    pytest.fail("a write that failed was told as done")


def is_available(store: Store) -> bool:
    return store.available


def on_disk(path: Path) -> list[str]:
    """What another process would see."""
    other = sqlite3.connect(path)
    try:
        return texts(other)
    finally:
        other.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    store = Store(path, steps=NOTES)
    await store.open()
    yield store
    await store.close()


async def test_a_fresh_store_is_private_durable_and_of_the_newest_version(path: Path) -> None:
    store = Store(path)
    assert not is_available(store)
    await store.open()
    assert is_available(store)

    def look(db: sqlite3.Connection) -> dict[str, object]:
        names = ("user_version", "journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

    assert await store.read(look) == {
        "user_version": len(STEPS),
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 1000,
    }
    await store.write(lambda db: db.execute("INSERT INTO meta VALUES ('a', 'b')").rowcount)
    assert {p.name: oct(p.stat().st_mode & 0o777) for p in path.parent.iterdir()} == {
        "state.db": "0o600",
        "state.db-wal": "0o600",
        "state.db-shm": "0o600",
    }
    await store.close()
    assert not is_available(store)


async def test_a_file_that_others_may_read_is_made_private(path: Path) -> None:
    path.touch(0o644)
    store = Store(path)
    await store.open()
    assert path.stat().st_mode & 0o777 == 0o600
    await store.close()


async def test_what_a_write_returned_is_on_the_disk(store: Store, path: Path) -> None:
    assert await store.write(add("one")) == "one"
    assert on_disk(path) == ["one"]
    assert await store.read(texts) == ["one"]


async def test_an_exception_out_of_a_change_undoes_it_and_is_no_trouble_of_the_store(store: Store) -> None:
    def change(db: sqlite3.Connection) -> None:
        add("half")(db)
        raise InputRefused("no")

    with pytest.raises(InputRefused, match="no"):
        await store.write(change)
    assert is_available(store)
    assert await store.read(texts) == []


async def test_a_read_changes_nothing(store: Store) -> None:
    assert await store.read(add("sly")) == "sly"
    assert await store.read(texts) == []


async def test_then_runs_in_the_loop_in_commit_order_before_the_caller_goes_on(store: Store) -> None:
    seen: list[str] = []
    loop_thread = threading.get_ident()

    def then(text: str) -> None:
        assert threading.get_ident() == loop_thread
        seen.append(text)

    async def write(text: str) -> None:
        await store.write(add(text), then)
        assert seen[: seen.index(text) + 1] == wanted[: wanted.index(text) + 1]

    wanted = [str(n) for n in range(20)]
    await asyncio.gather(*(write(text) for text in wanted))
    assert seen == wanted == await store.read(texts)


async def test_a_cancelled_caller_does_not_take_its_write_back(store: Store) -> None:
    begun, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    seen: list[str] = []

    def slow(db: sqlite3.Connection) -> str:
        loop.call_soon_threadsafe(begun.set)
        assert go.wait(10)
        return add("slow")(db)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(store.write(slow, seen.append))
        queued = group.create_task(store.write(add("queued"), seen.append))
        await begun.wait()
        running.cancel()
        queued.cancel()
        last = group.create_task(store.write(add("last"), seen.append))
        await asyncio.wait([running, queued])
        assert seen == []  # neither caller waits for the thread
        go.set()
        await last
    assert running.cancelled()
    assert queued.cancelled()
    assert seen == ["slow", "queued", "last"] == await store.read(texts)


async def test_a_cancelled_caller_of_a_failing_write_leaves_no_trace(store: Store) -> None:
    begun, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def fail(db: sqlite3.Connection) -> str:
        loop.call_soon_threadsafe(begun.set)
        assert go.wait(10)
        add("half")(db)
        raise InputRefused("no")

    task = asyncio.ensure_future(store.write(fail, refuse))
    await begun.wait()
    task.cancel()
    go.set()
    assert await store.read(texts) == []
    assert task.cancelled()


async def test_writes_asked_before_closing_are_done_and_later_ones_refused(path: Path) -> None:
    store = Store(path, steps=NOTES)
    await store.open()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(store.write(add(str(n)))) for n in range(5)]
        group.create_task(store.close())
    assert [task.result() for task in tasks] == on_disk(path)
    with pytest.raises(StoreError, match="closed"):
        await store.write(add("late"))
    await store.close()


async def test_the_moments_of_a_commit_are_told(path: Path) -> None:
    told: list[tuple[str, list[str]]] = []

    def on_commit(moment: str) -> None:
        told.append((moment, on_disk(path)))

    first = Store(path, steps=NOTES)
    await first.open()
    await first.close()
    store = Store(path, on_commit=on_commit, steps=NOTES)
    await store.write(add("one"))
    assert told == [("before", []), ("after", ["one"])]
    await store.close()


def test_the_store_works_on_the_jumping_loop(path: Path) -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        store = Store(path, steps=NOTES)
        await store.open()
        await store.write(add("one"), seen.append)
        assert seen == ["one"]
        found = await store.read(texts)
        await store.close()
        return found

    assert run_jumping(main()) == ["one"]


# Versions


async def test_an_older_file_is_brought_up_and_keeps_its_rows(store: Store, path: Path) -> None:
    await store.write(add("old"))
    await store.close()
    more = (
        *NOTES,
        (
            "ALTER TABLE notes ADD COLUMN colour TEXT DEFAULT 'red'",
            "CREATE INDEX by_colour ON notes (colour)",
        ),
    )
    newer = Store(path, steps=more)
    await newer.open()
    assert await newer.read(lambda db: db.execute("SELECT text, colour FROM notes").fetchall()) == [
        ("old", "red")
    ]
    assert await newer.read(lambda db: db.execute("PRAGMA user_version").fetchone()) == (2,)
    await newer.close()


async def test_a_step_that_fails_leaves_the_version_before_it(store: Store, path: Path) -> None:
    await store.write(add("old"))
    await store.close()
    broken = Store(
        path, steps=(*NOTES, ("ALTER TABLE notes ADD COLUMN colour TEXT", "CREATE TABLE notes (n)"))
    )
    with pytest.raises(StoreError, match="already exists"):
        await broken.open()
    await broken.close()
    again = Store(path, steps=NOTES)
    await again.open()
    assert await again.read(lambda db: db.execute("SELECT * FROM notes").fetchall()) == [(1, "old")]
    await again.close()


async def test_a_file_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    before = path.read_bytes()
    store = Store(path)
    for _ in range(2):
        with pytest.raises(StoreError, match=f"version 99.* up to {len(STEPS)}"):
            await store.open()
        assert not is_available(store)
    await store.close()
    assert path.read_bytes() == before


# Trouble


async def test_a_file_that_is_no_database_is_refused_and_never_deleted(path: Path) -> None:
    path.write_bytes(b"This was a database once. " * 500)
    before = path.read_bytes()
    store = Store(path)
    with pytest.raises(StoreError, match="not a database"):
        await store.open()
    with pytest.raises(StoreError, match="not a database"):
        await store.write(add("one"))
    assert path.read_bytes() == before
    path.rename(path.with_suffix(".old"))
    await store.open()  # once it is moved away
    assert is_available(store)
    await store.close()


async def test_damaged_pages_are_found_when_opening(store: Store, path: Path) -> None:
    def fill(db: sqlite3.Connection) -> None:
        db.executemany("INSERT INTO notes (text) VALUES (?)", [("x" * 500,)] * 200)

    await store.write(fill)
    await store.close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    path.write_bytes(content)
    broken = Store(path, steps=NOTES)
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        await broken.open()
    await broken.close()
    assert path.read_bytes() == bytes(content)


async def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "state.db")
    with pytest.raises(StoreError, match=r"state\.db does not work"):
        await store.open()
    with pytest.raises(StoreError):
        await store.read(texts)
    (tmp_path / "file").unlink()
    await store.open()
    assert is_available(store)
    await store.close()


async def test_a_full_database_refuses_the_whole_write_and_recovers(store: Store, path: Path) -> None:
    await store.write(add("before"))

    def too_much(db: sqlite3.Connection) -> None:
        add("half")(db)
        db.execute("PRAGMA max_page_count = 8")
        add("x" * 100_000)(db)

    with pytest.raises(StoreError, match="SQLITE_FULL"):
        await store.write(too_much, refuse)
    assert not is_available(store)
    assert on_disk(path) == ["before"]
    assert await store.read(texts) == ["before"]
    assert not is_available(store)  # reading proves nothing about writing
    await store.write(add("after"))
    assert is_available(store)
    assert on_disk(path) == ["before", "after"]


async def test_a_lock_of_somebody_else_is_waited_for_and_then_refused(store: Store, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        await store.write(add("one"), refuse)
    other.execute("ROLLBACK")
    other.close()
    await store.write(add("two"))
    assert on_disk(path) == ["two"]


HEAD = """
import asyncio, os, resource, signal, sys
from pathlib import Path
from agent.errors import StoreError
from agent.store import Store
from tests.test_store import NOTES, add, texts
"""


def run_child(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HEAD + code, *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)


FULL_DISK = """
async def main():
    store = Store(Path(sys.argv[1]), steps=NOTES)
    await store.open()
    await store.write(add("before"))
    size = os.stat(sys.argv[1] + "-wal").st_size + 60_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    accepted = refused = unproven = 0
    for n in range(30):
        try:
            await store.write(add(f"{n}" + "x" * 3000))
            accepted += 1
        except StoreError:
            refused += 1
            assert not store.available
            for proof in (store.open, lambda: store.write(lambda db: None)):
                try:
                    await proof()
                except StoreError:
                    assert not store.available
                    unproven += 1
            assert len(await store.read(texts)) == 1 + accepted
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.write(add("after"))
    assert len(await store.read(texts)) == 2 + accepted
    await store.close()
    print(accepted, refused, unproven)
asyncio.run(main())
"""


def test_a_disk_that_fills_up(path: Path) -> None:
    done = run_child(FULL_DISK, str(path))
    assert done.returncode == 0, done.stderr
    accepted, refused, unproven = map(int, done.stdout.split())
    assert accepted > 0
    assert refused > 0
    assert unproven > 0  # even a write that changes nothing finds out
    assert len(on_disk(path)) == 2 + accepted


READ_ONLY = """
async def main():
    store = Store(Path("state.db"), steps=NOTES)
    for _ in range(2):
        try:
            await store.open()
        except StoreError as error:
            print(error)
    os.chmod(".", 0o700)
    await store.write(add("mended"))
    print(store.available, await store.read(texts))
    await store.close()
os.chdir(sys.argv[1])
if os.getuid() == 0:
    os.chown(".", 65534, 65534)
    os.setgid(65534)
    os.setuid(65534)
os.chmod(".", 0o500)
asyncio.run(main())
"""


def test_a_directory_that_cannot_be_written() -> None:
    with tempfile.TemporaryDirectory() as directory:  # not tmp_path: nobody may go there
        done = run_child(READ_ONLY, directory)
    assert done.returncode == 0, done.stderr
    refused = "the store state.db does not work: Permission denied"
    assert done.stdout.splitlines() == [refused, refused, "True ['mended']"]


KILLED = """
async def main():
    commits = 0
    def on_commit(moment):
        nonlocal commits
        commits += moment == "before"
        if moment == sys.argv[2] and commits == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
    store = Store(Path(sys.argv[1]), on_commit=on_commit, steps=NOTES)
    for n in range(1000):
        await store.write(add(str(n)), lambda text: print(text, flush=True))
asyncio.run(main())
"""


@pytest.mark.parametrize("commit", [1, 2, 5])  # the first is the migration
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_kill_around_a_commit_loses_nothing_that_was_accepted(
    path: Path, moment: str, commit: int
) -> None:
    done = run_child(KILLED, str(path), moment, str(commit))
    assert done.returncode == -9, done.stderr
    accepted = done.stdout.split()
    assert accepted == [str(n) for n in range(max(0, commit - 2))]
    store = Store(path, steps=NOTES)
    await store.open()
    committed = [str(n) for n in range(commit - 1 if moment == "after" else commit - 2)]
    assert await store.read(texts) == committed
    assert await store.write(add("next")) == "next"
    await store.close()


async def test_a_kill_at_any_moment_loses_nothing_that_was_accepted(path: Path) -> None:
    command = [sys.executable, "-c", HEAD + KILLED, str(path), "never", "0"]
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    accepted = [(await child.stdout.readline()).decode().strip() for _ in range(25)]
    child.kill()
    accepted += (await child.stdout.read()).decode().split()
    await child.wait()
    assert child.returncode == -9
    store = Store(path, steps=NOTES)
    found = await store.read(texts)
    await store.close()
    assert found[: len(accepted)] == accepted == [str(n) for n in range(len(accepted))]
    assert len(found) - len(accepted) in (0, 1)
