"""The frozen values that rooms hand to each other: devices, products, what was heard, events.

MAC addresses are six bytes inside, most significant first, and ``AA:BB:CC:DD:EE:FF`` outside.
SSIDs are bytes everywhere; `ssid_text` is the one function that displays them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MAC_TEXT = re.compile(r"(?:[0-9A-Fa-f]{2}([:-]?))(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}")
# cloud-device-channel.md section 6: letters, digits and - _ @ . : ; ASCII only.
NAME_TEXT = re.compile(r"[A-Za-z0-9_@.:-]+")
PRODUCT_KEY_TEXT = re.compile(r"[A-Za-z0-9_@.:-]{1,20}")

COMPANY_ID = b"\xa8\x01"  # 0x01A8, little endian, first octets of the manufacturer data


def mac_text(mac: bytes) -> str:
    """The display form ``AA:BB:CC:DD:EE:FF`` of six bytes, most significant first."""
    return mac.hex(":").upper()


def mac_bytes(text: str) -> bytes:
    """Six bytes from twelve hex digits, with colons, dashes or nothing between; else ValueError."""
    if not MAC_TEXT.fullmatch(text):
        raise ValueError(f"{text!r} is not a MAC address: six pairs of hex digits are")
    return bytes.fromhex(text.replace(":", "").replace("-", ""))


def ssid_text(ssid: bytes) -> str:
    r"""An SSID as text: UTF-8, each undecodable byte as ``\xNN``.

    Control characters stay: whoever writes to a terminal escapes them there (`agent.cli.table`).
    """
    return ssid.decode("utf-8", "backslashreplace")


class Generation(StrEnum):
    """The protocol family of a BLE enrollee (ble-breeze.md, section 1)."""

    A0 = "A0"
    A1 = "A1"
    B0 = "B0"
    B1 = "B1"
    C = "C"
    GENIE = "genie"


class Kind(StrEnum):
    """How a product reaches the cloud; decided by the product file alone (DESIGN 5, Grants)."""

    SUB_DEVICE = "sub-device"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True, order=True)
class DeviceId:
    """The pair that names a device in the cloud."""

    product_key: str
    device_name: str

    def __str__(self) -> str:
        return f"{self.product_key}/{self.device_name}"


@dataclass(frozen=True, slots=True)
class Signature:
    """The signed part of an advertisement: first four digest bytes, and the sequence number."""

    sign: bytes
    sequence: int


@dataclass(frozen=True, slots=True)
class BleRecord:
    """What the manufacturer data of one enrollee says (ble-breeze.md, section 2; DESIGN 3).

    ``mac`` is the MAC of the record in display order; it may differ from the GAP address.
    ``secret`` is ``product``, ``device`` or None; ``bound`` None means that the advert does not tell.
    """

    generation: Generation
    sub_type: int
    product_id: int
    mac: bytes
    fmsk: int
    secured: bool
    secret: str | None
    wants_wifi: bool
    bound: bool | None
    connectable: bool
    signature: Signature | None = None

    @property
    def enrollee_id(self) -> str:
        """``ble:<record MAC>/<product id, 8 hex>``."""
        return f"ble:{mac_text(self.mac)}/{self.product_id:08x}"


@dataclass(frozen=True, slots=True)
class WifiRecord:
    """The fields of an AA element (wifi-awss.md, section 2.2), validated as section 3.2 recommends.

    ``random`` is 16 octets, ``sign`` 20; ``version`` is the whole octet (high nibble version,
    low nibble device type); ``security`` 3, 4 or 5; ``sign_method`` 0 or 1.
    """

    version: int
    device_name: str
    product_key: str
    random: bytes
    security: int
    sign_method: int
    sign: bytes

    @property
    def enrollee_id(self) -> str:
        """``wifi:<product key>/<device name>``."""
        return f"wifi:{self.product_key}/{self.device_name}"


@dataclass(frozen=True, slots=True)
class Station:
    """One sender of beacons, probe responses or probe requests, as its elements describe it.

    The parser hands out the *same object* while nothing in the frame changes, so a reader may compare
    with ``is``. ``kind`` is ``beacon``, ``probe_response`` or ``probe_request``; ``channel`` and
    ``security`` are None where the frame does not tell. ``trouble`` says what is wrong with an AA
    element that is broken (then ``enrollee`` is None).
    """

    kind: str
    bssid: bytes
    source: bytes
    ssid: bytes
    hidden: bool
    channel: int | None
    security: str | None
    enrollee: WifiRecord | None = None
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Product:
    """One product file ``products.d/<productKey>.toml``."""

    product_key: str
    name: str
    net_type: int
    product_ids: tuple[int, ...] = ()
    node_type: int = 0
    category: str = ""
    security: str = "required"
    published: bool = True
    secret: str | None = None  # the name of the credential that holds the productSecret

    @property
    def kind(self) -> Kind:
        """Bluetooth mesh of names aside, 5 is a sub-device and 3 reaches the cloud itself."""
        return Kind.DIRECT if self.net_type == 3 else Kind.SUB_DEVICE


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, in the past participle: ``enrollee_found``, ``permit_opened``, ..

    ``at`` is UTC in seconds for display; ``boot`` is boot time in seconds. ``fields`` hold plain
    JSON values and never a secret.
    """

    seq: int
    at: float
    boot: float
    kind: str
    fields: Mapping[str, object] = field(default_factory=dict)
