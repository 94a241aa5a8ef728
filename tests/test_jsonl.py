"""Adverts as JSON lines: the three shapes, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.codec.capture import LineReader
from agent.codec.hci import Report
from agent.errors import FrameError

ADVERT = "0201060303b3fe0fffa8013619aba70a00d6847940f6f0"
HCI = "043e2302010000ffeeddccbbaa17" + ADVERT + "c4"


def read_line(line: str | bytes) -> list[Report] | None:
    data = line.encode() if isinstance(line, str) else line
    return LineReader().read(data, 0, len(data))


def test_reads_the_first_shape_of_lines() -> None:
    line = '{"t":12.5,"addr":"AA:BB:CC:DD:EE:01","addr_type":1,"evt":4,"rssi":-60,"data":"HEX"}'
    line = line.replace("HEX", ADVERT)
    reader = LineReader()
    reports = reader.read(line.encode(), 0, len(line))
    assert reports == [Report(bytes.fromhex("aabbccddee01"), 1, 4, -60, bytes.fromhex(ADVERT))]
    assert reader.at == 12.5
    assert reader.read(b"{}", 0, 2) is None
    assert reader.at is None


def test_reads_the_hci_shape_of_lines() -> None:
    reports = read_line(json.dumps({"vendor": "x", "hci": HCI}))
    assert reports == [Report(bytes.fromhex("aabbccddeeff"), 0, 0, -60, bytes.fromhex(ADVERT))]
    assert read_line('{"hci":"040e0401"}') is None


def test_reads_the_property_shape_of_lines() -> None:
    properties = {
        "address": "aa:bb:cc:dd:ee:01",
        "rssi": -7,
        "manufacturer_data": {"76": "02", "424": ADVERT[22:]},
    }
    reports = read_line(json.dumps(properties))
    assert reports == [Report(bytes.fromhex("aabbccddee01"), 0, 0, -7, bytes.fromhex(ADVERT[14:]))]
    foreign = {
        "address": "61DE521B-F0BF-9F44-64D4-75BBE1738105",
        "rssi": None,
        "manufacturer_data": {"76": "02"},
    }
    assert read_line(json.dumps(foreign)) == []


@pytest.mark.parametrize(
    "line", ["{}", '{"fields":["a","50"]}', '{"service_data":{},"address":"x"}', '{"data":"00"}']
)
def test_other_objects_are_none(line: str) -> None:
    assert read_line(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "[]",
        "{",
        '{"a":NaN}',
        '{"a":1}{',
        b'{"a":"\xff"}',
        '{"a":9223372036854775808}',
        '{"a":' * 33 + "1" + "}" * 33,
        '{"a":' + "[" * 100_000,
        '{"a":"' + "x" * 70_000 + '"}',
        '{"addr":"AA:BB:CC:DD:EE:01","data":"020"}',
        '{"addr":"AA:BB:CC:DD:EE:01","data":"02 01"}',
        '{"addr":"AA:BB:CC:DD:EE:01","data":7}',
        '{"addr":"AA:BB:CC:DD:EE","data":"02"}',
        '{"addr":null,"data":"02"}',
        '{"addr":"AA:BB:CC:DD:EE:01","data":"02","rssi":"-6"}',
        '{"addr":"AA:BB:CC:DD:EE:01","data":"02","rssi":true}',
        '{"addr":"AA:BB:CC:DD:EE:01","data":"02","rssi":-200}',
        '{"addr":"AA:BB:CC:DD:EE:01","data":"02","evt":"x"}',
        '{"hci":"xx"}',
        '{"hci":{}}',
        json.dumps({"hci": HCI[:-2]}),
        '{"address":"AA:BB:CC:DD:EE:01","manufacturer_data":[]}',
        '{"address":"AA:BB:CC:DD:EE:01","manufacturer_data":{"424":"%s"}}' % ("00" * 300),
        '{"address":"61DE521B-F0BF","manufacturer_data":{"424":"36"}}',
    ],
)
def test_broken_lines_are_frame_errors(line: str | bytes) -> None:
    with pytest.raises(FrameError):
        read_line(line)


def test_of_duplicate_members_the_last_counts_and_127_is_unknown() -> None:
    line = '{"addr":"AA:BB:CC:DD:EE:01","data":"02","rssi":-6,"data":"03","rssi":127,"t":null}'
    assert read_line(line) == [Report(bytes.fromhex("aabbccddee01"), 0, 0, None, b"\x03")]


def test_32_levels_are_allowed() -> None:
    assert read_line('{"a":' + "[" * 31 + "]" * 31 + "}") is None


@given(st.binary(max_size=200))
def test_only_frame_errors_escape_from_lines(data: bytes) -> None:
    try:
        read_line(data)
    except FrameError:
        pass
