"""The session of the HTTP API: opened once, refreshed in time, opened anew when gone."""

from __future__ import annotations

import asyncio

import pytest

from agent.cloud.api import ApiClient
from agent.errors import CloudBusy, CloudRefused
from tests.api_play import CHECK, LIST, LOGOUT, OWNER, PERMIT, REFRESH, play
from tests.api_recorder import LOGIN, TOKEN, Raw, Recorder, data, error, grant
from tests.jumping import JumpingClock


def test_one_session_serves_many_calls_also_at_once() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(client.check_token("t"))
        await client.check_token("t")

    recorder = play({}, use)
    assert len(recorder.of(LOGIN)) == 1
    assert len(recorder.of(CHECK)) == 6
    assert {request.content["request"]["iotToken"] for request in recorder.of(CHECK)} == {TOKEN}


def test_a_session_is_refreshed_before_it_ends() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        for pause in (0, 53_000, 2_000, 55_000):
            await clock.sleep(pause)
            await client.check_token("t")

    recorder = play({REFRESH: [grant("second-token"), data({"iotToken": "third-token"})]}, use)
    assert recorder.paths == [LOGIN, CHECK, CHECK, REFRESH, CHECK, REFRESH, CHECK]
    tokens = [request.content["request"]["iotToken"] for request in recorder.of(CHECK)]
    assert tokens == [TOKEN, TOKEN, "second-token", "third-token"]


def test_a_refresh_that_is_refused_becomes_a_login() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        await client.check_token("t")
        await clock.sleep(80_000)
        await client.check_token("t")

    recorder = play({REFRESH: [error(2401)]}, use)
    assert recorder.paths == [LOGIN, CHECK, REFRESH, LOGIN, CHECK]


def test_while_a_refresh_gets_no_answer_the_old_session_serves_to_its_end() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        await client.check_token("t")
        await clock.sleep(60_000)
        await client.check_token("t")
        await clock.sleep(20_000)
        with pytest.raises(CloudBusy):
            await client.check_token("t")

    recorder = play({REFRESH: [Raw(503)]}, use)
    assert len(recorder.of(CHECK)) == 2
    assert len(recorder.of(LOGIN)) == 1


@pytest.mark.parametrize("code", [401, 460, 2401, 2459, 29003])
def test_a_session_that_is_gone_is_opened_anew_once(code: int) -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        await client.check_token("t")
        await client.permit("gw", None, 60)
        with pytest.raises(CloudRefused) as caught:
            await client.check_token("t")
        assert caught.value.code == code

    again = {PERMIT: [error(code), data(None)], CHECK: [data(OWNER), error(code)]}
    recorder = play(again | {LOGIN: [grant("first-token"), grant("second-token")]}, use)
    assert recorder.paths == [LOGIN, CHECK, PERMIT, LOGIN, PERMIT, CHECK, LOGIN, CHECK]
    assert [r.content["request"]["iotToken"] for r in recorder.of(PERMIT)] == ["first-token", "second-token"]


def test_a_session_just_opened_is_not_blamed() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        with pytest.raises(CloudRefused) as caught:
            await client.list_enrollees(0, 1000)
        assert caught.value.code == 460

    assert play({LIST: [error(460)]}, use).paths == [LOGIN, LIST]


def test_a_login_that_is_refused_is_told() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        with pytest.raises(CloudRefused, match="authCode invalid") as caught:
            await client.check_token("t")
        assert caught.value.code == 2462

    assert play({LOGIN: [error(2462, "authCode invalid")]}, use).paths == [LOGIN]


def test_logging_out_ends_the_session_and_the_next_call_logs_in() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        await client.close()
        await client.check_token("t")
        await client.close()
        await client.check_token("t")

    recorder = play({}, use)
    assert recorder.paths == [LOGIN, CHECK, LOGOUT, LOGIN, CHECK]
    assert recorder.of(LOGOUT)[0].content["params"]["request"]["iotToken"] == TOKEN
