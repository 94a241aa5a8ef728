"""A bind that is sent again gets the answer of the first for a minute; a permit starts its window anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from agent.codec import alink
from tests.http_world import BIND, LOGOUT, PERMIT, WINDOW, Home, Shop, envelope, shop_at
from tests.service_world import GATEWAY, OTHER_GATEWAY, SUB, named


@pytest_asyncio.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_at(tmp_path) as shop:
        yield shop


@pytest_asyncio.fixture
async def home(shop: Shop) -> Home:
    return await shop.furnish()


async def test_the_same_bind_again_is_the_same_answer_and_one_effect(shop: Shop, home: Home) -> None:
    document = envelope(named(GATEWAY) | {"token": await shop.report(home)}, home.token, request_id="77")
    first = await shop.app.post(BIND, document)
    notices = len(home.line.downlinks(alink.NOTIFY))
    shop.clock.move(59)
    again = await shop.app.post(BIND, document)
    assert (first.data, again.document) == (home.gateway, first.document)
    assert len(home.line.downlinks(alink.NOTIFY)) == notices
    shop.clock.move(2)
    assert (await shop.app.post(BIND, document)).code == 6608, "after a minute it is a request of its own"


async def test_repeats_at_the_same_time(shop: Shop, home: Home) -> None:
    document = envelope(named(GATEWAY) | {"token": await shop.report(home)}, home.token)
    told = await asyncio.gather(*(shop.app.post(BIND, document) for _ in range(8)))
    assert [answer.data for answer in told] == [home.gateway] * 8
    assert home.line.downlinks(alink.NOTIFY)[1:] == [
        {"identifier": "awss.BindNotify", "value": {"Operation": "Bind"}}
    ]


@pytest.mark.parametrize("change", ["id", "body", "path"])
async def test_what_makes_it_another_request(shop: Shop, home: Home, change: str) -> None:
    token = await shop.report(home)
    params = named(GATEWAY) | {"token": token}
    assert (await shop.app.post(BIND, envelope(params, home.token, request_id="1"))).code == 200
    if change == "id":
        other = await shop.app.post(BIND, envelope(params, home.token, request_id="2"))
    elif change == "body":
        other = await shop.app.post(BIND, envelope(params | {"homeId": "h"}, home.token, request_id="1"))
    else:
        other = await shop.app.post(WINDOW, envelope(params, home.token, request_id="1"))
        assert other.code == 200, "in the window it binds without a token"
        return
    assert other.code == 6608


async def test_a_refusal_is_not_kept(shop: Shop, home: Home) -> None:
    token = "AB" * 16
    document = envelope(named(GATEWAY) | {"token": token}, home.token)
    assert (await shop.app.post(BIND, document)).code == 6608
    assert (await home.line.ask(alink.MATCH, {"token": token}))[0] == 200
    assert (await shop.app.post(BIND, document)).code == 200


async def test_the_bind_in_the_window_too(shop: Shop, home: Home) -> None:
    document = envelope(named(SUB), home.token)
    first = await shop.app.post(WINDOW, document)
    notices = len(home.line.received)
    assert (await shop.app.post(WINDOW, document)).document == first.document
    assert len(home.line.received) == notices


async def test_a_session_that_ended_is_told_nothing(shop: Shop, home: Home) -> None:
    document = envelope(named(GATEWAY) | {"token": await shop.report(home)}, home.token)
    assert (await shop.app.post(BIND, document)).code == 200
    assert (await shop.app.call(LOGOUT, {}, home.token)).code == 200
    assert (await shop.app.post(BIND, document)).code == 401


async def test_another_account_with_the_same_id_is_not_answered_for_the_first(shop: Shop, home: Home) -> None:
    other = await shop.settle("other", OTHER_GATEWAY)
    params = named(GATEWAY) | {"token": await shop.report(home)}
    assert (await shop.app.post(BIND, envelope(params, home.token))).code == 200
    assert (await shop.app.post(BIND, envelope(params, other.token))).code == 6608


async def test_a_permit_sent_again_restarts_the_window(shop: Shop, home: Home) -> None:
    document = envelope({"iotId": home.gateway, "time": 60}, home.token)
    for count in (1, 2, 3):
        assert (await shop.app.post(PERMIT, document)).code == 200
        assert home.line.downlinks(alink.PERMIT) == [{"time": 60}] * count
