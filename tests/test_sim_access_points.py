"""The simulated access points send beacons that scapy and the gateway's own reader understand."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest

from agent.codec.dot11 import FrameReader
from agent.model import Station, mac_bytes
from hw.sim.access_points import BeaconSender
from hw.sim.air import Transmission
from hw.sim.plans import AccessPoint
from hw.sim.radios import RADIOTAP, capture, frequency

BSSID = "A4:2B:B0:10:20:31"
# what scapy's own reading of the elements calls each of ours
CRYPTO = {
    "open": {"OPN"},
    "wep": {"WEP"},
    "wpa": {"WPA/PSK"},
    "wpa2": {"WPA2/PSK"},
    "wpa+wpa2": {"WPA/PSK", "WPA2/PSK"},
    "wpa3": {"WPA3/SAE"},
    "wpa2+wpa3": {"WPA3-transition/PSK"},
    "owe": {"WPA2/OWE"},
    "enterprise": {"WPA2/802.1X"},
}


def point(**given: Any) -> BeaconSender:
    return BeaconSender(AccessPoint(bssid=BSSID, **given), Random(1))


def read(frame: bytes, channel: int = 6) -> Station:
    captured = capture(Transmission(frame, -60, channel=channel))
    station = FrameReader(RADIOTAP).read(captured, 0, len(captured))
    assert station
    return station


@pytest.mark.parametrize("security", CRYPTO)
def test_each_security_is_what_it_says(security: str) -> None:
    from scapy.layers.dot11 import Dot11, Dot11Beacon

    frame = point(ssid="Home", channel=11, security=security).next_beacon()
    stats = Dot11(frame)[Dot11Beacon].network_stats()
    assert stats["crypto"] == CRYPTO[security]
    assert stats["ssid"] == "Home"
    assert stats["channel"] == 11
    assert read(frame, 11).security == security


@pytest.mark.parametrize(
    ("given", "ssid", "hidden"),
    [
        ({"ssid": "☕ Café 🏠"}, "☕ Café 🏠".encode(), False),
        ({"ssid_hex": "bcd2c0efb5c457694669"}, bytes.fromhex("bcd2c0efb5c457694669"), False),
        ({"ssid": "Cellar", "hidden": True}, b"", True),
    ],
)
def test_names_are_octets(given: dict[str, Any], ssid: bytes, *, hidden: bool) -> None:
    station = read(point(**given).next_beacon())
    assert station.ssid == ssid
    assert station.hidden is hidden
    assert station.bssid == mac_bytes(BSSID)
    assert station.kind == "beacon"


def test_an_access_point_at_5_ghz_tells_its_channel_in_the_ht_operation() -> None:
    assert read(point(channel=36).next_beacon(), channel=36).channel == 36
    assert [frequency(channel) for channel in (1, 13, 14, 36, 165)] == [2412, 2472, 2484, 5180, 5825]


def test_between_beacons_only_number_timestamp_and_dtim_count_change() -> None:
    sender = point(ssid="Home")
    frames = [sender.next_beacon() for _ in range(4)]
    tim = frames[0].index(bytes((5, 4)), 36)
    for first, second in pairwise(frames):
        changed = {n for n in range(len(first)) if first[n] != second[n]}
        assert changed <= {*range(22, 32), tim + 2}
    counts = [frame[tim + 2] for frame in frames]
    assert counts == [(counts[0] - n) % 3 for n in range(4)]
    stamps = [int.from_bytes(frame[24:32], "little") for frame in frames]
    assert [b - a for a, b in pairwise(stamps)] == [102_400] * 3


def test_the_reader_takes_every_beacon_of_one_access_point_for_the_same_station() -> None:
    sender, reader, stations = point(ssid="Home"), FrameReader(RADIOTAP), []
    for strength in range(-60, -50):
        captured = capture(Transmission(sender.next_beacon(), strength, channel=6))
        stations.append(reader.read(captured, 0, len(captured)))
        assert reader.rssi == strength
    assert stations[0] is not None
    assert all(station is stations[0] for station in stations)
