"""A client of the HTTP API and a server that answers by a script, on jumping time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from agent.cloud.api import ApiClient
from agent.cloud.api_line import Installer, Route
from agent.model import DeviceId
from agent.ports import Clock
from tests.api_recorder import Recorder, data, recording
from tests.jumping import JumpingClock, run_jumping

SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SENT_AT = 1580974374.0
BULB = DeviceId("a1QdKm5axuO", "test_004")
BIND_TOKEN = "4786F0F6E1CC7BF86017FD4D1429EE4F"
REFRESH = "/account/checkOrRefreshSession"
LOGOUT = "/iotx/account/invalidSession"
LIST, FILTER, CHECK = "/awss/enrollee/list/get", "/awss/enrollee/product/filter", "/awss/token/check"
BIND, WINDOW_BIND = "/awss/token/user/bind", "/awss/time/window/user/bind"
CIPHER, PERMIT, REMOVE = "/awss/cipher/get", "/thing/gateway/permit", "/thing/topo/remove"
CHECKIN = "/awss/enrollee/checkin"
KEY = "00112233445566778899aabbccddeeff" * 2
OFFER = {"productKey": "a1QdKm5axuO", "deviceName": "test_004", "netType": 3}
OWNER = {"productKey": "a1QdKm5axuO", "deviceName": "test_004", "iotId": "iot-1"}
STARTED = {"regIotId": "gw", "token": "AA", "timeout": 60}
GOOD: dict[str, list[Any]] = {
    LIST: [data({"totalNum": 0, "items": []})],
    FILTER: [data([OFFER])],
    CHECK: [data(OWNER)],
    BIND: [data("iot-1")],
    WINDOW_BIND: [data({"iotId": "iot-1", "categoryKey": "", "pageRouterUrl": ""})],
    CIPHER: [data(KEY)],
    CHECKIN: [data(STARTED)],
}
Use = Callable[[ApiClient], Awaitable[object]]


def client_of(recorder: Recorder, clock: Clock | None = None, **options: Any) -> ApiClient:
    installer = Installer("23270001", SECRET, "ac-test_004", options.pop("home_id", None))
    route = Route(options.pop("url", recorder.url), **options.pop("route", {}))
    return ApiClient(route, installer, clock or JumpingClock(utc=SENT_AT), **options)


def play(
    answers: dict[str, list[Any]],
    use: Callable[[ApiClient, Recorder, JumpingClock], Coroutine[Any, Any, Any]],
) -> Recorder:
    """Run ``use`` on a client of a server with that script; what the server recorded."""

    async def main() -> Recorder:
        clock = JumpingClock(utc=SENT_AT)
        async with recording({path: list(answer) for path, answer in (GOOD | answers).items()}) as recorder:
            await use(client_of(recorder, clock), recorder, clock)
        return recorder

    return run_jumping(main())


async def wifi_key(client: ApiClient) -> bytes:
    return await client.get_key(3, bytes(range(16)), device_name="test_004", product_key="a1QdKm5axuO")
