"""Devices that wait to be let in, and speak the bytes of the real ones: BLE of every generation, zero-config.

A device draws everything that is random on it from the dice it is given.
"""

from __future__ import annotations

from random import Random

from agent.codec import ad, awss
from agent.model import BleRecord, Generation, WifiRecord, mac_bytes
from agent.ports import Clock
from hw.sim.air import Air
from hw.sim.plans import Ble, Wifi
from hw.sim.signing import Identity, sign_advert

BLE_DELAY = 0.010  # the random delay that every BLE advertiser adds to its interval
DWELL = 0.25  # seconds that a zero-config enrollee stays on a channel (wifi-awss.md 3.5)
HOPS = range(1, 14)

BT_VERSION = {"4.0": 0, "4.2": 1, "5.0": 2}
OTA, SECURITY = 0x04, 0x08
A0_SECURITY, A0_OTA = 0x04, 0x08
PER_DEVICE = 0x10
SIGNED = 0x20
B1_BOUND = 0x40
C_BOUND, C_NEEDS_WIFI = 0x20, 0x40
WANTS_WIFI = {(Generation.B0, 2), (Generation.B1, 2), (Generation.B1, 3), (Generation.C, 12)}

# wifi-awss.md 2.1: the probe request of the reference, whole
PROBE_HEAD = bytes.fromhex("40000000ffffffffffff")
PROBE_MIDDLE = bytes.fromhex("ffffffffffffc0790000010882848b968c9298a43204b048606c")
PLACEHOLDER_FCS = bytes.fromhex("3f84109e")


class BleEnrollee:
    """One BLE device, advertising; `settle` makes it owned and, if it is a combo device, on its network."""

    def __init__(self, plan: Ble, identity: Identity, dice: Random) -> None:
        self._plan = plan
        self._identity = identity
        self._dice = dice
        self._sequence = plan.sequence
        self.address = mac_bytes(plan.address) if plan.address else random_static_address(dice)
        self._bound = plan.bound
        self._sub_type = plan.sub_type
        self._ad = self._build()

    @property
    def advert(self) -> bytes:
        """The complete AD structures that are on the air now."""
        return self._ad

    def settle(self) -> None:
        """Somebody let it in: advertise as bound, and a B1 combo device as connected to its AP."""
        self._bound = True
        if self._plan.generation is Generation.B1 and self._sub_type == 3:
            self._sub_type = 4
        self._ad = self._build()

    async def live(self, air: Air, clock: Clock) -> None:
        """Advertise until cancelled."""
        while True:
            air.send_advert(self.address, self._ad, jittered(self._plan.rssi, self._dice))
            await clock.sleep(self._plan.interval + self._dice.uniform(0, BLE_DELAY))

    def _build(self) -> bytes:
        plan = self._plan
        signature = None
        if plan.signed:  # counted up before use (ble-breeze.md 2.6)
            self._sequence = (self._sequence + 1) & 0xFFFF_FFFF
            signature = sign_advert(self._identity, self._sequence)
        record = BleRecord(
            generation=plan.generation,
            sub_type=self._sub_type,
            product_id=plan.product_id,
            mac=mac_bytes(plan.mac),
            fmsk=function_mask(plan, bound=self._bound),
            secured=plan.secured,
            secret=plan.keyed,
            wants_wifi=(plan.generation, self._sub_type) in WANTS_WIFI,
            bound=self._bound,
            connectable=self._sub_type not in ad.BEACONS,
            signature=signature,
        )
        return ad.build(record)


class WifiEnrollee:
    """One zero-config Wi-Fi device in its press window; `settle` makes it stop, for it is on its network."""

    def __init__(self, plan: Wifi, identity: Identity, dice: Random) -> None:
        self._plan = plan
        self._dice = dice
        self._settled = False
        self.frame = probe_frame(mac_bytes(plan.mac), self._record(identity, dice.randbytes(16)))

    def settle(self) -> None:
        """It has joined a network and sends no more."""
        self._settled = True

    async def live(self, air: Air, clock: Clock) -> None:
        """Send on one channel after the other until the press window is over or it has joined."""
        end = clock.boot() + self._plan.press
        while True:
            for channel in HOPS:
                if self._settled or clock.boot() >= end:
                    return
                air.send_frame(self.frame, channel, jittered(self._plan.rssi, self._dice))
                await clock.sleep(DWELL)

    def _record(self, identity: Identity, random: bytes) -> WifiRecord:
        device, plan = identity.device, self._plan
        secret = identity.product_secret if plan.security == 3 else identity.device_secret
        sign = awss.sign(secret or "", random, device.device_name, device.product_key)
        return WifiRecord(1, device.device_name, device.product_key, random, plan.security, 0, sign)


def probe_frame(source: bytes, record: WifiRecord) -> bytes:
    """The enrollee's probe request from frame control to the placeholder FCS (wifi-awss.md 2.1, 2.2)."""
    return PROBE_HEAD + source + PROBE_MIDDLE + awss.build_enrollee(record) + PLACEHOLDER_FCS


def function_mask(plan: Ble, *, bound: bool) -> int:
    """The FMSK octet of that device (ble-breeze.md 2.4, with the quirk of B1 builds for BT 5.0)."""
    mask = BT_VERSION[plan.bluetooth]
    if plan.generation is Generation.A0:
        return mask | (A0_SECURITY if plan.secured else 0) | (A0_OTA if plan.ota else 0)
    mask |= (OTA if plan.ota else 0) | (SECURITY if plan.secured else 0)
    if plan.generation is Generation.A1:
        return mask | (PER_DEVICE if plan.keyed == "device" else 0)
    if plan.keyed == "device" and plan.secured:
        mask |= PER_DEVICE
    if plan.generation in {Generation.C, Generation.GENIE}:
        needs_wifi = plan.needs_wifi and plan.sub_type == 12 and not bound
        return mask | (C_BOUND if bound else 0) | (C_NEEDS_WIFI if needs_wifi else 0)
    if plan.generation is Generation.B1:
        if plan.bluetooth == "5.0":
            mask = mask & ~0x03 | PER_DEVICE
        mask |= B1_BOUND if bound else 0
    return mask | (SIGNED if plan.signed else 0)


def jittered(strength: int, dice: Random) -> int:
    """A strength in dBm as the next frame arrives with it."""
    return max(-120, min(-1, strength + round(dice.gauss(0, 2))))


def random_static_address(dice: Random) -> bytes:
    """A GAP address of the random static kind: its two highest bits are set."""
    drawn = dice.randbytes(6)
    return bytes((drawn[0] | 0xC0,)) + drawn[1:]
