"""The idle daemon as a process: its memory, what its start costs, and how long it takes to be ready.

Beside it a bare interpreter, and one that imports what the daemon leaves alone until it is needed.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.world import STORY, Site

ROUNDS = 5
SETTLES = 0.3  # seconds after the sign of being ready
EVERYTHING = "asyncio, aiohttp.web, pyroute2, scapy.all, cryptography.hazmat.primitives.ciphers, bleak"
WAITING = "import sys, time{}; print('ready', flush=True); time.sleep(60)"
FOLLOW = b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: bench\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Cost:
    """KiB resident and private dirty, CPU seconds and wall seconds until ready."""

    resident: float
    dirty: float
    cpu: float
    ready: float


def read_memory(pid: int) -> tuple[float, float]:
    """Rss and Private_Dirty of a process in KiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    found = dict(re.findall(r"^(Rss|Private_Dirty):\s+(\d+) kB$", text, re.MULTILINE))
    return float(found["Rss"]), float(found["Private_Dirty"])


def read_cpu(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def child(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def measure(command: list[str], wait: Callable[[subprocess.Popen[str]], None]) -> Cost:
    began = time.monotonic()
    with child(command) as process:
        wait(process)
        ready = time.monotonic() - began
        time.sleep(SETTLES)
        resident, dirty = read_memory(process.pid)
        return Cost(resident, dirty, read_cpu(process.pid), ready)


def wait_for_word(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    if "ready" not in process.stdout.readline():
        raise SystemExit("an interpreter ended before it was ready: is everything installed?")


def wait_for_daemon(site: Site) -> Callable[[subprocess.Popen[str]], None]:
    def wait(process: subprocess.Popen[str]) -> None:
        path = os.fspath(site.run / "enrolld.sock")
        while process.poll() is None:
            with socket.socket(socket.AF_UNIX) as peer:
                try:
                    peer.connect(path)
                except OSError:
                    time.sleep(0.002)
                    continue
                peer.sendall(FOLLOW)
                heard = b""
                while b"daemon_started" not in heard:
                    heard += peer.recv(65536)
                return
        raise SystemExit(f"the daemon ended with {process.returncode}")

    return wait


def measure_interpreter(imports: str) -> Cost:
    return measure([sys.executable, "-c", WAITING.format(imports and f", {imports}")], wait_for_word)


def measure_daemon(*more: str, radios: tuple[str, ...] = ()) -> Cost:
    with tempfile.TemporaryDirectory(prefix="enrolld-") as folder:
        site = Site(Path(folder), ble=radios, wifi=radios)
        return measure(site.command(*more), wait_for_daemon(site))


def show(name: str, taken: list[Cost], ours: Cost) -> None:
    middle = middle_of(taken)
    print(
        f"{name:34} {middle.resident / 1024:8.1f} {middle.resident / ours.resident:5.2f}"
        f" {middle.dirty / 1024:8.1f} {middle.dirty / ours.dirty:5.2f}"
        f" {middle.cpu:7.2f} {middle.cpu / ours.cpu:5.2f} {middle.ready * 1000:7.0f}"
        f"  ({min(c.ready for c in taken) * 1000:.0f}-{max(c.ready for c in taken) * 1000:.0f})"
    )


def middle_of(taken: list[Cost]) -> Cost:
    return Cost(
        statistics.median(c.resident for c in taken),
        statistics.median(c.dirty for c in taken),
        statistics.median(c.cpu for c in taken),
        statistics.median(c.ready for c in taken),
    )


def main() -> None:
    """Print medians of rounds, and each value against that of the idle daemon."""
    tools: dict[str, Callable[[], Cost]] = {
        "enrolld, idle": measure_daemon,
        "enrolld, in the simulated home": lambda: measure_daemon(
            "--simulate", str(STORY), radios=("simulated",)
        ),
        "a bare interpreter": lambda: measure_interpreter(""),
        "with asyncio, h11, msgspec": lambda: measure_interpreter("asyncio, h11, msgspec, sqlite3"),
        "with everything imported": lambda: measure_interpreter(EVERYTHING),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in tools}
    for _ in range(ROUNDS):
        for name, run in tools.items():
            costs[name].append(run())
    ours = middle_of(costs["enrolld, idle"])
    print(f"medians of {ROUNDS} starts; x: against the idle daemon; everything: {EVERYTHING}")
    print(f"{'':34} {'RSS MiB':>8} {'x':>5} {'dirty':>8} {'x':>5} {'CPU s':>7} {'x':>5} {'ready ms':>7}")
    for name, taken in costs.items():
        show(name, taken, ours)


if __name__ == "__main__":
    main()
