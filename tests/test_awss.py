"""The enrollee element against what the reference registrar and enrollee did (wifi-awss.md 2.2, 3.2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.codec import awss
from agent.codec.dot11 import FrameReader
from agent.errors import FrameError
from agent.model import WifiRecord

VECTORS = Path(__file__).parent / "vectors"
RECORD = WifiRecord(1, "dev-name_with:dots.@32", "a1QdKm5axuO", bytes(range(16)), 4, 1, bytes(range(20)))

# Where "recommended for us" (wifi-awss.md 3.2) and the reference of v3.2.0 part, each with its reason.
DIFFERENT = {
    "ver/devtype 0x11": "a later enrollee marks with it that it understands an app token",
    "device name empty": "an enrollee without a name cannot be named in a topic",
    "product key empty": "an enrollee without a product cannot be named in a topic",
}


def vectors(name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())["vectors"]
    return loaded


def named(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = next(
        vector["cases"] for vector in vectors("wifi-registrar-traces.json") if vector["name"] == name
    )
    return found


RUNS = vectors("wifi-zeroconfig-roundtrip.json")


def body_of(element: str) -> bytes:
    """What follows OUI and type."""
    octets = bytes.fromhex(element)
    assert octets[:1] + octets[2:6] == b"\xdd" + awss.ENROLLEE_TYPE
    return octets[6:]


@pytest.mark.parametrize("case", named("enrollee_ie_validation"), ids=lambda case: case["case"])
def test_accepts_what_the_reference_accepts(case: dict[str, Any]) -> None:
    accepted = case["rc"] == 0
    if case["case"] in DIFFERENT:
        accepted = not accepted
    body = body_of(case["ie"])
    if accepted:
        assert awss.build_enrollee(awss.read_enrollee(body)).hex() == case["ie"]
    else:
        with pytest.raises(FrameError, match="enrollee element"):
            awss.read_enrollee(body)


def test_differences_are_cases_of_the_reference() -> None:
    assert set(DIFFERENT) <= {case["case"] for case in named("enrollee_ie_validation")}


@pytest.mark.parametrize("run", RUNS, ids=range(len(RUNS)))
def test_reads_every_field_of_the_reference_element(run: dict[str, Any]) -> None:
    fields = run["enrollee_ie_fields"]
    record = awss.read_enrollee(body_of(run["enrollee_ie"]))
    assert record == WifiRecord(
        version=fields["ver_devtype"],
        device_name=fields["device_name"],
        product_key=fields["product_key"],
        random=bytes.fromhex(fields["random"]),
        security=fields["security"],
        sign_method=fields["sign_method"],
        sign=bytes.fromhex(fields["sign"]),
    )
    assert awss.build_enrollee(record).hex() == run["enrollee_ie"]


@pytest.mark.parametrize("run", RUNS, ids=range(len(RUNS)))
def test_finds_the_element_in_the_reference_frames(run: dict[str, Any]) -> None:
    expected = awss.read_enrollee(body_of(run["enrollee_ie"]))
    for name in ("enrollee_frame", "beacon_frame"):
        if name in run:
            frame = bytes.fromhex(run[name])
            station = FrameReader(105).read(frame, 0, len(frame))
            assert station is not None
            assert station.enrollee == expected
            assert station.source == bytes.fromhex(run["input"]["enrollee_mac"].replace(":", "")) or (
                name == "beacon_frame"
            )


@pytest.mark.parametrize("run", RUNS, ids=range(len(RUNS)))
def test_found_payload_is_the_one_the_reference_published(run: dict[str, Any]) -> None:
    published = next(one for one in run["publishes"] if one["topic"].endswith("/enrollee/found"))
    payload = json.loads(published["payload"])["params"]["payload"][0]
    record = awss.read_enrollee(body_of(run["enrollee_ie"]))
    assert awss.found_payload(record) == payload
    assert awss.read_found(payload) == awss.read_found(payload.lower()) == record


@pytest.mark.parametrize("run", RUNS, ids=range(len(RUNS)))
def test_signs_as_the_reference(run: dict[str, Any]) -> None:
    given = run["input"]
    secret = given["productSecret"] if given["security"] == 3 else given["deviceSecret"]
    record = awss.read_enrollee(body_of(run["enrollee_ie"]))
    signed = awss.sign(secret, record.random, given["deviceName"], given["productKey"])
    assert signed.hex() == run["enrollee_ie_fields"]["sign"]
    assert awss.verify(secret, record)
    assert not awss.verify(secret + "x", record)
    assert not awss.verify(secret, RECORD)


def test_a_registrars_own_frames_hold_no_enrollee() -> None:
    for vector in vectors("wifi-registrar-frame-layout.json"):
        for case in vector["cases"]:
            frame = bytes.fromhex(case["frame"])
            station = FrameReader(105).read(frame, 0, len(frame))
            assert station is None or (station.enrollee is None and station.trouble is None), case["case"]


# The reference finds no element there; for us it is one of ours, and broken. Neither makes an enrollee of it.
BROKEN_FOR_US = {"oui only 4 bytes": "an AA element without a version octet"}


@pytest.mark.parametrize("case", named("vendor_ie_search"), ids=lambda case: case["case"])
def test_searches_as_the_reference(case: dict[str, Any]) -> None:
    frame = bytes.fromhex("40000000ffffffffffff28c2dd616883ffffffffffff0000" + case["elements"])
    station = FrameReader(105).read(frame, 0, len(frame))
    assert station is not None
    assert (station.enrollee is not None) == (case["offset"] >= 0)
    assert (station.trouble is not None) == (case["case"] in BROKEN_FOR_US)


def test_every_truncation_is_refused() -> None:
    body = awss.build_enrollee(RECORD)[6:]
    for size in range(len(body)):
        with pytest.raises(FrameError):
            awss.read_enrollee(body[:size])


def test_octets_behind_the_sign_are_reserved() -> None:
    assert awss.read_enrollee(awss.build_enrollee(RECORD)[6:] + b"later") == RECORD


@pytest.mark.parametrize("name", [b"a/b", b"a b", b"a\0", b"\xc3\xa9t\xc3\xa9", b"a\n", b'"', b"+", b"#"])
def test_refuses_names_that_no_topic_may_hold(name: bytes) -> None:
    body = awss.build_enrollee(RECORD)[6:]
    own = RECORD.device_name.encode()
    broken = body.replace(bytes((len(own),)) + own, bytes((len(name),)) + name)
    with pytest.raises(FrameError, match="device name holds a character"):
        awss.read_enrollee(broken)


@pytest.mark.parametrize("low", range(16))
def test_device_type_must_be_one_whatever_the_version(low: int) -> None:
    body = bytes((0x50 | low,)) + awss.build_enrollee(RECORD)[7:]
    if low == 1:
        assert awss.read_enrollee(body).version == 0x51
    else:
        with pytest.raises(FrameError, match="version octet"):
            awss.read_enrollee(body)


@pytest.mark.parametrize(
    "text", ["", "0", "zz", "é", awss.found_payload(RECORD) + "00", awss.found_payload(RECORD)[:-2]]
)
def test_refuses_payloads_that_are_not_an_enrollee(text: str) -> None:
    with pytest.raises(FrameError):
        awss.read_found(text)
