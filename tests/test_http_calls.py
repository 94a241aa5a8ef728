"""Every call of the HTTP API over a real socket: what it answers, what it refuses, whom it serves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agent.codec import alink
from tests.http_world import (
    BIND,
    CHECK,
    CHECKIN,
    CIPHER,
    FILTER,
    LAMP_ID,
    LIST,
    NINE,
    PERMIT,
    REMOVE,
    SESSIONS,
    WINDOW,
    Home,
    Shop,
    envelope,
    shop_at,
)
from tests.service_world import (
    BLE,
    COMBO,
    GATEWAY,
    OTHER_GATEWAY,
    PRODUCT_SECRETS,
    SUB,
    dump,
    named,
)

RANDOM = "4420823CFDE6F1C26B30F90EC7DD01E4"
MAC = "AA:BB:CC:00:11:22"


@pytest_asyncio.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_at(tmp_path) as shop:
        yield shop


@pytest_asyncio.fixture
async def home(shop: Shop) -> Home:
    return await shop.furnish()


async def test_the_list_has_every_field(shop: Shop, home: Home) -> None:
    data = (await shop.app.call(LIST, {"pageSize": 99, "pageNum": 1}, home.token)).data
    assert data["totalNum"] == 1
    [item] = data["items"]
    assert isinstance(item.pop("gmtCreate"), int)
    assert isinstance(item.pop("gmtModified"), int)
    assert len(item.pop("enrolleeIotId")) == 32
    assert item == {
        "regIotId": home.gateway,
        "regProductKey": GATEWAY.product_key,
        "regDeviceName": GATEWAY.device_name,
        "regProductName": "Gateway",
        "enrolleeProductKey": BLE.product_key,
        "enrolleeDeviceName": "aabbcc001122",
        "enrolleeProductName": "Lamp",
        "enrolleeId": LAMP_ID,
        "bssid": "",
        "ssid": "",
        "rssi": "-60",
        "type": 0,
        "status": 0,
    }


async def test_pages_cut_the_whole_list_without_gap_or_repeat(shop: Shop, home: Home) -> None:
    for first in (0, 50, 100):
        ble = [{"productId": "0x000aa7ab", "mac": f"{n:012X}", "rssi": -60} for n in range(first, first + 50)]
        assert (await home.line.ask(alink.FOUND, {"ble": ble}))[0] == 200
        shop.clock.move(1)
    seen: list[str] = []
    for page in range(1, 5):
        data = (await shop.app.call(LIST, {"pageSize": 50, "pageNum": page}, home.token)).data
        assert data["totalNum"] == 151
        seen += [item["enrolleeId"] for item in data["items"]]
    assert len(seen) == len(set(seen)) == 151
    assert seen[0] == LAMP_ID, "the oldest first"
    assert (await shop.app.call(LIST, {"pageSize": 50, "pageNum": 5}, home.token)).data["items"] == []


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"pageSize": 0, "pageNum": 1},
        {"pageSize": 100, "pageNum": 1},
        {"pageSize": 10, "pageNum": 0},
        {"pageSize": 10},
        {"pageSize": "10", "pageNum": 1},
        {"pageSize": 10.0, "pageNum": 1},
        {"pageSize": True, "pageNum": 1},
    ],
)
async def test_pages_that_cannot_be(shop: Shop, home: Home, params: dict[str, Any]) -> None:
    assert (await shop.app.call(LIST, params, home.token)).code == 460


async def test_the_filter_offers_what_is_published_and_unbound(shop: Shop, home: Home) -> None:
    asked = [named(COMBO), named(GATEWAY), {"productKey": "a1Hidden000", "deviceName": "draft-01"}]
    data = (await shop.app.call(FILTER, {"iotDevices": asked}, home.token)).data
    [offer] = data
    assert offer == named(COMBO) | {
        "productName": "Kettle",
        "netType": 3,
        "nodeType": 0,
        "categoryKey": "",
        "categoryName": "",
        "categoryId": 0,
    }
    for wrong in ([], [named(COMBO)] * 51, [{"productKey": "a1ComboPrdK"}], "all", None):
        assert (await shop.app.call(FILTER, {"iotDevices": wrong}, home.token)).code == 460


async def test_a_token_is_checked_and_binds_once(shop: Shop, home: Home) -> None:
    token = await shop.report(home)
    data = (await shop.app.call(CHECK, {"token": token}, home.token, api_ver="1.0.9")).data
    assert data == named(GATEWAY) | {"iotId": home.gateway}
    bind = named(GATEWAY) | {"token": token, "homeId": home.account.home}
    assert (await shop.app.call(BIND, bind, home.token, request_id="a")).data == home.gateway
    told = await shop.app.call(BIND, bind, home.token, request_id="b")
    assert (told.code, told.document["message"], told.document["data"]) == (6608, "token not found", None)
    assert (await shop.app.call(CHECK, {"token": token}, home.token)).code == 6608


async def test_what_a_token_check_refuses(shop: Shop, home: Home) -> None:
    token = await shop.report(home)
    codes: list[tuple[dict[str, Any], int]] = [
        ({"token": token, "deviceName": GATEWAY.device_name}, 460),
        ({}, 460),
        ({"token": 5}, 460),
        ({"token": "0" * 32}, 6608),
        ({"token": "nothing"}, 6608),
        ({"token": token} | named(OTHER_GATEWAY), 6608),
        ({"token": token, "productKey": GATEWAY.product_key}, 200),
    ]
    for params, code in codes:
        assert (await shop.app.call(CHECK, params, home.token)).code == code, params
    shop.clock.move(121)
    assert (await shop.app.call(CHECK, {"token": token}, home.token)).code == 6608


async def test_newer_versions_are_told_an_object(shop: Shop, home: Home) -> None:
    for api_ver in ("1.0.9", "1.0.10", "2.0"):
        bind = named(GATEWAY) | {"token": await shop.report(home)}
        data = (await shop.app.call(BIND, bind, home.token, api_ver=api_ver)).data
        assert data == {"iotId": home.gateway, "categoryKey": "", "pageRouterUrl": ""}
    for api_ver in ("1.0.0", "1.0.3", "1.0"):
        bind = named(GATEWAY) | {"token": await shop.report(home)}
        assert (await shop.app.call(BIND, bind, home.token, api_ver=api_ver)).data == home.gateway


async def test_the_bind_window_ends(shop: Shop, home: Home) -> None:
    params = named(SUB) | {"homeId": "h"}
    assert (await shop.app.call(WINDOW, params, home.token)).data == home.ids["sub"]
    shop.clock.move(601)
    assert (await shop.app.call(WINDOW, params, home.token)).code == 6608
    unknown = {"productKey": "a1Nothing00", "deviceName": "thing-01"}
    assert (await shop.app.call(WINDOW, unknown, home.token)).code == 5005
    assert (await shop.app.call(WINDOW, named(COMBO), home.token)).code == 6100
    assert (await shop.app.call(WINDOW, {"productKey": "a1SubProdKy"}, home.token)).code == 460


async def test_keys_are_those_of_the_document(shop: Shop, home: Home) -> None:
    secret, random = PRODUCT_SECRETS["a1BleProdKy"].encode(), bytes.fromhex(RANDOM)
    mac = bytes.fromhex(MAC.replace(":", ""))
    named_lamp = {
        "productId": "aa7ab",
        "deviceName": "aabbcc001122",
        "random": RANDOM,
        "params": {"mac": MAC},
    }
    expected = {
        None: hashlib.sha256(secret + b"\x2c" + random),
        3: hashlib.sha256(secret + b"\x2c" + random),
        6: hashlib.sha256(secret + b"\x2c" + mac + b"\x2c" + random),
    }
    for kind, digest in expected.items():
        params = {"deviceInfoForCipher": named_lamp | {"cipherType": kind}}
        assert (await shop.app.call(CIPHER, params, home.token)).data == digest.hexdigest()
    for wrong, code in ((4, 6100), (7, 6100), (5, 460), ("3", 460)):
        given: dict[str, Any] = {"deviceInfoForCipher": named_lamp | {"cipherType": wrong}}
        assert (await shop.app.call(CIPHER, given, home.token)).code == code
    unknown = {"deviceInfoForCipher": named_lamp | {"productId": "1"}}
    assert (await shop.app.call(CIPHER, unknown, home.token)).code == 5005
    assert (await shop.app.call(CIPHER, {}, home.token)).code == 460


async def test_a_permit_reaches_the_gateway(shop: Shop, home: Home) -> None:
    for time in (0, 1, 60, 65534, 65535):
        params = {"iotId": home.gateway, "productKey": "a1SubProdKy", "time": time}
        assert (await shop.app.call(PERMIT, params, home.token)).data is None
        assert home.line.downlinks(alink.PERMIT)[-1] == {"productKey": "a1SubProdKy", "time": time}
    assert (await shop.app.call(PERMIT, {"iotId": home.gateway, "time": 5}, home.token)).code == 200
    assert home.line.downlinks(alink.PERMIT)[-1] == {"time": 5}
    count = len(home.line.downlinks(alink.PERMIT))
    for wrong in (-1, 65536, 1.5, "60", None):
        given = {"iotId": home.gateway, "productKey": "a1SubProdKy", "time": wrong}
        assert (await shop.app.call(PERMIT, given, home.token)).code == 460
    assert (await shop.app.call(PERMIT, {"iotId": "nothing", "time": 5}, home.token)).code == 6100
    assert len(home.line.downlinks(alink.PERMIT)) == count
    assert home.line.session is not None
    shop.service.disconnect(home.line.session)
    assert (await shop.app.call(PERMIT, {"iotId": home.gateway, "time": 5}, home.token)).code == 6205


@pytest.mark.parametrize("spelling", ["subIotId", "subIotid"])
async def test_a_removal_tells_the_gateway(shop: Shop, home: Home, spelling: str) -> None:
    params = {"iotId": home.gateway, spelling: home.ids["sub"]}
    assert (await shop.app.call(REMOVE, params, home.token)).data is None
    assert home.line.downlinks(alink.TOPO_CHANGE) == [{"status": 1, "subList": [named(SUB)]}]
    assert (await shop.app.call(REMOVE, params, home.token)).code == 6401
    nothing = {"iotId": home.gateway, spelling: "nothing"}
    assert (await shop.app.call(REMOVE, nothing, home.token)).code == 6100
    assert (await shop.app.call(REMOVE, {"iotId": home.gateway}, home.token)).code == 460


async def test_a_checkin_starts_the_enrollee(shop: Shop, home: Home) -> None:
    data = (await shop.app.call(CHECKIN, {"enrolleeId": LAMP_ID}, home.token)).data
    [checkin] = home.line.downlinks(alink.CHECKIN)
    assert isinstance(checkin, dict)
    assert (data["regIotId"], data["token"]) == (home.gateway, checkin["token"])
    listed = (await shop.app.call(LIST, {"pageSize": 9, "pageNum": 1}, home.token)).data["items"]
    assert [item["status"] for item in listed] == [1]
    assert (await shop.app.call(CHECKIN, {"enrolleeId": "ble:none"}, home.token)).code == 6100
    assert (await shop.app.call(CHECKIN, {}, home.token)).code == 460


async def test_the_id_comes_back_as_text(shop: Shop, home: Home) -> None:
    params = {"pageSize": 1, "pageNum": 1}
    for sent, echoed in (("x-1", "x-1"), (1508212818676, "1508212818676"), ("客厅灯", "客厅灯"), ("", "")):
        told = await shop.app.call(LIST, params, home.token, request_id=sent)
        assert told.document["id"] == echoed
        refused = await shop.app.call(LIST, {}, home.token, request_id=sent)
        assert (refused.code, refused.document["id"]) == (460, echoed)
    document = envelope(params, home.token)
    del document["id"], document["version"]
    assert (await shop.app.post(LIST, document)).document["id"] == ""


@pytest.mark.parametrize("api_ver", ["0.9", "1", "1.0.x", "", "1.0.٧", None, 1.0])
async def test_versions_that_are_none(shop: Shop, home: Home, api_ver: object) -> None:
    document = envelope({"pageSize": 1, "pageNum": 1}, home.token)
    document["request"]["apiVer"] = api_ver
    assert (await shop.app.post(LIST, document)).code == 460


async def test_unknown_paths(shop: Shop, home: Home) -> None:
    for path in ("/", "/awss/token/check/", "/awss/token", "/AWSS/token/check", "/awss/token%2Fcheck"):
        told = await shop.app.call(path, {}, home.token, request_id="7")
        assert (told.code, told.document["id"]) == (20003, "7"), path
    unsigned = await shop.app.send("/favicon.ico", b"", {})
    assert (unsigned.code, unsigned.document["id"]) == (20003, "")


async def test_only_post(shop: Shop, home: Home) -> None:
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH"):
        told = await shop.app.send(LIST, b"{}", {}, method)
        assert (told.status, told.headers.get("allow")) == (405, "POST"), method


async def test_bodies_that_are_no_call(shop: Shop, home: Home) -> None:
    assert (await shop.app.post(CHECK, b"", without=("content-md5",))).code == 400
    for body, code in ((b"null", 400), (b"[]", 400), (b"{", 400), (b"\xff", 400), (b"{}", 460)):
        assert (await shop.app.post(CHECK, body)).code == code, body


# Two accounts: what belongs to one is invisible to the other.


async def test_another_account_sees_and_moves_nothing(shop: Shop, home: Home) -> None:
    other = await shop.settle("other", OTHER_GATEWAY)
    ids = {"iotId": home.gateway, "subIotId": home.ids["sub"]}
    cipher = named(SUB) | {"cipherType": 4, "random": RANDOM}
    refusals: dict[str, tuple[dict[str, Any], int]] = {
        CHECKIN: ({"enrolleeId": LAMP_ID}, 6100),
        BIND: (named(GATEWAY) | {"token": await shop.report(home)}, 6608),
        WINDOW: (named(GATEWAY), 6100),
        CIPHER: ({"deviceInfoForCipher": cipher}, 6100),
        PERMIT: ({"iotId": home.gateway, "time": 60}, 6100),
        REMOVE: (ids, 6100),
    }
    before, arrived = dump(shop.directory), len(home.line.received)
    for path, (params, code) in refusals.items():
        assert (await shop.app.call(path, params, other.token)).code == code, path
    assert (await shop.app.call(LIST, {"pageSize": 9, "pageNum": 1}, other.token)).data["totalNum"] == 0
    offered = (await shop.app.call(FILTER, {"iotDevices": [named(SUB), named(GATEWAY)]}, other.token)).data
    assert offered == [], "bound devices of others, and those behind their gateways, are not offered"
    own = {"iotId": other.gateway, "subIotId": home.ids["sub"]}
    assert (await shop.app.call(REMOVE, own, other.token)).code in (6100, 6401)
    assert (dump(shop.directory), len(home.line.received)) == (before, arrived)


@pytest.mark.parametrize("code", [401, 460, 2401, 2459, 29003])
async def test_a_token_that_is_not_valid(tmp_path: Path, code: int) -> None:
    from agent.service.values import ServiceSettings

    async with shop_at(tmp_path, settings=ServiceSettings(token_code=code)) as shop:
        home = await shop.furnish()
        before = dump(tmp_path)
        for path in NINE:
            for token in (None, "", "0" * 32, "'", home.token.upper() + "x"):
                told = await shop.app.call(path, {}, token)
                assert (told.code, told.document["data"]) == (code, None), (path, token)
        assert dump(tmp_path) == before


async def test_secrets_are_in_no_answer_but_theirs(shop: Shop, home: Home) -> None:
    told = [
        await shop.app.call(path, {"token": "x", "iotId": "x"}, home.token) for path in (*NINE, *SESSIONS)
    ]
    text = json.dumps([answer.document for answer in told])
    for secret in (shop.app.secret, home.account.auth_code, home.token, str(home.session["refreshToken"])):
        assert secret not in text
    assert shop.app.secret not in repr(shop.service.app)
