"""Inside the laboratory machine: commands, the daemon's sockets, systemd, the journal."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RUN = Path("/run/enrolld")
ETC = Path("/etc/enrolld")
STATE = Path("/var/lib/enrolld")
PYTHON = "/opt/enrolld/bin/python"
DROP_IN = Path("/run/systemd/system/enrolld.service.d/test.conf")

TOKEN_LIFE = 120.0

Document = dict[str, Any]


def sh(command: str, *, limit: float = 120, check: bool = True, user: str | None = None) -> str:
    """Output and errors of a shell command; AssertionError when it fails and ``check``."""
    argv = ["sh", "-c", command] if user is None else ["runuser", "-u", user, "--", "sh", "-c", command]
    done = subprocess.run(
        argv,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit,
    )
    assert not check or done.returncode == 0, f"{command}: {done.returncode}: {done.stdout[-2000:]}"
    return done.stdout.strip()


def read_bytes(command: str) -> bytes:
    """What a shell command writes, whatever octets that are."""
    return subprocess.run(
        ["sh", "-c", command], check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=120
    ).stdout


def status_of(command: str) -> int:
    """The exit status of a shell command."""
    argv = ["sh", "-c", command]
    return subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True).returncode


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("enrolld", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def fetch(method: str, target: str, body: object = None, *, on: str = "admin.sock") -> tuple[int, str]:
    """Status and text of an answer."""
    connection = Connection(RUN / on)
    try:
        connection.request(method, target, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def get(target: str) -> Document:
    """A document that must be there."""
    status, text = fetch("GET", target)
    assert status == 200, f"{target}: {status} {text}"
    document: Document = json.loads(text)
    return document


def post(target: str, body: object, *, on: str = "admin.sock") -> Document:
    """The document that answers a request that must be taken."""
    status, text = fetch("POST", target, body, on=on)
    assert status in {200, 202}, f"{target}: {status} {text}"
    document: Document = json.loads(text)
    return document


def wait(what: str, condition: Callable[[], Any], seconds: float) -> Any:
    """What the condition gives once it is something; AssertionError after that many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = condition()
        except (OSError, AssertionError, http.client.HTTPException) as error:
            found, why = None, f"{type(error).__name__}: {error}"
        else:
            why = repr(found)
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what} ({why}); {trouble()}"
        time.sleep(0.3)


def trouble() -> str:
    """What systemd and the journal say of the service now."""
    return sh("systemctl status enrolld --no-pager -n 12 2>&1 | tail -25", check=False)


def show(name: str, unit: str = "enrolld.service") -> str:
    """A property of a unit."""
    return sh(f"systemctl show -P {name} {unit}")


def pid() -> int:
    """The main process."""
    return int(show("MainPID"))


def is_active() -> bool:
    """Whether the service is ready."""
    return show("ActiveState") == "active"


def start(how: str = "restart", *, seconds: float = 60) -> None:
    """Have systemd start it, and wait until it is ready."""
    sh(f"systemctl {how} enrolld", check=False, limit=120)
    wait("the service is active", is_active, seconds)


def stop() -> None:
    """Stop the service and its sockets."""
    sh("systemctl stop enrolld.service enrolld.socket enrolld-join.socket enrolld-admin.socket")
    sh("systemctl reset-failed 'enrolld*'", check=False)


def drop_in(text: str) -> None:
    """Change the unit until the machine ends; no text takes it back."""
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    if text:
        DROP_IN.write_text(f"[Service]\n{text}\n", "utf-8")
    else:
        DROP_IN.unlink(missing_ok=True)
    sh("systemctl daemon-reload")


def warned(code: str, seconds: float = 5) -> str:
    """The text of a warning, waited for: health is written once a second."""
    return str(wait(f"health says {code}", lambda: warnings().get(code), seconds))


def warnings() -> dict[str, str]:
    """The codes of health, with their texts."""
    return {row["code"]: f"{row['subject']}: {row['text']}" for row in get("/v1/health")["warnings"]}


def journal(*more: str) -> list[Document]:
    """The entries of the service of this boot."""
    lines = sh(f"journalctl -b -u enrolld.service -o json --no-pager {' '.join(more)}").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def starts() -> int:
    """How often systemd began to start the service."""
    entries = sh("journalctl -b -o cat --no-pager UNIT=enrolld.service | grep -c ^Starting", check=False)
    return int(entries or 0)


def snapshot() -> Document:
    """What must survive: windows with their ends, denied products, sub-devices, tokens with their births."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    permits = get("/v1/permits")
    return {
        "windows": {w["product_key"]: w["ends_in"] and now + w["ends_in"] for w in permits["windows"]},
        "denied": permits["denied"],
        "subdevices": {s["id"]: s["bound"] for s in get("/v1/subdevices")["subdevices"]},
        "tokens": [(t["device"], now - t["age"]) for t in get("/v1/tokens")["tokens"]],
    }


def is_kept(before: Document, after: Document) -> str:
    """Check that nothing of it was lost or changed; how much there is."""
    assert before["windows"].keys() == after["windows"].keys(), (before, after)
    for key, ends in before["windows"].items():
        again = after["windows"][key]
        assert (ends is None) == (again is None), (key, ends, again)
        assert ends is None or abs(ends - again) < 2, f"window {key}: {ends} became {again}"
    assert before["denied"] == after["denied"], (before, after)
    assert before["subdevices"] == after["subdevices"], (before, after)
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    living = [(device, born) for device, born in before["tokens"] if now - born < TOKEN_LIFE - 5]
    for device, born in living:
        again = [other for name, other in after["tokens"] if name == device and abs(born - other) < 2]
        assert again, f"a token of {device} born at {born:.0f} is gone: {after['tokens']}"
    sizes = {name: len(part) for name, part in {**before, "tokens": living}.items()}
    assert all(sizes.values()), f"nothing to keep: {sizes}"
    return f"kept: {sizes}"
