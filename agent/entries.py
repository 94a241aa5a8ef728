"""One row of the registry: an enrollee or an access point as it was last heard, and its JSON form.

Times inside are boot time in seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum

from agent.codec.fields import ble_fields, wifi_fields
from agent.model import BleRecord, Product, Station, WifiRecord, mac_bytes, mac_text, ssid_text

Key = tuple[bytes, int] | tuple[str, str] | bytes
"""BLE: (record MAC, product id); Wi-Fi enrollee: (product key, device name); access point: its BSSID."""


class Rank(IntEnum):
    """The four classes of DESIGN 5, Registry; a higher one evicts a lower one."""

    STRANGER = 0
    ACCESS_POINT = 1
    OTHER = 2
    CONFIGURED = 3


CLASS_NAMES = {
    Rank.STRANGER: "stranger",
    Rank.ACCESS_POINT: "access_point",
    Rank.OTHER: "other",
    Rank.CONFIGURED: "configured",
}


@dataclass(slots=True, eq=False)
class Entry:
    """What is known of one sender; compared by identity, for there is one per key.

    ``record`` is None for an access point. ``station`` is the object to compare the next frame with,
    ``described`` what the frames so far say together. ``rssi`` in dBm, ``address`` the GAP address, the
    source MAC or the BSSID.
    """

    id: str
    key: Key
    rank: Rank
    address: bytes
    first: float
    last: float
    record: BleRecord | WifiRecord | None = None
    product: Product | None = None
    rssi: int | None = None
    count: int = 1
    data: bytes = b""
    station: Station | None = None
    described: Station | None = None
    # Bookkeeping of the registry: True when a repeat has nothing to do but to be counted.
    steady: bool = False
    lost: bool = False
    announced: bool = False
    changes: set[str] = field(default_factory=set)
    quiet_until: float = 0.0
    # Bookkeeping of the table.
    sessions: int = 0
    guarded: float = float("-inf")
    queue: OrderedDict[Entry, None] | None = field(default=None, repr=False)
    queued: float = 0.0
    # Bookkeeping of the reports.
    reported: float | None = None
    due: float = float("-inf")

    @property
    def kind(self) -> str:
        """``ble``, ``wifi`` or ``access_point``."""
        if self.record is None:
            return "access_point"
        return "ble" if isinstance(self.record, BleRecord) else "wifi"

    @property
    def product_key(self) -> str | None:
        """The product key, None for a BLE enrollee of a product that is not configured."""
        if isinstance(self.record, WifiRecord):
            return self.record.product_key
        return self.product.product_key if self.product else None

    @property
    def state(self) -> str:
        """``found``, ``reported`` or ``provisioning``."""
        if self.sessions:
            return "provisioning"
        return "found" if self.reported is None else "reported"

    def hear(self, rssi: int | None, when: float) -> None:
        """Count one more frame; an unknown strength leaves the last known one."""
        self.count += 1
        self.last = max(self.last, when)
        if rssi is not None:
            self.rssi = rssi


def ble_entry(record: BleRecord, address: bytes, data: bytes, rssi: int | None, now: float) -> Entry:
    """A new entry for an advertisement; its rank is still that of an unconfigured product."""
    key = (record.mac, record.product_id)
    return Entry(record.enrollee_id, key, Rank.OTHER, address, now, now, record, rssi=rssi, data=data)


def station_entry(station: Station, record: WifiRecord | None, rssi: int | None, when: float) -> Entry:
    """A new entry for a frame: the enrollee when ``record`` is given, else the access point."""
    if record is None:
        key: Key = station.bssid
        entry = Entry(mac_text(station.bssid), key, Rank.ACCESS_POINT, station.bssid, when, when, rssi=rssi)
    else:
        key = (record.product_key, record.device_name)
        entry = Entry(
            record.enrollee_id,
            key,
            Rank.OTHER,
            station.source,
            when,
            when,
            record,
            rssi=rssi,
            station=station,
        )
    entry.described = station
    return entry


def key_of(enrollee_id: str) -> Key | None:
    """The key that an enrollee id stands for, None when the text is no such id."""
    kind, _, rest = enrollee_id.partition(":")
    left, slash, right = rest.partition("/")
    if not slash:
        return None
    if kind == "wifi":
        return left, right
    if kind != "ble":
        return None
    try:
        return mac_bytes(left), int(right, 16)
    except ValueError:
        return None


def merge(known: Station, new: Station) -> Station:
    """What both say together; ``known`` itself when ``new`` adds nothing.

    A hidden network keeps the name that a probe response told, and stays hidden.
    """
    ssid = known.ssid if new.hidden else new.ssid
    hidden = new.hidden if new.kind == "beacon" else known.hidden
    channel = known.channel if new.channel is None else new.channel
    security = known.security if new.security is None else new.security
    if (ssid, hidden, channel, security) == (known.ssid, known.hidden, known.channel, known.security):
        return known
    return Station(new.kind, new.bssid, new.source, ssid, hidden, channel, security)


def document(entry: Entry, now: float, utc: float, *, joined: bool = False) -> dict[str, object]:
    """The row of ``GET /v1/enrollees``; ``utc`` is the UTC of ``now``, ages in seconds.

    Strings that came over the air are not escaped for a terminal.
    """
    row: dict[str, object] = {
        "id": entry.id,
        "kind": entry.kind,
        "address": mac_text(entry.address),
        "class": CLASS_NAMES[entry.rank],
        "product_key": entry.product_key,
        "product_name": entry.product.name if entry.product else None,
        "rssi": entry.rssi,
        "age": _age(now, entry.last),
        "first_seen": _iso(utc - (now - entry.first)),
        "count": entry.count,
        "state": "joined" if joined else entry.state,
        "reported_ago": None if entry.reported is None else _age(now, entry.reported),
    }
    return row | decoded(entry)


def decoded(entry: Entry) -> dict[str, object]:
    """The fields that the enrollee's own bytes say (DESIGN 3, ``decode advert`` and ``decode frame``)."""
    if isinstance(entry.record, BleRecord):
        return ble_fields(entry.record)
    if entry.record is None:
        return {}
    return wifi_fields(entry.record) | {"channel": entry.described.channel if entry.described else None}


def access_point_document(entry: Entry, now: float) -> dict[str, object]:
    """One of ``access_points`` in ``GET /v1/enrollees``."""
    station = entry.described
    assert station is not None, "an access point is made from a frame"  # noqa: S101
    return {
        "bssid": mac_text(entry.address),
        "ssid": ssid_text(station.ssid),
        "ssid_hex": station.ssid.hex(),
        "hidden": station.hidden,
        "channel": station.channel,
        "rssi": entry.rssi,
        "security": station.security,
        "frames": entry.count,
        "age": _age(now, entry.last),
    }


def _age(now: float, then: float) -> float:
    return round(max(0.0, now - then), 3)


def _iso(utc: float) -> str:
    return datetime.fromtimestamp(utc, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
