"""The HTTP API of a running daemon, and the control tool's commands for it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.clock import SystemClock
from agent.cloud.api import ApiClient
from agent.cloud.api_line import Installer, Route
from agent.errors import CloudRefused
from agent.model import DeviceId
from tests.http_daemon import Document, control, create_account, find_url, furnish, living
from tests.test_daemon_process import Process, soon, started
from tests.test_http_transport import make_certificate
from tests.world import Site

GATEWAY = DeviceId("a1DemoGate1", "gateway-01")


def client_of(account: Document, **more: Any) -> ApiClient:
    installer = Installer(account["app_key"], account["app_secret"], account["auth_code"], account["home_id"])
    return ApiClient(Route(account["url"], **more), installer, SystemClock(), delays=())


async def find_warning(daemon: Process, code: str) -> dict[str, Any] | None:
    warnings = (await daemon.read.get("/v1/health"))["warnings"]
    return next((warning for warning in warnings if warning["code"] == code), None)


async def test_a_permit_over_http_opens_the_window_of_the_running_daemon(tmp_path: Path) -> None:
    site = furnish(tmp_path)
    async with living(site) as daemon:
        account = await create_account(site, "owner")
        assert account["url"] == await find_url(daemon)
        assert set(account) == {
            *("v", "url", "app_key", "app_secret"),
            *("identity_id", "home_id", "auth_code"),
        }
        api = client_of(account)
        bound = await api.bind_in_window(GATEWAY)
        assert bound.iot_id is not None
        await api.permit(bound.iot_id, "a1DemoPlug1", 60)
        await daemon.until("subdevice_online")
        await api.close()
        for name in ("app_secret", "auth_code"):
            assert account[name] not in daemon.log
        status, seconds = await daemon.end()
        assert (status, seconds < 2) == (0, True)


async def test_an_account_file_is_never_written_over_and_a_name_is_taken_once(tmp_path: Path) -> None:
    site = furnish(tmp_path)
    async with living(site):
        await create_account(site, "owner")
        order = ("cloud", "account", "create")
        other = tmp_path / "other.json"
        status, _, errors = await control(
            *order, "second", "--out", tmp_path / "owner.json", "--run", site.run
        )
        assert (status, "exists already" in errors) == (1, True)
        status, _, errors = await control(*order, "owner", "--out", other, "--run", site.run)
        assert (status, other.exists()) == (1, False), errors
        status, _, errors = await control(*order, "two\nlines", "--out", other, "--run", site.run)
        assert (status, other.exists()) == (65, False), errors
        await create_account(site, "second")
    status, _, errors = await control(*order, "third", "--out", other, "--run", site.run)
    assert (status, other.exists()) == (69, False), "nobody is there to ask"
    status, out, errors = await control(*order, "third", "--out", other, "--state", site.state)
    assert (status, out, errors) == (0, f"{other}\n", "")
    first, third = (json.loads((tmp_path / name).read_text("utf-8")) for name in ("owner.json", "other.json"))
    assert [first[key] == third[key] for key in ("app_key", "url", "auth_code")] == [True, True, False]


async def test_a_port_that_is_taken_is_a_named_trouble_until_it_is_free(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        site = furnish(tmp_path, f"127.0.0.1:{port}")
        async with started(site) as daemon:
            warning = await soon(lambda: find_warning(daemon, "service_address"))
            assert (warning["subject"], warning["severity"]) == ("service.listen", "error")
            assert f"127.0.0.1:{port}" in warning["text"]
            assert await find_url(daemon) is None
            taken.close()
            assert await soon(lambda: find_url(daemon)) == f"http://127.0.0.1:{port}"
            assert await find_warning(daemon, "service_address") is None


async def test_without_an_address_nobody_listens_and_aiohttp_is_not_loaded(tmp_path: Path) -> None:
    site = furnish(tmp_path, "")
    async with started(site) as daemon:
        assert await find_url(daemon) is None
        pid = daemon.process.pid
        assert "aiohttp" not in Path(f"/proc/{pid}/maps").read_text("utf-8")
        account = await create_account(site, "owner")
        assert account["url"] is None


# The service alone.


@asynccontextmanager
async def serving(site: Site, *more: str | Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """``cloud serve`` as a process, and the URL that it printed."""
    order = ("cloud", "serve", "--config", site.config, "--state", site.state, *more)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent.cli.main", *map(str, order), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            line = await process.stdout.readline()
        yield process, line.decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_service_alone(tmp_path: Path, number: int) -> None:
    site = furnish(tmp_path, "")
    async with serving(site, "--listen", "127.0.0.1:0") as (process, url):
        out = tmp_path / "a.json"
        words = ("cloud", "account", "create", "a", "--out", out, "--state", site.state)
        assert (await control(*words))[0] == 0
        account = json.loads(out.read_text("utf-8"))
        assert account["url"] == url
        assert (await client_of(account).list_enrollees()).total == 0
        status, told, _ = await control("api", "--api", out, "/awss/token/check", '{"token":"x"}')
        assert (status, json.loads(told)["code"]) == (1, 6608)
        process.send_signal(number)
        async with asyncio.timeout(10):
            assert await process.wait() == 0


async def test_the_lab_and_the_code_of_a_void_token(tmp_path: Path) -> None:
    site = furnish(tmp_path, "127.0.0.1:0")
    async with serving(site, "--lab", "--token-code", "2459") as (_, url):
        out = tmp_path / "a.json"
        await control("cloud", "account", "create", "a", "--out", out, "--state", site.state)
        account = json.loads(out.read_text("utf-8"))
        account["auth_code"] = "void"
        with pytest.raises(CloudRefused) as refused:
            await client_of(account | {"url": url}).list_enrollees()
        assert refused.value.code == 2462


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("--listen", "127.0.0.1"), 78, "HOST:PORT"),
        (("--listen", ""), 78, "HOST:PORT"),
        (("--listen", "0.0.0.0:0"), 78, "beyond loopback"),
        (("--token-code", "7"), 2, "--token-code"),
        (("--config", "/nowhere/enrolld.toml"), 78, "/nowhere/enrolld.toml"),
    ],
)
async def test_what_serve_refuses(tmp_path: Path, words: tuple[str, ...], status: int, sentence: str) -> None:
    site = furnish(tmp_path)
    order: tuple[str | Path, ...] = ("cloud", "serve", "--config", site.config, "--state", site.state)
    given, out, errors = await control(*order, *words)
    assert (given, out) == (status, "")
    assert sentence in errors


async def test_serve_tells_a_taken_port_and_a_taken_state(tmp_path: Path) -> None:
    site = furnish(tmp_path)
    async with serving(site) as (_, url):
        status, _, errors = await control("cloud", "serve", "--config", site.config, "--state", site.state)
        assert (status, str(site.state) in errors) == (78, True)
        order = ("cloud", "serve", "--config", site.config, "--state", tmp_path / "second")
        status, _, errors = await control(*order, "--listen", url.removeprefix("http://"))
        assert (status, "service.listen" in errors) == (75, True)


async def test_tls_from_the_configuration(tmp_path: Path) -> None:
    site = furnish(tmp_path)
    certificate, key = make_certificate(tmp_path)
    site.drop_in(f'[service]\nlisten = "127.0.0.1:0"\ntls_certificate = "{certificate}"\ntls_key = "{key}"\n')
    async with serving(site) as (_, url):
        assert url.startswith("https://127.0.0.1:")
        out = tmp_path / "a.json"
        await control("cloud", "account", "create", "a", "--out", out, "--state", site.state)
        account = json.loads(out.read_text("utf-8"))
        assert (await client_of(account, ca_file=certificate).list_enrollees()).total == 0
