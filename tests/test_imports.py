"""An idle daemon loads nothing heavy: what it does not need yet costs no memory (DESIGN 4, Memory)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.world import Site

ROOT = Path(__file__).resolve().parents[1]
# Only `asyncio`, `h11` and `msgspec` are worth their memory before anything happens.
HEAVY = {
    "aiocoap",
    "aiohttp",
    "aiomqtt",
    "bleak",
    "cryptography",
    "dbus_fast",
    "dbus_next",
    "hypothesis",
    "pyroute2",
    "pytest",
    "scapy",
    "yarl",
}
# A daemon that stops once it is ready, and says what it has loaded until then.
IDLE = """\
import asyncio, sys
from pathlib import Path
from agent import config
from agent.clock import SystemClock
from agent.daemon import Daemon, Orders, load_credentials

async def main():
    orders = Orders(*map(Path, sys.argv[1:4]), strict=True)
    settings = config.load(orders.config)
    daemon = Daemon(orders, settings, load_credentials(settings), SystemClock())
    life = asyncio.ensure_future(daemon.run())
    seen = 0
    while not life.done():
        events = daemon.agent.events.after(seen)[1]
        seen += len(events)
        if any(event.kind == "enrollee_reported" for event in events):
            break
        if not int(sys.argv[4]) and any(event.kind == "daemon_started" for event in events):
            break
        await asyncio.sleep(0.02)
    daemon.stopping.set()
    await life

asyncio.run(main())
print("\\n".join(sorted(sys.modules)))
"""


def loaded(site: Site, *, hears: bool = False) -> set[str]:
    """The names of all modules that a daemon has loaded when it is ready, or has reported an enrollee."""
    arguments = [str(path) for path in (site.config, site.state, site.run)]
    done = subprocess.run(
        [sys.executable, "-c", IDLE, *arguments, str(int(hears))],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
    )
    return set(done.stdout.split())


def heavy(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] in HEAVY}


def adverts() -> str:
    """The lock of the packaged home, of generation B1, heard three times, as JSON lines."""
    advert = {"addr": "EE:1B:BE:4A:86:15", "addr_type": 0, "evt": 0, "rssi": -60}
    advert["data"] = "0201060fffa801060945c0030015864abe1bee"
    return "".join(json.dumps({"t": at / 10} | advert) + "\n" for at in range(3))


def test_an_idle_daemon_loads_nothing_heavy(tmp_path: Path) -> None:
    modules = loaded(Site(tmp_path))
    assert {"agent.daemon", "agent.service.service", "agent.status.server", "h11", "msgspec"} <= modules
    assert heavy(modules) == set()
    assert not {name for name in modules if name.startswith("hw")}, "no radio: nothing of the hardware"


def test_hearing_and_reporting_over_ble_loads_nothing_heavy(tmp_path: Path) -> None:
    capture = tmp_path / "adverts.jsonl"
    capture.write_text(adverts(), "ascii")
    modules = loaded(Site(tmp_path, ble=(f"replay:{capture}",)), hears=True)
    assert "hw.replay" in modules
    assert heavy(modules) == set()
    assert "hw.sim" not in modules


@pytest.mark.parametrize("name", ["scapy.all", "aiohttp"])
def test_something_heavy_would_be_seen(tmp_path: Path, name: str) -> None:
    """The same question of a process that has loaded it."""
    script = IDLE.replace("import asyncio, sys\n", f"import asyncio, sys, {name}\n")
    site = Site(tmp_path)
    arguments = [str(path) for path in (site.config, site.state, site.run)]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments, "0"], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert name.partition(".")[0] in {n.partition(".")[0] for n in heavy(set(done.stdout.split()))}
