"""scapy as the second opinion: on real captures, on frames that it built, on mutated and cut ones.

`ENROLLD_TEST_ALL=1` multiplies the mutated frames and reads the long captures to their end. Where the two
disagree by intention, `EXPECTED` says why; any other disagreement fails.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from scapy.contrib.ppi_cace import PPI_Dot11Common
from scapy.layers.dot11 import (
    AKMSuite,
    Dot11,
    Dot11Beacon,
    Dot11Elt,
    Dot11EltDSSSet,
    Dot11EltMicrosoftWPA,
    Dot11EltRates,
    Dot11EltRSN,
    Dot11EltVendorSpecific,
    Dot11FCS,
    Dot11ProbeReq,
    Dot11ProbeResp,
    PrismHeader,
    RadioTap,
    RSNCipherSuite,
)
from scapy.layers.ppi import PPI
from scapy.packet import Raw
from scapy.utils import RawPcapReader

from agent.codec.dot11 import FrameReader
from agent.codec.radiotap import CHANNELS
from agent.errors import FrameError
from agent.model import mac_text

CAPTURES = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "wifi"
FILES = sorted(CAPTURES.glob("*.*cap*")) if CAPTURES.is_dir() else []
RECORDS = 10_000 if os.environ.get("ENROLLD_TEST_ALL") else 250
ROUNDS = 60_000 if os.environ.get("ENROLLD_TEST_ALL") else 2000
LAYERS = {105: Dot11, 119: PrismHeader, 127: RadioTap, 192: PPI}
KINDS = {Dot11Beacon: "beacon", Dot11ProbeReq: "probe_request", Dot11ProbeResp: "probe_response"}

# Every class of disagreement that is meant, by the name that `compare` gives it.
EXPECTED = {
    "bad checksum": "the receiver says that the frame is damaged: we refuse it, scapy shows it",
    "radiotap version": "a header of another version may have any shape; scapy reads it as version 0",
    "radiotap broken": "fields behind the end of their own header are broken for us; scapy reads on",
    "long name": "an SSID has 32 octets at most (IEEE 802.11-2020, 9.4.2.2); scapy shows any",
    "cut name": "a name that runs past the frame is not known; scapy shows what is left of it",
    "empty request": "a probe request that ends behind its header has no layer in scapy",
    "header length": "scapy reads some radiotap fields past the header's end, and starts the frame there",
    "hopping": "scapy does not know radiotap's FHSS field, and reads what follows it at the wrong place",
    "order bit": "scapy does not know that it brings four more octets in a management frame",
    "out of step": "scapy gives a typed element (HT, RSN, ..) another length than it has, or gives up in it",
    "broken suites": "scapy reads suites behind the end of an RSN or WPA element; we say that it is there",
    "ours only": "scapy raises struct.error in an element that we need not look into",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reader says of a record; ``trouble``: it refused it, in its own words."""

    kind: str | None = None
    bssid: str = ""
    source: str = ""
    ssid: bytes = b""
    channel: int | None = None
    rssi: int | None = None
    security: str | None = None
    trouble: str | None = None
    shortfall: str | None = field(default=None, compare=False)


def ask_us(data: bytes, link_type: int, reader: FrameReader | None = None) -> Reading:
    reader = reader or FrameReader(link_type)
    try:
        station = reader.read(data, 0, len(data))
    except FrameError as error:
        return Reading(trouble=str(error))
    if station is None:
        return Reading()
    bssid, source = mac_text(station.bssid), mac_text(station.source)
    return Reading(station.kind, bssid, source, station.ssid, station.channel, reader.rssi, station.security)


def ask_scapy(data: bytes, link_type: int) -> Reading:
    """scapy's reading of a record, but for an incomplete element at the end, whose content it would guess."""
    try:
        packet = LAYERS[link_type](data)
    except struct.error as error:
        return Reading(trouble=str(error))
    layer = next((layer for layer in KINDS if packet.haslayer(layer)), None)
    if layer is None or packet[Dot11].proto or packet[Dot11].FCfield & 0x40:
        return Reading(shortfall=shortfall_of(packet) if packet.haslayer(Dot11) else None)
    elements = [one for one in walk(packet) if len(one.original) >= 2 and one.len + 2 <= len(one.original)]
    kind, head = KINDS[layer], packet[Dot11]
    security = (
        None if kind == "probe_request" else word_of(elements, privacy=bool(packet[layer].cap & 0x1000))
    )
    common = packet.headers[0].payload if link_type == 192 else packet
    rssi = common.Antsignal if isinstance(common, PPI_Dot11Common) else getattr(common, "dBm_AntSignal", None)
    return Reading(
        kind, (head.addr3 or "").upper(), (head.addr2 or "").upper(),
        next((one.info for one in elements if one.ID == 0), b""), channel_of(packet, elements),
        rssi, security, shortfall=shortfall_of(packet),
    )  # fmt: skip


def walk(packet: Any) -> Iterator[Any]:
    layer = packet.getlayer(Dot11Elt)
    while isinstance(layer, Dot11Elt):
        yield layer
        layer = layer.payload


def channel_of(packet: Any, elements: list[Any]) -> int | None:
    """Channel by scapy's own dissection of the elements, else by the frequency that it read."""
    for number in (3, 61):
        for one in elements:
            if number == one.ID and one.len and (channel := bytes(one)[2]):
                return channel
    header = packet.getlayer(RadioTap)
    frequency = header.ChannelFrequency if header is not None else None
    return None if frequency is None else CHANNELS.get(frequency)


def word_of(elements: list[Any], *, privacy: bool) -> str:
    """The key managements that scapy names, as our one word."""
    rsn = next((names_of(one) for one in elements if isinstance(one, Dot11EltRSN)), None)
    wpa = next((names_of(one) for one in elements if isinstance(one, Dot11EltMicrosoftWPA)), None)
    names = (rsn or set()) | (wpa or set())
    if any(part in name for name in names for part in ("802.1X", "WPA-SHA", "FILS")):
        return "enterprise"
    if rsn is not None:
        pre_shared = any("PSK" in name for name in rsn)
        if any("SAE" in name for name in rsn):
            return "wpa2+wpa3" if pre_shared else "wpa3"
        if rsn == {"OWE"}:
            return "owe"
        return "wpa+wpa2" if wpa is not None else "wpa2"
    if wpa is not None:
        return "wpa"
    return "wep" if privacy else "open"


def names_of(element: Any) -> set[str]:
    return {suite.sprintf("%suite%") for suite in element.akm_suites}


def shortfall_of(packet: Any) -> str | None:
    """What in this record is known to lead scapy astray."""
    header = packet.getlayer(RadioTap)
    if header is not None and header.present.FHSS:
        return "hopping"
    if header is not None and len(header.original) - len(header.payload.original) != header.len:
        return "header length"
    if int(packet[Dot11].FCfield) & 0x80:
        return "order bit"
    left = packet.lastlayer().original if isinstance(packet.lastlayer(), Raw) else b""
    whole = len(left) >= 2 and left[1] + 2 <= len(left)
    if whole or any(len(one.original) - len(one.payload.original) != one.len + 2 for one in walk(packet)):
        return "out of step"
    return None


REFUSALS = {
    "the receiver marked": "bad checksum",
    "radiotap version": "radiotap version",
    "radiotap ": "radiotap broken",
    "SSID element of": "long name",
    "SSID element runs": "cut name",
}


def compare(data: bytes, ours: Reading, theirs: Reading) -> str | None:
    """None when the two agree or neither made a station of it, else the class of their disagreement.

    A disagreement without a class is told in full.
    """
    if ours == theirs or (ours.kind is None and theirs.kind is None):
        return None
    if ours.trouble:
        return next(
            (name for start, name in REFUSALS.items() if ours.trouble.startswith(start)), ours.trouble
        )
    if theirs.trouble:
        return "ours only"
    if theirs.shortfall:
        return theirs.shortfall
    if ours.kind == "probe_request" and theirs.kind is None and not ours.ssid:
        return "empty request"
    if replace(ours, security=None) == replace(theirs, security=None):
        return "broken suites"
    return f"{data.hex()}: {ours} but scapy {theirs}"


SECURED = {
    "open": (),
    "wep": (),
    "wpa": (("wpa", 2),),
    "wpa2": (("rsn", 2),),
    "wpa+wpa2": (("wpa", 2), ("rsn", 2)),
    "wpa3": (("rsn", 8),),
    "wpa2+wpa3": (("rsn", 2, 8),),
    "enterprise": (("rsn", 1),),
}


def build_security(word: str) -> Iterator[Any]:
    for which, *suites in SECURED[word]:
        oui, build = (0x000FAC, Dot11EltRSN) if which == "rsn" else (0x0050F2, Dot11EltMicrosoftWPA)
        cipher = RSNCipherSuite(oui=oui, cipher=4)
        akm = [AKMSuite(oui=oui, suite=suite) for suite in suites]
        yield build(group_cipher_suite=cipher, pairwise_cipher_suites=[cipher], akm_suites=akm)


def build_filler(dice: random.Random) -> list[Any]:
    """Elements of no interest, as they surround those that are of interest."""
    return dice.sample(
        [
            Dot11EltRates(rates=[0x82, 0x84, 0x8B, 0x96]),
            Dot11Elt(ID=5, info=dice.randbytes(dice.choice((4, 5, 30)))),
            Dot11Elt(ID=45, info=dice.randbytes(26)),
            Dot11Elt(ID=127, info=dice.randbytes(8)),
            Dot11Elt(ID=255, info=b"\x23" + dice.randbytes(20)),
            Dot11EltVendorSpecific(oui=0x0050F2, info=b"\x02\x01\x01" + dice.randbytes(18)),
            Dot11EltVendorSpecific(oui=0xD896E0, info=b"\xab" + dice.randbytes(30)),
        ],
        k=dice.randrange(6),
    )


def build_header(dice: random.Random, reading: dict[str, Any], *, checksum: bool) -> Any:
    """A radiotap header with a random choice of fields around those that we read."""
    present = dice.sample(["TSFT", "Rate", "dBm_AntNoise", "Antenna", "RXFlags", "MCS", "A_MPDU", "VHT"], k=4)
    header = RadioTap(present="+".join(["Flags", "Channel", "dBm_AntSignal", *present]))
    header.Flags = "FCS" if checksum else ""
    header.ChannelFrequency = dice.choice(sorted(CHANNELS))
    header.dBm_AntSignal = reading["rssi"] = dice.randrange(-128, 127)
    reading["channel"] = CHANNELS[header.ChannelFrequency]
    header.TSFT, header.Antenna = dice.randrange(1 << 64), dice.randrange(256)
    return header


def build(dice: random.Random) -> tuple[bytes, Reading]:
    """One record as scapy encodes it, and what it was made of."""
    reading: dict[str, Any] = {"kind": dice.choice(("beacon", "probe_response", "probe_request"))}
    checksum = dice.random() < 0.5
    header = build_header(dice, reading, checksum=checksum)
    name = dice.randbytes(dice.randrange(33))
    elements = [Dot11Elt(ID=0, info=name), *build_filler(dice)]
    word = dice.choice(sorted(SECURED))
    elements += build_security(word)
    if dice.random() < 0.5:
        reading["channel"] = dice.randrange(1, 15)
        elements.append(Dot11EltDSSSet(channel=reading["channel"]))
    source, bssid = (mac_text(dice.randbytes(6)) for _ in range(2))
    reading |= {"ssid": name, "source": source, "bssid": bssid, "security": word}
    layer: Any = {"beacon": Dot11Beacon, "probe_response": Dot11ProbeResp}.get(reading["kind"])
    if layer is None:
        reading["security"] = None
        body = Dot11ProbeReq()
    else:
        body = layer(cap="" if word == "open" else "privacy")
    head = Dot11FCS if checksum else Dot11
    packet = header / head(addr1="ff:ff:ff:ff:ff:ff", addr2=source, addr3=bssid) / body
    for one in elements:
        packet /= one
    return bytes(packet), Reading(**reading)


def records_of(path: Path) -> Iterator[tuple[bytes, int]]:
    """The first records of a capture (all with ENROLLD_TEST_ALL) with their link-type word."""
    with RawPcapReader(str(path)) as reader:
        for number, (data, told) in enumerate(reader):
            if number >= RECORDS:
                return
            own = getattr(told, "linktype", None)
            yield data, reader.linktype if own is None else own


@pytest.mark.skipif(not FILES, reason="the shared captures are not beside this checkout")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_captures_are_read_alike(path: Path) -> None:
    reader: FrameReader | None = None
    for number, (data, word) in enumerate(records_of(path)):
        reader = reader or FrameReader(word)
        reason = compare(data, ask_us(data, word, reader), ask_scapy(data, word & 0xFFFF))
        assert reason is None or reason in EXPECTED, f"record {number}: {reason}"


def test_some_capture_holds_stations() -> None:
    if not FILES:
        pytest.skip("the shared captures are not beside this checkout")
    heard = {ask_us(data, word).kind for path in FILES for data, word in records_of(path)}
    assert heard == {None, *KINDS.values()}


def test_reads_what_scapy_built() -> None:
    dice = random.Random(11)
    for _ in range(ROUNDS // 6):
        data, expected = build(dice)
        assert ask_us(data, 127) == expected, data.hex()


def mutate(dice: random.Random, data: bytes) -> bytes:
    octets = bytearray(data)
    for _ in range(dice.randrange(1, 4)):
        octets[dice.randrange(len(octets))] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
    return bytes(octets[: dice.randrange(len(octets))] if dice.random() < 0.2 else octets)


def test_mutated_frames_are_read_alike() -> None:
    dice = random.Random(13)
    pool = [build(dice)[0] for _ in range(100)]
    reader = FrameReader(127)
    for _ in range(ROUNDS):
        data = mutate(dice, dice.choice(pool))
        reason = compare(data, ask_us(data, 127, reader), ask_scapy(data, 127))
        assert reason is None or reason in EXPECTED, reason
