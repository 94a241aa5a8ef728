"""``enrollctl`` against a real server: its text, its JSON, its exit codes."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.cli.client import read_events
from agent.cli.main import main
from agent.errors import CloudRefused, ConfigError, InputRefused, StoreError
from tests.recording import ENROLLEES, STATUS, SUBDEVICES, WHY, RecordingAgent
from tests.served import Served, served

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as running:
        yield running


def ctl(server: Served, *words: str) -> int:
    return main([*words, "--run", str(server.run)])


def spawn(server: Served, *words: str, **options: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "agent.cli.main", *words, "--run", str(server.run)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return,unused-ignore]


STATUS_TEXT = """\
gateway  a1Gateway/gw-1  bound       enrolld 0.1.0, up 3 h
cloud    embedded        online      3 tokens waiting, oldest 41 s
ble      hci0            listening   1204 heard, last 0.1 s ago
wifi     wlan1           down        adapter gone; next try in 8 s
permit   any             open        94 s left, opened by cloud
permit   a1Plug          open        until closed, opened by cli
permit   a1Lock          denied
devices                  3 online    of 4 sub-devices
heard                    12 of 4096  3 configured, 1 other, 7 access points, 1 strangers; 2 on report
# wlan1: adapter gone, 3 tries since 2023-11-14 10:41:07Z
"""


def test_status_for_people(server: Served, capsys: Captured) -> None:
    assert ctl(server, "status") == 0
    assert capsys.readouterr().out == STATUS_TEXT


def test_a_strange_ssid_cannot_drive_the_terminal(server: Served, capsys: Captured) -> None:
    assert ctl(server, "enrollees") == 0
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert out.splitlines() == [
        "ENROLLEE                        CLASS       PRODUCT  STATE     RSSI  COUNT  HEARD",
        "ble:AA:BB:CC:00:11:22/000aa7ab  configured  插座     reported  -61   31     0.4 s ago",
        "wifi:a1Lamp/lamp-7              other       a1Lamp   found     -     2      75 s ago",
        "",
        "ACCESS POINT       SSID                        CHANNEL  SECURITY  RSSI  FRAMES  HEARD",
        r"02:AA:00:00:00:01  \x1b]0;owned\x07home\u202e  6        wpa2      -40   900     0.1 s ago",
    ]


OTHERS = {
    "permits": "permit  any     open    94 s left, opened by cloud",
    "subdevices": "a1Plug/aabbcc001122  online  unbound  ble     AA:BB:CC:00:11:22  2023-11-14T09:30:00Z",
    "tokens": "a1Plug/aabbcc001122  waiting  41 s  79 s  2",
    "adapters": "wifi  wlan1  down       adapter gone; next try in 8 s",
    "metrics": "enrolld_subdevices 4",
    "watch": "gateway  a1Gateway/gw-1  bound       enrolld 0.1.0, up 3 h",
}


@pytest.mark.parametrize(("command", "line"), OTHERS.items())
def test_other_documents_for_people(server: Served, capsys: Captured, command: str, line: str) -> None:
    assert ctl(server, command) == 0
    assert line in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    "command", ["status", "enrollees", "permits", "subdevices", "tokens", "adapters", "health"]
)
def test_json_is_the_daemons_document(server: Served, capsys: Captured, command: str) -> None:
    code = ctl(server, command, "--json")
    assert code == (1 if command == "health" else 0)
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == getattr(server.agent, command)()


@pytest.mark.parametrize("command", ["metrics", "watch", "events"])
def test_json_of_the_rest_is_one_document(server: Served, capsys: Captured, command: str) -> None:
    assert ctl(server, command, "--json") == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out)["v"] == 1


def test_health_answers_no_only_for_errors(server: Served, capsys: Captured) -> None:
    assert ctl(server, "health") == 1
    assert capsys.readouterr().out.splitlines() == [
        "SEVERITY  CODE             SUBJECT  SINCE                 WHAT",
        "error     adapter_gone     wlan1    2023-11-14 10:41:07Z  adapter gone, 3 tries",
        "warning   wifi_no_scanner  -        2023-11-14 10:42:00Z  nobody scans (because of adapter_gone)",
    ]
    server.agent.status_document = {**STATUS, "warnings": STATUS["warnings"][1:]}
    assert ctl(server, "health") == 0
    server.agent.status_document = {**STATUS, "warnings": []}
    assert ctl(server, "health") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing is wrong"


PERMITS = [
    (("a1Plug", "60"), ("permit", "a1Plug", 60, "cli")),
    (("any", "always"), ("permit", None, 0, "cli")),
    (("any", "never"), ("permit", None, 65535, "cli")),
    (("a1Plug", "65534"), ("permit", "a1Plug", 65534, "cli")),
]


@pytest.mark.parametrize(("words", "told"), PERMITS)
def test_permit_opens_windows(
    server: Served, capsys: Captured, words: tuple[str, ...], told: tuple[object, ...]
) -> None:
    assert ctl(server, "permit", *words) == 0
    assert server.agent.told == [told]
    assert "94 s left, opened by cloud" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ("any", "0"),
        ("any", "65535"),
        ("any", "-5"),
        ("any", "1.5"),
        ("any", "1_0"),
        ("any", "٣"),
        ("any", "forever"),
        ("any", ""),
        ("any",),
        ("bad key", "60"),
        ("x" * 21, "60"),
    ],
)
def test_a_permit_that_means_nothing_is_a_usage_error(
    server: Served, capsys: Captured, words: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as ended:
        ctl(server, "permit", *words)
    assert ended.value.code == 2
    assert "usage: enrollctl permit" in capsys.readouterr().err
    assert server.agent.told == []


def test_provision_reads_its_passphrase_from_stdin(server: Served) -> None:
    words = ("provision", "wifi:a1Cam/cam-1", "--network", "home", "--passphrase-stdin", "--overwrite")
    with spawn(server, *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ctl_process:
        out, err = ctl_process.communicate("schlüssel pass \n".encode(), timeout=10)
    assert (ctl_process.returncode, out, err) == (0, b"wifi:a1Cam/cam-1: it may start\n", b"")
    assert server.agent.told == [("provision", "wifi:a1Cam/cam-1", "home", "schlüssel pass ", True, "cli")]


def test_provision_that_is_refused_answers_no(server: Served, capsys: Captured) -> None:
    assert ctl(server, "provision", "wifi:a1Lamp/lamp-7") == 1
    assert server.agent.told == [("provision", "wifi:a1Lamp/lamp-7", None, None, False, "cli")]
    assert capsys.readouterr().out == "wifi:a1Lamp/lamp-7: it is bound already\n"


def test_forget_and_loglevel(server: Served, capsys: Captured) -> None:
    device = SUBDEVICES["subdevices"][0]["id"]
    assert ctl(server, "forget", device) == 0
    assert ctl(server, "forget", "AA:BB:CC:00:11:22") == 0
    assert ctl(server, "loglevel", "debug") == 0
    assert server.agent.told == [
        ("forget", device, "cli"),
        ("forget", "AA:BB:CC:00:11:22", "cli"),
        ("loglevel", "debug"),
    ]
    assert capsys.readouterr().out.splitlines()[-2:] == [f"{device}: removing", "log level debug"]


def test_why_tells_the_decision_and_its_facts(server: Served, capsys: Captured) -> None:
    assert ctl(server, "why", WHY["subject"]) == 0
    assert ctl(server, "why", ENROLLEES["enrollees"][0]["id"]) == 0
    assert server.agent.told == [("why", WHY["subject"]), ("why", ENROLLEES["enrollees"][0]["id"])]
    assert capsys.readouterr().out.splitlines()[:3] == [
        "a1Plug/aabbcc001122: refused (no_window) at 2023-11-14 10:41:07Z: no window is open for a1Plug",
        "  product  a1Plug is configured",
        "  window   none",
    ]


REFUSALS = [
    (InputRefused("not so"), 65),
    (InputRefused("who?", code=404), 66),
    (InputRefused("twice", code=409), 1),
    (InputRefused("late", code=410), 1),
    (StoreError("disk full"), 75),
    (CloudRefused(520, "no session"), 1),
    (ConfigError("no such network"), 78),
]


@pytest.mark.parametrize(("trouble", "code"), REFUSALS, ids=str)
def test_a_refusal_is_a_sentence_and_an_exit_code(
    server: Served, capsys: Captured, trouble: Exception, code: int
) -> None:
    server.agent.trouble = trouble
    assert ctl(server, "loglevel", "info") == code
    assert capsys.readouterr() == ("", f"enrollctl: {trouble}\n")


def test_a_refusal_cannot_drive_the_terminal_either(server: Served, capsys: Captured) -> None:
    assert ctl(server, "why", "\x1b[2J\udcff") in {65, 66}
    assert capsys.readouterr().err.replace("\n", "").isprintable()


@pytest.mark.parametrize("command", ["status", "events", "watch", "metrics"])
def test_without_a_daemon_it_says_what_was_tried(tmp_path: Path, capsys: Captured, command: str) -> None:
    assert main([command, "--run", str(tmp_path)]) == 69
    err = capsys.readouterr().err
    assert str(tmp_path / "enrolld.sock") in err
    assert "systemctl start enrolld" in err
    assert err.count("\n") == 1


def test_a_stale_socket_is_no_daemon(tmp_path: Path, capsys: Captured) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "admin.sock"))
    assert main(["loglevel", "info", "--run", str(tmp_path)]) == 69
    assert "admin.sock" in capsys.readouterr().err


def test_a_run_directory_that_is_too_long_is_a_sentence(tmp_path: Path, capsys: Captured) -> None:
    assert main(["status", "--run", str(tmp_path / ("x" * 100))]) == 78
    assert "too long" in capsys.readouterr().err


def test_who_may_only_change_reads_there_too(server: Served, capsys: Captured) -> None:
    (server.run / "enrolld.sock").unlink()
    assert ctl(server, "status") == 0
    assert capsys.readouterr().out == STATUS_TEXT


@contextmanager
def nobody(run: Path) -> Iterator[None]:
    """Inside the block no socket in that directory may be opened, not even by root's tests."""
    for path in run.iterdir():
        path.chmod(0)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_who_may_not_open_the_socket_is_told_77(server: Served, capsys: Captured) -> None:
    assert ctl(server, "status") == 0  # the server answers, and everything is loaded
    capsys.readouterr()
    with nobody(server.run):
        assert ctl(server, "status") == 77
    out, err = capsys.readouterr()
    assert out == ""
    assert "not permitted" in err
    assert "enrolld.sock" in err


def answer_once(listening: socket.socket, answer: bytes) -> None:
    peer, _ = listening.accept()
    with peer:
        peer.recv(65536)
        peer.sendall(answer)


def test_what_is_not_enrolld_is_named(tmp_path: Path, capsys: Captured) -> None:
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", b"SSH-2.0-x\r\n\r\n", b""]
    for answer in answers:
        with socket.socket(socket.AF_UNIX) as listening:
            (tmp_path / "enrolld.sock").unlink(missing_ok=True)
            listening.bind(str(tmp_path / "enrolld.sock"))
            listening.listen()
            accepted = threading.Thread(target=answer_once, args=(listening, answer))
            accepted.start()
            assert main(["status", "--run", str(tmp_path)]) == 69
            accepted.join()
        assert capsys.readouterr().err.startswith("enrollctl: ")


def test_events_in_text_and_after_a_number(server: Served, capsys: Captured) -> None:
    server.emit("enrollee_found", id="wifi:a/b", rssi=-61, name="two words", ok=True, empty="", none=None)
    server.emit("permit_opened", product_key="a1Plug\x1b")
    assert ctl(server, "events") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r'[0-9:.]+Z enrollee_found id=wifi:a/b rssi=-61 name="two words" ok=true empty="" none=null', first
    )
    assert second.endswith(r"permit_opened product_key=a1Plug\x1b")
    assert ctl(server, "events", "--after", "1", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["missed"], [event["seq"] for event in document["events"]]) == (0, [2])


def test_events_that_are_lost_are_told(server: Served, capsys: Captured) -> None:
    for _ in range(2050):
        server.emit("enrollee_found", id="x")
    assert ctl(server, "events", "--after", "0") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "# 2 events missed"
    assert len(out) == 2049


def test_a_stream_in_any_slicing_gives_the_same_events() -> None:
    stream = (
        b': here\n\nid: 1\nevent: a\ndata: {"v":1,"seq":1}\n\nevent: missed\ndata: {"v":1,"missed":3}\n\n'
    )
    whole = list(read_events(iter([stream])))
    assert whole == [{"v": 1, "seq": 1}, {"v": 1, "missed": 3}]
    for size in range(1, len(stream)):
        pieces = (stream[start : start + size] for start in range(0, len(stream), size))
        assert list(read_events(pieces)) == whole


def test_following_prints_each_event_and_ends_with_the_daemon(server: Served) -> None:
    server.emit("daemon_started")
    with spawn(server, "events", "--follow", "--json", stdout=subprocess.PIPE) as ctl_process:
        assert ctl_process.stdout is not None
        assert json.loads(ctl_process.stdout.readline())["kind"] == "daemon_started"
        server.emit("permit_opened", product_key=None)
        assert json.loads(ctl_process.stdout.readline())["kind"] == "permit_opened"
        server.stop()
        out, err = ctl_process.communicate(timeout=10)
    assert (ctl_process.returncode, out) == (69, b"")
    assert err.startswith(b"enrollctl: enrolld ")


def test_a_closed_pipe_is_quiet_and_an_interrupt_is_130(server: Served) -> None:
    server.emit("daemon_started")
    with spawn(server, "events", "--follow", stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        reader.stdout.close()
        server.emit("permit_opened")
        assert reader.wait(timeout=10) == 0
        assert reader.stderr is not None
        assert reader.stderr.read() == b""
    with spawn(server, "events", "--follow", stdout=subprocess.PIPE) as interrupted:
        assert interrupted.stdout is not None
        interrupted.stdout.readline()
        interrupted.send_signal(2)
        _, err = interrupted.communicate(timeout=10)
        assert (interrupted.returncode, err) == (130, b"")


class Screen:
    """A terminal of 24 rows on which a command runs."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        self.text = ""

    def wait_for(self, text: str) -> None:
        while text not in self.text:
            ready, _, _ = select.select([self.ours], [], [], 10)
            assert ready, self.text
            self.text += os.read(self.ours, 65536).decode()

    def close(self) -> None:
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def screen() -> Iterator[Screen]:
    terminal = Screen()
    yield terminal
    terminal.close()


@pytest.mark.parametrize("end", ["q", "daemon gone"])
def test_watch_draws_and_restores_the_terminal(server: Served, screen: Screen, end: str) -> None:
    with spawn(server, "watch", stdin=screen.theirs, stdout=screen.theirs) as watching:
        screen.wait_for("ble:AA:BB:CC")
        assert screen.text.startswith("\x1b[?1049h")
        if end == "q":
            os.write(screen.ours, b"q")
        else:
            server.stop()
        _, err = watching.communicate(timeout=10)
        screen.wait_for("\x1b[?1049l")
    assert (watching.returncode, bool(err)) == ((0, False) if end == "q" else (69, True))


def test_nothing_heavy_is_loaded_for_status(server: Served) -> None:
    script = (
        "import sys; from agent.cli.main import main; "
        f"code = main(['status', '--run', {str(server.run)!r}]); "
        "print(*{'scapy', 'aiohttp', 'cryptography', 'asyncio', 'msgspec', 'bleak'} & sys.modules.keys(), "
        "file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, STATUS_TEXT, "\n")


def test_version_and_help(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"enrollctl \d+\.\d+\.\d+\n", capsys.readouterr().out)
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for command in ("status", "watch", "permit", "why", "metrics", "key", "decode", "replay", "demo"):
        assert f"    {command} " in out


@pytest.mark.parametrize("words", [[], ["nonsense"], ["status", "--nonsense"], ["loglevel", "loud"]])
def test_mistakes_are_usage_errors(capsys: Captured, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: enrollctl" in capsys.readouterr().err


def test_the_recording_agent_is_what_the_sockets_ask_for() -> None:
    from agent.clock import SystemClock
    from agent.status.verbs import Agent

    agent: Agent = RecordingAgent(SystemClock())
    assert agent.log.last == 0
