"""The official Python client, unmodified, against the running daemon: all calls, their errors and effects."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.http_daemon import GATEWAY, PLUG, create_account, furnish, living
from tests.official.client import Official, official
from tests.test_daemon_process import Process, soon
from tests.world import Site

pytestmark = pytest.mark.skipif(
    os.environ.get("ENROLLD_TEST_ALL") != "1",
    reason="installs the official client; set ENROLLD_TEST_ALL=1 (make test-all)",
)

RANDOM = "000102030405060708090a0b0c0d0e0f"
PAGE = {"pageSize": 20, "pageNum": 1}
LIST, FILTER = ("/awss/enrollee/list/get", "1.0.7"), ("/awss/enrollee/product/filter", "1.0.7")
CHECK, BIND = "/awss/token/check", "/awss/token/user/bind"
WINDOW, CIPHER = "/awss/time/window/user/bind", "/awss/cipher/get"
PERMIT, REMOVE = "/thing/gateway/permit", "/thing/topo/remove"
LOGIN, REFRESH = "/account/createSessionByAuthCode", "/account/checkOrRefreshSession"
LOGOUT = "/iotx/account/invalidSession"


async def log_in(client: Official, account: dict[str, Any]) -> dict[str, Any]:
    request = {
        "authCode": account["auth_code"],
        "accountType": "OA_SESSION",
        "appKey": account["app_key"],
    }
    session = await client.data(LOGIN, {"request": request}, "1.0.4", token=None)
    client.token = session["iotToken"]
    return dict(session)


async def token_of(site: Site, name: str) -> str | None:
    """The token of a device that the gateway has reported, as a phone beside the device is told it."""
    db = sqlite3.connect(site.state / "enrolld.db")
    try:
        rows = db.execute(
            "SELECT hex(value) FROM tokens WHERE device_name = ? AND state = 'reported'", (name,)
        ).fetchall()
    finally:
        db.close()
    return rows[-1][0] if rows else None


async def find_row(daemon: Process, name: str) -> dict[str, Any] | None:
    rows = (await daemon.read.get("/v1/subdevices"))["subdevices"]
    return next((row for row in rows if row["device_name"] == name), None)


async def windows(daemon: Process) -> list[dict[str, Any]]:
    return list((await daemon.read.get("/v1/permits"))["windows"])


async def denied(daemon: Process) -> list[str]:
    return list((await daemon.read.get("/v1/permits"))["denied"])


async def test_the_official_client(tmp_path: Path) -> None:
    site = furnish(tmp_path)
    async with living(site) as daemon:
        account, stranger = await create_account(site, "owner"), await create_account(site, "stranger")
        async with official(account) as client:
            session = await log_in(client, account)
            gateway = await bind_gateway(client, account)
            await see_the_list(client)
            await filter_and_keys(client, site)
            sub = await let_the_plug_in(client, site, daemon, gateway, account)
            await take_it_out(client, daemon, gateway, sub)
            await see_nothing(client, stranger, gateway, sub)
            await end_sessions(client, account, session)
            await knock_wrongly(client)
        assert "Traceback" not in daemon.log
        for secret in (account["app_secret"], account["auth_code"], session["iotToken"]):
            assert secret not in daemon.log
        assert (await daemon.end())[0] == 0


async def bind_gateway(client: Official, account: dict[str, Any]) -> str:
    home = {"homeId": account["home_id"]}
    assert await client.code(WINDOW, {"productKey": "a1Nothing00", "deviceName": "thing"}, "1.0.8") == 5005
    assert await client.code(WINDOW, {"productKey": "a1DemoPlug1", "deviceName": "plug-99"}, "1.0.8") == 6100
    assert await client.code(WINDOW, home, "1.0.8") == 460
    gateway = await client.data(WINDOW, GATEWAY | home, "1.0.8")
    assert len(gateway) == 32
    return str(gateway)


async def see_the_list(client: Official) -> None:
    async def listed() -> list[dict[str, Any]]:
        return list((await client.data(LIST[0], PAGE, LIST[1]))["items"])

    items = await soon(listed)
    assert items[0]["regDeviceName"] == GATEWAY["deviceName"]
    assert isinstance(items[0]["rssi"], str)
    for wrong in ({}, {"pageSize": 100, "pageNum": 1}, {"pageSize": 1, "pageNum": 0}):
        assert await client.code(LIST[0], wrong, LIST[1]) == 460


async def filter_and_keys(client: Official, site: Site) -> None:
    offered = await client.data(FILTER[0], {"iotDevices": [PLUG, GATEWAY]}, FILTER[1])
    assert [entry["deviceName"] for entry in offered] == ["plug-01"]
    assert await client.code(FILTER[0], {"iotDevices": "客厅灯"}, FILTER[1]) == 460
    info = PLUG | {"cipherType": 4, "random": RANDOM, "params": {}}
    secret = site.secrets["device_secret.a1DemoPlug1.plug-01"].encode()
    expected = hashlib.sha256(secret + b"," + bytes.fromhex(RANDOM)).hexdigest()
    assert await client.data(CIPHER, {"deviceInfoForCipher": info}, "1.0.7") == expected
    for change, code in (({"cipherType": 5}, 460), ({"productKey": "x"}, 5005), ({"deviceName": "x"}, 6100)):
        assert await client.code(CIPHER, {"deviceInfoForCipher": info | change}, "1.0.7") == code


async def let_the_plug_in(
    client: Official, site: Site, daemon: Process, gateway: str, account: dict[str, Any]
) -> str:
    assert await find_row(daemon, "plug-01") is None, "it asks all the time, and the window is closed"
    permit = {"iotId": gateway, "productKey": "a1DemoPlug1", "time": 60}
    for change, code in (({"time": 65536}, 460), ({"time": 1.5}, 460), ({"iotId": "nothing"}, 6100)):
        assert await client.code(PERMIT, permit | change, "1.0.2") == code
    assert await windows(daemon) == []
    assert await client.data(PERMIT, permit, "1.0.2") is None
    [window] = await soon(lambda: windows(daemon))
    assert (window["product_key"], window["by"]) == ("a1DemoPlug1", "cloud")
    await daemon.until("subdevice_online")
    token = await soon(lambda: token_of(site, "plug-01"))
    owner = await client.data(CHECK, {"token": token}, "1.0.9", id=1508212818676)
    assert owner.items() >= PLUG.items()
    assert await client.code(CHECK, {"token": "0" * 32}, "1.0.9") == 6608
    assert await client.code(CHECK, {"token": token, "deviceName": "plug-01"}, "1.0.9") == 460
    bind = PLUG | {"token": token, "homeId": account["home_id"]}
    assert await client.data(BIND, bind, "1.0.8", id="77") == owner["iotId"]
    assert await client.data(BIND, bind, "1.0.8", id="77") == owner["iotId"], "a repeat, nonce and date anew"
    assert await client.code(BIND, bind, "1.0.8", id="78") == 6608
    await daemon.until("subdevice_bound")
    return str(owner["iotId"])


async def take_it_out(client: Official, daemon: Process, gateway: str, sub: str) -> None:
    await client.data(PERMIT, {"iotId": gateway, "productKey": "a1DemoPlug1", "time": 65535}, "1.0.2")
    assert await soon(lambda: denied(daemon)) == ["a1DemoPlug1"]
    assert await client.code(REMOVE, {"iotId": gateway, "subIotId": "nothing"}, "1.0.2") == 6100
    assert await client.code(REMOVE, {"iotId": gateway}, "1.0.2") == 460
    assert await client.data(REMOVE, {"iotId": gateway, "subIotId": sub}, "1.0.2") is None
    await daemon.until("subdevice_removed")
    assert await find_row(daemon, "plug-01") is None
    assert await client.code(REMOVE, {"iotId": gateway, "subIotid": sub}, "1.0.2") == 6401


async def see_nothing(client: Official, stranger: dict[str, Any], gateway: str, sub: str) -> None:
    mine = client.token
    await log_in(client, stranger)
    assert (await client.data(LIST[0], PAGE, LIST[1]))["totalNum"] == 0
    assert await client.code(PERMIT, {"iotId": gateway, "time": 60}, "1.0.2") == 6100
    assert await client.code(REMOVE, {"iotId": gateway, "subIotId": sub}, "1.0.2") == 6100
    assert await client.code(WINDOW, GATEWAY, "1.0.8") == 6100
    client.token = mine


async def end_sessions(client: Official, account: dict[str, Any], session: dict[str, Any]) -> None:
    keys = {"identityId": session["identityId"], "refreshToken": session["refreshToken"]}
    renewed = await client.data(REFRESH, {"request": keys}, "1.0.4", token=None)
    assert await client.code(LIST[0], PAGE, LIST[1]) == 401, "the old token is void"
    client.token = renewed["iotToken"]
    assert await client.code(LIST[0], PAGE, LIST[1]) == 200
    wrong = keys | {"identityId": "0" * 32}
    assert await client.code(REFRESH, {"request": wrong}, "1.0.4", token=None) == 2401
    assert await client.data(LOGOUT, {"request": keys}, "1.0.4", token=None) is None
    assert await client.code(LIST[0], PAGE, LIST[1]) == 401
    assert await client.code(LOGOUT, {"request": keys}, "1.0.4", token=None) == 2459
    login = {"authCode": "wrong", "accountType": "OA_SESSION"}
    assert await client.code(LOGIN, {"request": login}, "1.0.4", token=None) == 2462
    login = {"authCode": account["auth_code"], "accountType": "OTHER"}
    assert await client.code(LOGIN, {"request": login}, "1.0.4", token=None) == 2461


async def knock_wrongly(client: Official) -> None:
    assert await client.code("/awss/nothing", {}, "1.0.0") == 20003
    signed = await client.call(CHECK, {}, "1.0.9", headers={"x-ca-stage": "RELEASE", "X-Custom": "Q"})
    assert signed["status"] == 200, "further headers are signed too"
    old = await client.call(CHECK, {}, "1.0.9", headers={"date": "Thu, 06 Feb 2020 07:32:54 GMT"})
    assert (old["status"], header(old, "x-ca-error-message")) == (400, "Timestamp Expired")
    key = await client.call(CHECK, {}, "1.0.9", headers={"x-ca-key": "1"})
    assert (key["status"], header(key, "x-ca-error-message")) == (400, "Invalid AppKey")
    nonce = {"x-ca-nonce": "the same"}
    assert (await client.call(CHECK, {}, "1.0.9", headers=nonce))["status"] == 200
    repeated = await client.call(CHECK, {}, "1.0.9", headers=nonce)
    assert (repeated["status"], header(repeated, "x-ca-error-message")) == (400, "Nonce Used")


def header(answer: dict[str, Any], name: str) -> str | None:
    return {key.lower(): value for key, value in answer["headers"].items()}.get(name)
