"""The client of the HTTP API against a recording server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.clock import SystemClock
from agent.cloud.api import ApiClient
from agent.cloud.api_line import HttpRefused, Installer, Route, Unanswered, Unreachable
from agent.cloud.api_values import Binding, TokenOwner
from agent.codec import apigw
from agent.errors import CloudRefused, ConfigError, InputRefused
from agent.model import DeviceId
from tests.api_play import (
    BIND,
    BIND_TOKEN,
    BULB,
    CHECK,
    CHECKIN,
    CIPHER,
    FILTER,
    GOOD,
    KEY,
    LIST,
    LOGOUT,
    PERMIT,
    REFRESH,
    SECRET,
    SENT_AT,
    Use,
    client_of,
    play,
    wifi_key,
)
from tests.api_recorder import LOGIN, TOKEN, Raw, Recorder, data, error, grant, recording
from tests.certificates import make_certificate
from tests.jumping import JumpingClock, run_jumping

VECTORS: dict[str, dict[str, Any]] = {
    vector["name"]: vector
    for vector in json.loads(
        (Path(__file__).parent / "vectors" / "http-signed-requests.json").read_text("utf-8")
    )["vectors"]
}


async def ble_key(client: ApiClient) -> bytes:
    random = bytes.fromhex("00112233445566778899aabbccddeeff")
    mac = bytes.fromhex("b0f89315bf21")
    return await client.get_key(6, random, device_name="test_004", product_id="001e7", mac=mac)


HOME, WINDOW_HOME = "50f5op15e0a1f2f28104512", "50f5op15ca4f2f28104512"
GATEWAY = "aD12ef8KkWnEiNJJ001082"
AS_THE_VECTORS: dict[str, Use] = {
    "enrollee_list_get": lambda c: c.list_enrollees(1, 10),
    "enrollee_product_filter": lambda c: c.filter_products([BULB, DeviceId("a1QdKm5axuO", "test_004-b")]),
    "token_check": lambda c: c.check_token(BIND_TOKEN),
    "token_user_bind": lambda c: c.bind_by_token(BULB, BIND_TOKEN),
    "time_window_user_bind": lambda c: c.bind_in_window(BULB),
    "cipher_get_wifi": wifi_key,
    "cipher_get_ble": ble_key,
    "gateway_permit": lambda c: c.permit(GATEWAY, "a1QdKm5axuO", 60),
    "topo_remove": lambda c: c.remove_subdevice(GATEWAY, "VU6b9DNFxVHQKdldF000101"),
    "non_ascii_body": lambda c: c.filter_products([DeviceId("a1QdKm5axuO", "客厅灯")]),
    "id_autofill": lambda c: c.check_token("t"),
    "create_session_by_authcode": lambda c: c.list_enrollees(),
}


def headers_of(pairs: list[Any]) -> dict[str, str]:
    """All that the signature covers, and the signature; the rest is the transport's or free text."""
    free = {"host", "user-agent", "accept-encoding", "content-length", "connection"}
    return {name.lower(): value for name, value in pairs if name.lower() not in free}


@pytest.mark.parametrize("name", AS_THE_VECTORS)
def test_a_method_sends_exactly_what_the_official_client_sends(name: str) -> None:
    vector = VECTORS[name]
    homes = {"token_user_bind": HOME, "time_window_user_bind": WINDOW_HOME}

    async def main() -> None:
        async with recording(dict(GOOD)) as recorder:
            client = client_of(
                recorder,
                home_id=homes.get(name),
                nonce=lambda: vector["input"]["nonce"],
                ids=lambda: vector["body_json"]["id"],
            )
            await AS_THE_VECTORS[name](client)
        sent = recorder.of(vector["input"]["path"])[0]
        assert sent.body.decode() == vector["body"]
        assert headers_of(sent.headers) == headers_of(vector["headers"])

    run_jumping(main())


def test_a_refresh_sends_exactly_what_the_official_client_sends() -> None:
    vector = VECTORS["check_or_refresh_session"]

    async def main() -> None:
        async with recording({REFRESH: [grant("new" * 8)], LIST: GOOD[LIST]}) as recorder:
            clock = JumpingClock(utc=SENT_AT)
            client = client_of(
                recorder, clock, nonce=lambda: vector["input"]["nonce"], ids=lambda: vector["body_json"]["id"]
            )
            await client.list_enrollees()
            await clock.sleep(60000)
            clock.step_utc(-60000)
            await client.list_enrollees()
        sent = recorder.of(REFRESH)[0]
        assert sent.body.decode() == vector["body"]
        assert headers_of(sent.headers) == headers_of(vector["headers"])

    run_jumping(main())


def test_every_request_is_one_that_a_server_of_ours_verifies() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        await client.start_checkin("ble:AA:BB:CC:00:11:22/000aa7ab")
        await client.start_checkin(BULB)
        await client.close()

    recorder = play({}, use)
    assert recorder.paths == [LOGIN, CHECKIN, CHECKIN, LOGOUT]
    nonces = set()
    for request in recorder.requests:
        received = apigw.ReceivedRequest("POST", request.path, request.headers, request.body)
        nonces.add(apigw.verify(received, {"23270001": SECRET}.get, utc=SENT_AT).nonce)
    assert len(nonces) == 4
    assert recorder.requests[1].content["params"] == {"enrolleeId": "ble:AA:BB:CC:00:11:22/000aa7ab"}
    assert recorder.requests[2].content["params"] == {"productKey": "a1QdKm5axuO", "deviceName": "test_004"}


def test_answers_become_values() -> None:
    item = {
        "gmtCreate": 1580974374000,
        "gmtModified": "xxx",
        "regIotId": "gw",
        "regProductKey": "a1Gate",
        "regDeviceName": "hall",
        "enrolleeIotId": "iot-1",
        "enrolleeProductKey": "a1QdKm5axuO",
        "enrolleeDeviceName": "test_004",
        "bssid": "AA:BB:CC:00:11:22",
        "ssid": "home",
        "rssi": "-61",
        "type": 1,
        "status": 1,
    }

    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        page = await client.list_enrollees()
        assert page.total == 12
        (listed,) = page.items
        assert (listed.device, listed.registrar) == (BULB, DeviceId("a1Gate", "hall"))
        assert (listed.rssi, listed.by_router, listed.provisioning) == (-61, True, True)
        assert (listed.created, listed.modified, listed.product_name) == (1580974374000, None, "")
        (offer,) = await client.filter_products([BULB])
        assert (offer.device, offer.net_type, offer.node_type) == (BULB, 3, None)
        assert await client.check_token(BIND_TOKEN) == TokenOwner(BULB, "iot-1")
        assert await client.bind_by_token(BULB, BIND_TOKEN) == Binding("iot-1")
        assert await client.bind_in_window(BULB) == Binding("iot-1")
        assert await wifi_key(client) == bytes.fromhex(KEY[:32])
        assert await wifi_key(client) == bytes.fromhex(KEY[:32])
        started = await client.start_checkin(BULB)
        assert (started.registrar_iot_id, started.token, started.timeout) == ("gw", "AA", 60)

    play({LIST: [data({"totalNum": 12, "items": [item]})], CIPHER: [data(KEY[:32].upper()), data(KEY)]}, use)


@pytest.mark.parametrize(
    ("path", "answer", "ask"),
    [
        (CIPHER, "xxxx", wifi_key),
        (CIPHER, KEY[:31], wifi_key),
        (CIPHER, None, wifi_key),
        (LIST, [], lambda c: c.list_enrollees()),
        (LIST, {"items": [{}]}, lambda c: c.list_enrollees()),
        (FILTER, {}, lambda c: c.filter_products([BULB])),
        (CHECK, {"iotId": "x"}, lambda c: c.check_token("t")),
        (CHECKIN, {}, lambda c: c.start_checkin("x")),
        (LOGIN, {}, lambda c: c.list_enrollees()),
    ],
)
def test_data_that_does_not_fit_is_a_refusal(path: str, answer: object, ask: Use) -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        with pytest.raises(CloudRefused) as caught:
            await ask(client)
        assert caught.value.code == 22000
        assert str(caught.value).startswith(f"{path}: ")

    play({path: [data(answer)]}, use)


def test_a_clock_that_is_wrong_is_named() -> None:
    expired = Raw(
        400,
        headers=(("X-Ca-Error-Message", "Timestamp Expired"), ("Date", "Thu, 06 Feb 2020 08:32:54 GMT")),
    )

    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        with pytest.raises(HttpRefused) as caught:
            await client.check_token("t")
        assert str(caught.value) == (
            f"{LOGIN}: HTTP status 400, Timestamp Expired; "
            "the clock of this machine is 3600 s behind the server's: set it right (NTP)"
        )
        clock.step_utc(86400)
        with pytest.raises(HttpRefused, match=r"82800 s ahead of"):
            await client.check_token("t")
        clock.step_utc(-82800 + 60)
        with pytest.raises(HttpRefused) as caught:
            await client.check_token("t")
        assert "clock" not in str(caught.value)

    play({LOGIN: [expired]}, use)


def test_a_wrong_signature_is_told_with_the_servers_text() -> None:
    wrong = Raw(400, headers=(("X-Ca-Error-Message", "Invalid Signature, Server StringToSign:POST#x"),))

    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        with pytest.raises(
            HttpRefused, match="HTTP status 400, Invalid Signature, Server StringToSign:POST#x"
        ):
            await client.check_token("t")

    play({LOGIN: [wrong]}, use)


def test_a_refusing_gateway_may_say_why_in_an_envelope() -> None:
    why = Raw(403, json.dumps(error(403, "not this app")).encode())

    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        with pytest.raises(HttpRefused, match="HTTP status 403, not this app"):
            await client.check_token("t")

    play({LOGIN: [why]}, use)


def test_no_secret_is_told_even_when_the_server_repeats_it() -> None:
    secrets = (SECRET, "ac-test_004", TOKEN, BIND_TOKEN)
    echo = " ".join(secrets) + "\x1b[31m\n"

    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        told = []
        recorder.answers[LOGIN] = [error(2462, echo), grant()]
        for _ in range(2):
            with pytest.raises(CloudRefused) as caught:
                await client.check_token(BIND_TOKEN)
            told.append(str(caught.value))
        recorder.answers[CHECK] = [Raw(400, headers=(("X-Ca-Error-Message", echo.split("\x1b")[0]),))]
        with pytest.raises(CloudRefused) as caught:
            await client.check_token(BIND_TOKEN)
        told.append(str(caught.value))
        response = await client.call(BIND, {"token": BIND_TOKEN})
        told += [response.message, response.localized, repr(client), repr(response)]
        assert SECRET not in "".join(told)
        assert "ac-test_004" not in told[0]
        assert TOKEN not in "".join(told[1:])
        assert BIND_TOKEN not in "".join(told[1:])
        assert all(text.isprintable() for text in told)

    play({CHECK: [error(6608, echo)], BIND: [error(6608, echo)]}, use)
    assert SECRET not in repr(Installer("k", SECRET, "ac-test_004"))
    assert "ac-test_004" not in repr(Installer("k", SECRET, "ac-test_004"))
    assert "hunter2" not in repr(Route("http://x", proxy="http://me:hunter2@proxy"))


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        with pytest.raises(Unanswered, match="is not the API"):
            await client.permit("gw", None, 60)

    padding = b" " * (1024 * 1024)
    play({PERMIT: [Raw(200, padding + json.dumps(data(None)).encode())]}, use)


# Any path, and the way there.


def test_any_path_can_be_called_and_answers_its_whole_envelope() -> None:
    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        response = await client.call("/home/paas/list", {"a": 1}, "1.2.0")
        assert (response.code, response.message) == (20003, "no route")
        await client.call(CHECK, {})
        await client.call("/living/account/region/get", {}, "1.0.2")
        with pytest.raises(InputRefused):
            await client.call("/awss/../x y?z", {})
        with pytest.raises(InputRefused):
            await client.call("/p", {"name": "\udc80"})

    recorder = play({"/home/paas/list": [error(20003, "no route")]}, use)
    assert recorder.paths == [LOGIN, "/home/paas/list", CHECK, "/living/account/region/get"]
    requests = [request.content["request"] for request in recorder.requests]
    assert [request["apiVer"] for request in requests] == ["1.0.4", "1.2.0", "1.0.9", "1.0.2"]
    assert [request.get("iotToken") for request in requests] == [None, TOKEN, TOKEN, None]


def test_a_proxy_is_used_when_configured() -> None:
    here = "http://api.example"

    async def main() -> None:
        async with recording({here + LOGIN: [grant()], here + CHECK: GOOD[CHECK]}) as proxy:
            await client_of(proxy, url=here, route={"proxy": proxy.url}).check_token("t")
        assert proxy.paths == [here + LOGIN, here + CHECK]

    run_jumping(main())


def test_the_environment_names_no_proxy_unless_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    async def use(client: ApiClient, recorder: Recorder, clock: JumpingClock) -> None:
        await client.check_token("t")
        trusting = client_of(recorder, clock, route={"trust_env": True}, delays=())
        with pytest.raises(Unreachable):
            await trusting.check_token("t")

    assert play({}, use).paths == [LOGIN, CHECK]


async def test_a_server_is_trusted_by_the_given_ca_only(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    clock = SystemClock()
    async with recording({CHECK: GOOD[CHECK]}, tls=made.server_context()) as recorder:
        trusting = client_of(recorder, clock, route={"ca_file": made.certificate})
        assert await trusting.check_token("t") == TokenOwner(BULB, "iot-1")
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await client_of(recorder, clock, delays=()).check_token("t")
        for file in (tmp_path / "absent.pem", made.key):
            with pytest.raises(ConfigError, match="no CA certificates"):
                await client_of(recorder, clock, route={"ca_file": file}).check_token("t")
    assert recorder.paths == [LOGIN, CHECK]


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://["])
def test_an_address_that_is_none_is_a_setting_to_mend(url: str) -> None:
    async def main() -> None:
        with pytest.raises(ConfigError):
            await client_of(Recorder(), url=url).check_token("t")

    run_jumping(main())


def test_aiohttp_is_loaded_by_the_first_call_only() -> None:
    script = "import sys, agent.cloud.api; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
