"""What elements say, heard through the frames that carry them."""

from __future__ import annotations

import pytest

from agent.codec import awss
from agent.errors import FrameError
from tests.frames import (
    EAP,
    HT,
    OWE,
    PSK,
    RECORD,
    SAE,
    SIX_GHZ,
    SSID,
    beacon,
    element,
    frame,
    heard,
    radiotap,
    request,
    rsn,
    wpa,
)


@pytest.mark.parametrize("ssid", [b"", b"\0", b"\0" * 32])
def test_names_of_no_or_only_nul_octets_are_hidden(ssid: bytes) -> None:
    station = heard(beacon(element(0, ssid)))
    assert (station.ssid, station.hidden) == (ssid, True)


def test_names_are_octets_and_the_first_counts() -> None:
    name = b"\xff\x00 \xe5\xae\xb6"
    station = heard(beacon(element(0, name) + SSID))
    assert (station.ssid, station.hidden) == (name, False)


def test_names_above_32_octets_break_the_frame() -> None:
    assert heard(beacon(element(0, b"x" * 32))).ssid == b"x" * 32
    with pytest.raises(FrameError, match="SSID"):
        heard(beacon(element(0, b"x" * 33)))


SIX_GHZ_LATER = element(255, b"\x24\x00\xc0\x02" + b"\x01\xfc\xff" + b"\0\0\0" + b"\x01" + b"\x25\0\0\0\0")


@pytest.mark.parametrize(
    ("elements", "channel"),
    [
        (element(3, b"\x06") + HT + SIX_GHZ, 6),
        (HT + SIX_GHZ + element(3, b"\x06"), 6),
        (HT + SIX_GHZ, 11),
        (SIX_GHZ, 37),
        (SIX_GHZ_LATER, 37),
        (element(255, b"\x24\x00\x00\x00\x01\xfc\xff\x25\0\0\0\0"), 14),
        (element(255, b"\x24\x00\x00\x02\x01\xfc\xff\x25"), 14),
        (element(255, b"\x24"), 14),
        (element(255, b""), 14),
        (element(3, b"") + element(61, b""), 14),
        (element(3, b"\0"), 14),
        (b"", 14),
    ],
)
def test_channel_by_ds_then_ht_then_he_then_the_receiver(elements: bytes, channel: int) -> None:
    assert heard(radiotap(beacon(SSID + elements), frequency=2484), 127).channel == channel


CIPHER = b"\x00\x0f\xac\x04"
SECURITIES = [
    (b"", False, "open"),
    (b"", True, "wep"),
    (wpa(), True, "wpa"),
    (rsn(PSK), True, "wpa2"),
    (rsn(PSK), False, "wpa2"),
    (rsn(b"\x00\x0f\xac\x06", b"\x00\x0f\xac\x04"), True, "wpa2"),
    (wpa() + rsn(PSK), True, "wpa+wpa2"),
    (rsn(SAE), True, "wpa3"),
    (rsn(b"\x00\x0f\xac\x18"), True, "wpa3"),
    (rsn(PSK, SAE), True, "wpa2+wpa3"),
    (rsn(SAE, b"\x00\x0f\xac\x14"), True, "wpa2+wpa3"),
    (wpa() + rsn(PSK, SAE), True, "wpa2+wpa3"),
    (rsn(OWE), True, "owe"),
    *(
        (rsn(b"\x00\x0f\xac" + bytes((n,))), True, "enterprise")
        for n in (1, 3, 5, 11, 12, 13, 14, 15, 16, 17, 22, 23)
    ),
    (rsn(PSK, EAP), True, "enterprise"),
    (rsn(SAE, EAP), True, "enterprise"),
    (wpa(1), True, "enterprise"),
    (wpa(1) + rsn(PSK), True, "enterprise"),
    (rsn(b"\x50\x6f\x9a\x01"), True, "enterprise"),
    (rsn(b"\x00\x40\x96\x00"), True, "enterprise"),
    (element(221, b"\x50\x6f\x9a\x12" + CIPHER), True, "enterprise"),
    (element(221, b"\x50\x6f\x9a\x12" + CIPHER) + rsn(PSK), True, "wpa2"),
    (rsn(b"\x50\x6f\x9a\x02"), True, "wpa2"),
    # A list that was left out means 802.1X (IEEE 802.11-2020, 9.4.2.24.1); one that breaks off, only "RSN".
    (element(48, b"\x01\x00"), True, "enterprise"),
    (element(48, b"\x01\x00" + CIPHER), True, "enterprise"),
    (element(48, b"\x01\x00" + CIPHER + b"\x01\x00" + CIPHER), True, "enterprise"),
    (rsn(), True, "enterprise"),
    (element(48, b""), True, "wpa2"),
    (element(48, b"\x01\x00" + CIPHER[:3]), True, "wpa2"),
    (element(48, b"\x01\x00" + CIPHER + b"\xff\xff" + CIPHER), True, "wpa2"),
    (element(48, b"\x01\x00" + CIPHER + b"\x01\x00" + CIPHER + b"\x01"), True, "wpa2"),
    (element(48, b"\x01\x00" + CIPHER + b"\x01\x00" + CIPHER + b"\x02\x00" + PSK), True, "wpa2"),
    (element(221, b"\x00\x50\xf2\x01\x01"), True, "wpa"),
    (element(221, b"\x00\x50\xf2\x04\x10\x4a"), False, "open"),
    (element(221, b"\x00\x50\xf2"), False, "open"),
    (element(221, b""), False, "open"),
]


@pytest.mark.parametrize(("elements", "privacy", "word"), SECURITIES)
def test_security(elements: bytes, privacy: bool, word: str) -> None:
    assert heard(beacon(SSID + elements, privacy=privacy)).security == word
    assert heard(frame(0x50, SSID + elements, privacy=privacy)).security == word


@pytest.mark.parametrize("privacy", [True, False])
def test_security_is_not_guessed_when_what_would_tell_it_is_cut_off(privacy: bool) -> None:
    cut = beacon(SSID + rsn(PSK)[:-10], privacy=privacy)
    assert heard(cut).security == (None if privacy else "open")
    assert heard(cut).ssid == b"HomeNet"
    checksum = beacon(SSID + b"\x30\x14\x01\x00", privacy=privacy)  # it may be one: four octets
    assert heard(checksum).security == ("wep" if privacy else "open")


def test_a_name_that_runs_past_the_frame_breaks_it() -> None:
    with pytest.raises(FrameError, match="runs past"):
        heard(beacon(element(0, b"HomeNet")[:-2]))


def test_enrollees_are_found_in_beacons_and_requests_but_not_in_responses() -> None:
    elements = SSID + element(221, b"\xd8\x96\xe0\xab12345") + awss.build_enrollee(RECORD)
    assert heard(beacon(elements)).enrollee == RECORD
    assert heard(request(elements)).enrollee == RECORD
    station = heard(frame(0x50, elements))
    assert (station.enrollee, station.trouble) == (None, None)


def test_a_broken_enrollee_element_is_told_beside_the_station() -> None:
    elements = SSID + element(221, b"\xd8\x96\xe0\xaa\x01\x06lamp") + awss.build_enrollee(RECORD)
    station = heard(beacon(elements))
    assert (station.ssid, station.enrollee) == (b"HomeNet", None)
    assert "device name of 6 octets" in (station.trouble or "")
