"""The registry: identity, classes, what is told, how it reads."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest

from agent.codec import ad
from agent.entries import Rank, access_point_document, document
from agent.errors import FrameError, InputRefused
from agent.registry import Registry
from tests.enrollees import (
    LAMP_ID,
    PLUG,
    STRANGE_ID,
    address,
    advert,
    beacon,
    fresh,
    hear,
    lamp_id,
    probe,
    probe_response,
    record,
    verify,
)

# What one enrollee brings


def test_found_once_and_then_only_counted() -> None:
    registry = fresh()
    change = hear(registry, 1)
    assert change is not None
    assert (change.kind, change.entry.id) == ("found", "ble:00:00:00:00:00:01/00000a01")
    assert [registry.see_advert(address(1), -50 - n, advert(1), n) for n in range(3)] == [None] * 3
    entry = registry.find(lamp_id(1))
    assert (entry.count, entry.rssi, entry.last, entry.first) == (4, -52, 2, 0)


def test_unknown_strength_keeps_the_last_known_one() -> None:
    registry = fresh()
    hear(registry, 1)
    for _ in range(3):
        registry.see_advert(address(1), None, advert(1), 1.0)
    assert registry.find(lamp_id(1)).rssi == -60


def test_the_record_names_the_enrollee_and_not_the_gap_address() -> None:
    registry = fresh()
    hear(registry, 1)
    change = registry.see_advert(address(77), -60, advert(1), 20.0)
    assert change is not None
    assert (change.kind, change.fields) == ("changed", ("address",))
    assert [entry.address for entry in registry.entries()] == [address(77)]


def test_bound_is_told_at_once_and_flapping_every_ten_seconds() -> None:
    registry = fresh()
    hear(registry, 1)
    told = []
    for step in range(1, 1001):
        now = step / 10
        change = registry.see_advert(address(1), -60, advert(1, fmsk=0x59 if step % 2 else 0x19), now)
        if change is not None:
            told.append((now, change.kind, change.fields))
    assert told[0] == (0.1, "changed", ("bound", "fmsk"))
    assert len(told) == 10
    assert all(kind == "changed" for _, kind, _ in told)


def test_a_change_in_the_quiet_time_is_told_after_it() -> None:
    registry = fresh()
    hear(registry, 1)
    assert registry.see_advert(address(1), -60, advert(1, fmsk=0x59), 1.0) is not None
    assert registry.see_advert(address(2), -60, advert(1, fmsk=0x59), 2.0) is None
    assert registry.see_advert(address(2), -60, advert(1, fmsk=0x59), 10.9) is None
    change = registry.see_advert(address(2), -60, advert(1, fmsk=0x59), 11.0)
    assert change is not None
    assert change.fields == ("address",)


def test_the_sequence_of_a_signed_advert_is_no_news() -> None:
    registry = fresh()
    heard = [
        registry.see_advert(address(1), -60, advert(1, fmsk=0x39) + b"sign" + n.to_bytes(4, "little"), n)
        for n in range(50)
    ]
    assert [change.kind for change in heard if change] == ["found"]
    assert registry.find(lamp_id(1)).count == 50


@pytest.mark.parametrize("cut", range(2, 14))
def test_broken_data_raises_and_leaves_nothing(cut: int) -> None:
    registry = fresh()
    try:
        assert registry.see_advert(address(1), -60, advert(1)[:cut], 0.0) is None
    except FrameError:
        pass
    else:
        pytest.fail("a cut record was taken for a whole one")
    assert registry.totals()["total"] == 0


def test_another_protocol_of_the_company_is_only_counted() -> None:
    registry = fresh()
    assert registry.see_advert(address(1), -60, b"\xa8\x01\x0fwhatever else", 0.0) is None
    assert registry.totals()["total"] == 0
    assert registry.losses()["ignored_other_protocol"] == 1


def test_long_user_data_is_read_but_not_remembered() -> None:
    registry = fresh()
    for n in range(3):
        registry.see_advert(address(1), -60, advert(1) + bytes(200), n)
    assert (registry.find(lamp_id(1)).count, registry.find(lamp_id(1)).data) == (3, b"")


def test_repeats_allocate_nothing() -> None:
    registry = fresh()
    frames = [advert(n) for n in range(50)]
    stations = [beacon(n) for n in range(50)]

    def run(rounds: int) -> None:
        for _ in range(rounds):
            for number, frame in enumerate(frames):
                registry.see_advert(address(number), -60, frame, 5.0)
            for station in stations:
                registry.see_station(station, -60, 0, 5.0)

    run(10)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    run(20)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    # Each entry may hold its newest address or a larger counter; 40 frames each must not add up.
    assert grown < 100 * 64


# Wi-Fi


def test_a_wifi_enrollee_is_found_by_its_names() -> None:
    registry = fresh()
    change = registry.see_station(probe(record("plug1")), -40, 0, 1.0)
    assert change is not None
    assert (change.kind, change.entry.id, change.entry.rank) == (
        "found",
        "wifi:a1plug00001/plug1",
        Rank.CONFIGURED,
    )
    assert change.entry.product is PLUG
    assert registry.access_points() == []


def test_a_new_session_of_the_enrollee_is_a_change() -> None:
    registry = fresh()
    registry.see_station(probe(record("plug1")), -40, 0, 1.0)
    change = registry.see_station(probe(record("plug1", random=b"s" * 16)), -40, 0, 2.0)
    assert change is not None
    assert (change.kind, change.fields) == ("changed", ("random",))


def test_a_wrong_sign_is_a_stranger_without_a_word() -> None:
    registry = fresh()
    forged = probe(record("plug1", genuine=False))
    assert [registry.see_station(forged, -40, 0, n) for n in range(3)] == [None] * 3
    assert registry.totals()["strangers"] == 1
    assert registry.totals()["configured"] == 0


def test_a_wrong_sign_does_not_touch_the_genuine_one() -> None:
    registry = fresh()
    registry.see_station(probe(record("plug1")), -40, 0, 1.0)
    assert registry.see_station(probe(record("plug1", genuine=False), source=9), -20, 0, 2.0) is None
    entry = registry.find("plug1")
    assert (entry.record, entry.address, entry.rssi, entry.count) == (record("plug1"), address(1), -40, 1)
    assert registry.losses()["ignored_forged"] == 1


def test_the_genuine_one_takes_the_place_of_a_stranger() -> None:
    registry = fresh()
    for n in range(3):
        registry.see_station(probe(record("plug1", genuine=False), source=9), -20, 0, n)
    change = registry.see_station(probe(record("plug1")), -40, 0, 4.0)
    assert change is not None
    assert (change.kind, change.entry.rank, change.entry.count) == ("found", Rank.CONFIGURED, 1)
    assert registry.totals()["strangers"] == 0


def test_a_product_without_secret_is_believed() -> None:
    registry = Registry({"a1other0001": replace(PLUG, product_key="a1other0001")}, verify)
    change = registry.see_station(probe(record("x", "a1other0001", genuine=False)), -40, 0, 1.0)
    assert change is not None
    assert change.entry.rank is Rank.CONFIGURED


def test_a_beacon_with_an_enrollee_is_both() -> None:
    registry = fresh()
    station = beacon(5, b"adha", enrollee=record("plug1"))
    for n in range(4):
        registry.see_station(station, -40, 0, n)
    assert [entry.count for entry in registry.entries()] == [4]
    assert [entry.count for entry in registry.access_points()] == [4]


def test_bystanders_are_only_counted() -> None:
    registry = fresh()
    assert registry.see_station(probe(None), -40, 0, 1.0) is None
    assert registry.totals()["total"] == 0
    assert registry.losses()["ignored_bystander"] == 1


def test_a_broken_element_is_counted_in_every_frame() -> None:
    registry = fresh()
    station = replace(beacon(5), trouble="enrollee element: too short")
    for n in range(4):
        registry.see_station(station, -40, 0, n)
    assert registry.losses()["ignored_broken_element"] == 4
    assert [entry.count for entry in registry.access_points()] == [4]


def test_access_points_are_kept_without_a_word() -> None:
    registry = fresh()
    station = beacon(0xA0B1C2D3E4F5, b"Caf\xe9")
    assert [registry.see_station(station, -40, 0, n) for n in range(3)] == [None] * 3
    assert [access_point_document(entry, 4.0) for entry in registry.access_points()] == [
        {
            "bssid": "A0:B1:C2:D3:E4:F5",
            "ssid": "Caf\\xe9",
            "ssid_hex": "436166e9",
            "hidden": False,
            "channel": 6,
            "rssi": -40,
            "security": "wpa2",
            "frames": 3,
            "age": 2.0,
        }
    ]


def test_a_hidden_network_keeps_the_name_of_its_probe_response() -> None:
    registry = fresh()
    for n in range(3):
        registry.see_station(beacon(5, b""), -40, 0, 2 * n)
        registry.see_station(probe_response(5, b"secret"), -40, 0, 2 * n + 1)
    row = access_point_document(registry.access_points()[0], 5.0)
    assert (row["ssid"], row["hidden"], row["frames"]) == ("secret", True, 6)


def test_a_scan_result_that_only_got_older_counts_once() -> None:
    registry = fresh()
    station = beacon(5)
    for n in range(10):
        registry.see_station(station, -40, 1.0 + n, 100.0 + n)
    assert [(entry.count, entry.last) for entry in registry.access_points()] == [(1, 99.0)]
    registry.see_station(station, -40, 1.0, 110.0)
    assert [(entry.count, entry.last) for entry in registry.access_points()] == [(2, 109.0)]


# Reading


def test_find_takes_an_id_a_mac_or_a_name() -> None:
    registry = fresh()
    hear(registry, 0xA1B2C3D4E5F6)
    registry.see_station(probe(record("plug1"), source=7), -40, 0, 1.0)
    lamp, plug = registry.entries()
    assert registry.find("ble:A1:B2:C3:D4:E5:F6/00000a01") is lamp
    assert registry.find("ble:a1:b2:c3:d4:e5:f6/00000A01") is lamp
    assert registry.find("a1b2c3d4e5f6") is lamp
    assert registry.find(address(0xA1B2C3D4E5F6).hex("-")) is lamp
    assert registry.find("plug1") is plug
    assert registry.find("wifi:a1plug00001/plug1") is plug
    assert registry.find(address(7).hex(":")) is plug


@pytest.mark.parametrize(
    "text", ["", "ble:", "ble:1/2", "ble:AA:BB:CC:DD:EE:FF/zz", "wifi:a/b", "\x1b[2J", "00:00"]
)
def test_find_says_404_when_there_is_none(text: str) -> None:
    registry = fresh()
    registry.see_station(beacon(5), -40, 0, 0.0)
    with pytest.raises(InputRefused) as caught:
        registry.find(text)
    assert caught.value.code == 404
    assert "\x1b" not in str(caught.value)


def test_find_names_the_ids_when_more_than_one_fits() -> None:
    registry = fresh()
    hear(registry, 1)
    hear(registry, 1, product_id=STRANGE_ID)
    with pytest.raises(InputRefused, match=r"00000a01, .*0000beef") as caught:
        registry.find("00:00:00:00:00:01")
    assert caught.value.code == 404


def test_document_of_a_ble_enrollee() -> None:
    registry = fresh()
    data = advert(0xA1B2C3D4E5F6, fmsk=0x39) + b"\1\2\3\4" + (9).to_bytes(4, "little")
    registry.see_advert(address(3), -61, data, 100.0)
    entry = registry.find("A1:B2:C3:D4:E5:F6")
    assert document(entry, 102.5, 1_700_000_002.5) == {
        "id": "ble:A1:B2:C3:D4:E5:F6/00000a01",
        "kind": "ble",
        "address": "C0:00:00:00:00:03",
        "class": "configured",
        "product_key": "a1lamp00001",
        "product_name": "Lamp",
        "rssi": -61,
        "age": 2.5,
        "first_seen": "2023-11-14T22:13:20Z",
        "count": 1,
        "state": "found",
        "reported_ago": None,
        "generation": "B1",
        "sub_type": 0,
        "product_id": 0x0A01,
        "mac": "A1:B2:C3:D4:E5:F6",
        "fmsk": 0x39,
        "secured": True,
        "secret": "device",
        "wants_wifi": False,
        "bound": False,
        "connectable": True,
        "signature": {"sign": "01020304", "sequence": 9},
    }


def test_document_follows_the_state() -> None:
    registry = fresh()
    registry.see_station(probe(record("n", "a1unknown01")), None, 0, 1.0)
    entry = registry.find("n")
    row = document(entry, 1.0, 0.0)
    assert (row["class"], row["product_key"], row["product_name"]) == ("other", "a1unknown01", None)
    assert (row["rssi"], row["device_name"], row["security"], row["channel"]) == (None, "n", 3, 6)
    entry.reported = 0.5
    assert (document(entry, 1.0, 0.0)["state"], document(entry, 1.0, 0.0)["reported_ago"]) == (
        "reported",
        0.5,
    )
    registry.protect("n")
    assert document(entry, 1.0, 0.0)["state"] == "provisioning"
    assert document(entry, 1.0, 0.0, joined=True)["state"] == "joined"


def test_adverts_by_hand_are_those_of_the_codec() -> None:
    """The helper's octets mean what the tests take them for."""
    heard = ad.read(advert(0xA1B2C3D4E5F6))
    assert heard is not None
    assert (heard.mac.hex(), heard.product_id, heard.bound) == ("a1b2c3d4e5f6", LAMP_ID, False)
