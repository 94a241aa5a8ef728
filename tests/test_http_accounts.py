"""Sessions of accounts over HTTP: opened by authCode, refreshed, expired, ended; digests only on the disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agent.service.book_logins import MOST
from tests.http_world import FILTER, LIST, LOGIN, LOGOUT, REFRESH, Home, SetClock, Shop, shop_at
from tests.service_world import COMBO, OTHER_GATEWAY, dump, named

PAGE = {"pageSize": 9, "pageNum": 1}
TOKEN_LIFE, REFRESH_LIFE = 72000, 720000


@pytest_asyncio.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_at(tmp_path) as shop:
        yield shop


@pytest_asyncio.fixture
async def home(shop: Shop) -> Home:
    return await shop.furnish()


async def code_of(shop: Shop, token: object) -> int:
    return (await shop.app.call(LIST, PAGE, str(token))).code


def keys_of(session: dict[str, Any]) -> dict[str, str]:
    return {"identityId": session["identityId"], "refreshToken": session["refreshToken"]}


async def refresh(shop: Shop, request: object) -> Any:
    return await shop.app.call(REFRESH, {"request": request}, api_ver="1.0.4")


async def test_a_session(shop: Shop, home: Home) -> None:
    session = home.session
    assert set(session) == {
        "identityId",
        "iotToken",
        "iotTokenExpire",
        "refreshToken",
        "refreshTokenExpire",
    }
    assert (session["iotTokenExpire"], session["refreshTokenExpire"]) == (TOKEN_LIFE, REFRESH_LIFE)
    assert session["identityId"] == home.account.identity
    assert len(bytes.fromhex(session["iotToken"])) == len(bytes.fromhex(session["refreshToken"])) == 16
    text = "\n".join(dump(shop.directory))
    for secret in (session["iotToken"], session["refreshToken"], home.account.auth_code):
        assert secret not in text, "digests only are kept"
        assert secret.encode().hex().upper() not in text


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"authCode": "wrong"}, 2462),
        ({"authCode": None}, 460),
        ({"authCode": 5}, 460),
        ({"accountType": "ADMIN"}, 2461),
        ({"accountType": None}, 2461),
        ({"accountType": "OA_TOKEN"}, 200),
        ({"appKey": "12345678"}, 403),
        ({"appKey": None}, 200),
    ],
)
async def test_who_may_open_one(shop: Shop, home: Home, change: dict[str, object], code: int) -> None:
    request = {"authCode": home.account.auth_code, "accountType": "OA_SESSION", "appKey": shop.app.key}
    before = dump(shop.directory)
    told = await shop.app.call(LOGIN, {"request": request | change}, api_ver="1.0.4")
    assert told.code == code
    assert (dump(shop.directory) == before) == (code != 200)
    assert (await shop.app.call(LOGIN, {}, api_ver="1.0.4")).code == 460
    assert (await shop.app.call(LOGIN, {"request": []}, api_ver="1.0.4")).code == 460


async def test_a_token_ends_by_the_clock(shop: Shop, home: Home) -> None:
    shop.clock.move(TOKEN_LIFE - 5)
    assert await code_of(shop, home.token) == 200
    shop.clock.move(6)
    assert await code_of(shop, home.token) == 401
    renewed = (await refresh(shop, keys_of(home.session))).data
    assert await code_of(shop, renewed["iotToken"]) == 200
    assert 0 < renewed["refreshTokenExpire"] <= REFRESH_LIFE - TOKEN_LIFE


async def test_a_refresh_voids_the_old_token(shop: Shop, home: Home) -> None:
    renewed = (await refresh(shop, keys_of(home.session))).data
    assert renewed["iotToken"] != home.token
    assert keys_of(renewed) == keys_of(home.session)
    assert await code_of(shop, home.token) == 401
    assert await code_of(shop, renewed["iotToken"]) == 200


async def test_what_cannot_be_refreshed(shop: Shop, home: Home) -> None:
    other = await shop.settle("other", OTHER_GATEWAY)
    good = keys_of(home.session)
    before = dump(shop.directory)
    for wrong in (
        good | {"identityId": other.account.identity},
        good | {"refreshToken": other.session["refreshToken"]},
        good | {"refreshToken": "0" * 32},
        good | {"refreshToken": home.token},
    ):
        assert (await refresh(shop, wrong)).code == 2401
    assert (await refresh(shop, {"identityId": good["identityId"]})).code == 460
    assert dump(shop.directory) == before
    shop.clock.move(REFRESH_LIFE + 1)
    assert (await refresh(shop, good)).code == 2401


@pytest.mark.parametrize("named_by", ["refreshToken", "params", "envelope"])
async def test_a_session_that_was_ended(shop: Shop, home: Home, named_by: str) -> None:
    ways = {"refreshToken": keys_of(home.session), "params": {"iotToken": home.token}}
    request = ways.get(named_by, {})
    token = home.token if named_by == "envelope" else None
    assert (await shop.app.call(LOGOUT, {"request": request}, token, api_ver="1.0.4")).data is None
    assert await code_of(shop, home.token) == 401
    assert (await refresh(shop, keys_of(home.session))).code == 2401
    assert (await shop.app.call(LOGOUT, {"request": request}, token, api_ver="1.0.4")).code == 2459


async def test_nobody_ends_the_session_of_another(shop: Shop, home: Home) -> None:
    other = await shop.settle("other", OTHER_GATEWAY)
    stolen = keys_of(home.session) | {"identityId": other.account.identity}
    assert (await shop.app.call(LOGOUT, {"request": stolen}, other.token)).code == 2459
    assert (await shop.app.call(LOGOUT, {"request": {}})).code == 460
    assert await code_of(shop, home.token) == 200
    assert await code_of(shop, other.token) == 200


async def test_sessions_stay_over_a_restart_and_are_of_one_account_each(tmp_path: Path) -> None:
    clock = SetClock()
    async with shop_at(tmp_path, clock=clock) as shop:
        home = await shop.furnish()
        key = (shop.app.key, shop.app.secret)
    clock.move(60)
    async with shop_at(tmp_path, clock=clock) as shop:
        assert (shop.app.key, shop.app.secret) == key, "made once, at the first start"
        assert await code_of(shop, home.token) == 200


async def test_keys_are_made_for_each_state(tmp_path: Path) -> None:
    made = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        async with shop_at(tmp_path / name) as shop:
            made |= {shop.app.key, shop.app.secret}
            assert shop.app.key.isdecimal()
            assert len(bytes.fromhex(shop.app.secret)) == 16
    assert len(made) == 4


async def test_the_oldest_of_too_many_sessions_ends(shop: Shop, home: Home) -> None:
    tokens = [home.token]
    for _ in range(MOST):
        shop.clock.move(1)
        tokens.append((await shop.app.log_in(home.account))["iotToken"])
    assert [await code_of(shop, token) for token in (tokens[0], tokens[1], tokens[-1])] == [401, 200, 200]


async def test_several_apps_of_one_account_do_not_disturb_each_other(shop: Shop, home: Home) -> None:
    second = await shop.app.log_in(home.account)
    assert (await shop.app.call(LOGOUT, {"request": keys_of(second)})).code == 200
    assert (await shop.app.call(FILTER, {"iotDevices": [named(COMBO)]}, home.token)).code == 200
