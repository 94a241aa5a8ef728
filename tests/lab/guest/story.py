"""The demo's whole story against the installed service; then no secret of it may be found anywhere."""

from __future__ import annotations

import base64
import json
import sqlite3
from pathlib import Path

from tests.lab.guest.machine import PYTHON, drop_in, fetch, pid, read_bytes, sh, start, stop
from tests.lab.guest.steps import Script

HOME = Path("/etc/enrolld-demo")
STATE = Path("/var/lib/enrolld-demo")
UNIT = f"""\
ExecStart=
ExecStart=/opt/enrolld/bin/enrolld --config {HOME}/etc/enrolld.toml --simulate {HOME}/etc/scenario.toml
LoadCredential=
LoadCredential=secrets:{HOME}/etc/secrets
StateDirectory=
StateDirectory=enrolld-demo
# The simulated devices ask to join as another stack would: through join.sock.
SupplementaryGroups=enrolld-join"""
READS = ("status", "enrollees", "permits", "subdevices", "tokens", "adapters", "health", "events?after=0")

script = Script("story")


@script.shows("the demo's story, every step, against the installed service")
def play() -> str:
    stop()
    sh(f"{PYTHON} -m tests.lab.guest.demo furnish {HOME}")
    drop_in(UNIT)
    start("start")
    said = json.loads(sh(f"{PYTHON} -m tests.lab.guest.demo listen", limit=120).splitlines()[-1])
    assert not said["undone"], said
    assert said["done"] > 10
    return f"{said['done']} steps"


def operators_secrets() -> dict[str, str]:
    """The values of the credential files."""
    return {file.name: file.read_text().strip() for file in (HOME / "etc" / "secrets").iterdir()}


def received_secrets() -> dict[str, str]:
    """What the cloud sent or the gateway made: it has to be kept, and must not leave the store."""
    found = {}
    for table, column in (("tokens", "value"), ("secrets", "secret")):
        with sqlite3.connect(f"file:{STATE}/enrolld.db?mode=ro", uri=True) as store:
            for number, (value,) in enumerate(store.execute(f"SELECT {column} FROM {table}")):  # noqa: S608
                found[f"{table} {number}"] = value.hex() if isinstance(value, bytes) else str(value)
    with sqlite3.connect(f"file:{STATE}/enrolld.db?mode=ro", uri=True) as store:
        for name, value in store.execute("SELECT name, value FROM meta WHERE name LIKE '%auth_code%'"):
            found[f"meta {name}"] = value
    return found


def what_is_told() -> dict[str, bytes]:
    """Everything that leaves the service: journal, documents, metrics, systemd's view, the process's."""
    told = {name: fetch("GET", f"/v1/{name}")[1].encode() for name in READS}
    told["metrics"] = fetch("GET", "/metrics")[1].encode()
    told["why"] = fetch("GET", "/v1/why/a1DemoPlug1%2Fplug-01")[1].encode()
    told["doctor"] = sh("enrollctl doctor", check=False).encode()
    told["journal"] = read_bytes("journalctl -b -o export --no-pager")
    told["systemd"] = sh("systemctl show enrolld.service; systemctl cat enrolld.service").encode()
    for name in ("environ", "cmdline"):
        told[name] = Path(f"/proc/{pid()}/{name}").read_bytes()
    return told


def forms(secret: str) -> list[bytes]:
    """A secret as text, as hex of either case, and in base64."""
    raw = secret.encode()
    texts = [
        secret,
        secret.upper(),
        secret.lower(),
        raw.hex(),
        raw.hex().upper(),
        base64.b64encode(raw).decode(),
    ]
    return [text.encode() for text in texts]


@script.shows("no secret of it in journal, documents, metrics, environment, command line or store")
def leaks() -> str:
    operators, received, told = operators_secrets(), received_secrets(), what_is_told()
    assert len(operators) > 10
    assert any(name.startswith("tokens") for name in received), "no token was made: nothing to look for"
    for place in ("journal", "events?after=0", "subdevices", "why"):
        assert b"plug-01" in told[place], f"{place} is not what was to be searched"
    for name, secret in {**operators, **received}.items():
        for place, text in told.items():
            assert not any(form in text for form in forms(secret)), f"{name} is told by {place}"
    stop()
    stores = {file.name: file.read_bytes() for file in STATE.iterdir() if file.is_file()}
    assert b"plug-01" in stores["enrolld.db"] + stores.get("enrolld.db-wal", b"")
    for name, secret in operators.items():
        for place, data in stores.items():
            assert not any(form in data for form in forms(secret)), f"{name} is in {place}"
    return f"{len(operators)} + {len(received)} secrets, {len(told)} texts, {len(stores)} files"


@script.shows("no core file was written")
def cores() -> None:
    drop_in("")
    start()
    limit = next(
        line for line in Path(f"/proc/{pid()}/limits").read_text().splitlines() if "core file" in line
    )
    assert limit.split()[4:6] == ["0", "0"], limit
    assert not sh("find / -xdev -name 'core*' -type f -user _enrolld 2>/dev/null", check=False)
