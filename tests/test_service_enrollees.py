"""Enrollees: reported by gateways, listed to the account that owns them, filtered, started."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.codec import alink
from agent.model import DeviceId
from tests.jumping import run_jumping
from tests.service_air import BLE_ID, KETTLE, LIST, found, lamp, listed, record
from tests.service_world import (
    BLE,
    COMBO,
    GATEWAY,
    OTHER_GATEWAY,
    PRODUCT_SECRETS,
    SUB,
    TOKEN,
    Line,
    get,
    join,
    named,
    opened,
    own,
)

FILTER = "/awss/enrollee/product/filter"
CHECKIN = "/awss/enrollee/checkin"


def test_what_a_gateway_reports_is_listed_to_its_account(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            code, data = await line.ask(alink.FOUND, found(KETTLE))
            assert (code, data) == (200, [named(COMBO) | {"timeout": 60}])
            [item] = await listed(service, caller)
            fixed = {
                "regProductKey": GATEWAY.product_key, "regDeviceName": GATEWAY.device_name,
                "regProductName": "Gateway",
                "enrolleeProductKey": COMBO.product_key, "enrolleeDeviceName": COMBO.device_name,
                "enrolleeProductName": "Kettle", "enrolleeId": "wifi:a1ComboPrdK/combo_01",
                "bssid": "A0:B1:C2:D3:E4:F5", "ssid": "HomeNet", "rssi": "-57", "type": 0, "status": 0,
            }  # fmt: skip
            assert item.items() >= fixed.items()
            assert item["gmtCreate"] == item["gmtModified"]
            assert 1_699_999_999_000 < int(str(item["gmtCreate"])) < 1_700_000_100_000
            assert item.keys() - fixed.keys() == {"gmtCreate", "gmtModified", "regIotId", "enrolleeIotId"}

    run_jumping(main())


def test_a_repeat_renews_and_silence_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            await line.ask(alink.FOUND, found(KETTLE))
            await asyncio.sleep(60)
            await line.ask(alink.FOUND, found(KETTLE, rssi=200, type=1))
            [item] = await listed(service, caller)
            assert (item["rssi"], item["type"]) == ("-56", 1)
            assert int(str(item["gmtModified"])) - int(str(item["gmtCreate"])) == 60_000
            await asyncio.sleep(179)
            assert len(await listed(service, caller)) == 1
            await asyncio.sleep(2)
            assert await listed(service, caller) == []

    run_jumping(main())


def test_pages(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            macs = [f"AA:BB:CC:00:00:{low:02X}" for low in range(12)]
            await line.ask(alink.FOUND, found(ble=[lamp(mac) for mac in macs]))
            pages = [await get(service, caller, LIST, {"pageSize": 5, "pageNum": n}) for n in (1, 2, 3, 4)]
            assert [page["totalNum"] for page in pages] == [12] * 4
            ids = [[item["enrolleeId"] for item in page["items"]] for page in pages]  # type: ignore[attr-defined]
            assert [len(page) for page in ids] == [5, 5, 2, 0]
            assert len({entry for page in ids for entry in page}) == 12

    run_jumping(main())


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"pageSize": 0, "pageNum": 1},
        {"pageSize": 100, "pageNum": 1},
        {"pageSize": 10, "pageNum": 0},
        {"pageSize": "10", "pageNum": 1},
        {"pageSize": 10.0, "pageNum": 1},
        {"pageSize": True, "pageNum": 1},
        {"pageSize": 10, "pageNum": 2**40},
        {"pageSize": 10},
        [],
        None,
    ],
)
def test_paging_outside_its_bounds(tmp_path: Path, params: object) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            caller = (await service.create_account("home")).caller
            assert (await service.call(caller, LIST, params)).code == 460

    run_jumping(main())


def test_two_accounts_see_their_own_gateways_only(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            lines = [await Line(service).open(g) for g in (GATEWAY, OTHER_GATEWAY)]
            callers = [await own(service, line, name) for line, name in zip(lines, "ab", strict=True)]
            await lines[0].ask(alink.FOUND, found(KETTLE))
            await lines[1].ask(alink.FOUND, found(ble=[lamp()]))
            names = [[i["enrolleeId"] for i in await listed(service, caller)] for caller in callers]
            assert names == [["wifi:a1ComboPrdK/combo_01"], [BLE_ID]]
            foreign = await service.call(callers[0], CHECKIN, {"enrolleeId": BLE_ID})
            assert foreign.code == 6100
            nobody = (await service.create_account("c")).caller
            assert await listed(service, nobody) == []

    run_jumping(main())


def test_the_filter_offers_published_products_of_unbound_devices(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            given = [COMBO, BLE, GATEWAY, DeviceId("a1Hidden000", "draft"), DeviceId("a1Unknown00", "x")]
            answer = await service.call(caller, FILTER, {"iotDevices": [named(d) for d in given]})
            kettle = {
                "productName": "Kettle", "netType": 3, "nodeType": 0,
                "categoryKey": "", "categoryName": "", "categoryId": 0,
            }  # fmt: skip
            lamp_ = kettle | {"productName": "Lamp", "netType": 5}
            assert answer.data == [named(COMBO) | kettle, named(BLE) | lamp_], "the gateway is bound"

    run_jumping(main())


@pytest.mark.parametrize(
    "given", [None, {}, [], "x", [5], [{}], [{"productKey": "a"}], [named(COMBO)] * 51, [named(COMBO), None]]
)
def test_broken_filters(tmp_path: Path, given: object) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            caller = (await service.create_account("home")).caller
            assert (await service.call(caller, FILTER, {"iotDevices": given})).code == 460

    run_jumping(main())


def test_a_checkin_reaches_the_gateway_and_marks_the_enrollee(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            await line.ask(alink.FOUND, found(KETTLE))
            data = await get(service, caller, CHECKIN, named(COMBO) | {"timeout": 20, "token": TOKEN.lower()})
            expected = named(COMBO) | {"timeout": 20, "token": TOKEN, "ext": {"tokenType": 0}}
            assert line.downlinks(alink.CHECKIN) == [expected]
            assert (data["token"], data["timeout"]) == (TOKEN, 20)
            assert (await listed(service, caller))[0]["status"] == 1
            await line.ask(alink.FOUND, found(KETTLE))
            assert (await listed(service, caller))[0]["status"] == 1, "a repeated report does not end the run"
            await asyncio.sleep(21)
            assert (await listed(service, caller))[0]["status"] == 0

    run_jumping(main())


def test_a_checkin_by_id_brings_a_token_made_here(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            await line.ask(alink.FOUND, found(ble=[lamp()]))
            data = await get(service, caller, CHECKIN, {"enrolleeId": BLE_ID, "timeout": -1})
            [sent] = line.downlinks(alink.CHECKIN)
            assert isinstance(sent, dict)
            assert (sent["enrolleeId"], sent["timeout"], sent["ext"]) == (BLE_ID, 60, {"tokenType": 1})
            assert sent["token"] == data["token"]
            assert len(bytes.fromhex(sent["token"])) == 16
            assert (await service.call(caller, "/awss/token/check", {"token": sent["token"]})).code == 6608

    run_jumping(main())


@pytest.mark.parametrize(("code", "status"), [(200, 1), (400, 0)])
def test_a_gateway_that_refuses_ends_the_run(tmp_path: Path, code: int, status: int) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            await line.ask(alink.FOUND, found(KETTLE))
            await get(service, caller, CHECKIN, named(COMBO))
            topic, request = line.received[-1]
            number = int(str(request["id"]))  # the C SDK drops the quotes
            assert await line.send(topic + "_reply", alink.build_answer(number, code, {})) == []
            assert (await listed(service, caller))[0]["status"] == status

    run_jumping(main())


def test_the_gateway_that_hears_it_best_starts_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            lines = [await Line(service).open(g) for g in (GATEWAY, OTHER_GATEWAY)]
            caller = await own(service, lines[0], "home")
            await lines[1].ask(alink.MATCH, {"token": TOKEN})
            bind = named(OTHER_GATEWAY) | {"token": TOKEN}
            assert (await service.call(caller, "/awss/token/user/bind", bind)).code == 200
            for line, rssi in zip(lines, (-70, -50), strict=True):
                await line.ask(alink.FOUND, found(KETTLE, rssi=rssi))
            assert len(await listed(service, caller)) == 2
            await get(service, caller, CHECKIN, named(COMBO))
            assert [len(line.downlinks(alink.CHECKIN)) for line in lines] == [0, 1]
            assert lines[1].session is not None
            service.disconnect(lines[1].session)
            await get(service, caller, CHECKIN, named(COMBO))
            assert [len(line.downlinks(alink.CHECKIN)) for line in lines] == [1, 1]
            assert lines[0].session is not None
            service.disconnect(lines[0].session)
            assert (await service.call(caller, CHECKIN, named(COMBO))).code == 6205

    run_jumping(main())


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, 460),
        ({"enrolleeId": 5}, 460),
        ({"productKey": "a1ComboPrdK"}, 460),
        (named(COMBO) | {"timeout": "20"}, 460),
        (named(COMBO) | {"timeout": 1.5}, 460),
        (named(COMBO) | {"timeout": 100_000}, 460),
        (named(COMBO) | {"token": "short"}, 460),
        (named(COMBO) | {"token": "0" * 32}, 460),
        (named(SUB), 6100),
        ({"enrolleeId": "ble:00:00:00:00:00:00/00000000"}, 6100),
    ],
)
def test_checkins_that_start_nothing(tmp_path: Path, params: dict[str, object], code: int) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            await line.ask(alink.FOUND, found(KETTLE))
            assert (await service.call(caller, CHECKIN, params)).code == code
            assert line.downlinks(alink.CHECKIN) == []
            assert (await listed(service, caller))[0]["status"] == 0

    run_jumping(main())


def test_who_joined_or_is_bound_is_no_enrollee_any_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            await line.ask(alink.FOUND, found(KETTLE, record(SUB, PRODUCT_SECRETS["a1SubProdKy"])))
            assert len(await listed(service, caller)) == 2
            await join(line, SUB)
            assert [i["enrolleeDeviceName"] for i in await listed(service, caller)] == ["combo_01"]
            direct = await Line(service).open(COMBO, gateway=False)
            await direct.ask(alink.MATCH, {"token": TOKEN})
            await service.call(caller, "/awss/token/user/bind", named(COMBO) | {"token": TOKEN})
            assert await listed(service, caller) == []

    run_jumping(main())
