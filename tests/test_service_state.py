"""What survives: restarts, power cuts at every commit, hostile parameters, a state that cannot be written."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from agent.clock import SystemClock
from agent.codec import alink
from agent.errors import InputRefused, StoreError
from agent.service.service import FILE_NAME, Service
from tests.jumping import run_jumping
from tests.service_world import (
    COMBO,
    DEVICE_SECRETS,
    GATEWAY,
    SUB,
    TOKEN,
    TOKEN_2,
    Line,
    dump,
    join,
    login_of,
    named,
    opened,
    own,
)

SECRET = DEVICE_SECRETS[SUB]


def test_accounts(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            account = await service.create_account("home")
            assert account.auth_code not in repr(account)
            with pytest.raises(InputRefused) as taken:
                await service.create_account("home")
            assert taken.value.code == 409
            for name in ("", "x" * 65, "two\nlines"):
                with pytest.raises(InputRefused):
                    await service.create_account(name)
            other = await service.create_account("other")
            assert len({account.identity, other.identity, account.home, other.home}) == 4
        async with opened(tmp_path) as service:
            assert await service.find_account(account.auth_code) == account.caller
            assert await service.find_account("wrong") is None
        assert not any(account.auth_code in line for line in dump(tmp_path)), "only its digest is kept"

    run_jumping(main())


def test_a_restart_keeps_what_matters(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            await join(line, SUB)
            await line.ask(alink.MATCH, {"token": TOKEN})
            ids = [service.iot_id(d) for d in (GATEWAY, SUB, COMBO)]
            before = await service.figures()
            assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0, "it holds minted secrets"
        async with opened(tmp_path) as service:
            assert [service.iot_id(d) for d in (GATEWAY, SUB, COMBO)] == ids
            assert await service.figures() == before
            line = await Line(service).open(GATEWAY)
            assert await line.ask(alink.TOPO_GET, {}) == (200, [named(SUB)])
            assert (await line.ask(alink.LOGIN, login_of(SUB, SECRET)))[0] == 200
            permit = {"iotId": ids[0], "time": 5}
            assert (await service.call(caller, "/thing/gateway/permit", permit)).code == 200

    run_jumping(main())


class PowerCut(BaseException):
    """The power is gone: nothing of the program runs any more."""


async def day(service: Service, told: list[str]) -> None:
    """Everything that changes the state, each step noted once it was answered."""
    line = await Line(service).open(GATEWAY)
    caller = (await service.create_account("home")).caller
    told.append("account")
    await line.ask(alink.MATCH, {"token": TOKEN})
    told.append("token")
    answer = await service.call(caller, "/awss/token/user/bind", named(GATEWAY) | {"token": TOKEN})
    assert answer.code == 200
    told.append("bind")
    await join(line, SUB)
    told.append("join")
    await line.ask(alink.MATCH, {"token": TOKEN_2}, SUB)
    window = await service.call(caller, "/awss/time/window/user/bind", named(SUB))
    assert window.code == 200
    told.append("window")
    await line.ask(alink.RESET, {}, SUB)
    told.append("reset")
    await line.ask(alink.TOPO_DELETE, [named(SUB)])
    told.append("delete")


def cut_at(number: int, seen: list[str]) -> Callable[[str], None]:
    def hook(stage: str) -> None:
        if len(seen) == number:
            raise PowerCut
        seen.append(stage)

    return hook


def test_a_power_cut_at_each_commit_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """Runs the same day again and again, each time with the power cut one stage later."""

    async def lived(path: Path, hook: Callable[[str], None], told: list[str]) -> None:
        async with opened(path, on_commit=hook) as service:
            await day(service, told)

    async def left(path: Path) -> tuple[Any, ...]:
        async with opened(path) as service:
            figures = await service.figures()
            return figures.tokens, dict(figures.binds), dict(figures.topology)

    seen: list[str] = []
    (tmp_path / "whole").mkdir()
    run_jumping(lived(tmp_path / "whole", seen.append, []))
    assert seen == ["before", "after"] * (len(seen) // 2)
    assert len(seen) > 16
    for number in range(len(seen)):
        path = tmp_path / str(number)
        path.mkdir()
        told: list[str] = []
        with pytest.raises(PowerCut):
            run_jumping(lived(path, cut_at(number, []), told))
        tokens, binds, topology = run_jumping(left(path))
        assert all(token.binds <= 1 for token in tokens)
        assert binds.get(GATEWAY, 0) in ({1} if "bind" in told else {0, 1})
        assert sum(token.binds for token in tokens) == binds.get(GATEWAY, 0), "the token and the bind are one"
        if "token" in told:
            assert TOKEN in {token.token for token in tokens}
        if "join" in told and "reset" not in told:
            assert topology == {GATEWAY: [SUB]}
        if "delete" in told:
            assert topology == {}


def test_nothing_is_answered_or_pushed_before_its_commit(tmp_path: Path) -> None:
    log: list[str] = []

    async def main() -> None:
        async with opened(tmp_path, on_commit=log.append) as service:
            line = Line(service)
            session = await service.connect(GATEWAY, lambda topic, _: log.append(topic))
            line.session = session
            log.clear()
            request = alink.build_request("1", alink.MATCH, {"token": TOKEN})
            await service.receive(session, alink.topic_of(GATEWAY, alink.MATCH), request)
            assert log == ["before", "after", "/sys/a1GwProdKey/gw_0001/thing/awss/enrollee/match_reply"]
            caller = (await service.create_account("home")).caller
            log.clear()
            await service.call(caller, "/awss/token/user/bind", named(GATEWAY) | {"token": TOKEN})
            assert log == ["before", "after", "/sys/a1GwProdKey/gw_0001/_thing/event/notify"]
            log.clear()
            await service.call(caller, "/awss/token/check", {"token": TOKEN})
            assert log == [], "reading commits nothing"

    run_jumping(main())


def test_a_state_that_cannot_be_written_answers_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            locker = sqlite3.connect(tmp_path / FILE_NAME, timeout=0)
            try:
                locker.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreError):
                    await line.ask(alink.MATCH, {"token": TOKEN})
            finally:
                locker.close()
            assert (await line.ask(alink.MATCH, {"token": TOKEN}))[0] == 200

    run_jumping(main())


def no_directory(path: Path) -> None:
    return None


def a_newer_file(path: Path) -> None:
    path.mkdir()
    db = sqlite3.connect(path / FILE_NAME)
    db.execute("PRAGMA user_version = 99")
    db.close()


def not_a_database(path: Path) -> None:
    path.mkdir()
    (path / FILE_NAME).write_bytes(b"x" * 5000)


@pytest.mark.parametrize("spoil_it", [no_directory, a_newer_file, not_a_database])
def test_a_state_that_cannot_be_opened(tmp_path: Path, spoil_it: Callable[[Path], None]) -> None:
    async def main() -> None:
        spoil_it(tmp_path / "state")
        with pytest.raises(StoreError):
            async with opened(tmp_path / "state"):
                pass

    run_jumping(main())


def test_on_a_real_loop_the_work_is_done_in_one_thread(tmp_path: Path) -> None:
    """The same service without jumping time: its own thread, many requests at once, all answered."""
    threads: set[str] = set()

    async def main() -> None:
        service = await Service.open(
            tmp_path,
            products=dict,
            product_secret=lambda _: None,
            device_secret=lambda _: None,
            clock=SystemClock(),
            on_commit=lambda _: threads.add(threading.current_thread().name),
        )
        try:
            line = await Line(service).open(GATEWAY)
            asks: list[Coroutine[Any, Any, tuple[int, object]]] = [
                line.ask(alink.MATCH, {"token": f"{n:032X}"}) for n in range(1, 21)
            ]
            assert {code for code, _ in await asyncio.gather(*asks)} == {200}
        finally:
            await service.close()

    asyncio.run(main())
    assert len(threads) == 1
    assert threading.current_thread().name not in threads


def open_files(directory: Path) -> list[str]:
    """What this process holds open below a directory."""
    links = [entry for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return [str(link.readlink()) for link in links if str(link.readlink()).startswith(f"{directory}/")]


def test_who_gives_up_while_it_opens_leaves_nothing_open(tmp_path: Path) -> None:
    async def main() -> None:
        for _ in range(3):
            opening = asyncio.ensure_future(
                Service.open(
                    tmp_path,
                    products=dict,
                    product_secret=lambda _: None,
                    device_secret=lambda _: None,
                    clock=SystemClock(),
                )
            )
            await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
        async with asyncio.timeout(10):
            while open_files(tmp_path) or threading.active_count() > threads:  # noqa: ASYNC110  the kernel's
                await asyncio.sleep(0.01)

    threads = threading.active_count()
    asyncio.run(main())
