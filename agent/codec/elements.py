"""The information elements of beacons and probes: network name, channel, security, and the enrollee in it.

Elements are ``id, length, body`` (IEEE 802.11-2020, 9.4.2). The walk stops at the first one that is not
complete; what came before it counts, so a trailing FCS or a capture cut short does no harm.
"""

from __future__ import annotations

from functools import lru_cache

from agent.codec import awss
from agent.errors import FrameError
from agent.model import Station

SSID, DS, TIM, BSS_LOAD, RSN, HT_OPERATION, VENDOR, EXTENSION = 0, 3, 5, 11, 48, 61, 221, 255
HE_OPERATION = 36  # the number behind EXTENSION
WANTED = frozenset((SSID, DS, TIM, BSS_LOAD, RSN, HT_OPERATION, VENDOR, EXTENSION))
VOLATILE = frozenset((TIM, BSS_LOAD))  # change from beacon to beacon and tell us nothing

WPA = b"\x00\x50\xf2\x01"
OSEN = b"\x50\x6f\x9a\x12"
ENROLLEE = awss.ENROLLEE_TYPE
VENDORS = frozenset((WPA, OSEN, ENROLLEE))

MOST_SSID = 32
FCS_SIZE = 4
ABSENT = (0, 0)

Key = int | bytes
Span = tuple[int, int]


def walk(data: bytes, at: int, end: int) -> tuple[dict[Key, Span], list[Span], int | None]:
    """The bodies of the elements that we read, each first of its kind, and the spans of the volatile ones.

    A vendor's element goes by its four octets of OUI and type, an extension element by 256 + its number;
    their spans begin behind those. Third is the number of an element that runs past the end, None when all
    is well; the last four octets may be an FCS and are no such element.
    """
    found: dict[Key, Span] = {}
    volatile: list[Span] = []
    cut: int | None = None
    while at + 2 <= end:
        number = data[at]
        after = at + 2 + data[at + 1]
        if after > end:
            cut = number if end - at > FCS_SIZE else None
            break
        if number in WANTED:
            if number == VENDOR:
                vendor = data[at + 2 : at + 6]
                if vendor in VENDORS and after >= at + 6 and vendor not in found:
                    found[vendor] = (at + 6, after)
            elif number == EXTENSION:
                if after > at + 2:
                    found.setdefault(256 + data[at + 2], (at + 3, after))
            elif number in VOLATILE:
                volatile.append((at + 2, after))
            elif number not in found:
                found[number] = (at + 2, after)
        at = after
    return found, volatile, cut


def describe(
    kind: str,
    bssid: bytes,
    source: bytes,
    data: bytes,
    found: dict[Key, Span],
    privacy: bool | None,
    channel: int | None,
    cut: int | None = None,
) -> Station:
    """The station that said these elements, as `walk` found them in ``data``; ``cut`` is its third value.

    ``privacy`` is the capability bit, None where it is not known (security is then told only by an RSN, WPA
    or OSEN element). ``channel`` counts where the elements tell none. An AA element counts in beacons and
    probe requests (wifi-awss.md 3.1: not in probe responses). An SSID of no octets, or of NUL octets only,
    is hidden. Security is not guessed when an element that would tell it may be cut off. FrameError: an
    SSID above 32 octets, or one that runs past the frame.
    """
    at, after = found.get(SSID, ABSENT)
    if after - at > MOST_SSID:
        raise FrameError(f"SSID element of {after - at} octets; at most {MOST_SSID} are allowed")
    if cut == SSID and SSID not in found:
        raise FrameError("SSID element runs past the frame")
    ssid = data[at:after]
    known = None if cut is not None and privacy else privacy
    security = None if kind == "probe_request" else _read_security(data, found, known)
    enrollee = trouble = None
    if ENROLLEE in found and kind != "probe_response":
        at, after = found[ENROLLEE]
        try:
            enrollee = awss.read_enrollee(data[at:after])
        except FrameError as error:
            trouble = str(error)
    told = read_channel(data, found)
    return Station(
        kind, bssid, source, ssid, not ssid.strip(b"\0"), told or channel, security, enrollee, trouble
    )


def read_channel(data: bytes, found: dict[Key, Span]) -> int | None:
    """From DS parameter set, else HT operation, else the 6 GHz part of HE operation; 0 is not a channel."""
    at, after = found.get(DS, ABSENT)
    if after > at and data[at]:
        return data[at]
    at, after = found.get(HT_OPERATION, ABSENT)
    if after > at and data[at]:
        return data[at]
    at, after = found.get(256 + HE_OPERATION, ABSENT)
    return _read_six_ghz(data[at:after]) if after > at else None


def _read_six_ghz(operation: bytes) -> int | None:
    """The primary channel of an HE operation element (802.11-2024, 9.4.2.248), when it has one.

    Parameters 3 octets, BSS colour 1, MCS 2; then, each if announced, VHT operation 3, co-hosted BSSIDs 1,
    6 GHz operation 5, whose first octet is the primary channel.
    """
    parameters = int.from_bytes(operation[:3], "little")
    at = 6 + (3 if parameters & 1 << 14 else 0) + (1 if parameters & 1 << 15 else 0)
    if not parameters & 1 << 17 or at + 5 > len(operation):
        return None
    return operation[at] or None


# Key management of suites 00-0F-AC (IEEE 802.11-2024, table 9-190). FILS is 802.1X with cached keys, as in
# hostapd.
SUITES_8021X = frozenset((1, 3, 5, 11, 12, 13, 14, 15, 16, 17, 22, 23))
SUITES_PSK = frozenset((2, 4, 6, 19, 20))
SUITES_SAE = frozenset((8, 9, 24, 25))
SUITE_OWE = 18
ENTERPRISE = "enterprise"
IEEE_OUI, WPA_8021X = b"\x00\x0f\xac", b"\x00\x50\xf2\x01"
OTHER_8021X = frozenset((b"\x50\x6f\x9a\x01", b"\x00\x40\x96\x00"))  # OSEN, Cisco CCKM


def _read_security(data: bytes, found: dict[Key, Span], privacy: bool | None) -> str | None:
    """The word of the design for how the network guards itself.

    An RSN or WPA element counts whatever the privacy bit says. One that breaks off inside, or whose suites
    nobody knows, counts as pre-shared keys.
    """
    rsn = wpa = None
    if RSN in found:
        at, after = found[RSN]
        rsn = _classify_rsn(data[at:after])
    if WPA in found:
        at, after = found[WPA]
        wpa = _classify_wpa(data[at:after])
    if ENTERPRISE in (rsn, wpa) or (rsn is None and OSEN in found):
        return ENTERPRISE
    if rsn == "wpa2" and wpa:
        return "wpa+wpa2"
    if rsn or wpa:
        return rsn or wpa
    return None if privacy is None else "wep" if privacy else "open"


def _read_suites(body: bytes) -> list[bytes] | None:
    """The key management suites of an RSN or WPA body (version, group cipher, pairwise ciphers, suites).

    Both have the same shape. Empty when the list was left out, which means 802.1X; None when it breaks off.
    """
    if len(body) <= 6:
        return [] if len(body) in (2, 6) else None
    at = 8 + 4 * int.from_bytes(body[6:8], "little")
    if len(body) == at:
        return []
    first = at + 2
    end = first + 4 * int.from_bytes(body[at:first], "little")
    if first > len(body) or end > len(body):
        return None
    return [body[i : i + 4] for i in range(first, end, 4)]


@lru_cache(maxsize=256)  # a whole town uses a dozen different bodies
def _classify_rsn(body: bytes) -> str:
    suites = _read_suites(body)
    if suites is None:
        return "wpa2"
    numbers = {suite[3] for suite in suites if suite[:3] == IEEE_OUI}
    if not suites or numbers & SUITES_8021X or not OTHER_8021X.isdisjoint(suites):
        return ENTERPRISE
    if numbers & SUITES_SAE:
        return "wpa2+wpa3" if numbers & SUITES_PSK else "wpa3"
    return "owe" if numbers == {SUITE_OWE} else "wpa2"


@lru_cache(maxsize=256)
def _classify_wpa(body: bytes) -> str:
    suites = _read_suites(body)
    if suites is not None and (not suites or WPA_8021X in suites or not OTHER_8021X.isdisjoint(suites)):
        return ENTERPRISE
    return "wpa"
