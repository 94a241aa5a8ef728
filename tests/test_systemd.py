"""What the daemon and a service manager tell each other, over real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import ConfigError
from agent.status.sockets import Right, adopt
from agent.systemd import Notifier, take_sockets

ME = str(os.getpid())


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(2)
        yield listening


def test_every_message_as_sd_notify_3_has_it(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(manager.getsockname())})
    notifier.ready()
    notifier.status("two\nlines  become one")
    notifier.alive()
    notifier.stopping()
    said = [manager.recv(4096) for _ in range(4)]
    assert said == [b"READY=1", b"STATUS=two lines become one", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_reload_tells_the_moment_of_its_begin(manager: socket.socket) -> None:
    Notifier({"NOTIFY_SOCKET": str(manager.getsockname())}).reloading()
    first, second = manager.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    name, _, moment = second.partition("=")
    assert name == "MONOTONIC_USEC"
    with Path("/proc/uptime").open() as file:
        assert 0 < int(moment) <= (float(file.read().split()[0]) + 1) * 1e6


def test_an_abstract_address_is_meant_by_an_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0enrolld-test-{ME}")
        listening.settimeout(2)
        Notifier({"NOTIFY_SOCKET": f"@enrolld-test-{ME}"}).ready()
        assert listening.recv(100) == b"READY=1"


def test_without_a_manager_all_is_silence_and_a_dead_one_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Notifier({}).ready()
    assert not caplog.records
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert "does not hear READY" in caplog.text


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": ME}, 0.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_s_interval(environ: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environ).watchdog == seconds


class Handed:
    """Listening sockets at file numbers in a row, as a manager leaves them."""

    def __init__(self, tmp_path: Path, *names: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
        self.first = 200
        for number, name in enumerate(names):
            path = tmp_path / f"{number}-{name}"
            with socket.socket(socket.AF_UNIX, kind) as made:
                made.bind(str(path))
                if kind == socket.SOCK_STREAM:
                    made.listen()
                os.dup2(made.fileno(), self.first + number)
        self.environ = {"LISTEN_PID": ME, "LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}


def test_handed_sockets_become_listeners_by_their_names(tmp_path: Path) -> None:
    handed = Handed(tmp_path, "join.sock", "enrolld.sock")
    taken = take_sockets(handed.environ, first=handed.first)
    assert not any(os.get_inheritable(listening.fileno()) for listening in taken.values())
    listeners = adopt(taken)
    try:
        assert {listener.right for listener in listeners} == {Right.JOIN, Right.READ}
        by_right = {listener.right: listener.socket for listener in listeners}
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "0-join.sock"))
            by_right[Right.JOIN].accept()[0].close()
    finally:
        for listener in listeners:
            listener.close()
    assert (tmp_path / "0-join.sock").exists(), "the file is the manager's"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "3"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "3"},
        {"LISTEN_PID": ME, "LISTEN_FDS": "0"},
        {"LISTEN_PID": ME, "LISTEN_FDS": "-1"},
    ],
)
def test_what_is_not_meant_for_this_process_is_left_alone(environ: dict[str, str]) -> None:
    assert take_sockets(environ) == {}


def test_no_listening_stream_socket_is_refused_by_name(tmp_path: Path) -> None:
    handed = Handed(tmp_path, "enrolld.sock", kind=socket.SOCK_DGRAM)
    with pytest.raises(ConfigError, match=r"'enrolld\.sock'.*no listening Unix stream socket"):
        take_sockets(handed.environ, first=handed.first)


def test_a_file_that_is_no_socket_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        os.dup2(file.fileno(), 200)
    try:
        with pytest.raises(ConfigError, match="file 200"):
            take_sockets({"LISTEN_PID": ME, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"}, first=200)
    finally:
        os.close(200)


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    handed = Handed(tmp_path, "enrolld.sock", "enrolld.sock")
    try:
        with pytest.raises(ConfigError, match="two sockets"):
            take_sockets(handed.environ, first=handed.first)
    finally:
        os.close(handed.first + 1)  # it was not taken
    with pytest.raises(OSError):
        os.fstat(handed.first)


def test_a_name_that_is_no_right_is_refused(tmp_path: Path) -> None:
    handed = Handed(tmp_path, "other.sock")
    taken = take_sockets(handed.environ, first=handed.first)
    with pytest.raises(ConfigError, match=r"'other\.sock'"):
        adopt(taken)
    taken["other.sock"].close()
