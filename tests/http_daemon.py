"""A whole daemon as a process that answers HTTP, in a home where one plug keeps asking to join."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.test_daemon_process import Process, soon, started
from tests.world import STORY, Site

PLUG = {"productKey": "a1DemoPlug1", "deviceName": "plug-01"}
GATEWAY = {"productKey": "a1DemoGate1", "deviceName": "gateway-01"}
ASKING = """
[[join]]
at = 0.5
device = "a1DemoPlug1/plug-01"
medium = "zigbee"
address = "00:12:4B:00:14:B5:D1:01"
patience = 120.0
retry = 0.3
"""

Document = dict[str, Any]


def furnish(root: Path, listen: str = "127.0.0.1:0") -> Site:
    """The packaged home without its owner and its story; it goes on until the daemon ends."""
    site = Site(root, ble=("simulated",), wifi=("simulated",))
    site.drop_in(f'[service]\nlisten = "{listen}"\n')
    devices = STORY.read_text("utf-8").partition("[[user]]")[0]
    site.scenario.write_text(re.sub(r"(?m)^length = .*\n", "", devices) + ASKING, "utf-8")
    return site


@asynccontextmanager
async def living(site: Site) -> AsyncIterator[Process]:
    """The daemon in that home, once it answers HTTP."""
    async with started(site, "--simulate", site.scenario) as daemon:
        await soon(lambda: find_url(daemon))
        yield daemon


async def find_url(daemon: Process) -> str | None:
    """Where it says that it answers."""
    url: str | None = (await daemon.read.get("/v1/status"))["link"]["api"]
    return url


async def control(*words: str | Path) -> tuple[int, str, str]:
    """Exit status, output and errors of one command of the control tool."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent.cli.main",
        *map(str, words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


async def create_account(site: Site, name: str) -> Document:
    """The content of the file of a new account, made through the daemon."""
    out = site.run.parent / f"{name}.json"
    status, told, errors = await control("cloud", "account", "create", name, "--out", out, "--run", site.run)
    assert (status, told, errors) == (0, f"{out}\n", "")
    assert out.stat().st_mode & 0o777 == 0o600
    return dict(json.loads(out.read_text("utf-8")))
