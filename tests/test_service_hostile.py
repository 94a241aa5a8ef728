"""Every field of every call and message given what it does not expect: refused, and nothing changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.codec import alink
from agent.service.api import PATHS
from agent.service.service import Service
from agent.service.values import Caller
from tests.jumping import run_jumping
from tests.service_world import (
    COMBO,
    DEVICE_SECRETS,
    GATEWAY,
    SUB,
    SUB_2,
    TOKEN,
    TOKEN_2,
    Line,
    dump,
    join,
    login_of,
    named,
    opened,
    own,
    signed,
    spoil,
)

SECRET = DEVICE_SECRETS[SUB]

RANDOM = "4420823CFDE6F1C26B30F90EC7DD01E4"

LAMP = {"productId": "0x000aa7ab", "mac": "AA:BB:CC:00:11:22", "rssi": -60, "generation": "B1"}

# A request of each kind that succeeds in the world of `furnish`.
UPLINKS: dict[str, object] = {
    alink.FOUND: {
        "type": 0,
        "ssid": "Home",
        "bssid": "A0:B1:C2:D3:E4:F5",
        "rssi": -5,
        "payload": [],
        "ble": [LAMP],
    },
    alink.MATCH: {"token": TOKEN_2},
    alink.CIPHER_GET: named(COMBO) | {"cipherType": 3, "random": RANDOM},
    alink.TOPO_ADD: [signed(SUB, SECRET)],
    alink.TOPO_GET: {},
    alink.LIST_FOUND: [named(SUB_2)],
    alink.SUB_REGISTER: [named(SUB_2)],
    alink.PRODUCT_REGISTER: {
        "proxieds": [named(SUB_2) | {"random": "1", "signMethod": "hmacsha1", "sign": "00"}]
    },
    alink.LOGIN: login_of(SUB, SECRET),
    alink.BATCH_LOGIN: {"signMethod": "hmacSha256", "deviceList": [login_of(SUB, SECRET)]},
    alink.LOGOUT: named(SUB),
    alink.BATCH_LOGOUT: [named(SUB)],
    alink.TOPO_DELETE: [named(SUB)],
    alink.SUB_UNREGISTER: [named(SUB)],
}

CALLS: dict[str, dict[str, object]] = {
    "/awss/enrollee/list/get": {"pageSize": 10, "pageNum": 1},
    "/awss/enrollee/product/filter": {"iotDevices": [named(COMBO)]},
    "/awss/enrollee/checkin": {"enrolleeId": "ble:AA:BB:CC:00:11:22/000aa7ab", "timeout": 5, "token": TOKEN},
    "/awss/token/check": named(GATEWAY) | {"token": TOKEN},
    "/awss/token/user/bind": named(GATEWAY) | {"token": TOKEN, "homeId": "home"},
    "/awss/time/window/user/bind": named(GATEWAY) | {"homeId": "home"},
    "/awss/cipher/get": {
        "deviceInfoForCipher": named(COMBO)
        | {"cipherType": 6, "random": RANDOM, "productId": "aa7ab", "params": {"mac": "AA:BB:CC:00:11:22"}}
    },
    "/thing/gateway/permit": {"iotId": "gateway", "productKey": "a1SubProdKy", "time": 60},
    "/thing/topo/remove": {"iotId": "gateway", "subIotId": "sub"},
}


async def furnish(service: Service) -> tuple[Line, Caller, dict[str, dict[str, object]]]:
    """A gateway with an owner, a sub-device, an enrollee and a live token; and the calls with real iotIds."""
    line = await Line(service).open(GATEWAY)
    caller = await own(service, line, "home")
    await join(line, SUB)
    await line.ask(alink.MATCH, {"token": TOKEN})
    await line.ask(alink.FOUND, UPLINKS[alink.FOUND])
    ids = {"gateway": service.iot_id(GATEWAY), "sub": service.iot_id(SUB)}
    calls = {p: {k: ids.get(str(v), v) for k, v in params.items()} for p, params in CALLS.items()}
    return line, caller, calls


def test_every_call_and_message_has_its_hostile_twin() -> None:
    assert CALLS.keys() == PATHS.keys()


@pytest.mark.parametrize("path", CALLS)
def test_hostile_parameters_of_calls(tmp_path: Path, path: str) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            _, caller, calls = await furnish(service)
            before = dump(tmp_path)
            refused = 0
            for params in spoil(calls[path]):
                answer = await service.call(caller, path, params)
                if answer.code == 200:
                    continue  # an optional member, or a value that fits its field after all
                refused += 1
                assert answer.code in (460, 5005, 6100, 6608), params
                assert (answer.data, answer.pushes) == (None, ())
            assert refused > 25
            if path not in ("/awss/token/user/bind", "/awss/time/window/user/bind", "/thing/topo/remove"):
                assert dump(tmp_path) == before
            good = await service.call(caller, path, calls[path])
            assert good.code in (200, 6608), "6608: an accepted variant used the token up"

    run_jumping(main())


@pytest.mark.parametrize("name", UPLINKS)
def test_hostile_parameters_of_messages(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line, _, _ = await furnish(service)
            topic = alink.topic_of(GATEWAY, name)
            refused = 0
            for params in spoil(UPLINKS[name]):
                try:
                    payload = alink.build_request("1", name, params)
                except (UnicodeEncodeError, OverflowError):
                    continue  # it cannot be written as JSON at all
                before = dump(tmp_path)
                arrived = await line.send(topic, payload)
                if not arrived:
                    continue  # the envelope's own limits
                [(_, reply)] = arrived
                if reply["code"] != 200:
                    refused += 1
                    assert reply["code"] in (401, 460, 520, 5005, 6100, 6250, 6280, 6287, 6401, 429), params
                    assert dump(tmp_path) == before
            assert refused > 10

    run_jumping(main())


def test_deep_parameters(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line, _, _ = await furnish(service)
            for name in UPLINKS:
                for depth in (5, 29, 31, 40, 5000):
                    payload = b'{"id":"1","params":' + b'{"deviceList":' * depth + b"1" + b"}" * depth + b"}"
                    arrived = await line.send(alink.topic_of(GATEWAY, name), payload)
                    assert len(arrived) == (depth < 32)

    run_jumping(main())


def test_unknown_paths_and_callers(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            caller = (await service.create_account("home")).caller
            assert (await service.call(caller, "/awss/nothing", {})).code == 20003
            stranger = Caller("nobody", "nowhere")
            assert (await service.call(stranger, "/awss/token/check", {"token": TOKEN})).code == 2062

    run_jumping(main())
