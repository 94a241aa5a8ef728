"""Devices (identity, secret, binding) and the topology of gateways."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3

from agent.model import DeviceId


def keys(device: DeviceId) -> tuple[str, str]:
    """Both names, as the columns have them."""
    return device.product_key, device.device_name


class Devices:
    """The devices of one book: those that connected, were registered or were added to a topology."""

    def __init__(self, db: sqlite3.Connection, key: bytes) -> None:
        self._db = db
        self._key = key

    def iot_id(self, device: DeviceId) -> str:
        """The iotId of any device, known or not: 32 hex digits, the same for ever."""
        name = f"{device.product_key}\0{device.device_name}".encode()
        return hmac.digest(self._key, name, hashlib.sha256)[:16].hex()

    def enter(self, device: DeviceId, now: float, *, gateway: bool = False) -> None:
        """Make the device known; one that was deleted is enabled again."""
        self._db.execute(
            "INSERT INTO devices (product_key, device_name, iot_id, created, is_gateway) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "is_gateway = max(is_gateway, excluded.is_gateway), "
            "status = iif(status = 'deleted', 'enabled', status)",
            (*keys(device), self.iot_id(device), now, gateway),
        )

    def find(self, iot_id: str, *, gateway: bool = False) -> DeviceId | None:
        """The known device of that iotId; with ``gateway`` only one that has connected as a gateway."""
        row = self._db.execute(
            "SELECT product_key, device_name FROM devices WHERE iot_id = ? AND is_gateway >= ?",
            (iot_id, gateway),
        ).fetchone()
        return DeviceId(*row) if row else None

    def status(self, device: DeviceId) -> str | None:
        """``enabled``, ``disabled`` or ``deleted``; None when the device is unknown."""
        row = self._db.execute(
            "SELECT status FROM devices WHERE product_key = ? AND device_name = ?", keys(device)
        ).fetchone()
        return str(row[0]) if row else None

    def set_status(self, device: DeviceId, status: str) -> None:
        """Enable, disable or delete a known device; the last forgets its secret and its binding."""
        self._db.execute(
            "UPDATE devices SET status = ? WHERE product_key = ? AND device_name = ?", (status, *keys(device))
        )
        if status == "deleted":
            self.set_secret(device, None)
            self.unbind(device)

    def minted_secret(self, device: DeviceId) -> str | None:
        """The deviceSecret that the service made for it, if any."""
        row = self._db.execute(
            "SELECT secret FROM devices WHERE product_key = ? AND device_name = ?", keys(device)
        ).fetchone()
        return row[0] if row else None

    def set_secret(self, device: DeviceId, secret: str | None) -> None:
        """Keep a minted deviceSecret, or forget it."""
        self._db.execute(
            "UPDATE devices SET secret = ? WHERE product_key = ? AND device_name = ?", (secret, *keys(device))
        )

    def bound_to(self, device: DeviceId) -> str | None:
        """The identity of the account that the device is bound to."""
        row = self._db.execute(
            "SELECT bound_to FROM devices WHERE product_key = ? AND device_name = ?", keys(device)
        ).fetchone()
        return row[0] if row else None

    def bind(self, device: DeviceId, identity: str, home: str, now: float) -> None:
        """Bind a known device; binding it again to the same account counts no second time."""
        self._db.execute(
            "UPDATE devices SET binds = binds + (bound_to IS NOT ?), bound_to = ?, bound_home = ?, "
            "bound_at = ? WHERE product_key = ? AND device_name = ?",
            (identity, identity, home, now, *keys(device)),
        )

    def unbind(self, device: DeviceId) -> bool:
        """End the binding; False when there was none."""
        cursor = self._db.execute(
            "UPDATE devices SET bound_to = NULL, bound_home = NULL, bound_at = NULL "
            "WHERE product_key = ? AND device_name = ? AND bound_to IS NOT NULL",
            keys(device),
        )
        return cursor.rowcount == 1

    def gateways_of(self, identity: str) -> list[DeviceId]:
        """The gateways that are bound to an account."""
        rows = self._db.execute(
            "SELECT product_key, device_name FROM devices WHERE bound_to = ? AND is_gateway = 1 "
            "ORDER BY product_key, device_name",
            (identity,),
        )
        return [DeviceId(*row) for row in rows]

    def binds(self) -> dict[DeviceId, int]:
        """How many times each device was bound to an account that it was not bound to."""
        rows = self._db.execute("SELECT product_key, device_name, binds FROM devices WHERE binds > 0")
        return {DeviceId(pk, dn): count for pk, dn, count in rows}


class Topology:
    """Which gateway each sub-device is behind: one at most."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def gateway_of(self, device: DeviceId) -> DeviceId | None:
        """The gateway of a sub-device, or None."""
        row = self._db.execute(
            "SELECT gateway_key, gateway_name FROM topology WHERE product_key = ? AND device_name = ?",
            keys(device),
        ).fetchone()
        return DeviceId(*row) if row else None

    def put(self, device: DeviceId, gateway: DeviceId, now: float) -> None:
        """Put a sub-device behind a gateway, away from the one where it was."""
        self._db.execute(
            "INSERT INTO topology VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "gateway_key = excluded.gateway_key, gateway_name = excluded.gateway_name, "
            "added = excluded.added "
            "WHERE gateway_key != excluded.gateway_key OR gateway_name != excluded.gateway_name",
            (*keys(device), *keys(gateway), now),
        )

    def remove(self, device: DeviceId) -> None:
        """Take a sub-device out."""
        self._db.execute("DELETE FROM topology WHERE product_key = ? AND device_name = ?", keys(device))

    def of(self, gateway: DeviceId) -> list[DeviceId]:
        """The sub-devices of a gateway, in the order of their names."""
        rows = self._db.execute(
            "SELECT product_key, device_name FROM topology WHERE gateway_key = ? AND gateway_name = ? "
            "ORDER BY product_key, device_name",
            keys(gateway),
        )
        return [DeviceId(*row) for row in rows]

    def count(self, gateway: DeviceId) -> int:
        """How many sub-devices a gateway has."""
        query = "SELECT count(*) FROM topology WHERE gateway_key = ? AND gateway_name = ?"
        return int(self._db.execute(query, keys(gateway)).fetchone()[0])

    def all(self) -> dict[DeviceId, list[DeviceId]]:
        """Every gateway's sub-devices, as the rows have them."""
        found: dict[DeviceId, list[DeviceId]] = {}
        for pk, dn, gateway_key, gateway_name in self._db.execute(
            "SELECT product_key, device_name, gateway_key, gateway_name FROM topology ORDER BY 1, 2"
        ):
            found.setdefault(DeviceId(gateway_key, gateway_name), []).append(DeviceId(pk, dn))
        return found
