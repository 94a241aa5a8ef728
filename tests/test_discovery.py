"""The discovery job: counters, events, and what goes to the cloud when."""

from __future__ import annotations

import asyncio
import math

import pytest

from agent.entries import Entry
from agent.errors import CloudBusy, CloudRefused
from agent.jobs.discovery import found_params, read_intervals, wire_rssi
from agent.model import WifiRecord
from agent.ports import Reply
from agent.registry import Registry
from tests.enrollees import PRODUCTS, address, advert, fresh, hear, lamp_id, probe, record, sound, verify
from tests.house import GATEWAY, House, in_house

# What the radios call


def test_adverts_are_counted_and_told() -> None:
    async def script(house: House) -> None:
        for _ in range(3):
            house.advert_heard(address(1), -60, advert(1))
        house.advert_heard(address(1), -60, advert(1, fmsk=0x59))
        house.advert_heard(address(2), -60, advert(2)[:9])
        heard = house.discovery.radios["bluez"]
        assert (heard.frames, heard.malformed, heard.last) == (5, 1, 1000.0)
        found, changed = house.events.after(0)[1]
        assert (found.kind, changed.kind) == ("enrollee_found", "enrollee_changed")
        assert found.fields == {
            "id": lamp_id(1),
            "class": "configured",
            "product_key": "a1lamp00001",
            "address": "C0:00:00:00:00:01",
            "rssi": -60,
            "bound": False,
        }
        assert changed.fields["fields"] == ["bound", "fmsk"]

    in_house(script)


def test_stations_are_counted_and_told() -> None:
    async def script(house: House) -> None:
        house.station_heard(probe(record("plug1")), -60, 2.0)
        heard = house.discovery.radios["wlan0"]
        assert (heard.frames, heard.malformed, heard.last) == (1, 0, 998.0)
        assert [event.fields["id"] for event in house.events.after(0)[1]] == ["wifi:a1plug00001/plug1"]

    in_house(script)


class Bug(Exception):
    pass


def stumble(_: WifiRecord) -> bool | None:
    raise Bug


def test_a_bug_behind_the_callback_is_caught_at_the_boundary() -> None:
    async def script(house: House) -> None:
        house.station_heard(probe(record("plug1")), -60, 0.0)
        house.advert_heard(address(1), -60, advert(1))
        assert house.ingress.count == 1
        assert house.health.has("parser_bug", subject="wifi frame")
        assert [entry.id for entry in house.registry.entries()] == [lamp_id(1)]

    in_house(script, registry=Registry(PRODUCTS, stumble), strict=False)


def test_a_bug_is_raised_when_strict() -> None:
    async def script(house: House) -> None:
        with pytest.raises(Bug):
            house.station_heard(probe(record("plug1")), -60, 0.0)

    in_house(script, registry=Registry(PRODUCTS, stumble))


# What goes to the cloud


def test_a_wifi_enrollee_is_reported_as_the_document_says() -> None:
    async def script(house: House) -> None:
        house.station_heard(probe(record("plug1")), -57, 0.0)
        await house.report_for(2)
        at, device, name, params = house.cloud.asked[0]
        assert (at, device, name) == (1000.0, GATEWAY, "thing/awss/enrollee/found")
        sign = record("plug1").sign.hex().upper()
        assert params == {
            "awssVer": {
                "smartconfig": "2.0",
                "zconfig": "2.0",
                "router": "2.0",
                "ap": "2.0",
                "softap": "2.0",
            },
            "type": 0,
            "ssid": "Home\\xff",
            "bssid": "A0:B1:C2:D3:E4:F5",
            "rssi": -57,
            # dn_len dn pk_len pk rand_len rand security sign_method sign_len sign
            "payload": ["05706C756731" + "0B6131706C75673030303031" + "10" + "72" * 16 + "030014" + sign],
        }
        assert house.kinds() == ["enrollee_found", "enrollee_reported"]
        assert house.registry.find("plug1").state == "reported"
        assert house.discovery.on_report == 1

    in_house(script)


def test_a_ble_enrollee_goes_into_our_member() -> None:
    async def script(house: House) -> None:
        house.advert_heard(address(1), -57, advert(1))
        await house.report_for(2)
        params = house.cloud.asked[0][3]
        ble = {"productId": "0x00000a01", "mac": "00:00:00:00:00:01", "rssi": -57, "generation": "B1"}
        assert (params["payload"], params["ble"]) == ([], [ble])

    in_house(script)


def test_a_cloud_that_does_not_carry_ble_hears_of_wifi_only() -> None:
    async def script(house: House) -> None:
        house.advert_heard(address(1), -57, advert(1))
        house.station_heard(probe(record("plug1")), -57, 0.0)
        await house.report_for(5)
        assert ["payload" in params and "ble" not in params for *_, params in house.cloud.asked] == [True]

    in_house(script, carries_ble=False)


def test_no_network_leaves_the_bssid_empty() -> None:
    registry = fresh()
    hear(registry, 1)
    params = found_params(registry.find(lamp_id(1)), b"", None)
    assert (params["ssid"], params["bssid"]) == ("", "")


@pytest.mark.parametrize(
    ("rssi", "sent"), [(-57, -57), (None, -127), (0, -1), (200, -56), (255, -1), (-200, -128), (999, -1)]
)
def test_rssi_is_a_negative_number(rssi: int | None, sent: int) -> None:
    assert wire_rssi(rssi) == sent


def test_one_a_minute_and_a_newcomer_within_a_second_of_its_first_frame() -> None:
    async def script(house: House) -> None:
        await house.report_for(7.5)
        await house.report_for(130, each=lambda: house.advert_heard(address(1), -57, advert(1)))
        assert house.reports() == pytest.approx([8.5, 68.5, 128.5], abs=0.6)

    in_house(script)


def test_the_reply_sets_the_interval() -> None:
    async def script(house: House) -> None:
        house.cloud.reply = Reply(
            200, [{"productKey": "a1lamp00001", "deviceName": "000000000001", "timeout": 20}]
        )
        house.advert_heard(address(1), -57, advert(1))
        await house.report_for(59, each=lambda: house.advert_heard(address(1), -57, advert(1)))
        assert house.reports() == pytest.approx([0, 20, 40], abs=0.6)

    in_house(script)


@pytest.mark.parametrize(
    ("data", "read"),
    [
        ([{"productKey": "p", "deviceName": "d", "timeout": 30}], [("wifi:p/d", 30)]),
        ({"deviceList": [{"productKey": "p", "deviceName": "d", "timeout": 0, "x": 1}]}, [("wifi:p/d", 0)]),
        ([{"productKey": "p", "deviceName": "000000000001", "timeout": 3}], [("wifi:p/000000000001", 3)]),
        ([{"productKey": "p", "deviceName": "d", "timeout": 1.5}], [("wifi:p/d", 1.5)]),
        ([{"productKey": "p", "deviceName": "d"}, {"timeout": 3}, {}, [], None, 7, "x"], []),
        ([{"productKey": 1, "deviceName": [], "timeout": {}}], []),
        ([{"productKey": "p", "deviceName": "d", "timeout": "60"}], []),
        ({}, []),
        (None, []),
        ("", []),
        (7, []),
    ],
)  # fmt: skip
def test_replies_of_any_shape(data: object, read: list[tuple[str, float]]) -> None:
    registry = fresh()
    hear(registry, 1)
    assert list(read_intervals(data, registry.find(lamp_id(1)))) == read


@pytest.mark.parametrize("data", [None, {}, [[]], [{"productKey": "a1lamp00001", "timeout": math.nan}]])
def test_the_job_survives_any_reply(data: object) -> None:
    async def script(house: House) -> None:
        house.cloud.reply = Reply(200, data)
        house.advert_heard(address(1), -57, advert(1))
        await house.report_for(65, each=lambda: house.advert_heard(address(1), -57, advert(1)))
        assert len(house.cloud.asked) == 2

    in_house(script)


def test_a_busy_cloud_is_asked_again_later() -> None:
    async def script(house: House) -> None:
        house.cloud.trouble = CloudBusy("offline")
        house.advert_heard(address(1), -57, advert(1))
        await house.report_for(25, each=lambda: house.advert_heard(address(1), -57, advert(1)))
        assert house.reports() == pytest.approx([0, 10, 20], abs=0.6)
        assert house.registry.find(lamp_id(1)).state == "found"
        assert "enrollee_reported" not in house.kinds()
        house.cloud.trouble = None
        await house.report_for(10, each=lambda: house.advert_heard(address(1), -57, advert(1)))
        assert house.kinds()[-1] == "enrollee_reported"

    in_house(script)


@pytest.mark.parametrize("answer", [CloudRefused(6100, "no"), Reply(460, {})])
def test_a_refused_report_waits_for_its_interval(answer: CloudRefused | Reply) -> None:
    async def script(house: House) -> None:
        if isinstance(answer, Reply):
            house.cloud.reply = answer
        else:
            house.cloud.trouble = answer
        house.advert_heard(address(1), -57, advert(1))
        await house.report_for(50, each=lambda: house.advert_heard(address(1), -57, advert(1)))
        assert len(house.cloud.asked) == 1
        assert "enrollee_reported" not in house.kinds()

    in_house(script)


def test_what_joined_already_is_not_reported() -> None:
    async def script(house: House) -> None:
        house.joined.add(lamp_id(1))
        house.advert_heard(address(1), -57, advert(1))
        house.advert_heard(address(2), -57, advert(2))
        await house.report_for(5)
        assert [params["ble"][0]["mac"] for *_, params in house.cloud.asked] == ["00:00:00:00:00:02"]

    in_house(script)


def test_cancelled_while_the_cloud_is_silent_leaves_it_unreported() -> None:
    async def script(house: House) -> None:
        house.cloud.hangs = True
        house.advert_heard(address(1), -57, advert(1))
        await house.report_for(5)
        assert house.registry.find(lamp_id(1)).state == "found"
        house.cloud.hangs = False
        await house.report_for(2)
        assert house.registry.find(lamp_id(1)).state == "reported"
        assert len(house.cloud.asked) == 2

    in_house(script)


# Sweeping


def test_the_sweep_tells_who_is_lost() -> None:
    async def script(house: House) -> None:
        house.advert_heard(address(1), -57, advert(1))
        async with asyncio.TaskGroup() as tasks:
            job = tasks.create_task(house.discovery.run_sweep())
            await house.clock.sleep(59.5)
            assert house.kinds() == ["enrollee_found"]
            await house.clock.sleep(2)
            job.cancel()
        assert house.kinds() == ["enrollee_found", "enrollee_lost"]

    in_house(script)


def test_the_sweep_raises_and_clears_the_flood_warning() -> None:
    def crowd(house: House, entries: range) -> None:
        for number in entries:
            for _ in range(2):
                sound(house.registry, "configured", number, house.clock.boot())

    async def script(house: House) -> None:
        crowd(house, range(10))
        house.discovery.sweep()
        assert not house.health.has("enrollee_flood")
        crowd(house, range(10, 20))
        house.discovery.sweep()
        assert house.health.has("enrollee_flood")
        assert "10 devices" in house.health.warnings()[0].text
        await house.clock.sleep(60)
        house.discovery.sweep()
        assert not house.health.has("enrollee_flood")

    in_house(script, registry=Registry(PRODUCTS, verify, 10))


def test_an_access_point_never_makes_an_event() -> None:
    async def script(house: House) -> None:
        for number in range(5):
            sound(house.registry, "access point", number, house.clock.boot())
        await house.clock.sleep(100)
        house.discovery.sweep()
        assert house.kinds() == []
        points: list[Entry] = house.registry.access_points()
        assert len(points) == 5

    in_house(script)
