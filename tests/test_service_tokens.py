"""Bind tokens and bindings: whose they are, how long they live, that each works once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.codec import alink
from agent.model import DeviceId
from agent.service.service import Service
from agent.service.values import Caller, ServiceSettings
from tests.jumping import JumpingClock, run_jumping
from tests.service_world import (
    COMBO,
    GATEWAY,
    OTHER_GATEWAY,
    SUB,
    SUB_2,
    TOKEN,
    TOKEN_2,
    Line,
    get,
    join,
    named,
    opened,
    own,
)

CHECK = "/awss/token/check"
BIND = "/awss/token/user/bind"
WINDOW = "/awss/time/window/user/bind"
BOUND = {"identifier": "awss.BindNotify", "value": {"Operation": "Bind"}}
UNBOUND = {"identifier": "awss.BindNotify", "value": {"Operation": "Unbind"}}


async def check(service: Service, caller: Caller, token: str) -> int:
    return (await service.call(caller, CHECK, {"token": token})).code


def test_the_gateways_own_token(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = (await service.create_account("home")).caller
            assert await line.ask(alink.MATCH, {"token": TOKEN}) == (200, {})
            told = await get(service, caller, CHECK, {"token": TOKEN.lower()})
            assert told.items() >= named(GATEWAY).items()
            bound = await service.call(caller, BIND, named(GATEWAY) | {"token": TOKEN, "homeId": caller.home})
            assert (bound.code, bound.data) == (200, told["iotId"])
            assert line.downlinks(alink.NOTIFY) == [BOUND]

    run_jumping(main())


def test_a_token_works_once_and_no_repeat_of_its_report_revives_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home", TOKEN)
            again = named(GATEWAY) | {"token": TOKEN}
            assert await check(service, caller, TOKEN) == 6608
            assert (await service.call(caller, BIND, again)).code == 6608
            assert await line.ask(alink.MATCH, {"token": TOKEN}) == (200, {})
            assert (await service.call(caller, BIND, again)).code == 6608
            figures = await service.figures()
            assert [(t.token, t.reports, t.binds) for t in figures.tokens] == [(TOKEN, 2, 1)]
            assert figures.binds == {GATEWAY: 1}

    run_jumping(main())


def test_several_tokens_live_at_once_and_a_second_bind_counts_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            await line.ask(alink.MATCH, {"token": TOKEN})
            await line.ask(alink.MATCH, {"token": TOKEN_2})
            caller = (await service.create_account("home")).caller
            for token in (TOKEN, TOKEN_2):
                assert (await service.call(caller, BIND, named(GATEWAY) | {"token": token})).code == 200
            assert (await service.figures()).binds == {GATEWAY: 1}

    run_jumping(main())


def test_a_token_lives_from_its_last_report(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path, settings=ServiceSettings(token_life=120)) as service:
            line = await Line(service).open(GATEWAY)
            caller = (await service.create_account("home")).caller
            await line.ask(alink.MATCH, {"token": TOKEN})
            await asyncio.sleep(100)
            await line.ask(alink.MATCH, {"token": TOKEN})
            await asyncio.sleep(119)
            assert await check(service, caller, TOKEN) == 200
            await asyncio.sleep(2)
            assert await check(service, caller, TOKEN) == 6608
            assert (await service.call(caller, BIND, named(GATEWAY) | {"token": TOKEN})).code == 6608

    run_jumping(main())


@pytest.mark.parametrize(("boot_id", "code"), [("boot-1", 200), ("boot-2", 6608), ("", 6608)])
def test_a_restart_keeps_tokens_and_a_reboot_kills_them(tmp_path: Path, boot_id: str, code: int) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            account = await service.create_account("home")
            await line.ask(alink.MATCH, {"token": TOKEN})
        async with opened(tmp_path, clock=JumpingClock(boot_id=boot_id)) as service:
            assert await service.find_account(account.auth_code) == account.caller
            assert await check(service, account.caller, TOKEN) == code
            answer = await service.call(account.caller, BIND, named(GATEWAY) | {"token": TOKEN})
            assert answer.code == code

    run_jumping(main())


def test_an_unknown_boot_keeps_no_token(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path, clock=JumpingClock(boot_id="")) as service:
            line = await Line(service).open(GATEWAY)
            caller = (await service.create_account("home")).caller
            await line.ask(alink.MATCH, {"token": TOKEN})
            assert await check(service, caller, TOKEN) == 6608

    run_jumping(main())


def test_a_token_on_a_sub_devices_topic_is_the_sub_devices(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = (await service.create_account("home")).caller
            await join(line, SUB)
            assert await line.ask(alink.MATCH, {"token": TOKEN}, SUB) == (200, {})
            assert (await get(service, caller, CHECK, {"token": TOKEN})).items() >= named(SUB).items()
            assert (await service.call(caller, CHECK, {"token": TOKEN} | named(GATEWAY))).code == 6608
            assert (await service.call(caller, BIND, {"token": TOKEN} | named(GATEWAY))).code == 6608
            assert (await service.call(caller, BIND, {"token": TOKEN} | named(SUB))).code == 200
            assert line.downlinks(alink.NOTIFY, SUB) == [BOUND]
            assert line.downlinks(alink.NOTIFY) == []

    run_jumping(main())


def test_checking_with_a_product_or_device_that_is_not_the_tokens(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = (await service.create_account("home")).caller
            await line.ask(alink.MATCH, {"token": TOKEN})
            pk, dn = GATEWAY.product_key, GATEWAY.device_name
            for extra, code in (
                ({"productKey": pk}, 200),
                ({"productKey": pk, "deviceName": dn}, 200),
                ({"productKey": "a1SubProdKy"}, 6608),
                ({"productKey": pk, "deviceName": "other"}, 6608),
                ({"deviceName": dn}, 460),
                ({"productKey": 7}, 460),
            ):
                assert (await service.call(caller, CHECK, {"token": TOKEN} | extra)).code == code, extra
            assert (await service.call(caller, CHECK, {"token": "nonsense"})).code == 6608
            for token in ("", None, 5, ["x"]):
                assert (await service.call(caller, CHECK, {"token": token})).code == 460

    run_jumping(main())


@pytest.mark.parametrize("token", ["", "0" * 32, "47" * 15, "47" * 17, "zz" * 16, 5, None, ["47" * 16]])
def test_what_is_no_token_is_not_taken(tmp_path: Path, token: object) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            assert (await line.ask(alink.MATCH, {"token": token}))[0] == 460
            assert (await service.figures()).tokens == ()

    run_jumping(main())


def test_codes_of_binds(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            await Line(service).open(GATEWAY)
            caller = (await service.create_account("home")).caller
            for path in (BIND, WINDOW):
                for device, code in (
                    (DeviceId("a1Unknown00", "name"), 5005),
                    (DeviceId("a1SubProdKy", "nobody"), 6100),
                ):
                    assert (await service.call(caller, path, named(device) | {"token": TOKEN})).code == code
            assert (await service.call(caller, BIND, named(GATEWAY) | {"token": TOKEN})).code == 6608
            assert (
                await service.call(caller, BIND, named(GATEWAY) | {"token": TOKEN, "homeId": 5})
            ).code == 460

    run_jumping(main())


@pytest.mark.parametrize(
    ("version", "plain"), [("1.0.3", True), ("1.0.8", True), ("1.0", True), ("1.0.9", False), ("1.1", False)]
)
def test_the_data_of_a_bind_by_version(tmp_path: Path, version: str, plain: bool) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = (await service.create_account("home")).caller
            await line.ask(alink.MATCH, {"token": TOKEN})
            answer = await service.call(caller, BIND, named(GATEWAY) | {"token": TOKEN}, version)
            if plain:
                assert isinstance(answer.data, str)
            else:
                assert isinstance(answer.data, dict)
                assert answer.data.keys() == {"iotId", "categoryKey", "pageRouterUrl"}

    run_jumping(main())


@pytest.mark.parametrize("version", ["", "1", "one", "1.0.", "1.-1", "1.0.8; x", "1.٢"])
def test_versions_that_are_none(tmp_path: Path, version: str) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            caller = (await service.create_account("home")).caller
            assert (await service.call(caller, CHECK, {"token": TOKEN}, version)).code == 460

    run_jumping(main())


def test_the_window_counts_from_the_connect_and_from_the_login(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path, settings=ServiceSettings(bind_window=600)) as service:
            line = await Line(service).open(GATEWAY)
            caller = (await service.create_account("home")).caller
            await asyncio.sleep(400)
            await join(line, SUB)
            await asyncio.sleep(199)
            window = await service.call(caller, WINDOW, named(GATEWAY))
            assert (window.code, line.downlinks(alink.NOTIFY)) == (200, [BOUND])
            await asyncio.sleep(2)
            assert (await service.call(caller, WINDOW, named(GATEWAY))).code == 6608
            assert (await service.call(caller, WINDOW, named(SUB))).code == 200
            await asyncio.sleep(400)
            assert (await service.call(caller, WINDOW, named(SUB))).code == 6608
            await line.open(GATEWAY)
            assert (await service.call(caller, WINDOW, named(GATEWAY))).code == 200
            assert (await service.figures()).binds == {GATEWAY: 1, SUB: 1}

    run_jumping(main())


def test_who_is_offline_has_no_window(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = (await service.create_account("home")).caller
            await join(line, SUB)
            assert line.session is not None
            service.disconnect(line.session)
            assert (await service.call(caller, WINDOW, named(GATEWAY))).code == 6608
            assert (await service.call(caller, WINDOW, named(SUB))).code == 6608

    run_jumping(main())


def test_what_is_bound_to_another_account_cannot_be_taken(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            await own(service, line, "owner")
            await join(line, SUB)
            await join(line, SUB_2)
            thief = (await service.create_account("thief")).caller
            assert (await service.call(thief, WINDOW, named(GATEWAY))).code == 6100
            assert (await service.call(thief, WINDOW, named(SUB))).code == 6100, "behind another's gateway"
            await line.ask(alink.MATCH, {"token": TOKEN})
            await line.ask(alink.MATCH, {"token": TOKEN_2}, SUB)
            for device, token in ((GATEWAY, TOKEN), (SUB, TOKEN_2)):
                assert (await service.call(thief, CHECK, {"token": token})).code == 6608
                assert (await service.call(thief, BIND, named(device) | {"token": token})).code == 6608
            assert (await service.figures()).binds == {GATEWAY: 1}

    run_jumping(main())


def test_a_reset_frees_the_device_and_kills_its_tokens(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            first = await own(service, line, "first")
            await line.ask(alink.MATCH, {"token": TOKEN})
            assert await line.ask(alink.RESET, {}) == (200, {})
            assert line.downlinks(alink.NOTIFY) == [BOUND, UNBOUND]
            assert await check(service, first, TOKEN) == 6608
            assert await line.ask(alink.RESET, {}) == (200, {})
            assert line.downlinks(alink.NOTIFY) == [BOUND, UNBOUND]
            await own(service, line, "second", TOKEN_2)
            assert (await service.figures()).binds == {GATEWAY: 2}

    run_jumping(main())


def test_a_device_that_floods_tokens_keeps_its_latest(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home", TOKEN)
            for number in range(1, 200):
                await asyncio.sleep(0.1)
                await line.ask(alink.MATCH, {"token": f"{number:032X}"})
            assert len((await service.figures()).tokens) == 33
            assert await check(service, caller, f"{199:032X}") == 200
            assert await check(service, caller, f"{1:032X}") == 6608
            await line.ask(alink.MATCH, {"token": TOKEN})
            assert await check(service, caller, TOKEN) == 6608, "a used one is not forgotten by a flood"

    run_jumping(main())


def test_many_binds_leave_room_for_new_tokens(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = (await service.create_account("home")).caller
            for number in range(1, 100):
                await asyncio.sleep(0.1)
                token = f"{number:032X}"
                await line.ask(alink.MATCH, {"token": token})
                assert (await service.call(caller, BIND, named(GATEWAY) | {"token": token})).code == 200
            assert len((await service.figures()).tokens) == 33

    run_jumping(main())


def test_the_same_token_of_two_devices_is_two_tokens(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            lines = [await Line(service).open(g) for g in (GATEWAY, OTHER_GATEWAY)]
            caller = (await service.create_account("home")).caller
            for line in lines:
                await line.ask(alink.MATCH, {"token": TOKEN})
            for gateway in (GATEWAY, OTHER_GATEWAY):
                assert (await service.call(caller, BIND, named(gateway) | {"token": TOKEN})).code == 200
            assert (await service.figures()).binds == {GATEWAY: 1, OTHER_GATEWAY: 1}

    run_jumping(main())


def test_a_direct_device_reports_on_its_own_connection(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(COMBO, gateway=False)
            caller = (await service.create_account("home")).caller
            assert await line.ask(alink.MATCH, {"token": TOKEN}) == (200, {})
            assert (await service.call(caller, BIND, named(COMBO) | {"token": TOKEN})).code == 200
            assert line.downlinks(alink.NOTIFY) == [BOUND]
            assert (await line.ask(alink.TOPO_GET, {}))[0] == 6450, "only gateways have a topology"

    run_jumping(main())
