"""The laboratory: throw-away machines with real systemd, BlueZ and nl80211, to install the service in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT.parent / "shared" / "lab" / "lab"
GUEST_PYTHON = (3, 11)
LONGEST = 1200


@dataclass(frozen=True, slots=True)
class Result:
    """One check inside a machine."""

    good: bool
    text: str
    seconds: float


def missing() -> str | None:
    """Why there is no laboratory here; None when there is."""
    if os.environ.get("ENROLLD_TEST_ALL") != "1":
        return "the laboratory is for `make test-all`"
    if not LAB.exists():
        return f"there is no laboratory in {LAB.parent}"
    if os.geteuid() != 0:
        return "the laboratory takes root"
    return None


def build_source(place: Path) -> Path:
    """The folder that the machine sees: wheels for its Python, what `make install` reads, and the checks."""
    source = place / "src"
    (source / "bin").mkdir(parents=True)
    make(f"WHEELS={source / 'wheels'}", "wheels")
    shutil.copy(ROOT / "Makefile", source)
    shutil.copytree(ROOT / "systemd", source / "systemd")
    shutil.copytree(ROOT / "config", source / "config")
    tool = shutil.which("make")
    assert tool is not None
    shutil.copy(tool, source / "bin" / "make")  # the machine has none
    (source / "tests" / "lab").mkdir(parents=True)
    for package in ("tests", "tests/lab"):
        shutil.copy(ROOT / package / "__init__.py", source / package)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tests" / "lab" / "guest", source / "tests" / "lab" / "guest", ignore=ignored)
    return source


def make(*words: str) -> str:
    """Run make in the checkout; AssertionError with its output when it fails."""
    done = subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
    )
    assert done.returncode == 0, f"make {' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def play(source: Path, out: Path, *scripts: str) -> str:
    """Boot a machine that plays the scripts; what it printed."""
    out.mkdir(exist_ok=True)
    command = f"python3 -m tests.lab.guest.run {' '.join(scripts)}"
    argv = [
        str(LAB),
        "run",
        "--src",
        str(source),
        "--out",
        str(out),
        "--timeout",
        str(LONGEST),
        "--journal",
        "--",
    ]
    done = subprocess.run(
        [*argv, command],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=2 * LONGEST,
    )
    return done.stdout + done.stderr


def read_results(out: Path, script: str) -> dict[str, Result]:
    """The results of one script by the names of its checks; empty when it was never begun."""
    file = out / f"{script}.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
    return {row["name"]: Result(row["good"], row["text"], row["seconds"]) for row in rows}
