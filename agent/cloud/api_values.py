"""What the HTTP API's answers say, read leniently: samples and pages disagree (cloud-http-api.md 4).

Readers raise FrameError where an answer lacks what it is asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from agent.errors import FrameError
from agent.model import DeviceId

HEX_KEY = re.compile(r"(?:[0-9A-Fa-f]{32}){1,2}")
DECIMAL = re.compile(r"-?[0-9]{1,15}")
DEFAULT_LIFE = 72000.0  # seconds (section 3)


@dataclass(frozen=True, slots=True)
class ListedEnrollee:
    """One enrollee on report, and the registrar that hears it.

    Times are milliseconds since 1970, None where not told; ``rssi`` in dBm. ``enrollee_id`` is ours and
    empty on the vendor's cloud. ``by_router`` tells who discovered it.
    """

    device: DeviceId
    iot_id: str
    product_name: str
    enrollee_id: str
    registrar: DeviceId
    registrar_iot_id: str
    bssid: str
    ssid: str
    rssi: int | None
    by_router: bool
    provisioning: bool
    created: int | None
    modified: int | None


@dataclass(frozen=True, slots=True)
class EnrolleePage:
    """One page of the list; ``total`` counts all pages."""

    total: int
    items: tuple[ListedEnrollee, ...]


@dataclass(frozen=True, slots=True)
class OfferedDevice:
    """A device of a published product, bound to nobody; ``net_type``, ``node_type`` as in section 4.2."""

    device: DeviceId
    product_name: str
    net_type: int | None
    node_type: int | None
    category: str


@dataclass(frozen=True, slots=True)
class TokenOwner:
    """The device that reported a live bind token."""

    device: DeviceId
    iot_id: str


@dataclass(frozen=True, slots=True)
class Binding:
    """A device is bound; ``iot_id`` None when the answer got lost and the binding shows by other calls."""

    iot_id: str | None


@dataclass(frozen=True, slots=True)
class StartedCheckin:
    """A registrar was told to provision; ``token`` is what the device will report, ``timeout`` in seconds."""

    registrar_iot_id: str
    token: str = field(repr=False)
    timeout: int | None


@dataclass(frozen=True, slots=True)
class Grant:
    """A session as it was given; ``life`` of its iotToken in seconds from then."""

    identity: str
    iot_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    life: float


def read_page(data: object) -> EnrolleePage:
    """The answer of ``/awss/enrollee/list/get``."""
    page = _object(data)
    items = tuple(_listed(_object(item)) for item in _list(page.get("items")))
    total = _integer(page, "totalNum")
    return EnrolleePage(len(items) if total is None else total, items)


def _listed(item: dict[str, object]) -> ListedEnrollee:
    return ListedEnrollee(
        device=DeviceId(_name(item, "enrolleeProductKey"), _name(item, "enrolleeDeviceName")),
        iot_id=_text(item, "enrolleeIotId"),
        product_name=_text(item, "enrolleeProductName"),
        enrollee_id=_text(item, "enrolleeId"),
        registrar=DeviceId(_text(item, "regProductKey"), _text(item, "regDeviceName")),
        registrar_iot_id=_text(item, "regIotId"),
        bssid=_text(item, "bssid"),
        ssid=_text(item, "ssid"),
        rssi=_integer(item, "rssi"),
        by_router=_integer(item, "type") == 1,
        provisioning=_integer(item, "status") == 1,
        created=_integer(item, "gmtCreate"),
        modified=_integer(item, "gmtModified"),
    )


def read_offers(data: object) -> tuple[OfferedDevice, ...]:
    """The answer of ``/awss/enrollee/product/filter``."""
    return tuple(_offer(_object(entry)) for entry in _list(data))


def _offer(entry: dict[str, object]) -> OfferedDevice:
    return OfferedDevice(
        device=_device(entry),
        product_name=_text(entry, "productName"),
        net_type=_integer(entry, "netType"),
        node_type=_integer(entry, "nodeType"),
        category=_text(entry, "categoryKey"),
    )


def read_owner(data: object) -> TokenOwner:
    """The answer of ``/awss/token/check``."""
    owner = _object(data)
    return TokenOwner(_device(owner), _text(owner, "iotId"))


def read_binding(data: object) -> Binding:
    """The answer of either bind: the iotId as text, or in newer versions in an object (section 4.4)."""
    iot_id = data.get("iotId") if isinstance(data, dict) else data
    return Binding(iot_id if isinstance(iot_id, str) and iot_id else None)


def read_key(data: object) -> bytes:
    """The AES key of 16 octets in the answer of ``/awss/cipher/get``: 32 hex digits, or the first of 64."""
    if not isinstance(data, str) or not HEX_KEY.fullmatch(data):
        raise FrameError("the key is not 32 or 64 hex digits")
    return bytes.fromhex(data[:32])


def read_checkin(data: object) -> StartedCheckin:
    """The answer of ``/awss/enrollee/checkin``."""
    started = _object(data)
    return StartedCheckin(
        _text(started, "regIotId"), _name(started, "token"), timeout=_integer(started, "timeout")
    )


def read_grant(data: object, identity: str = "", refresh_token: str = "") -> Grant:
    """A new session; what a refresh leaves out stays as it was."""
    given = _object(data)
    life = _integer(given, "iotTokenExpire")
    return Grant(
        _text(given, "identityId") or identity,
        _name(given, "iotToken"),
        _text(given, "refreshToken") or refresh_token,
        float(life) if life and life > 0 else DEFAULT_LIFE,
    )


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise FrameError("an object is missing")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise FrameError("a list is missing")
    return value


def _device(entry: dict[str, object]) -> DeviceId:
    return DeviceId(_name(entry, "productKey"), _name(entry, "deviceName"))


def _name(entry: dict[str, object], name: str) -> str:
    text = _text(entry, name)
    if not text:
        raise FrameError(f"{name} is missing")
    return text


def _text(entry: dict[str, object], name: str) -> str:
    """Empty where it is absent or no text."""
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _integer(entry: dict[str, object], name: str) -> int | None:
    """A number, or one written as text (rssi); None for anything else."""
    value = entry.get(name)
    if isinstance(value, str) and DECIMAL.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
