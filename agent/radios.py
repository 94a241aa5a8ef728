"""From a radio's name in the configuration to the adapter that is behind it; only what is named is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from agent.errors import HardwareError
from agent.model import mac_bytes
from agent.ports import BleRadio, Clock, WifiRadio


def make_ble(name: str, clock: Clock, air: Callable[[], Any]) -> BleRadio:
    """The BLE radio of that name; ``air`` gives what a simulated one listens to."""
    kind, _, rest = name.partition(":")
    match kind:
        case "simulated":
            from hw.sim.radios import SimulatedBleRadio

            return SimulatedBleRadio(name, air())
        case "replay":
            from hw.replay import ReplayBle

            return ReplayBle(Path(rest), clock)
        case "bluez":
            from hw.ble_bleak import BluezRadio

            return BluezRadio(name, mac_bytes(rest) if rest else None, clock)
    return MissingRadio(name)


def make_wifi(name: str, clock: Clock, air: Callable[[], Any]) -> WifiRadio:
    """The Wi-Fi radio of that name; ``air`` gives what a simulated one listens to."""
    kind, _, rest = name.partition(":")
    match kind:
        case "simulated":
            from hw.sim.radios import SimulatedWifiRadio

            return SimulatedWifiRadio(name, air())
        case "replay":
            from hw.replay import ReplayWifi

            return ReplayWifi(Path(rest), clock)
        case "nl80211":
            from hw.wifi_nl80211 import ScanResultRadio

            return ScanResultRadio(name, rest, clock)
    return MissingRadio(name)


class MissingRadio:
    """A kind of radio that this version cannot open, and says so."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def listen(self, *_: object) -> NoReturn:
        """Raise HardwareError ``radio_unavailable``."""
        raise HardwareError("radio_unavailable", f"{self.name}: this version does not open such a radio yet")
