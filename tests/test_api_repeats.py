"""Which calls of the HTTP API are sent again, when, and what a lost bind comes to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.cloud.api import ApiClient
from agent.cloud.api_line import HttpRefused, Unanswered, Undone, Unreachable
from agent.cloud.api_values import Binding, TokenOwner
from agent.codec import apigw
from agent.errors import CloudRefused
from tests.api_play import (
    BIND,
    BIND_TOKEN,
    BULB,
    CHECK,
    CHECKIN,
    CIPHER,
    FILTER,
    GOOD,
    LIST,
    OWNER,
    PERMIT,
    REMOVE,
    SECRET,
    SENT_AT,
    WINDOW_BIND,
    Use,
    client_of,
    play,
    wifi_key,
)
from tests.api_recorder import DROP, HANG, LOGIN, Raw, Recorder, data, error, grant
from tests.jumping import JumpingClock, run_jumping

PASSING = [Raw(500), Raw(503), Raw(504), Raw(429), DROP, HANG, Raw(200, b"<html>"), error(503), error(429)]


@pytest.mark.parametrize("trouble", PASSING, ids=repr)
@pytest.mark.parametrize(
    ("path", "ask"),
    [
        (LIST, lambda c: c.list_enrollees()),
        (FILTER, lambda c: c.filter_products([BULB])),
        (CHECK, lambda c: c.check_token("t")),
        (CIPHER, wifi_key),
        (LOGIN, lambda c: c.check_token("t")),
    ],
)
def test_a_question_is_asked_again_with_the_same_body_and_a_new_signature(
    path: str, ask: Use, trouble: Any
) -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        await ask(client)

    good = GOOD | {LOGIN: [grant()]}
    first, second, third = play({path: [trouble, trouble, *good[path]]}, use).of(path)
    assert first.body == second.body == third.body
    for name in ("x-ca-nonce", "x-ca-signature"):
        assert len({request.header(name) for request in (first, second, third)}) == 3
    received = apigw.ReceivedRequest("POST", third.path, third.headers, third.body)
    apigw.verify(received, {"23270001": SECRET}.get, utc=SENT_AT)


def test_the_pauses_grow_and_end() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        await client.check_token("t")
        began = clock.boot()
        with pytest.raises(Unanswered, match=r"/awss/token/check: HTTP status 503$"):
            await client.check_token("t")
        assert clock.boot() - began == pytest.approx(7, abs=0.5)

    recorder = play({CHECK: [data(OWNER), Raw(503)]}, use)
    assert len(recorder.of(CHECK)) == 5
    dates = [apigw.read_date(request.header("date")) for request in recorder.of(CHECK)[1:]]
    assert [date - dates[0] for date in dates] == [0, 1, 3, 7]


PERMANENT = [Raw(400), Raw(401), Raw(403), Raw(404), Raw(301, headers=(("Location", "/x"),)), Raw(204)]


@pytest.mark.parametrize("trouble", PERMANENT, ids=repr)
def test_a_permanent_refusal_is_not_asked_again(trouble: Raw) -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        with pytest.raises(HttpRefused) as caught:
            await client.check_token("t")
        assert caught.value.code == trouble.status

    assert play({CHECK: [trouble]}, use).paths == [LOGIN, CHECK]


DEEDS: list[tuple[str, Use]] = [
    (PERMIT, lambda c: c.permit("gw", None, 60)),
    (REMOVE, lambda c: c.remove_subdevice("gw", "sub")),
    (CHECKIN, lambda c: c.start_checkin("x")),
]


@pytest.mark.parametrize("trouble", [Raw(500), Raw(503), DROP, HANG, Raw(200, b""), error(500)], ids=repr)
@pytest.mark.parametrize(("path", "do"), DEEDS)
def test_a_deed_is_not_repeated_once_it_may_have_been_done(path: str, do: Use, trouble: Any) -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        with pytest.raises(Unanswered):
            await do(client)

    assert play({path: [trouble]}, use).paths == [LOGIN, path]


@pytest.mark.parametrize("trouble", [Raw(429), error(429)], ids=repr)
@pytest.mark.parametrize(("path", "do"), DEEDS)
def test_a_deed_that_was_not_done_is_tried_again(path: str, do: Use, trouble: Any) -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        await do(client)
        recorder.answers[path] = [trouble]
        with pytest.raises(Undone):
            await do(client)

    good = {CHECKIN: GOOD[CHECKIN]}.get(path, [data(None)])
    assert len(play({path: [trouble, trouble, *good]}, use).of(path)) == 3 + 4


async def find_closed_port() -> str:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_nobody_there_is_unreachable_after_all_tries() -> None:
    async def main() -> None:
        clock = JumpingClock()
        client = client_of(Recorder(), clock, url=await find_closed_port())
        with pytest.raises(Unreachable, match="no connection"):
            await client.permit("gw", None, 60)
        assert clock.boot() == pytest.approx(1007, abs=0.5)

    run_jumping(main())


def test_patience_ends() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        await client.check_token("t")
        began = clock.boot()
        with pytest.raises(Unanswered, match="no answer within 20 s"):
            await client.permit("gw", None, 60)
        assert clock.boot() - began == pytest.approx(20, abs=1)

    play({PERMIT: [HANG]}, use)


def test_a_call_can_be_cancelled() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await client.permit("gw", None, 60)
        assert await client.check_token("t") == TokenOwner(BULB, "iot-1")

    assert play({PERMIT: [HANG]}, use).paths == [LOGIN, PERMIT, CHECK]


# Binds whose answer got lost.

LOST = [Raw(500), Raw(504), DROP, HANG, Raw(200, b"?"), error(500)]
lost = pytest.mark.parametrize("trouble", LOST, ids=repr)


async def bind(client: ApiClient) -> Binding:
    return await client.bind_by_token(BULB, BIND_TOKEN)


@lost
def test_a_lost_bind_with_a_live_token_was_not_done_and_is_sent_again(trouble: Any) -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        assert await bind(client) == Binding("iot-1")

    recorder = play({BIND: [trouble, data("iot-1")]}, use)
    assert recorder.paths == [LOGIN, BIND, CHECK, BIND]
    first, second = recorder.of(BIND)
    assert first.body == second.body
    assert recorder.of(CHECK)[0].content["params"] == {
        "token": BIND_TOKEN,
        "productKey": "a1QdKm5axuO",
        "deviceName": "test_004",
    }


@lost
def test_a_lost_bind_is_done_when_token_and_offer_are_gone(trouble: Any) -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        assert await bind(client) == Binding(None)

    script = {BIND: [trouble], CHECK: [error(6608)], FILTER: [data([])]}
    assert play(script, use).paths == [LOGIN, BIND, CHECK, FILTER]


@lost
def test_a_lost_bind_is_refused_when_the_token_is_gone_and_the_device_is_not(trouble: Any) -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        with pytest.raises(CloudRefused) as caught:
            await bind(client)
        assert caught.value.code == 6608

    assert play({BIND: [trouble], CHECK: [error(6608)]}, use).paths == [LOGIN, BIND, CHECK, FILTER]


def test_a_lost_bind_that_arrives_late_is_done() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        assert await bind(client) == Binding(None)

    recorder = play({BIND: [DROP, error(6608)], FILTER: [data([])]}, use)
    assert recorder.paths == [LOGIN, BIND, CHECK, BIND, FILTER]


def test_a_bind_that_is_lost_twice_is_left_to_the_caller() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        with pytest.raises(Unanswered):
            await bind(client)

    assert play({BIND: [DROP]}, use).paths == [LOGIN, BIND, CHECK, BIND]


def test_a_bind_that_is_refused_is_refused() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        for _ in range(2):
            with pytest.raises(CloudRefused):
                await bind(client)

    script = {BIND: [error(2066), error(6608)]}
    assert play(script, use).paths == [LOGIN, BIND, BIND]


@lost
def test_a_lost_bind_by_window_looks_at_the_offer(trouble: Any) -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        assert await client.bind_in_window(BULB) == Binding("iot-1")
        recorder.answers |= {WINDOW_BIND: [trouble], FILTER: [data([])]}
        assert await client.bind_in_window(BULB) == Binding(None)

    recorder = play({WINDOW_BIND: [trouble, data("iot-1")]}, use)
    assert recorder.paths == [LOGIN, WINDOW_BIND, FILTER, WINDOW_BIND, WINDOW_BIND, FILTER]
