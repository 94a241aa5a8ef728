"""The neighbours: BLE advertisers of other makers and phones that probe for their networks."""

from __future__ import annotations

from random import Random

from agent.ports import Clock
from hw.sim.air import Air, Medium
from hw.sim.enrollees import HOPS, jittered, random_static_address
from hw.sim.plans import Noise

FLAGS = bytes.fromhex("02011a")
PROBE_HEAD = bytes.fromhex("40000000ffffffffffff")
BROADCAST = b"\xff" * 6
RATES = bytes.fromhex("010402040b1632080c1218243048606c")
HT_CAPABILITIES = bytes.fromhex("2d1a2d0017ff") + bytes(22)
WANTED = ("", "", "", "CoffeeShop Free", "eduroam", "客厅", "iPhone")


class Stranger:
    """One foreign device of either medium; what it says never changes."""

    def __init__(self, plan: Noise, dice: Random) -> None:
        self._plan = plan
        self._dice = dice
        self._address = random_static_address(dice)
        self._data = foreign_advert(dice) if plan.medium is Medium.BLE else foreign_probe(dice)

    async def live(self, air: Air, clock: Clock) -> None:
        """Speak until cancelled, first at a random moment of the interval."""
        await clock.sleep(self._dice.uniform(0, self._plan.interval))
        while True:
            strength = jittered(self._plan.rssi, self._dice)
            if self._plan.medium is Medium.BLE:
                air.send_advert(self._address, self._data, strength)
            else:
                air.send_frame(self._data, self._dice.choice(HOPS), strength)
            await clock.sleep(self._plan.interval + self._dice.uniform(0, 0.01))


def foreign_advert(dice: Random) -> bytes:
    """AD structures of a beacon, a tracker, a sensor or an earphone, none of company 0x01A8."""
    kinds = (
        FLAGS + field(0xFF, bytes.fromhex("4c000215") + dice.randbytes(20) + b"\xc5"),  # iBeacon
        FLAGS + field(0xFF, bytes.fromhex("4c001005") + dice.randbytes(5)),  # Apple, nearby
        FLAGS + field(0x16, bytes.fromhex("aafe00e7") + dice.randbytes(16)),  # Eddystone UID
        FLAGS + field(0x16, bytes.fromhex("95fe7020") + dice.randbytes(12)),  # Xiaomi sensor
        FLAGS + field(0x09, b"Buds-" + dice.randbytes(2).hex().encode("ascii")),
        FLAGS + field(0xFF, bytes.fromhex("1908") + dice.randbytes(8)),  # 0x0819, a misprint of ours
    )
    return dice.choice(kinds)


def foreign_probe(dice: Random) -> bytes:
    """A probe request of a phone with a random address, from frame control to its last element."""
    drawn = dice.randbytes(6)
    source = bytes((drawn[0] & 0xFC | 0x02,)) + drawn[1:]
    ssid = dice.choice(WANTED).encode("utf-8")
    head = PROBE_HEAD + source + BROADCAST + (dice.randrange(4096) << 4).to_bytes(2, "little")
    return head + bytes((0, len(ssid))) + ssid + RATES + HT_CAPABILITIES


def field(kind: int, data: bytes) -> bytes:
    """One AD structure."""
    return bytes((len(data) + 1, kind)) + data
