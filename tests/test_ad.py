"""The advertising codec against the vendor's reference (ble-adv.json) and against broken input."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.codec import ad
from agent.errors import FrameError
from agent.model import BleRecord, Generation, Signature, mac_text

VECTORS = Path(__file__).parent / "vectors" / "ble-adv.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))["cases"]
EXAMPLE = bytes.fromhex("0201060303b3fe0fffa8013619aba70a00d6847940f6f0")  # ble-breeze.md 13.1
MARK = bytes.fromhex("ffa801")


def case_id(case: dict[str, Any]) -> str:
    return str(case["id"])


def advert_of(case: dict[str, Any]) -> bytes:
    """The advertising data; the harness of generation A recorded its manufacturer data only."""
    data = bytes.fromhex(case["manufacturer_data"])
    return bytes.fromhex(case.get("adv_data", "")) or EXAMPLE[:7] + structure(0xFF, data)


def must_read(data: bytes) -> BleRecord:
    record = ad.read_advert(data)
    assert record is not None
    return record


def structure(kind: int, content: bytes) -> bytes:
    return bytes((len(content) + 1, kind)) + content


def manufacturer(content: bytes) -> bytes:
    return structure(0xFF, b"\xa8\x01" + content)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_reads_what_the_reference_sends(case: dict[str, Any]) -> None:
    record = must_read(advert_of(case))
    assert record.generation == Generation(case["generation"])
    assert record.sub_type == case.get("subtype", 0)
    # A0 sends the low half of its product id only.
    short = record.generation is Generation.A0
    assert record.product_id == int(case["product_id"], 16) & (0xFFFF if short else 0xFFFFFFFF)
    assert mac_text(record.mac) == case["mac_display"]
    assert record.fmsk == int(case["fmsk"], 16)
    assert record.signature == (
        Signature(bytes.fromhex(case["sign_hex"]), case["sequence_on_air"]) if case["signed"] else None
    )


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_bound_is_what_the_device_was_told(case: dict[str, Any]) -> None:
    record = must_read(advert_of(case))
    bound = case.get("bound")
    if case["source"] == "c0":
        bound = bool(case["app_bound_flag"]) or None
    assert record.bound is bound


@pytest.mark.parametrize("case", [c for c in CASES if "security" in c], ids=case_id)
def test_security_of_generation_a(case: dict[str, Any]) -> None:
    record = must_read(advert_of(case))
    assert record.secured is case["security"]
    per_device = case["secret_per_device"]
    if per_device is None or not record.secured:
        assert record.secret is None
    else:
        assert record.secret == ("device" if per_device else "product")


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_builds_what_the_reference_sends(case: dict[str, Any]) -> None:
    data = advert_of(case)
    assert ad.build(must_read(data)) == data


@pytest.mark.parametrize("text", sorted({c["scan_response"] for c in CASES if "scan_response" in c}))
def test_builds_the_scan_response(text: str) -> None:
    answer = bytes.fromhex(text)
    assert ad.build_scan_response(answer[2:].decode()) == answer


def test_order_extra_structures_and_scan_response_do_not_matter() -> None:
    parts = [EXAMPLE[:3], EXAMPLE[3:7], EXAMPLE[7:], structure(0x09, b"FY"), structure(0xFF, b"\x4c\x00\x02")]
    expected = must_read(EXAMPLE)
    for order in itertools.permutations(parts):
        assert ad.read_advert(b"".join(order)) == expected


def test_a_length_of_zero_ends_the_list() -> None:
    assert ad.read_advert(EXAMPLE + bytes(8)) == must_read(EXAMPLE)
    assert ad.read_advert(EXAMPLE[:7] + b"\0" + EXAMPLE[7:]) is None


def test_user_data_behind_the_record_is_ignored() -> None:
    record = must_read(EXAMPLE)
    data = ad.build(record, user_data=b"\xa5" * 8)
    assert len(data) == 31
    assert ad.read_advert(data) == record


def test_every_prefix_is_foreign_or_broken() -> None:
    for size in range(len(EXAMPLE)):
        cut = EXAMPLE[:size]
        if MARK in cut:
            with pytest.raises(FrameError):
                ad.read_advert(cut)
        else:
            assert ad.read_advert(cut) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x05",
        b"\x1f\xff\x4c\x00",  # another company's structure, cut short
        structure(0x16, b"\xff\xa8\x01\x36\x19"),  # the mark inside service data
        structure(0xFF, b"\xa8"),
        structure(0xFF, b"\x19\x08" + EXAMPLE[11:]),  # the wrong company id of the notes, 0x0819
        b"\x03\xff\xff\xa8\x01",
    ],
)
def test_foreign_data_is_none(data: bytes) -> None:
    assert ad.read_advert(data) is None


# What DESIGN 3 says of byte 2, written down a second time.
def expected_generation(octet: int) -> Generation | None:
    allowed = {
        Generation.A0: {0x03},
        Generation.A1: {0x04},
        Generation.B0: {0x05, 0x15, 0x25},
        Generation.GENIE: {0x85, 0x95, 0xA5, 0xB5, 0xC5, 0xD5, 0xE5, 0xF5},
        Generation.B1: {sub << 4 | 6 for sub in range(16)},
        Generation.C: {sub << 4 | 7 for sub in range(16)},
    }
    return next((generation for generation, octets in allowed.items() if octet in octets), None)


@pytest.mark.parametrize("octet", range(256))
def test_generation_by_nibble_and_sub_type(octet: int) -> None:
    record = ad.read_advert(manufacturer(bytes((octet, 0x19)) + bytes(range(10))))
    generation = expected_generation(octet)
    assert (record and record.generation) == generation
    assert ad.is_known(b"\xa8\x01" + bytes((octet,))) is (generation is not None)
    if record is not None:
        assert record.connectable is (octet >> 4 not in (1, 9))
        wants = {0x25, 0x26, 0x36, 0xC7}
        assert record.wants_wifi is (octet in wants)


@pytest.mark.parametrize("octet", [o for o in range(256) if expected_generation(o)])
def test_what_the_function_mask_says(octet: int) -> None:
    for fmsk in range(256):
        check_mask(must_read(manufacturer(bytes((octet, fmsk)) + bytes(18))), fmsk)


def check_mask(record: BleRecord, fmsk: int) -> None:
    generation = record.generation
    assert record.secured is bool(fmsk & (4 if generation is Generation.A0 else 8))
    if generation is Generation.A0 or not record.secured:
        assert record.secret is None
    else:
        assert record.secret == ("product", "device")[fmsk >> 4 & 1]
    if generation is Generation.B1:
        assert record.bound is bool(fmsk & 0x40)
    elif generation in (Generation.C, Generation.GENIE):
        assert record.bound is (True if fmsk & 0x20 else None)
    else:
        assert record.bound is None
    signed = generation in (Generation.B0, Generation.B1) and fmsk & 0x20
    assert (record.signature is not None) is bool(signed)


@pytest.mark.parametrize("size", range(14, 22))
def test_a_signature_that_is_not_there_is_none(size: int) -> None:
    content = bytes.fromhex("3639aba70a00d6847940f6f00102030405060708")
    record = ad.read(b"\xa8\x01" + content[: size - 2])
    assert record is not None
    assert record.signature is None


def test_the_genie_beacon_has_the_record_of_all_others() -> None:
    content = bytes.fromhex("950d 78560100 86c3bbe096d8")
    record = must_read(manufacturer(content))
    assert (record.generation, record.product_id) == (Generation.GENIE, 0x15678)
    assert mac_text(record.mac) == "D8:96:E0:BB:C3:86"
    assert not record.connectable


@pytest.mark.parametrize(
    ("octet", "size"), [(0x03, 12), (0x04, 14), (0x25, 14), (0x36, 14), (0xC7, 14), (0xA5, 14)]
)
def test_a_record_cut_short_is_broken(octet: int, size: int) -> None:
    full = b"\xa8\x01" + bytes((octet, 0x19)) + bytes(range(10))
    assert ad.read(full[:size]) is not None
    for shorter in range(2, size):
        with pytest.raises(FrameError):
            ad.read(full[:shorter])


def test_manufacturer_data_of_another_company_is_none() -> None:
    assert ad.read(b"\x4c\x00\x36\x19") is None


RECORDS = st.builds(
    replace,
    st.sampled_from([must_read(advert_of(c)) for c in CASES if c["generation"] != "A0"]),
    product_id=st.integers(0, 0xFFFFFFFF),
    mac=st.binary(min_size=6, max_size=6),
)


@given(RECORDS, st.binary(max_size=8))
def test_reading_undoes_building(record: BleRecord, user_data: bytes) -> None:
    assert ad.read_advert(ad.build(record, user_data=user_data)) == record


@given(st.binary(max_size=64))
def test_only_frame_errors_escape(data: bytes) -> None:
    try:
        ad.read_advert(data)
    except FrameError:
        pass


@given(
    st.sampled_from([advert_of(c) for c in CASES]),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 255)), max_size=4),
)
def test_only_frame_errors_escape_from_changed_adverts(data: bytes, changes: list[tuple[int, int]]) -> None:
    changed = bytearray(data)
    for at, value in changes:
        changed[at % len(changed)] = value
    try:
        record = ad.read_advert(bytes(changed))
    except FrameError:
        return
    assert record is None or len(record.mac) == 6
