"""The rows of a scenario file: what stands in a simulated home, and what happens there when.

Times are seconds from the start of the home, strengths are dBm.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct

from agent.model import MAC_TEXT, NAME_TEXT, PRODUCT_KEY_TEXT, DeviceId, Generation
from hw.sim.air import Medium

DAY = 86_400.0
Seconds = Annotated[float, Meta(ge=0, le=DAY)]
Interval = Annotated[float, Meta(ge=0.02, le=DAY)]
Strength = Annotated[int, Meta(ge=-120, le=-1)]
MacText = Annotated[str, Meta(pattern=rf"^{MAC_TEXT.pattern}\Z")]
ProductKey = Annotated[str, Meta(pattern=rf"^{PRODUCT_KEY_TEXT.pattern}\Z")]
DeviceName = Annotated[str, Meta(pattern=rf"^{NAME_TEXT.pattern}\Z", max_length=64)]
DeviceText = Annotated[
    str, Meta(pattern=rf"^{PRODUCT_KEY_TEXT.pattern}/{NAME_TEXT.pattern}\Z", max_length=85)
]
Channel = Annotated[int, Meta(ge=1, le=196)]
Security = Literal["open", "wep", "wpa", "wpa2", "wpa+wpa2", "wpa3", "wpa2+wpa3", "owe", "enterprise"]


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table of a scenario file; keys that it does not know are refused."""


class Presence(Part, frozen=True, kw_only=True):
    """Something that stands in the home from ``appears`` until ``leaves`` (absent: to the end)."""

    appears: Seconds = 0.0
    leaves: Seconds | None = None
    rssi: Strength = -60


class AccessPoint(Presence, frozen=True, kw_only=True):
    """A sender of beacons; the SSID is given as ``ssid`` (text) or ``ssid_hex`` (any octets)."""

    bssid: MacText
    ssid: str = ""
    ssid_hex: Annotated[str, Meta(pattern=r"^(?:[0-9A-Fa-f]{2})*\Z")] = ""
    hidden: bool = False
    channel: Channel = 6
    security: Security = "wpa2"
    interval: Annotated[float, Meta(ge=0.02, le=60)] = 0.1024

    @property
    def ssid_bytes(self) -> bytes:
        """The name of the network, at most 32 octets."""
        return bytes.fromhex(self.ssid_hex) or self.ssid.encode("utf-8")


class Enrollee(Presence, frozen=True, kw_only=True):
    """A device that waits to be let in."""

    product_key: ProductKey
    device_name: DeviceName
    mac: MacText

    @property
    def device(self) -> DeviceId:
        """Its name in the cloud."""
        return DeviceId(self.product_key, self.device_name)


class Ble(Enrollee, frozen=True, kw_only=True):
    """A BLE enrollee; ``address`` is its GAP address (absent: a random static one)."""

    product_id: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
    generation: Generation
    sub_type: int = 0
    address: MacText | None = None
    secured: bool = True
    keyed: Literal["product", "device"] = "device"
    signed: bool = False
    sequence: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)] = 0  # stored before the first signed advert
    bound: bool = False
    needs_wifi: bool = True  # C combo devices: whether this build tells by FMSK bit 6 that it needs Wi-Fi
    ota: bool = False
    bluetooth: Literal["4.0", "4.2", "5.0"] = "4.2"
    interval: Interval = 0.3


class Wifi(Enrollee, frozen=True, kw_only=True):
    """A zero-config Wi-Fi enrollee; ``press`` is how long its button's window lasts."""

    security: Literal[3, 4] = 3
    press: Seconds = 180.0


class Noise(Presence, frozen=True, kw_only=True):
    """A number of foreign devices on one medium."""

    medium: Medium
    count: Annotated[int, Meta(ge=1, le=10_000)] = 1
    interval: Interval = 1.0


class Asking(Part, frozen=True, kw_only=True):
    """How another stack asks for a join: for how long at most, and after which pause again when refused."""

    patience: Seconds = 30.0
    retry: Interval | None = None


class Join(Asking, frozen=True, kw_only=True):
    """Another stack asks over join.sock; medium and address may be absent for a device of this home."""

    at: Seconds
    device: DeviceText
    medium: str = ""
    address: str = ""
    signed: bool = False
    expect: Literal["admitted", "refused"] | None = None


class Crowd(Asking, frozen=True, kw_only=True):
    """Many sub-devices of one product that ask one after another; they are named ``<prefix>-0001``, .."""

    at: Seconds
    product_key: ProductKey
    count: Annotated[int, Meta(ge=1, le=10_000)]
    spacing: Seconds = 0.05
    medium: str = "zigbee"
    prefix: DeviceName = "crowd"
    expect: Literal["admitted", "refused"] | None = None

    def joins(self) -> Iterator[Join]:
        """The single joins, in order; the addresses are EUI-64s."""
        for number in range(1, self.count + 1):
            yield Join(
                at=self.at + (number - 1) * self.spacing,
                device=f"{self.product_key}/{self.prefix}-{number:04d}",
                medium=self.medium,
                address=f"00:12:4B:00:{number.to_bytes(4, 'big').hex(':').upper()}",
                expect=self.expect,
                patience=self.patience,
                retry=self.retry,
            )


class Token(Part, frozen=True, kw_only=True):
    """A direct device has come to its network, connects to the cloud and reports its own bind token."""

    at: Seconds
    device: DeviceText


class UserStep(Part, frozen=True, kw_only=True):
    """One thing that the person with the app does; ``time`` is the parameter of permit and checkin.

    ``permit`` without a product key is for any product; ``check``, ``bind``, ``checkin`` and ``remove``
    name a device.
    """

    at: Seconds
    do: Literal["bind_gateway", "permit", "list", "filter", "check", "bind", "checkin", "remove"]
    product_key: ProductKey | None = None
    device: DeviceText | None = None
    time: int | None = None


class RadioFault(Part, frozen=True, kw_only=True):
    """Something happens to the gateway's radios of that name, of both media unless one is given."""

    at: Seconds
    do: Literal["unplug", "plug", "deafen", "cure"]
    name: str = "simulated"
    medium: Medium | None = None
