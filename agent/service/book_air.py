"""What is true only while connections are open: enrollees on report, sessions of devices (in memory)."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from agent.model import DeviceId
from agent.service.book_devices import keys


@dataclass(frozen=True, slots=True)
class Sighting:
    """One enrollee as one gateway reported it; ``created`` and ``modified`` are UTC, the others boot time.

    ``enrollee`` is its id (``ble:..`` or ``wifi:..``), ``life`` how long it stays listed unreported.
    """

    gateway: DeviceId
    enrollee: str
    device: DeviceId
    generation: str | None
    ssid: str
    bssid: str
    rssi: int | None
    type: int
    created: float
    modified: float
    seen: float
    life: float
    provisioning_until: float = 0.0


def _read(row: tuple[object, ...]) -> Sighting:
    gateway_key, gateway_name, enrollee, product_key, device_name, *rest, _checkin = row
    gateway = DeviceId(str(gateway_key), str(gateway_name))
    device = DeviceId(str(product_key), str(device_name))
    return Sighting(gateway, str(enrollee), device, *rest)  # type: ignore[arg-type]  # the columns have these types


class Enrollees:
    """The enrollees that gateways have reported lately."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def put(self, sighting: Sighting) -> None:
        """Enter a report; a repeat keeps when it was first made and whether it is being provisioned."""
        s = sighting
        self._db.execute(
            "INSERT INTO air.enrollees VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL) "
            "ON CONFLICT DO UPDATE SET "
            "product_key = excluded.product_key, device_name = excluded.device_name, "
            "generation = excluded.generation, ssid = excluded.ssid, bssid = excluded.bssid, "
            "rssi = excluded.rssi, type = excluded.type, modified = excluded.modified, "
            "seen = excluded.seen, life = excluded.life",
            (*keys(s.gateway), s.enrollee, *keys(s.device), s.generation, s.ssid, s.bssid, s.rssi, s.type,
             s.created, s.modified, s.seen, s.life, s.provisioning_until),
        )  # fmt: skip

    def expire(self, boot: float) -> None:
        """Forget the ones that were not reported for their life."""
        self._db.execute("DELETE FROM air.enrollees WHERE seen + life < ?", (boot,))

    def count_others(self, sighting: Sighting) -> int:
        """How many the gateway of a sighting has on report besides it."""
        query = (
            "SELECT count(*) FROM air.enrollees WHERE gateway_key = ? AND gateway_name = ? AND enrollee != ?"
        )
        return int(self._db.execute(query, (*keys(sighting.gateway), sighting.enrollee)).fetchone()[0])

    def of(self, gateways: list[DeviceId]) -> list[Sighting]:
        """The enrollees of some gateways, the oldest first."""
        query = "SELECT * FROM air.enrollees WHERE gateway_key = ? AND gateway_name = ?"
        found = [_read(row) for gateway in gateways for row in self._db.execute(query, keys(gateway))]
        return sorted(found, key=lambda s: (s.created, s.enrollee, s.gateway))

    def count_of(self, identity: str) -> int:
        """How many enrollees the gateways of an account have on report."""
        query = (
            "SELECT count(*) FROM devices AS d CROSS JOIN air.enrollees AS e "
            "ON e.gateway_key = d.product_key AND e.gateway_name = d.device_name "
            "WHERE d.bound_to = ? AND d.is_gateway = 1"
        )
        return int(self._db.execute(query, (identity,)).fetchone()[0])

    def page_of(self, identity: str, size: int, skipped: int) -> list[Sighting]:
        """Some of them, in the order of `of`: at most so many after those that are skipped."""
        query = (
            "SELECT e.* FROM air.enrollees AS e CROSS JOIN devices AS d "
            "ON d.product_key = e.gateway_key AND d.device_name = e.gateway_name "
            "WHERE d.bound_to = ? AND d.is_gateway = 1 "
            "ORDER BY e.created, e.enrollee, e.gateway_key, e.gateway_name LIMIT ? OFFSET ?"
        )
        return [_read(row) for row in self._db.execute(query, (identity, size, skipped))]

    def start(self, sighting: Sighting, until: float, checkin: str) -> None:
        """Mark one as being provisioned until then, by the checkin of that id."""
        self._db.execute(
            "UPDATE air.enrollees SET provisioning_until = ?, checkin = ? "
            "WHERE gateway_key = ? AND gateway_name = ? AND enrollee = ?",
            (until, checkin, *keys(sighting.gateway), sighting.enrollee),
        )

    def stop(self, gateway: DeviceId, checkin: str) -> None:
        """The gateway refused that checkin: the enrollee is in its initial state again."""
        self._db.execute(
            "UPDATE air.enrollees SET provisioning_until = 0, checkin = NULL "
            "WHERE gateway_key = ? AND gateway_name = ? AND checkin = ?",
            (*keys(gateway), checkin),
        )

    def drop(self, device: DeviceId) -> None:
        """Forget a device that is no enrollee any more."""
        self._db.execute("DELETE FROM air.enrollees WHERE product_key = ? AND device_name = ?", keys(device))


class Sessions:
    """The devices that are online: on a connection of their own, or logged in through a gateway."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def open(self, device: DeviceId, carrier: DeviceId, boot: float) -> None:
        """A device came online now, through that connection."""
        self._db.execute(
            "INSERT OR REPLACE INTO air.sessions VALUES (?, ?, ?, ?, ?)",
            (*keys(device), *keys(carrier), boot),
        )

    def close(self, device: DeviceId) -> None:
        """A device went offline."""
        self._db.execute("DELETE FROM air.sessions WHERE product_key = ? AND device_name = ?", keys(device))

    def clear(self, carrier: DeviceId) -> None:
        """Every session through that connection is over."""
        self._db.execute("DELETE FROM air.sessions WHERE gateway_key = ? AND gateway_name = ?", keys(carrier))

    def find(self, device: DeviceId) -> tuple[DeviceId, float] | None:
        """Through which connection a device came online, and when (boot time)."""
        row = self._db.execute(
            "SELECT gateway_key, gateway_name, since FROM air.sessions "
            "WHERE product_key = ? AND device_name = ?",
            keys(device),
        ).fetchone()
        return (DeviceId(row[0], row[1]), float(row[2])) if row else None

    def count(self, carrier: DeviceId) -> int:
        """How many devices are online through a connection."""
        query = "SELECT count(*) FROM air.sessions WHERE gateway_key = ? AND gateway_name = ?"
        return int(self._db.execute(query, keys(carrier)).fetchone()[0])

    def note_login(self, device: DeviceId, boot: float) -> int:
        """Note one login; returns how many there were within the last minute, this one included."""
        self._db.execute("DELETE FROM air.logins WHERE at <= ?", (boot - 60,))
        self._db.execute("INSERT INTO air.logins VALUES (?, ?, ?)", (*keys(device), boot))
        query = "SELECT count(*) FROM air.logins WHERE product_key = ? AND device_name = ?"
        return int(self._db.execute(query, keys(device)).fetchone()[0])
