"""Reading 802.11 captures: `enrollctl replay` as a whole process, beside scapy and tshark on the same frames.

CPU time (user and system) a frame; every tool runs in each of the rounds, the medians are told.
"""

from __future__ import annotations

import mmap
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.codec.dot11 import FrameReader

FRAMES, FEW = 500_000, 4_000
ROUNDS = 3
SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "make_load.py"
OURS = "enrollctl replay --json"
REPLAY = "import sys; from agent.cli.main import main; sys.exit(main())"
READER = "import sys; from tests.bench.bench_frames import read_alone; read_alone(sys.argv[1])"
SCAPY = """
import sys, time
from scapy.layers.dot11 import Dot11Beacon, RadioTap
from scapy.utils import RawPcapReader
began, table = time.process_time(), {}
for data, _ in RawPcapReader(sys.argv[1]):
    packet = RadioTap(data)
    if packet.haslayer(Dot11Beacon):
        told = packet[Dot11Beacon].network_stats()
        table[packet.addr3] = (told.get("ssid"), told.get("channel"), packet.dBm_AntSignal)
print(time.process_time() - began)
"""
TSHARK = ("-n", "-T", "fields", "-e", "wlan.bssid", "-e", "wlan.ssid", "-e", "radiotap.dbm_antsignal", "-e",
          "wlan.ds.current_channel")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Load:
    title: str
    access_points: int
    flood: bool
    seed: int


LOADS = (Load("200 networks", 200, flood=False, seed=1), Load("flood of 50,000", 50_000, flood=True, seed=2))


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU microseconds a frame, and the peak of the process in MiB (0: not a process of its own)."""

    micros: float
    peak: float = 0.0


def run_child(arguments: list[str], frames: int) -> Cost:
    """What a whole process costs, its start included."""
    child = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {child.returncode}")
    return Cost((usage.ru_utime + usage.ru_stime) / frames * 1e6, usage.ru_maxrss / 1024)


def run_loop(script: str, path: Path, frames: int) -> Cost:
    """What a loop costs without the start of its process: the script prints its CPU seconds."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True
    )
    return Cost(float(done.stdout) / frames * 1e6)


def read_alone(path: str) -> None:
    """Read each record with a `FrameReader` and print the CPU seconds."""
    unpack, read = struct.Struct("<8xI").unpack_from, FrameReader(127).read
    with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
        at, end, began = 24, len(buffer), time.process_time()
        while at < end:
            start = at + 16
            at = start + unpack(buffer, at)[0]
            read(buffer, start, at)
        print(time.process_time() - began)


def make_load(path: Path, load: Load, frames: int) -> None:
    """By the shared generator where it is beside this checkout, else by our own.

    In a process of its own: what this one holds would count in the peaks of its children.
    """
    options = ["--frames", str(frames), "--aps", str(load.access_points), "--seed", str(load.seed)]
    options += ["--flood"] if load.flood else []
    generator = [str(SHARED), "wifi"] if SHARED.exists() else ["-m", "tests.bench.load"]
    subprocess.run([sys.executable, *generator, str(path), *options], check=True)


def take_turns(whole: Path, part: Path) -> dict[str, list[Cost]]:
    replay = [sys.executable, "-c", REPLAY, "replay", "--json", str(whole)]
    tools: dict[str, Callable[[], Cost]] = {
        OURS: lambda: run_child(replay, FRAMES),
        "its frame reader alone": lambda: run_loop(READER, whole, FRAMES),
        f"scapy, {FEW} frames": lambda: run_loop(SCAPY, part, FEW),
    }
    if shutil.which("tshark"):
        tools["tshark -T fields"] = lambda: run_child(["tshark", "-r", str(whole), *TSHARK], FRAMES)
    costs: dict[str, list[Cost]] = {name: [] for name in tools}
    for _ in range(ROUNDS):
        for name, run in tools.items():
            costs[name].append(run())
    return costs


def show(title: str, costs: dict[str, list[Cost]]) -> None:
    print(f"{title}: CPU us/frame, median of {ROUNDS} (min-max)")
    middle = {name: statistics.median(cost.micros for cost in taken) for name, taken in costs.items()}
    ours = middle[OURS]
    for name, taken in costs.items():
        micros = [cost.micros for cost in taken]
        peak = f"{max(cost.peak for cost in taken):7.1f} MiB" if taken[0].peak else " " * 11
        print(f"  {name:26} {middle[name]:9.2f} ({min(micros):.2f}-{max(micros):.2f}) {peak} "
              f"x {middle[name] / ours:.2f}")  # fmt: skip


def main() -> None:
    generator = "the shared generator" if SHARED.exists() else "tests/bench/load.py"
    print(
        f"{FRAMES} frames by {generator}; x: against enrollctl replay; reader and scapy without their start"
    )
    if not shutil.which("tshark"):
        print("tshark did not run: it is not installed")
    with tempfile.TemporaryDirectory() as folder:
        whole, part = Path(folder, "whole.pcap"), Path(folder, "part.pcap")
        for load in LOADS:
            make_load(whole, load, FRAMES)
            make_load(part, load, FEW)
            show(load.title, take_turns(whole, part))


if __name__ == "__main__":
    main()
