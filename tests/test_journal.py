"""The log as the journal takes it: entries over a real datagram socket, limits, the way back to stderr."""

from __future__ import annotations

import io
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import journal
from agent.events import EventLog
from agent.jobs.logbook import Logbook
from tests.jumping import JumpingClock, run_jumping


def read_entry(data: bytes) -> dict[str, str]:
    """The fields of one entry: an independent reader of systemd's NATIVE_JOURNAL_PROTOCOL."""
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(data[:8], "little")
            value, data = data[8 : 8 + size], data[8 + size + 1 :]
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "journal"))
        listening.settimeout(2)
        yield listening


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("enrolld.test")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True


def test_an_entry_has_its_message_level_and_fields(journald: socket.socket, log: logging.Logger) -> None:
    log.addHandler(journal.JournalHandler(str(journald.getsockname())))
    log.warning("%s is away\nfor good", "a radio", extra={"fields": {"radio": "bluez", "window": "any"}})
    assert read_entry(journald.recv(65536)) == {
        "MESSAGE": "a radio is away\nfor good",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "enrolld",
        "LOGGER": "enrolld.test",
        "ENROLLD_RADIO": "bluez",
        "ENROLLD_WINDOW": "any",
    }


@pytest.mark.parametrize(("level", "priority"), [(10, "7"), (20, "6"), (30, "4"), (40, "3"), (50, "2")])
def test_levels_are_priorities(
    journald: socket.socket, log: logging.Logger, level: int, priority: str
) -> None:
    log.addHandler(journal.JournalHandler(str(journald.getsockname())))
    log.log(level, "x")
    assert read_entry(journald.recv(65536))["PRIORITY"] == priority


def test_no_value_can_forge_a_field_and_none_is_too_long(
    journald: socket.socket, log: logging.Logger
) -> None:
    log.addHandler(journal.JournalHandler(str(journald.getsockname())))
    log.info(
        "x", extra={"fields": {"device": "a\nENROLLD_CODE=forged\n", "enrollee": "\ud800" + "y" * 100_000}}
    )
    entry = read_entry(journald.recv(65536))
    assert entry["ENROLLD_DEVICE"] == "a\nENROLLD_CODE=forged\n"
    assert "ENROLLD_CODE" not in entry
    assert len(entry["ENROLLD_ENROLLEE"]) == journal.LONGEST


def test_without_the_journal_each_line_goes_to_stderr_with_its_level(
    tmp_path: Path, log: logging.Logger
) -> None:
    stderr = io.StringIO()
    log.addHandler(journal.JournalHandler(str(tmp_path / "nobody"), stderr))
    log.error("first\nsecond")
    assert stderr.getvalue() == "<3>first\n<3>second\n"


def test_the_journal_is_known_by_device_and_inode_of_stderr(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w+") as stream, (tmp_path / "other").open("w") as other:
        status = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert journal.is_journal(environ, stream)
        assert not journal.is_journal(environ, other)
        assert not journal.is_journal({}, stream)
        handler = journal.make_handler(environ, stream)
        assert isinstance(handler, journal.JournalHandler)
        handler.close()
        assert not isinstance(journal.make_handler({}, stream), journal.JournalHandler)


def test_of_one_kind_a_burst_passes_and_the_rest_is_counted(log: logging.Logger) -> None:
    now, out = [0.0], io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(journal.RateLimit(lambda: now[0]))
    log.addHandler(handler)
    for number in range(100):
        log.warning("stranger %d", number)
        log.error("bug %d", number)
    log.warning("something else")
    lines = out.getvalue().splitlines()
    assert sum(line.startswith("stranger") for line in lines) == journal.BURST
    assert sum(line.startswith("bug") for line in lines) == 100
    assert lines[-1] == "something else"
    now[0] = journal.WINDOW
    log.warning("stranger %d", 100)
    assert out.getvalue().splitlines()[-1] == "stranger 100 (and 80 more like it were left out before)"


def test_the_logbook_ties_the_events_of_one_join_together(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene() -> None:
        events = EventLog(JumpingClock())
        book = Logbook(events)
        events.emit("permit_opened", product_key=None, ends_in=60, by="cli")
        events.emit("join_admitted", device="pk/one", reason="window_open")
        events.emit("subdevice_joining", device="pk/one")
        events.emit("join_refused", device="pk/two", reason="window_closed", sentence="No window is open.")
        events.emit("subdevice_online", device="pk/one")
        events.emit("subdevice_offline", device="pk/one")
        events.emit("enrollee_found", id="ble:1")
        events.emit(
            "warning_raised", code="store_unavailable", subject="", severity="error", text="disk full"
        )
        book.write()

    with caplog.at_level(logging.DEBUG, "enrolld.events"):
        run_jumping(scene())
    fields = [journal.fields_of(record) for record in caplog.records]
    assert fields[0] == {"event": "permit_opened", "window": "any", "by": "cli"}
    assert [row.get("session") for row in fields] == [None, "2", "2", None, "2", None, None, None]
    assert fields[3]["device"] == "pk/two"
    assert caplog.records[3].getMessage().endswith("No window is open.")
    assert [record.levelno for record in caplog.records[-2:]] == [logging.DEBUG, logging.ERROR]
    assert fields[-1]["code"] == "store_unavailable"
    assert fields[-1]["subject"] == ""
