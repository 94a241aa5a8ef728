"""Access points that send beacons, built with scapy once and patched for every beacon."""

from __future__ import annotations

from random import Random
from typing import Any

from agent.model import mac_bytes
from agent.ports import Clock
from hw.sim.air import Air
from hw.sim.enrollees import jittered
from hw.sim.plans import AccessPoint

DTIM_PERIOD = 3
TIME_UNIT = 1024e-6  # seconds
SEQUENCE, TIMESTAMP = slice(22, 24), slice(24, 32)
TIM_COUNT = 2  # offset of the DTIM count in the TIM element
RATES_2GHZ, MORE_2GHZ = bytes.fromhex("82848b960c121824"), bytes.fromhex("3048606c")
RATES_5GHZ = bytes.fromhex("8c129824b048606c")

CCMP, TKIP = 4, 2
PSK, DOT1X, SAE, OWE = 2, 1, 8, 18
RSN_KEYS = {
    "wpa2": (PSK,),
    "wpa+wpa2": (PSK,),
    "wpa3": (SAE,),
    "wpa2+wpa3": (PSK, SAE),
    "owe": (OWE,),
    "enterprise": (DOT1X,),
}


class BeaconSender:
    """One access point; ``frame`` is its latest beacon, from frame control to its last element."""

    def __init__(self, plan: AccessPoint, dice: Random) -> None:
        self._plan = plan
        self._dice = dice
        self._template, self._tim = build_beacon(plan)
        self._count = dice.randrange(4096)
        self._timer = dice.randrange(1 << 40)  # the TSF timer, microseconds

    async def live(self, air: Air, clock: Clock) -> None:
        """Send beacons until cancelled."""
        while True:
            frame = self.next_beacon()
            air.send_frame(frame, self._plan.channel, jittered(self._plan.rssi, self._dice))
            await clock.sleep(self._plan.interval)

    def next_beacon(self) -> bytes:
        """The next beacon: sequence number, timestamp and DTIM count move on, the rest stays."""
        self._count += 1
        self._timer += round(self._plan.interval * 1e6)
        frame = self._template
        frame[SEQUENCE] = ((self._count & 0xFFF) << 4).to_bytes(2, "little")
        frame[TIMESTAMP] = self._timer.to_bytes(8, "little")
        frame[self._tim + TIM_COUNT] = -self._count % DTIM_PERIOD
        return bytes(frame)


def build_beacon(plan: AccessPoint) -> tuple[bytearray, int]:
    """A beacon from frame control to its last element, and the offset of its TIM element."""
    from scapy.layers import dot11

    bssid = mac_bytes(plan.bssid).hex(":")
    private = () if plan.security == "open" else ("privacy",)
    header = dot11.Dot11(type=0, subtype=8, addr1="ff:ff:ff:ff:ff:ff", addr2=bssid, addr3=bssid)
    fixed = dot11.Dot11Beacon(
        beacon_interval=round(plan.interval / TIME_UNIT), cap="+".join(("ESS", *private, "short-slot"))
    )
    shown = b"" if plan.hidden else plan.ssid_bytes
    front = bytes(header / fixed / dot11.Dot11Elt(ID=0, info=shown)) + _rates(plan.channel)
    tim = bytes((5, 4, 0, DTIM_PERIOD, 0, 0))
    back = b"".join(bytes(element) for element in _security(dot11, plan.security))
    more = _element(50, MORE_2GHZ) if plan.channel <= 14 else b""
    return bytearray(front + tim + back + more + _capabilities(dot11, plan.channel)), len(front)


def _rates(channel: int) -> bytes:
    if channel > 14:
        return _element(1, RATES_5GHZ)
    return _element(1, RATES_2GHZ) + _element(3, bytes((channel,)))


def _security(dot11: Any, security: str) -> list[Any]:
    elements = []
    if security in RSN_KEYS:
        keys = RSN_KEYS[security]
        group = TKIP if security == "wpa+wpa2" else CCMP
        protected = security in {"wpa3", "owe"}
        elements.append(
            dot11.Dot11EltRSN(
                group_cipher_suite=dot11.RSNCipherSuite(cipher=group),
                pairwise_cipher_suites=[dot11.RSNCipherSuite(cipher=CCMP)],
                akm_suites=[dot11.AKMSuite(suite=key) for key in keys],
                mfp_required=int(protected),
                mfp_capable=int(protected or SAE in keys),
            )
        )
    if security in {"wpa", "wpa+wpa2"}:
        elements.append(
            dot11.Dot11EltMicrosoftWPA(
                group_cipher_suite=dot11.RSNCipherSuite(oui=0x0050F2, cipher=TKIP),
                pairwise_cipher_suites=[dot11.RSNCipherSuite(oui=0x0050F2, cipher=TKIP)],
                akm_suites=[dot11.AKMSuite(oui=0x0050F2, suite=PSK)],
            )
        )
    return elements


def _capabilities(dot11: Any, channel: int) -> bytes:
    operation = bytes((channel,)) + bytes(21)  # HT operation starts with the primary channel
    wmm = bytes.fromhex("0050f2020101840003a4000027a4000042435e0062322f00")
    return bytes(dot11.Dot11EltHTCapabilities()) + _element(61, operation) + _element(221, wmm)


def _element(number: int, body: bytes) -> bytes:
    return bytes((number, len(body))) + body
