"""Killed, frozen, restarted: what was accepted is kept."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.lab.guest.machine import (
    get,
    is_active,
    is_kept,
    pid,
    post,
    sh,
    show,
    snapshot,
    start,
    wait,
    warnings,
)
from tests.lab.guest.place import COMBO, LAMP, PLUG
from tests.lab.guest.steps import Script

WATCHDOG = 30.0

script = Script("survives")


def accept(young: float = 80.0) -> None:
    """Give it windows, a denied product, a sub-device and tokens to lose."""
    post("/v1/permits", {"v": 1, "product_key": PLUG, "time": 3600})
    post("/v1/permits", {"v": 1, "product_key": COMBO, "time": 0})
    post("/v1/permits", {"v": 1, "product_key": LAMP, "time": 65535})
    # Made anew every 90 s: one that outlives what is done to the process.
    wait("a young token", lambda: any(t["age"] < young for t in get("/v1/tokens")["tokens"]), 60)


def comes_back(after: Callable[[], object], seconds: float, young: float = 80.0) -> str:
    """Do something to the process; another one is ready then, with all that was accepted."""
    accept(young)
    before, old = snapshot(), pid()
    began = time.monotonic()
    after()
    wait("another process is ready", lambda: pid() not in (0, old) and is_active(), seconds)
    took = time.monotonic() - began
    return f"{is_kept(before, snapshot())}; ready again after {took:.0f} s"


@script.shows("kill -9: started again, windows, tokens and topology kept")
def kill() -> str:
    restarts = int(show("NRestarts"))
    said = comes_back(lambda: sh(f"kill -9 {pid()}"), 60)
    assert int(show("NRestarts")) == restarts + 1
    return said


@script.shows("systemctl restart: windows, tokens and topology kept")
def restart() -> str:
    return comes_back(lambda: start("restart"), 60)


@script.shows("frozen (SIGSTOP): the watchdog restarts it, windows, tokens and topology kept")
def freeze() -> str:
    said = comes_back(lambda: sh(f"kill -STOP {pid()}"), WATCHDOG + 60, young=50)
    log = sh("journalctl -b -o cat --no-pager UNIT=enrolld.service | grep -i watchdog")
    assert "Watchdog timeout" in log, log
    return said


@script.shows("bluetoothd restarted: named while it is away, heard again afterwards")
def bluetooth_away() -> str:
    sh("systemctl stop bluetooth")
    told = wait(
        "the trouble has a name",
        lambda: {"bluetoothd_gone", "scan_stopped", "bluetooth_silent"} & set(warnings()),
        30,
    )
    sh("systemctl start bluetooth")
    wait("both radios listen", lambda: show("StatusText").startswith("2 of 2 radios listen"), 60)
    return ", ".join(sorted(told))


@script.shows("the message bus restarted: the same process hears again")
def bus_away() -> None:
    old = pid()
    sh("systemctl restart dbus")
    wait("the trouble has a name", lambda: any(code.startswith("bluetooth") for code in warnings()), 40)
    sh("systemctl restart bluetooth")
    wait("both radios listen", lambda: show("StatusText").startswith("2 of 2 radios listen"), 60)
    assert pid() == old
