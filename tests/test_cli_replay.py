"""``replay``: its document, its table and its exit codes (DESIGN 3)."""

from __future__ import annotations

import json
import random
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from agent.codec import ad
from agent.model import BleRecord
from tests import captures
from tests.offline import ADVERT, BEACON, PROBE, RADIOTAP, element, enrollctl, frame, lie_about_signature

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
SHARED_FILES = sorted(p for p in SHARED.glob("*/*") if p.suffix != ".md")

ADDRESS = bytes.fromhex("c0ffee000001")


def advert_event(address: bytes, data: bytes, rssi: int = -60) -> bytes:
    report = b"\0\0" + address[::-1] + bytes((len(data),)) + data + struct.pack("b", rssi)
    return b"\x04\x3e" + bytes((len(report) + 2,)) + b"\x02\x01" + report


def record(number: int) -> BleRecord:
    known = ad.read_advert(bytes.fromhex(ADVERT))
    assert known is not None
    return replace(known, mac=bytes.fromhex("f0f640") + number.to_bytes(3))


def test_replay_wifi(tmp_path: Path) -> None:
    data = frame(0x08, b"")
    quiet = RADIOTAP[:-1] + b"\xb0"
    rows = [
        (10.0, RADIOTAP + BEACON),
        (10.5, quiet + BEACON),
        (11.0, RADIOTAP + PROBE),
        (12.0, RADIOTAP + data),
    ]
    rows += [(13.0, RADIOTAP[:9]), (13.5, RADIOTAP + lie_about_signature(PROBE))]
    path = tmp_path / "a.pcap"
    path.write_bytes(captures.pcap(rows))
    ran = enrollctl("replay", path, "--json")
    assert ran.code == 0
    document = ran.document
    counts = {name: document[name] for name in ("v", "frames", "malformed", "ignored", "used")}
    assert counts == {"v": 1, "frames": 6, "malformed": 1, "ignored": 1, "used": 4}
    assert (document["broken_elements"], document["not_kept"], document["capture_seconds"]) == (1, 0, 3.5)
    assert document["seconds"] >= 0
    assert document["access_points"] == [
        {
            "bssid": "02:00:00:00:00:01",
            "ssid_hex": "486f6d6520ff",
            "channel": 6,
            "rssi": -80,
            "security": "wep",
            "frames": 2,
        }
    ]
    (enrollee,) = document["enrollees"]
    assert enrollee["id"] == "wifi:a1oSRt5Mh3d/dev1"
    assert (enrollee["kind"], enrollee["address"], enrollee["rssi"]) == ("wifi", "02:00:00:00:00:02", -55)
    assert (enrollee["count"], enrollee["device_name"], enrollee["security"]) == (1, "dev1", 4)


def ble_captures() -> dict[str, bytes]:
    """The same advertisements in every format that can hold them: three of ours, a foreign, a broken one."""
    foreign, broken = bytes.fromhex("0201060303b3fe"), bytes.fromhex(ADVERT)[:-1]
    adverts = [ad.build(record(1)), ad.build(record(2)), ad.build(record(1)), foreign, broken]
    events = [(100.0 + n, advert_event(ADDRESS, data)) for n, data in enumerate(adverts)]
    pdus = [(at, air_packet(data)) for (at, _), data in zip(events, adverts, strict=True)]
    lines = [
        {"t": 100 + n, "addr": "C0:FF:EE:00:00:01", "rssi": -60, "data": d.hex()}
        for n, d in enumerate(adverts)
    ]
    pcapng = captures.section() + captures.interface(201) + captures.interface(256)
    for n, (at, event) in enumerate(events):
        number, packet = (0, b"\0\0\0\1" + event) if n % 2 else (1, phdr() + pdus[n][1])
        pcapng += captures.enhanced(number, int(at * 1e6), packet)
    return {
        "h4.btsnoop": captures.btsnoop([(at, 3, event) for at, event in events]),
        "plain.btsnoop": captures.btsnoop([(at, 3, event[1:]) for at, event in events], 1001),
        "monitor.btsnoop": captures.btsnoop([(at, 3, event[1:]) for at, event in events], 2001),
        "h4.pcap": captures.pcap(events, 187),
        "phdr.pcap": captures.pcap([(at, phdr() + packet) for at, packet in pdus], 256, order=">"),
        "mixed.pcapng": pcapng,
        "adverts.jsonl": "".join(json.dumps(line) + "\n" for line in lines).encode(),
    }


def air_packet(data: bytes) -> bytes:
    return b"\xd6\xbe\x89\x8e\x00" + bytes((len(data) + 6,)) + ADDRESS[::-1] + data + b"crc"


def phdr() -> bytes:
    return struct.pack("<BbbBIH", 37, -60, -100, 0, 0, 0x0003)


@pytest.mark.parametrize("name", ble_captures())
def test_replay_ble(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(ble_captures()[name])
    ran = enrollctl("replay", path, "--json")
    document = ran.document
    counts = [document[name] for name in ("frames", "malformed", "ignored", "used", "capture_seconds")]
    assert (ran.code, counts) == (0, [5, 1, 1, 3, 4.0])
    assert document["access_points"] == []
    first, second = document["enrollees"]
    assert (first["id"], first["count"]) == ("ble:F0:F6:40:00:00:01/000aa7ab", 2)
    assert (second["id"], second["count"]) == ("ble:F0:F6:40:00:00:02/000aa7ab", 1)
    assert (first["kind"], first["address"], first["rssi"]) == ("ble", "C0:FF:EE:00:00:01", -60)
    decoded = enrollctl("decode", "advert", ad.build(record(1)).hex()).document
    assert {k: v for k, v in first.items() if k not in ("id", "kind", "address", "rssi", "count")} == {
        k: v for k, v in decoded.items() if k != "v"
    }


def test_replay_without_signal(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(captures.pcap([(1.0, air_packet(bytes.fromhex(ADVERT)))], 251))
    assert enrollctl("replay", path, "--json").document["enrollees"][0]["rssi"] is None


def test_replay_ignores_other_generations_and_other_links(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(captures.pcap([(1.0, bytes(60))] * 3, 1))
    unknown = bytes.fromhex(ADVERT.replace("3619", "3819"))
    (tmp_path / "b.btsnoop").write_bytes(captures.btsnoop([(1.0, 3, advert_event(ADDRESS, unknown))]))
    document = enrollctl("replay", tmp_path / "a.pcap", tmp_path / "b.btsnoop", "--json").document
    assert (document["frames"], document["ignored"], document["used"]) == (4, 4, 0)


def test_replay_sums_several_files(tmp_path: Path) -> None:
    paths = []
    for name, data in ble_captures().items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(data)
    document = enrollctl("replay", *paths, "--json").document
    assert [document[name] for name in ("frames", "malformed", "used")] == [
        5 * len(paths),
        len(paths),
        3 * len(paths),
    ]
    assert document["capture_seconds"] == 4.0 * len(paths)
    assert [enrollee["count"] for enrollee in document["enrollees"]] == [2 * len(paths), len(paths)]


def test_replay_of_a_cut_file_gives_the_table_so_far(tmp_path: Path) -> None:
    for name, data in ble_captures().items():
        path = tmp_path / name
        path.write_bytes(data[:-3])
        ran = enrollctl("replay", path, "--json")
        assert ran.code == 65, name
        assert (ran.document["frames"], ran.document["used"], len(ran.document["enrollees"])) == (4, 3, 2)
        assert str(path) in ran.document["error"]
        assert str(path) in ran.err


def test_replay_of_no_capture(tmp_path: Path) -> None:
    (tmp_path / "ad.hex").write_text(ADVERT + "\n")
    (tmp_path / "empty").write_bytes(b"")
    for name in ("ad.hex", "empty"):
        ran = enrollctl("replay", tmp_path / name, "--json")
        assert ran.code == 65
        document = ran.document
        assert document["error"]
        assert (document["frames"], document["access_points"], document["enrollees"]) == (0, [], [])


def test_replay_of_a_missing_file_still_plays_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(ble_captures()["adverts.jsonl"])
    for missing in (tmp_path / "absent", tmp_path):
        ran = enrollctl("replay", missing, tmp_path / "a.jsonl", "--json")
        assert ran.code == 66
        assert ran.document["used"] == 3
        assert str(missing) in ran.err


def test_replay_prints_a_table_and_escapes_what_the_air_said(tmp_path: Path) -> None:
    evil = frame(0x80, element(0, b"\x1b[2J\n\xc2\x9b") + element(3, b"\x0b"))
    hidden = frame(0x80, element(0, bytes(5)), b"\2\0\0\0\0\3")
    path = tmp_path / "a.pcap"
    path.write_bytes(captures.pcap([(1.0, evil), (1.0, hidden), (1.0, PROBE)], 105))
    ran = enrollctl("replay", path)
    assert ran.code == 0
    assert "\x1b" not in ran.out
    assert "\x9b" not in ran.out
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["02:00:00:00:00:01", "11", "-", "wep", "1", "\\x1b[2J\\n\\x9b"] in rows
    assert ["02:00:00:00:00:03", "-", "-", "wep", "1", "(hidden)"] in rows
    assert ["wifi:a1oSRt5Mh3d/dev1", "02:00:00:00:00:02", "-", "1"] in rows


def test_replay_of_a_flood_keeps_a_bounded_table(tmp_path: Path) -> None:
    names = element(0, b"x") + element(3, b"\1")
    rows = [(n / 1000, frame(0x80, names, b"\2" + n.to_bytes(5))) for n in range(6000)]
    path = tmp_path / "flood.pcap"
    path.write_bytes(captures.pcap(rows, 105))
    document = enrollctl("replay", path, "--json").document
    assert document["used"] == 6000
    assert len(document["access_points"]) <= 4096
    assert len(document["access_points"]) + document["not_kept"] == 6000


@pytest.mark.skipif(not SHARED_FILES, reason="../shared/data is not there")
def test_replay_of_every_shared_file() -> None:
    for path in SHARED_FILES:
        ran = enrollctl("replay", path, "--json")
        document = ran.document
        assert document["frames"] == document["malformed"] + document["ignored"] + document["used"]
        assert ran.code == (65 if path.suffix == ".hex" else 0), path.name
        assert document["not_kept"] == 0


@pytest.mark.skipif(not SHARED_FILES, reason="../shared/data is not there")
def test_replay_of_cut_and_changed_shared_files(tmp_path: Path) -> None:
    dice = random.Random(11)
    path = tmp_path / "changed"
    for original in SHARED_FILES:
        data = bytearray(original.read_bytes()[:20_000])
        for _ in range(20):
            data[dice.randrange(len(data))] = dice.randrange(256)
        path.write_bytes(data[: dice.randrange(len(data))])
        ran = enrollctl("replay", path, "--json")
        assert ran.code in (0, 65)
        document = ran.document
        assert document["frames"] == document["malformed"] + document["ignored"] + document["used"]
