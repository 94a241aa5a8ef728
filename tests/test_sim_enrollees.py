"""The simulated devices send what the reference devices sent."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any, Literal

import pytest

from agent.codec import awss
from agent.codec.ad import read_advert
from agent.codec.dot11 import FrameReader
from agent.model import DeviceId, Generation, WifiRecord, mac_bytes
from hw.sim.air import Transmission
from hw.sim.enrollees import BleEnrollee, WifiEnrollee, probe_frame, random_static_address
from hw.sim.plans import Ble, Wifi
from hw.sim.radios import RADIOTAP, capture
from hw.sim.signing import SIGNS_LOGIN, Identity, client_id, sign_login

VECTORS = Path(__file__).parent / "vectors"
BLUETOOTH: dict[str, Literal["4.0", "5.0"]] = {"b1b40": "4.0", "b1b50": "5.0"}

Case = dict[str, Any]


def load(name: str, key: str) -> list[Case]:
    cases: list[Case] = json.loads((VECTORS / name).read_text("utf-8"))[key]
    return cases


def by_id(case: Case) -> str:
    return str(case["id"])


def is_silent(case: Case) -> bool:
    return bool(case.get("app_silent_flag"))  # "silent" advertising of one C build: not simulated


ADVERTS = [case for case in load("ble-adv.json", "cases") if not is_silent(case)]


def plan_of(case: Case) -> Ble:
    """A scenario's row from the inputs of a vector; the mask and the bytes are not among them."""
    keyed = case.get("secret_per_device_argument", case.get("secret_per_device"))
    is_c0 = "app_needs_wifi_flag" in case
    return Ble(
        product_key=case.get("product_key", "a1AnyProduct"),
        device_name=case.get("device_name", "any"),
        product_id=int(case["product_id"], 16),
        mac=case["mac_display"],
        generation=Generation(case["generation"]),
        sub_type=case["subtype"],
        secured=case.get("security", case["source"] != "b1n"),
        keyed="product" if keyed is False else "device",
        signed=case["signed"],
        sequence=case.get("stored_sequence_before", 0),
        bound=bool(case.get("bound") or (is_c0 and case["app_bound_flag"])),
        needs_wifi=bool(case.get("app_needs_wifi_flag")),
        ota=case.get("ota", case["source"] == "b1b40"),
        bluetooth=BLUETOOTH.get(case["source"], "4.2"),
    )


def identity_of(case: Case) -> Identity:
    device = DeviceId(case.get("product_key", "a1AnyProduct"), case.get("device_name", "any"))
    secrets = (case.get("product_secret", ""), case.get("device_secret") or None)
    return Identity(device, int(case["product_id"], 16), *secrets)


@pytest.mark.parametrize("case", ADVERTS, ids=by_id)
def test_the_advert_is_the_reference_devices_own(case: Case) -> None:
    enrollee = BleEnrollee(plan_of(case), identity_of(case), Random(1))
    expected = case.get("adv_data") or complete(case["manufacturer_data"])
    assert enrollee.advert.hex() == expected


def complete(manufacturer: str) -> str:
    """Generation A's vectors hold the manufacturer data only (ble-breeze.md 2.1 for the rest)."""
    return f"0201060303b3fe{len(manufacturer) // 2 + 1:02x}ff{manufacturer}"


def test_no_vector_was_lost_on_the_way() -> None:
    assert len(ADVERTS) == 49
    assert {case["generation"] for case in ADVERTS} == {"A0", "A1", "B0", "B1", "C"}


@pytest.mark.parametrize("generation", list(Generation))
def test_an_owned_device_says_so_where_its_generation_can(generation: Generation) -> None:
    sub_type = 8 if generation in {Generation.C, Generation.GENIE} else 0
    plan = Ble(
        product_key="a1AnyProduct",
        device_name="any",
        product_id=7,
        mac="00:00:00:00:00:01",
        generation=generation,
        sub_type=sub_type,
    )
    enrollee = BleEnrollee(plan, Identity(plan.device, 7, "p", "d"), Random(1))
    before = read_advert(enrollee.advert)
    enrollee.settle()
    after = read_advert(enrollee.advert)
    assert before
    assert after
    assert before.generation is generation
    assert not before.bound
    tells = generation in {Generation.B1, Generation.C, Generation.GENIE}
    assert after.bound is (True if tells else None)


def test_a_combo_device_that_settled_is_on_its_network_and_signs_with_the_next_sequence() -> None:
    case = next(case for case in ADVERTS if case["signed"] and case["subtype"] == 3)
    enrollee = BleEnrollee(plan_of(case), identity_of(case), Random(1))
    enrollee.settle()
    record = read_advert(enrollee.advert)
    assert record
    assert record.sub_type == 4
    assert not record.wants_wifi
    assert record.signature
    assert record.signature.sequence == case["sequence_on_air"] + 1


def test_the_address_on_the_air_is_a_random_static_one_unless_it_is_given() -> None:
    drawn = [random_static_address(Random(seed)) for seed in range(20)]
    assert all(address[0] >= 0xC0 for address in drawn)
    assert len(set(drawn)) == 20
    case = ADVERTS[0]
    plan = plan_of(case)
    assert BleEnrollee(plan, identity_of(case), Random(1)).address != mac_bytes(plan.mac)


# A1 signs a random of its own, which only the request for both tells; a device per product refuses that one.
LOGINS = [
    case
    for case in load("ble-tlv.json", "cases")
    if case["reply_plain_hex"]
    and (case["case"] == "04 then 05" or (case["case"] == "05 alone" and case["source"] != "a1"))
]
GENERATION = {
    "a1": Generation.A1,
    "b0": Generation.B0,
    "b1": Generation.B1,
    "b1s": Generation.B1,
    "c1": Generation.C,
}
KEYED_BY_PRODUCT = {"a1RfNGi3U0G"}


@pytest.mark.parametrize("case", LOGINS, ids=by_id)
def test_the_login_signature_is_the_reference_devices_own(case: Case) -> None:
    generation = GENERATION[case["source"]]
    keyed = "product" if case["product_key"] in KEYED_BY_PRODUCT else "device"
    reply = case["reply_plain_hex"]
    if generation is not Generation.A1:
        params = sign_login(identity_of(case), generation, bytes(16), keyed=keyed)
        assert params["sign"] == reply[-64:]
        assert "random" not in params
        return
    secret = case[f"{keyed}_secret"].encode("ascii")[:16]
    on_air = reply[4:36]
    random = bytes(a ^ b for a, b in zip(bytes.fromhex(on_air), secret, strict=True))
    params = sign_login(identity_of(case), generation, random, keyed=keyed)
    assert params["sign"] == reply[-64:]
    assert params["random"] == on_air


def test_the_client_id_is_written_as_each_generation_hashes_it() -> None:
    told = [case for case in LOGINS if "client_id" in case]
    assert {case["source"] for case in told} >= {"b0", "b1", "c1"}
    for case in told:
        assert client_id(GENERATION[case["source"]], int(case["product_id"], 16)) == case["client_id"]


def test_the_login_vectors_cover_every_generation_that_signs() -> None:
    assert {GENERATION[case["source"]] for case in LOGINS} == set(SIGNS_LOGIN)


def test_nothing_secret_is_in_what_an_identity_shows() -> None:
    assert "hunter" not in repr(Identity(DeviceId("pk", "dn"), 1, "hunter1", "hunter2"))


ROUND_TRIPS = load("wifi-zeroconfig-roundtrip.json", "vectors")


@pytest.mark.parametrize("number", range(len(ROUND_TRIPS)))
def test_the_probe_request_is_the_reference_enrollees_own(number: int) -> None:
    given = ROUND_TRIPS[number]["input"]
    secret = given["productSecret"] if given["security"] == 3 else given["deviceSecret"]
    random, device_name = bytes.fromhex(given["random"]), given["deviceName"]
    sign = awss.sign(secret, random, device_name, given["productKey"])
    record = WifiRecord(1, device_name, given["productKey"], random, given["security"], 0, sign)
    frame = probe_frame(mac_bytes(given["enrollee_mac"]), record)
    assert frame.hex() == ROUND_TRIPS[number]["enrollee_frame"]


@pytest.mark.parametrize(("security", "secret"), [(3, "p" * 16), (4, "d" * 32)])
def test_a_zero_config_device_is_read_by_the_gateway_and_its_sign_fits(
    security: Literal[3, 4], secret: str
) -> None:
    plan = Wifi(product_key="a1DemoCam01", device_name="cam", mac="B0:F8:93:15:BF:21", security=security)
    enrollee = WifiEnrollee(plan, Identity(plan.device, 0, "p" * 16, "d" * 32), Random(1))
    captured = capture(Transmission(enrollee.frame, -57, channel=6))
    reader = FrameReader(RADIOTAP)
    station = reader.read(captured, 0, len(captured))
    assert station
    assert station.enrollee
    assert station.source == mac_bytes(plan.mac)
    assert reader.rssi == -57
    assert awss.verify(secret, station.enrollee)


def test_each_session_has_its_own_random() -> None:
    plan = Wifi(product_key="a1DemoCam01", device_name="cam", mac="B0:F8:93:15:BF:21")
    identity = Identity(plan.device, 0, "p" * 16, "d" * 32)
    dice = Random(1)
    frames = {WifiEnrollee(plan, identity, dice).frame for _ in range(3)}
    assert len(frames) == 3
    assert WifiEnrollee(plan, identity, Random(1)).frame in frames
