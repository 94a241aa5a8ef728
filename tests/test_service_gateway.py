"""A gateway's door, its topology, registration and logins of sub-devices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.codec import alink
from agent.model import DeviceId
from agent.service.values import ServiceSettings
from tests.jumping import run_jumping
from tests.service_world import (
    DEVICE_SECRETS,
    GATEWAY,
    OTHER_GATEWAY,
    SUB,
    SUB_2,
    TOKEN,
    Line,
    join,
    login_of,
    named,
    opened,
    own,
    signed,
)

PERMIT = "/thing/gateway/permit"
REMOVE = "/thing/topo/remove"
SECRET = DEVICE_SECRETS[SUB]


async def iot_id(line: Line, device: DeviceId) -> str:
    code, data = await line.ask(alink.SUB_REGISTER, [named(device)])
    assert code == 200
    assert isinstance(data, list)
    return str(data[0]["iotId"])


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"productKey": "a1SubProdKy", "time": 60}, {"productKey": "a1SubProdKy", "time": 60}),
        ({"productKey": "", "time": 0}, {"time": 0}),
        ({"productKey": None, "time": 65535}, {"time": 65535}),
        ({"time": 65534}, {"time": 65534}),
        ({"productKey": "a1NotOurs00", "time": 1}, {"productKey": "a1NotOurs00", "time": 1}),
    ],
)
def test_a_permit_reaches_the_gateway(
    tmp_path: Path, given: dict[str, object], sent: dict[str, object]
) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            gateway = service.iot_id(GATEWAY)
            answer = await service.call(caller, PERMIT, {"iotId": gateway} | given)
            assert (answer.code, answer.data) == (200, None)
            assert line.downlinks(alink.PERMIT) == [sent]
            envelope = line.received[-1][1]
            assert envelope["method"] == "thing.gateway.permit"
            assert str(envelope["id"]).isdecimal()
            await service.call(caller, PERMIT, {"iotId": gateway} | given)
            assert line.downlinks(alink.PERMIT) == [sent, sent], "a repeat restarts the window"

    run_jumping(main())


@pytest.mark.parametrize("time", [None, -1, 65536, 12.5, "60", True, [60], 2**64])
def test_times_that_are_none(tmp_path: Path, time: object) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            params = {"iotId": service.iot_id(GATEWAY), "time": time}
            assert (await service.call(caller, PERMIT, params)).code == 460
            assert line.downlinks(alink.PERMIT) == []

    run_jumping(main())


def test_codes_of_permits(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            other = (await service.create_account("other")).caller
            sub = await iot_id(line, SUB)
            gateway = service.iot_id(GATEWAY)
            for who, given, code in ((other, gateway, 6100), (caller, "unknown", 6100), (caller, sub, 6100)):
                assert (await service.call(who, PERMIT, {"iotId": given, "time": 60})).code == code
            assert (await service.call(caller, PERMIT, {"iotId": 5, "time": 60})).code == 460
            assert line.session is not None
            service.disconnect(line.session)
            assert (await service.call(caller, PERMIT, {"iotId": gateway, "time": 60})).code == 6205

    run_jumping(main())


@pytest.mark.parametrize("spelling", ["subIotId", "subIotid"])
def test_removing_a_sub_device(tmp_path: Path, spelling: str) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            await join(line, SUB)
            params = {"iotId": service.iot_id(GATEWAY), spelling: service.iot_id(SUB)}
            answer = await service.call(caller, REMOVE, params)
            assert (answer.code, answer.data) == (200, None)
            assert line.downlinks(alink.TOPO_CHANGE) == [{"status": 1, "subList": [named(SUB)]}]
            assert await line.ask(alink.TOPO_GET, {}) == (200, [])
            assert (await line.ask(alink.MATCH, {"token": TOKEN}, SUB))[0] == 6401
            assert (await service.call(caller, REMOVE, params)).code == 6401

    run_jumping(main())


def test_codes_of_removals(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            other = (await service.create_account("other")).caller
            await join(line, SUB)
            gateway, sub, stranger = (service.iot_id(d) for d in (GATEWAY, SUB, SUB_2))
            for who, given, code in (
                (caller, {"iotId": gateway}, 460),
                (caller, {"subIotId": sub}, 460),
                (caller, {"iotId": gateway, "subIotId": 5}, 460),
                (caller, {"iotId": gateway, "subIotId": stranger}, 6100),
                (caller, {"iotId": sub, "subIotId": sub}, 6100),
                (caller, {"iotId": gateway, "subIotId": gateway}, 6401),
                (other, {"iotId": gateway, "subIotId": sub}, 6100),
            ):
                assert (await service.call(who, REMOVE, given)).code == code, given
            assert (await service.figures()).topology == {GATEWAY: [SUB]}
            assert line.session is not None
            service.disconnect(line.session)
            assert (await service.call(caller, REMOVE, {"iotId": gateway, "subIotId": sub})).code == 200
            assert (await service.figures()).topology == {}

    run_jumping(main())


def test_a_sub_device_joins_and_leaves(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            await line.ask(alink.SUB_REGISTER, [named(SUB)])
            assert (await line.ask(alink.LOGIN, login_of(SUB, SECRET)))[0] == 6401, "not added yet"
            for _ in range(2):
                assert await line.ask(alink.TOPO_ADD, [signed(SUB, SECRET)]) == (200, [named(SUB)])
            assert (await line.ask(alink.MATCH, {"token": TOKEN}, SUB))[0] == 520, "not logged in yet"
            assert await line.ask(alink.LOGIN, login_of(SUB, SECRET)) == (200, named(SUB))
            assert (await line.ask(alink.MATCH, {"token": TOKEN}, SUB))[0] == 200
            assert await line.ask(alink.TOPO_GET, {}) == (200, [named(SUB)])
            assert await line.ask(alink.LOGOUT, named(SUB)) == (200, named(SUB))
            assert (await line.ask(alink.LOGOUT, named(SUB)))[0] == 520
            assert await line.ask(alink.TOPO_DELETE, [named(SUB)]) == (200, [named(SUB)])
            assert (await line.ask(alink.TOPO_DELETE, [named(SUB)]))[0] == 6401
            assert (await line.ask(alink.TOPO_DELETE, [named(SUB_2)]))[0] == 6100
            assert await line.ask(alink.TOPO_GET, {}) == (200, [])

    run_jumping(main())


def test_the_messages_of_the_official_sdks(tmp_path: Path) -> None:
    """Whole payloads that the C and Python SDKs sent, their signatures included."""
    vectors = Path(__file__).parent / "vectors"
    c_sdk = json.loads((vectors / "mqtt-gateway-c.json").read_text())["vectors"][0]["events"]
    python = json.loads((vectors / "mqtt-python-sdk.json").read_text())["vectors"]
    sent = [(e["topic"], e["payload"]) for e in c_sdk if e["ev"] == "publish" and "zb_0001" in e["payload"]]
    ops = next(v for v in python if v["name"] == "gateway_ops")["packets"]
    theirs = [(p["topic"], p["payload"]) for p in ops if p["type"] == "PUBLISH"]

    async def run(device: DeviceId, messages: list[tuple[str, str]], path: Path) -> list[object]:
        async with opened(path) as service:
            line = await Line(service).open(device)
            codes: list[object] = []
            for topic, payload in messages:
                [(where, reply)] = await line.send(topic, payload.encode())
                assert where == topic + "_reply"
                assert reply.keys() >= {"id", "code", "data", "message"}, "what the SDK's callbacks need"
                assert reply["id"] == json.loads(payload)["id"]
                codes.append(reply["code"])
                if topic.endswith("product_register"):
                    assert isinstance(reply["data"], dict)
                    codes += [s["deviceName"] for s in reply["data"]["successes"]]
            return codes

    async def main() -> None:
        for name in ("c", "python"):
            (tmp_path / name).mkdir()
        # register, product_register, topo add, login, topo delete, list found, unregister
        c_codes = await run(GATEWAY, sent, tmp_path / "c")
        assert c_codes == [200, 200, "zb_0001", 200, 200, 200, 200, 200]
        # register, product_register (another productSecret), topo add, batch login and logout, delete
        p_codes = await run(DeviceId("a1QdKm5axuO", "test_004"), theirs, tmp_path / "python")
        assert p_codes == [200, 200, 200, 200, 200, 200]

    run_jumping(main())


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (signed(SUB, SECRET + "x"), 401),
        (signed(SUB, SECRET) | {"timestamp": "1"}, 401),
        (signed(SUB, SECRET) | {"sign": "00"}, 401),
        (signed(SUB, SECRET) | {"signmethod": "rot13"}, 460),
        (signed(SUB, SECRET) | {"signmethod": None}, 460),
        (signed(SUB, SECRET) | {"sign": None}, 460),
        (signed(SUB, SECRET) | {"clientId": 5}, 460),
        (signed(SUB_2, SECRET), 6100),
        (signed(DeviceId("a1Unknown00", "name"), SECRET), 6250),
        (signed(DeviceId("a1SubProdKy", "abc"), SECRET), 6280),
        (signed(DeviceId("a1SubProdKy", "a/../b"), SECRET), 6280),
        (signed(DeviceId("a1SubProdKy", "x" * 33), SECRET), 6280),
        (signed(GATEWAY, SECRET), 6402),
        (signed(OTHER_GATEWAY, SECRET), 460),
        ("a text", 460),
    ],
)
def test_topologies_that_are_refused_whole(tmp_path: Path, entry: object, code: int) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            assert (await line.ask(alink.TOPO_ADD, [signed(SUB, SECRET), entry]))[0] == code
            assert (await service.figures()).topology == {}

    run_jumping(main())


def test_a_number_as_timestamp_is_its_text(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            entry = signed(SUB, SECRET) | {"timestamp": 1580974374000}
            assert (await line.ask(alink.TOPO_ADD, [entry]))[0] == 200

    run_jumping(main())


def test_limits_of_the_topology(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path, settings=ServiceSettings(topology_limit=1, online_limit=1)) as service:
            line = await Line(service).open(GATEWAY)
            await join(line, SUB)
            _, data = await line.ask(alink.SUB_REGISTER, [named(SUB_2)])
            assert isinstance(data, list)
            assert (await line.ask(alink.TOPO_ADD, [signed(SUB_2, data[0]["deviceSecret"])]))[0] == 6400
            assert (await line.ask(alink.TOPO_ADD, [signed(SUB, SECRET)] * 31))[0] == 460
            assert (await line.ask(alink.TOPO_ADD, []))[0] == 460
            assert (await line.ask(alink.TOPO_DELETE, [named(SUB)] * 51))[0] == 460
            assert (await service.figures()).topology == {GATEWAY: [SUB]}

    run_jumping(main())


def test_a_sub_device_moves_with_the_gateway_that_proves_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            first = await Line(service).open(GATEWAY)
            second = await Line(service).open(OTHER_GATEWAY)
            await join(first, SUB)
            assert (await second.ask(alink.TOPO_DELETE, [named(SUB)]))[0] == 6401
            assert (await second.ask(alink.LOGIN, login_of(SUB, SECRET)))[0] == 6401
            assert (await second.ask(alink.MATCH, {"token": TOKEN}, SUB))[0] == 6401
            await join(second, SUB)
            assert first.downlinks(alink.TOPO_CHANGE) == [{"status": 1, "subList": [named(SUB)]}]
            assert (await first.ask(alink.MATCH, {"token": TOKEN}, SUB))[0] == 6401
            assert (await second.ask(alink.MATCH, {"token": TOKEN}, SUB))[0] == 200
            assert (await service.figures()).topology == {OTHER_GATEWAY: [SUB]}

    run_jumping(main())
