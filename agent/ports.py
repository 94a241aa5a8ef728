"""What the agent asks of the world: radios, the cloud, time. Small Protocols; adapters live elsewhere.

Opening and closing are the call and its cancellation. Nothing of a library crosses a port.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from agent.model import DeviceId, Station

AdvertHeard = Callable[[bytes, int | None, bytes], None]
"""One advertisement of ours: GAP address (6 bytes, display order), RSSI in dBm or None, manufacturer
data from the company id 0x01A8 on. Adapters filter everything else out."""

StationHeard = Callable[[Station, int | None, float], None]
"""One frame or scan result: the station, RSSI in dBm or None, age in seconds (0 when live)."""


class Clock(Protocol):
    """Boot time for durations, UTC for display; tests let it jump."""

    boot_id: str

    def boot(self) -> float:
        """Seconds since boot, suspend included (CLOCK_BOOTTIME)."""

    def utc(self) -> float:
        """Seconds since 1970, for display only; it may step either way."""

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of boot time."""


class BleRadio(Protocol):
    """One BLE adapter. Raises HardwareError and nothing else."""

    @property
    def name(self) -> str:
        """As configured, for example ``bluez:00:1A:7D:DA:71:13`` or ``simulated``."""

    async def listen(self, heard: AdvertHeard, opened: Callable[[], None]) -> NoReturn:
        """Scan until cancelled; ``opened`` is called each time that scanning has begun."""


class WifiRadio(Protocol):
    """One Wi-Fi interface. Raises HardwareError and nothing else."""

    @property
    def name(self) -> str:
        """As configured, for example ``nl80211:wlan0`` or ``simulated``."""

    async def listen(self, heard: StationHeard, opened: Callable[[], None]) -> NoReturn:
        """Hear frames or read scan results until cancelled; ``opened`` as for BLE."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The cloud's answer to one request: code 200 is success, anything else is not."""

    code: int
    data: object = field(repr=False)  # it may carry a deviceSecret
    message: str = ""


@dataclass(frozen=True, slots=True)
class Downlink:
    """A request of the cloud to a device behind this link.

    ``device`` is whose topic it came on (the gateway's or a sub-device's), ``name`` the topic without
    its prefix, for example ``thing/gateway/permit``; ``id`` is echoed in the type it came in.
    """

    device: DeviceId
    name: str
    id: str | int
    params: object = field(repr=False)  # checkin carries a token
    ack: bool = True


class CloudLink(Protocol):
    """The gateway's device channel to the cloud. Raises CloudBusy, CloudRefused and nothing else."""

    carries_ble: bool
    """True where ``found`` may carry BLE enrollees in an extra member (the embedded link, ours)."""

    async def hold(self, arrived: Callable[[Downlink], None], connected: Callable[[], None]) -> NoReturn:
        """Keep the channel open until cancelled; raises when it cannot be had or is lost."""

    async def ask(self, device: DeviceId, name: str, params: object) -> Reply:
        """Send one request on that device's topic and wait for the reply; CloudBusy when none comes.

        ``name`` is the topic without its prefix: ``thing/topo/add``, ``combine/login``, ..
        """

    async def answer(self, downlink: Downlink, code: int, data: object) -> None:
        """Reply to a downlink."""


class DeviceConnection(Protocol):
    """A direct device's own open cloud connection."""

    async def match(self, token: bytes) -> Reply:
        """Report a bind token of 16 octets."""


class DeviceUplink(Protocol):
    """Where direct devices (combo, zero-config) connect to the cloud by themselves."""

    def connect(self, device: DeviceId, secret: str) -> AbstractAsyncContextManager[DeviceConnection]:
        """Log in with the deviceSecret; CloudRefused when the signature does not fit."""
