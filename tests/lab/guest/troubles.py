"""What an operator, or a disk, can do wrong: a named trouble each time, no crash loop, no silence."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.guest.machine import (
    ETC,
    RUN,
    STATE,
    fetch,
    get,
    is_active,
    pid,
    sh,
    show,
    start,
    starts,
    status_of,
    stop,
    wait,
    warned,
    warnings,
)
from tests.lab.guest.place import MAIN, PLUG, write_secret
from tests.lab.guest.steps import Script

SECRETS = ETC / "secrets"

script = Script("troubles")


def stays_down(seconds: float = 5.0) -> None:
    """It failed, and neither systemd nor a client's requests make a loop of it."""
    sh("systemctl restart enrolld", check=False)
    wait("the unit has failed", lambda: show("ActiveState") == "failed", 30)
    before = starts()
    for _ in range(3):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(20)
        client.connect(str(RUN / "enrolld.sock"))
        client.close()
        time.sleep(0.2)
    time.sleep(seconds)
    again = starts() - before
    assert again <= 3, f"3 requests made {again} starts"
    wait("the unit has failed", lambda: show("ActiveState") == "failed", 30)
    for unit in ("enrolld.socket", "enrolld-join.socket", "enrolld-admin.socket"):
        assert show("ActiveState", unit) == "active", f"{unit} was given up"


def doctor() -> str:
    """What the check-up says; it must find something."""
    assert status_of("enrollctl doctor") == 1
    return sh("enrollctl doctor", check=False)


def log() -> str:
    """The last lines of the service's journal."""
    return sh("journalctl -b -o cat --no-pager -n 40 -u enrolld.service")


@script.shows("a file name that systemd refuses: doctor and --check-config name it, no loop, mended by hand")
def refused_name() -> str:
    bad = SECRETS / f"device_secret.{PLUG}.a:b"
    bad.write_text("x" * 32)
    stays_down()
    assert show("ExecMainStatus") == "243"
    found = [line for line in doctor().splitlines() if "a:b: systemd" in line]
    assert any("%3A" in line for line in found), found
    assert "a:b" in sh("enrolld --check-config", check=False)
    bad.unlink()
    start()
    return found[0]


@script.shows("no directory of secrets: named, no loop, tmpfiles mends it")
def missing_directory() -> None:
    SECRETS.rename("/root/kept")
    stays_down(3)
    assert "install -d -m 0700" in doctor()
    sh(f"systemd-tmpfiles --create enrolld.conf && rmdir {SECRETS} && mv /root/kept {SECRETS}")
    start()


@script.shows("missing and malformed credentials: it runs, and health says which")
def bad_credentials() -> str:
    (SECRETS / "passphrase.home").rename("/root/passphrase.home")
    write_secret("app_secret", "zwei\nzeilen")
    try:
        start()
        rows = [row["text"] for row in get("/v1/health")["warnings"] if row["code"] == "credential_problem"]
    finally:
        (SECRETS / "app_secret").unlink()
        shutil.move("/root/passphrase.home", SECRETS / "passphrase.home")
    assert any("passphrase.home" in row for row in rows), rows
    assert any("app_secret" in row for row in rows), rows
    assert "zwei" not in str(rows)
    assert "zwei" not in log()
    return "; ".join(rows)


@script.shows("a broken configuration: status 78 with file and line, no loop; mended, it starts")
def broken_configuration() -> str:
    (ETC / "enrolld.toml").write_text(MAIN.replace("[cloud]", "[clouds]"))
    stays_down()
    assert show("ExecMainStatus") == "78"
    said = [line for line in log().splitlines() if "enrolld.toml:" in line]
    assert said, log()
    assert "clouds" in doctor()
    (ETC / "enrolld.toml").write_text(MAIN)
    start()
    return said[-1]


@script.shows("a configuration that the service may not read: status 78, named by doctor")
def closed_configuration() -> str:
    (ETC / "enrolld.toml").chmod(0o600)
    stays_down(3)
    assert show("ExecMainStatus") == "78"
    assert "Permission denied" in log()
    found = [line for line in doctor().splitlines() if "closed to the service" in line]
    (ETC / "enrolld.toml").chmod(0o644)
    start()
    return found[0]


@script.shows("a state directory with the wrong owner and mode is mended at the start")
def wrong_owner() -> str:
    stop()
    sh(f"chown -R root:root {STATE} && chmod 0755 {STATE}")
    assert "chown" in doctor()
    sh("systemctl start enrolld.socket enrolld-join.socket enrolld-admin.socket")
    start("start")
    modes = sh(f"stat -c '%U %a' {STATE} {STATE}/enrolld.db")
    assert modes.splitlines() == ["_enrolld 700", "_enrolld 600"], modes
    assert "store_unavailable" not in warnings()
    return modes.replace("\n", ", ")


@script.shows("a stale socket or a file where a socket belongs: replaced, and it answers")
def stale_socket() -> None:
    stop()
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(RUN / "enrolld.sock")) if not (RUN / "enrolld.sock").exists() else None
    left.close()
    (RUN / "admin.sock").unlink(missing_ok=True)
    (RUN / "admin.sock").write_text("in the way")
    start("start")
    assert fetch("GET", "/v1/permits", on="enrolld.sock")[0] == 200
    assert fetch("GET", "/v1/permits", on="admin.sock")[0] == 200


@script.shows(
    "something that cannot be replaced where a socket belongs: the other rights work, health names it"
)
def blocked_socket() -> str:
    stop()
    (RUN / "join.sock").unlink(missing_ok=True)
    (RUN / "join.sock").mkdir()
    start("start")
    told = warned("socket_missing")
    assert told.startswith("join.sock"), told
    assert "join.sock" in doctor()
    stop()
    (RUN / "join.sock").rmdir()
    start("start")
    assert "socket_missing" not in warnings()
    return told


@contextmanager
def small_disk() -> Iterator[None]:
    """The state on a file system of 2 MiB of its own."""
    stop()
    sh(f"mount -t tmpfs -o size=2m,mode=0700 tmpfs {STATE} && chown _enrolld: {STATE}")
    try:
        yield
    finally:
        stop()
        sh(f"umount {STATE}")
        start("start")


def permit() -> int:
    """Ask for a window; the status of the answer."""
    return fetch("POST", "/v1/permits", {"v": 1, "product_key": PLUG, "time": 600})[0]


@script.shows("a full disk: the change is refused, health says so, reads answer; with room again it works")
def full_disk() -> str:
    with small_disk():
        start("start")
        assert permit() == 200
        old = pid()
        sh(f"dd if=/dev/zero of={STATE}/filler bs=1k count=4096 status=none", check=False)
        assert permit() == 503
        told = warned("store_unavailable")
        assert len(get("/v1/permits")["windows"]) == 1
        assert status_of(f"enrollctl permit {PLUG} 60") == 75
        assert "nothing new is accepted" in doctor()
        sh(f"rm {STATE}/filler")
        wait("it takes changes again", lambda: permit() == 200 and "store_unavailable" not in warnings(), 70)
        assert pid() == old
        assert "store_unavailable" in log() or "store unavailable" in log()
    return told


@script.shows(
    "a read-only state directory: it runs, says so, and takes nothing; writable again, a restart mends it"
)
def read_only() -> str:
    with small_disk():
        sh(f"mount -o remount,ro {STATE}")
        start("start")
        told = warned("store_unavailable")
        assert permit() == 503
        assert get("/v1/status")["v"] == 1
        assert "read-only" in doctor()
        # The service has a view of the mounts of its own, taken at its start.
        sh(f"mount -o remount,rw {STATE}")
        start()
        assert permit() == 200
        assert "store_unavailable" not in warnings()
    return told


@script.shows("a damaged state file: it runs, and health says what to do")
def damaged_file() -> str:
    stop()
    shutil.copytree(STATE, "/root/state")
    for name in ("enrolld.db-wal", "enrolld.db-shm"):
        (STATE / name).unlink(missing_ok=True)
    (STATE / "enrolld.db").write_bytes(os.urandom(64 * 1024))
    start("start")
    told = warned("store_unavailable")
    restarts = show("NRestarts")
    stop()
    shutil.rmtree(STATE)
    shutil.move("/root/state", STATE)
    start("start")
    assert "store_unavailable" not in warnings()
    assert restarts == "0"
    return told


@script.shows("no Bluetooth, no such interface: ready all the same, each named")
def missing_radios() -> str:
    (ETC / "enrolld.toml").write_text(
        MAIN.replace('"bluez"', '"bluez:00:00:00:00:00:09"').replace("wlan2", "wlan9")
    )
    start()
    codes = wait(
        "both are named", lambda: {"adapter_gone", "interface_gone"} <= set(warnings()) and warnings(), 30
    )
    assert "wlan9" in doctor()
    (ETC / "enrolld.toml").write_text(MAIN)
    start()
    assert is_active()
    return f"{codes['adapter_gone']}; {codes['interface_gone']}"
