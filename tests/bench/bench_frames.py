"""Reading 802.11 captures: `enrollctl replay` as a whole process, beside scapy and tshark on the same frames.

CPU time (user and system) a frame; every tool runs in each of the rounds, the medians are told.
"""

from __future__ import annotations

import importlib.util
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
from agent.errors import FrameError
from tests.bench.load import write_load

FRAMES, FEW = 500_000, 4_000
ROUNDS = 3
SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "make_load.py"
REPLAY = "import sys; from agent.cli.main import main; sys.exit(main())"
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
class Cost:
    """CPU microseconds a frame, and the peak of the process in MiB (0: not a process of its own)."""

    micros: float
    peak: float = 0.0


def run_child(arguments: list[str], frames: int, output: int | None = subprocess.DEVNULL) -> Cost:
    """What a whole process costs, its start included."""
    child = subprocess.Popen(arguments, stdout=output)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{arguments[0]} ended with {child.returncode}")
    return Cost((usage.ru_utime + usage.ru_stime) / frames * 1e6, usage.ru_maxrss / 1024)


def run_replay(path: Path) -> Cost:
    return run_child([sys.executable, "-c", REPLAY, "replay", "--json", str(path)], FRAMES)


def run_scapy(path: Path) -> Cost:
    """scapy in its loop alone, on the first frames: its start would count for more than they do."""
    done = subprocess.run(
        [sys.executable, "-c", SCAPY, str(path)], check=True, capture_output=True, text=True
    )
    return Cost(float(done.stdout) / FEW * 1e6)


def run_tshark(path: Path) -> Cost:
    return run_child(["tshark", "-r", str(path), *TSHARK], FRAMES)


def run_reader(path: Path) -> Cost:
    """The loop over records and `FrameReader` alone, in this process."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
        began = time.process_time()
        frames = read_all(buffer)
        return Cost((time.process_time() - began) / frames * 1e6)


def read_all(buffer: mmap.mmap) -> int:
    unpack, read = struct.Struct("<8xI").unpack_from, FrameReader(127).read
    at, frames, end = 24, 0, len(buffer)
    while at < end:
        start = at + 16
        at = start + unpack(buffer, at)[0]
        try:
            read(buffer, start, at)
        except FrameError:
            pass
        frames += 1
    return frames


def make_load(path: Path, frames: int, access_points: int, *, flood: bool, seed: int) -> None:
    """By the shared generator where it is beside this checkout, else by our own."""
    if not SHARED.exists():
        write_load(path, frames, access_points, flood=flood, seed=seed)
        return
    spec = importlib.util.spec_from_file_location("make_load", SHARED)
    assert spec
    assert spec.loader
    shared = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shared)
    options = ["--frames", str(frames), "--aps", str(access_points), "--seed", str(seed)]
    shared.main(["wifi", str(path), *options, *(["--flood"] if flood else [])])


def take_turns(whole: Path, part: Path) -> dict[str, list[Cost]]:
    tools: dict[str, Callable[[], Cost]] = {
        "enrollctl replay --json": lambda: run_replay(whole),
        "its frame reader alone": lambda: run_reader(whole),
        f"scapy (loop, {FEW} frames)": lambda: run_scapy(part),
    }
    if shutil.which("tshark"):
        tools["tshark -T fields"] = lambda: run_tshark(whole)
    costs: dict[str, list[Cost]] = {name: [] for name in tools}
    for _ in range(ROUNDS):
        for name, run in tools.items():
            costs[name].append(run())
    return costs


def show(title: str, costs: dict[str, list[Cost]]) -> None:
    print(f"{title}: CPU us/frame, median of {ROUNDS} (min-max)")
    middle = {name: statistics.median(cost.micros for cost in taken) for name, taken in costs.items()}
    ours = middle["enrollctl replay --json"]
    for name, taken in costs.items():
        micros = [cost.micros for cost in taken]
        peak = f"{max(cost.peak for cost in taken):7.1f} MiB" if taken[0].peak else " " * 11
        print(f"  {name:26} {middle[name]:9.2f} ({min(micros):.2f}-{max(micros):.2f}) {peak} "
              f"x {middle[name] / ours:.2f}")  # fmt: skip


def main() -> None:
    generator = "the shared generator" if SHARED.exists() else "tests/bench/load.py"
    print(f"{FRAMES} frames by {generator}; x: against enrollctl replay")
    if not shutil.which("tshark"):
        print("tshark did not run: it is not installed")
    with tempfile.TemporaryDirectory() as folder:
        for title, access_points, flood, seed in (
            ("200 networks", 200, False, 1),
            ("flood of 50,000", 50_000, True, 2),
        ):
            whole, part = Path(folder, "whole.pcap"), Path(folder, "part.pcap")
            make_load(whole, FRAMES, access_points, flood=flood, seed=seed)
            make_load(part, FEW, access_points, flood=flood, seed=seed)
            show(title, take_turns(whole, part))


if __name__ == "__main__":
    main()
