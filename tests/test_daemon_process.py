"""``enrolld`` as a process of its own: exit statuses, signals, and a configuration read again."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.daemon import main
from tests.world import PLUG, STORY, Client, Document, Site, asking

PATIENCE = 20.0
NEW_PRODUCT = 'product_key = "a1DemoFan01"\nname = "Fan"\nnet_type = 4\n'
# A daemon that fails on its way to the cloud.
BROKEN = """\
import sys
from pathlib import Path
from agent.assembly import Probes
from agent.daemon import Orders, serve

def fail(topic):
    raise RuntimeError("a bug")

sys.exit(serve(Orders(*map(Path, sys.argv[1:]), strict=True, probes=Probes(on_send=fail))))
"""
GREETING = b"POST /v1/joins HTTP/1.1\r\nHost: e\r\nContent-Length: 400\r\n\r\n{"


async def soon(get: Callable[[], Any]) -> Any:
    """What an awaitable gives once it is not false; fails after 20 s."""
    deadline = time.monotonic() + PATIENCE
    while not (result := await get()):
        assert time.monotonic() < deadline, "nothing came of it"
        await asyncio.sleep(0.03)
    return result


class Process:
    """A daemon that runs as a process."""

    def __init__(self, site: Site, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.read = Client(site.run / "enrolld.sock")
        self.joins = Client(site.run / "join.sock")
        self.admin = Client(site.run / "admin.sock")
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8")

    async def told(self, kind: str) -> list[str]:
        """The data of the events of that kind; nothing while nobody answers."""
        try:
            _, text = await self.read.fetch("GET", "/v1/events")
        except OSError:
            assert self.process.returncode is None, self.log
            return []
        blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n")]
        return [block["data"] for block in blocks if block.get("event") == kind]

    async def until(self, kind: str, count: int = 1) -> str:
        """The last event of that kind, once there are so many."""

        async def look() -> list[str] | None:
            events = await self.told(kind)
            return events if len(events) >= count else None

        return str((await soon(look))[-1])

    async def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Send a signal; the exit status, and the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            status = await self.process.wait()
        return status, time.monotonic() - began


@asynccontextmanager
async def started(site: Site, *more: str | Path) -> AsyncIterator[Process]:
    """A daemon that is ready."""
    log = site.run.parent / "stderr"
    with log.open("wb") as errors:
        child = await asyncio.create_subprocess_exec(*site.command(*more), stderr=errors, stdout=errors)
    process = Process(site, child, log)
    try:
        await process.until("daemon_started")
        yield process
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def run(*command: str) -> tuple[int, str]:
    """Exit status and stderr of a daemon that is expected to end by itself."""
    child = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(PATIENCE):
        _, errors = await child.communicate()
    assert child.returncode is not None
    return child.returncode, errors.decode()


# Starting and ending


async def test_it_ends_with_0_when_told_to_whatever_is_open(tmp_path: Path) -> None:
    site = Site(tmp_path, ble=("simulated",), wifi=("simulated",))
    site.scenario.write_text(STORY.read_text("utf-8"), "utf-8")
    async with started(site, "--simulate", site.scenario) as daemon:
        reader, writer = await asyncio.open_unix_connection(site.run / "enrolld.sock")
        writer.write(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: e\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        _, half = await asyncio.open_unix_connection(site.run / "join.sock")
        half.write(GREETING)
        await half.drain()
        status, seconds = await daemon.end()
        assert status == 0, daemon.log
        assert seconds < 2.0
        assert list(site.run.iterdir()) == []
        assert "Traceback" not in daemon.log
        for each in (writer, half):
            each.close()


async def test_an_interrupt_is_an_order_as_well(tmp_path: Path) -> None:
    async with started(Site(tmp_path)) as daemon:
        assert (await daemon.end(signal.SIGINT))[0] == 0, daemon.log


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ("--run", "another enrolld uses the state directory"),
        ("--state", "another enrolld runs here:"),
    ],
)
async def test_a_second_one_in_the_same_place_ends_with_78_and_harms_nothing(
    tmp_path: Path, own: str, sentence: str
) -> None:
    site = Site(tmp_path)
    async with started(site) as first:
        status, errors = await run(*site.command(own, tmp_path / "own"))
        assert status == 78
        assert errors.startswith(f"enrolld: {sentence}")
        assert str(site.state if own == "--run" else site.run) in errors
        assert (await first.joins.ask("POST", "/v1/joins", asking(PLUG)))[0] == 200
        assert (await first.read.get("/v1/status"))["link"]["state"] == "online"


async def test_a_killed_one_leaves_nothing_that_holds_up_the_next(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with started(site) as daemon:
        assert (await daemon.admin.ask("POST", "/v1/permits", {"product_key": None, "time": 600}))[0] == 200
        assert (await daemon.end(signal.SIGKILL))[0] == -signal.SIGKILL
    assert (site.run / "join.sock").exists()
    async with started(site) as daemon:
        windows = (await daemon.read.get("/v1/permits"))["windows"]
        assert [(w["product_key"], 560 < w["ends_in"] <= 600) for w in windows] == [(None, True)]


async def test_a_bug_ends_the_process_with_a_status_that_is_not_0(tmp_path: Path) -> None:
    site = Site(tmp_path)
    status, errors = await run(sys.executable, "-c", BROKEN, str(site.config), str(site.state), str(site.run))
    assert status == 1
    assert "RuntimeError: a bug" in errors
    assert list(site.run.iterdir()) == []


# Configuration


def check(site: Site, capsys: pytest.CaptureFixture[str], *more: str | Path) -> tuple[int, str]:
    """Exit status and all that is said of a start that must not come to pass.

    Should it get further than it may, it ends all the same: its sockets have no place.
    """
    site.run.touch()
    status = main([*site.command(*more)[3:]])
    said = capsys.readouterr()
    return status, said.out + said.err


async def test_a_mistake_ends_the_process_with_78_and_its_place(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.config.write_text(site.config.read_text("utf-8") + '[log]\nlevel = "loud"\n', "utf-8")
    status, errors = await run(*site.command())
    line = len(site.config.read_text("utf-8").splitlines())
    assert status == 78
    assert errors.startswith(f"enrolld: {site.config}:{line}: log.level:")
    assert not site.run.exists()
    assert not site.state.exists()


MISTAKES = {
    "no link": ('[cloud]\nlink = "embedded"\n', "", "cloud.link"),
    "a link that is not built": ('link = "embedded"', 'link = "mqtt"', "cloud.link"),
    "an unknown key": ('ssid = "Demo home"', 'ssid = "Demo home"\nsssid = "x"', "networks.home.sssid"),
    "a radio of no kind": ("radios = []", 'radios = ["wlan0"]', "ble.radios"),
    "no TOML": ("[gateway]", "[gateway", "enrolld.toml:1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("only_check", [True, False])
def test_mistakes_are_named_with_file_and_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mistake: str, only_check: bool
) -> None:
    old, new, key = MISTAKES[mistake]
    site = Site(tmp_path)
    text = site.config.read_text("utf-8")
    assert old in text
    site.config.write_text(text.replace(old, new, 1), "utf-8")
    status, said = check(site, capsys, *(["--check-config"] if only_check else []))
    assert status == 78
    assert key in said
    assert "enrolld: " in said
    assert not site.state.exists()


def test_a_good_configuration_is_said_to_be_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = Site(tmp_path)
    status, said = check(site, capsys, "--check-config")
    assert (status, said) == (0, f"{site.config}: good, {len(list(site.products.iterdir()))} products\n")
    assert not site.state.exists()


def test_a_check_warns_of_secrets_that_are_missing_or_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(tmp_path)
    secrets = site.config.parent / "secrets"
    (secrets / "passphrase.home").unlink()
    (secrets / "product_secret.a1DemoPlug1").chmod(0o644)
    status, said = check(site, capsys, "--check-config")
    assert status == 0
    warnings = [line for line in said.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert "chmod 0600" in said
    assert "networks.home.passphrase" in said
    assert not [secret for secret in site.secrets.values() if secret in said]


SCENARIOS = {
    "length = -1\n": "length",
    '[[user]]\nat = 1.0\ndo = "dance"\n': "user[0].do",
    "[[join]]\n": "join[0]",
    "[[ble]\n": "line 1",
}


@pytest.mark.parametrize("text", SCENARIOS)
def test_a_bad_scenario_is_78_with_its_file_and_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    site = Site(tmp_path)
    site.scenario.write_text(text, "utf-8")
    for more in ([], ["--check-config"]):
        status, said = check(site, capsys, "--simulate", site.scenario, *more)
        assert status == 78
        assert str(site.scenario) in said
        assert SCENARIOS[text] in said


def test_a_scenario_that_is_not_there_is_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = check(Site(tmp_path), capsys, "--simulate", tmp_path / "nowhere.toml")
    assert status == 78
    assert "nowhere.toml" in said


# Reading it again


async def warnings(daemon: Process) -> dict[str, str]:
    return {w["code"]: w["text"] for w in (await daemon.read.get("/v1/health"))["warnings"]}


async def window_of(daemon: Process, product_key: str) -> Document | None:
    rows = (await daemon.read.get("/v1/permits"))["windows"]
    return next((row for row in rows if row["product_key"] == product_key), None)


async def test_a_bad_file_changes_nothing_and_a_good_one_applies(tmp_path: Path) -> None:
    site = Site(tmp_path)
    fan = asking(PLUG) | {"product_key": "a1DemoFan01", "device_name": "fan-01"}
    async with started(site) as daemon:
        await daemon.admin.ask("POST", "/v1/permits", {"product_key": None, "time": 600})
        await daemon.admin.ask("POST", "/v1/permits", {"product_key": "a1DemoPlug1", "time": 0})
        assert (await daemon.joins.ask("POST", "/v1/joins", fan))[1]["reason"] == "unknown_product"

        (site.products / "a1DemoFan01.toml").write_text(NEW_PRODUCT, "utf-8")
        drop_in = site.drop_in('[log]\nlevel = "debug"\n[permits]\nceiling = "long"\n')
        daemon.process.send_signal(signal.SIGHUP)
        refused = await daemon.until("settings_refused")
        place = f"{drop_in}:4: permits.ceiling"
        assert place in refused
        assert place in (await warnings(daemon))["settings_refused"]
        assert place in daemon.log
        assert (await daemon.joins.ask("POST", "/v1/joins", fan))[1]["reason"] == "unknown_product"
        assert (await window_of(daemon, "a1DemoPlug1") or {})["always"] is True

        site.drop_in('[log]\nlevel = "debug"\n[permits]\nceiling = 300\n')
        daemon.process.send_signal(signal.SIGHUP)
        reloaded = await daemon.until("settings_reloaded")
        assert '"after_restart":[]' in reloaded
        for key in ("permits.ceiling", "log.level", "products.a1DemoFan01"):
            assert key in reloaded
        assert "settings_refused" not in await warnings(daemon)
        admitted = (await daemon.joins.ask("POST", "/v1/joins", fan))[1]
        assert admitted["decision"] == "admitted"
        window = await window_of(daemon, "a1DemoPlug1")
        assert window is not None
        assert (window["always"], window["capped"]) == (False, True)
        assert 250 < window["ends_in"] <= 300
        _, writer = await asyncio.open_unix_connection(site.run / "enrolld.sock")
        writer.write(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: e\r\n\r\n")
        writer.close()  # who leaves is worth a word at level debug only

        async def is_logged() -> bool:
            return "DEBUG enrolld.status" in daemon.log

        await soon(is_logged)
        assert (await daemon.end())[0] == 0


async def test_what_needs_a_restart_is_named_and_left_as_it_was(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with started(site) as daemon:
        text = site.config.read_text("utf-8")
        site.config.write_text(text.replace("gateway-01", "gateway-02").replace('""', '"127.0.0.1:8041"'))
        daemon.process.send_signal(signal.SIGHUP)
        reloaded = await daemon.until("settings_reloaded")
        assert '"after_restart":["gateway.device_name","service.listen"]' in reloaded
        told = (await warnings(daemon))["restart_needed"]
        assert "gateway.device_name, service.listen" in told
        assert (await daemon.read.get("/v1/status"))["gateway"]["device_name"] == "gateway-01"

        site.config.write_text(text, "utf-8")
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.until("settings_reloaded", 2)
        assert "restart_needed" not in await warnings(daemon)


async def test_secrets_are_fixed_at_start_and_a_new_one_says_so(tmp_path: Path) -> None:
    site = Site(tmp_path)
    secret = "a-secret-of-a-fan-that-came-late"
    async with started(site) as daemon:
        file = site.config.parent / "secrets" / "product_secret.a1DemoFan01"
        file.touch(0o600)
        file.write_text(secret, "ascii")
        (site.products / "a1DemoFan01.toml").write_text(
            NEW_PRODUCT + 'secret = "product_secret.a1DemoFan01"\n', "utf-8"
        )
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.until("settings_reloaded")
        told = (await warnings(daemon))["restart_needed"]
        assert "credential product_secret.a1DemoFan01" in told
        assert secret not in told + daemon.log
