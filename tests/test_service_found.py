"""What gateways report: Wi-Fi and BLE enrollees, signs, intervals, broken reports."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from agent.codec import alink, awss
from agent.model import DeviceId, WifiRecord
from agent.service.values import ServiceSettings
from tests.jumping import run_jumping
from tests.service_air import BLE_ID, KETTLE, LIST, PAGE, found, lamp, listed, record
from tests.service_world import (
    BLE,
    COMBO,
    DEVICE_SECRETS,
    GATEWAY,
    PRODUCT_SECRETS,
    Line,
    get,
    named,
    opened,
    own,
)

VECTORS = Path(__file__).parent / "vectors"


def test_the_interval_is_set_per_device(tmp_path: Path) -> None:
    settings = ServiceSettings(found_interval=30, found_intervals={COMBO: 5})

    async def main() -> None:
        async with opened(tmp_path, settings=settings) as service:
            line = await Line(service).open(GATEWAY)
            other = record(DeviceId("a1ComboPrdK", "combo_02"), PRODUCT_SECRETS["a1ComboPrdK"])
            _, data = await line.ask(alink.FOUND, found(KETTLE, other))
            assert isinstance(data, list)
            assert [entry["timeout"] for entry in data] == [5, 30]

    run_jumping(main())


@pytest.mark.parametrize(
    ("genuine", "listed_"),
    [
        (KETTLE, 1),
        (dataclasses.replace(KETTLE, sign=bytes(20)), 0),
        (record(COMBO, DEVICE_SECRETS[COMBO], security=4), 1),
        (record(COMBO, "wrong", security=4), 0),
        (record(DeviceId("a1ComboPrdK", "other"), "nobody has it", security=4), 1),
        (record(COMBO, "of the manufacturer", security=5), 1),
        (record(DeviceId("a1Foreign00", "other"), "foreign"), 1),
    ],
)
def test_a_wrong_sign_is_left_out_where_the_secret_is_held(
    tmp_path: Path, genuine: WifiRecord, listed_: int
) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            code, data = await line.ask(alink.FOUND, found(genuine))
            assert isinstance(data, list)
            assert (code, len(data)) == (200, listed_)
            assert len(await listed(service, caller)) == listed_

    run_jumping(main())


def test_ble_enrollees_come_in_a_member_of_ours(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            unknown = lamp("AA:BB:CC:00:11:33", productId="00000099")
            code, data = await line.ask(alink.FOUND, found(ble=[lamp(), unknown], payload=[]))
            device = DeviceId(BLE.product_key, "aabbcc001122")
            assert (code, data) == (200, [named(device) | {"timeout": 60, "enrolleeId": BLE_ID}])
            [item] = await listed(service, caller)
            assert (item["enrolleeId"], item["rssi"], item["enrolleeProductName"]) == (BLE_ID, "-60", "Lamp")

    run_jumping(main())


@pytest.mark.parametrize(
    "params",
    [
        found(),
        found(ble=[]),
        found(KETTLE, rssi="-57"),
        found(KETTLE, rssi=-1000),
        found(KETTLE, type=2),
        found(KETTLE, type=True),
        found(KETTLE, ssid=5),
        found(KETTLE, payload=["00"]),
        found(KETTLE, payload=["zz"]),
        found(KETTLE, payload=[awss.found_payload(KETTLE)] * 65),
        found(KETTLE, payload=awss.found_payload(KETTLE)),
        found(KETTLE, ble={}),
        found(KETTLE, ble=[lamp(mac="AA:BB")]),
        found(KETTLE, ble=[lamp(productId="0x123456789")]),
        found(KETTLE, ble=[lamp(productId=None)]),
        found(KETTLE, ble=[lamp(rssi=1.5)]),
        [],
        "found",
    ],
)
def test_broken_reports_change_nothing(tmp_path: Path, params: object) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            assert (await line.ask(alink.FOUND, params))[0] == 460
            assert await listed(service, caller) == []

    run_jumping(main())


def test_reports_of_the_reference_registrar_are_taken(tmp_path: Path) -> None:
    """The C SDK's own found messages, octet for octet; it asks for an answer under its own ids."""
    trace = json.loads((VECTORS / "wifi-registrar-traces.json").read_text())["vectors"][0]
    sent = [e for step in trace["steps"] for e in step["result"] if e["topic"].endswith("found")]
    assert len(sent) > 4

    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            for event in sent:
                [(topic, reply)] = await line.send(event["topic"], event["payload"].encode())
                assert topic == event["topic"] + "_reply"
                assert (reply["id"], reply["code"]) == (json.loads(event["payload"])["id"], 200)
                assert isinstance(reply["data"], list)
                assert reply["data"][0]["timeout"] == 60

    run_jumping(main())


def test_a_gateways_list_is_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            caller = await own(service, line, "home")
            for high in range(6):
                macs = [f"AA:BB:CC:00:{high:02X}:{low:02X}" for low in range(64)]
                assert (await line.ask(alink.FOUND, found(ble=[lamp(mac) for mac in macs])))[0] == 200
            assert (await get(service, caller, LIST, PAGE))["totalNum"] == 256
            _, data = await line.ask(alink.FOUND, found(ble=[lamp("AA:BB:CC:00:00:00", rssi=-9)]))
            assert isinstance(data, list)
            assert len(data) == 1, "a repeat of a listed one finds its place"

    run_jumping(main())
