"""Bind tokens: reported by a device, alive for a while of boot time, good for one bind."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from agent.model import DeviceId
from agent.service.book_devices import keys

KEPT = 32  # tokens of one device, used and unused each; a device makes one in 90 s and a token lives 120 s


@dataclass(frozen=True, slots=True)
class TokenFigures:
    """How often a token was reported, and how many binds it brought about."""

    device: DeviceId
    reports: int
    binds: int
    token: str = field(repr=False)


class Tokens:
    """The tokens of one book, each of one device; a used one is kept so that no repeat revives it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def report(self, token: str, device: DeviceId, boot_id: str, boot: float) -> None:
        """Note a report: the life of an unused token counts from its last one."""
        self._db.execute(
            "INSERT INTO tokens (token, product_key, device_name, boot_id, reported) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET boot_id = excluded.boot_id, reported = excluded.reported, "
            "reports = reports + 1",
            (token, *keys(device), boot_id, boot),
        )
        self._forget(device, boot_id)

    def _forget(self, device: DeviceId, boot_id: str) -> None:
        """Of a device that reports too many drop the oldest, used and unused counted apart."""
        for used in (False, True):
            self._db.execute(
                "DELETE FROM tokens WHERE product_key = :pk AND device_name = :dn AND (binds > 0) = :used "
                "AND token NOT IN (SELECT token FROM tokens WHERE product_key = :pk AND device_name = :dn "
                "AND (binds > 0) = :used ORDER BY boot_id = :boot_id DESC, reported DESC LIMIT :kept)",
                {
                    "pk": device.product_key,
                    "dn": device.device_name,
                    "used": used,
                    "boot_id": boot_id,
                    "kept": KEPT,
                },
            )

    def find(self, token: str, boot_id: str, since: float) -> list[DeviceId]:
        """The devices that reported an unused token in this boot at or after ``since``, the latest first."""
        rows = self._db.execute(
            "SELECT product_key, device_name FROM tokens WHERE token = ? AND binds = 0 AND boot_id = ? "
            "AND boot_id != '' AND reported >= ? ORDER BY reported DESC, product_key, device_name",
            (token, boot_id, since),
        )
        return [DeviceId(*row) for row in rows]

    def use(self, token: str, device: DeviceId) -> None:
        """Note that a token brought about a bind: it is dead from now on."""
        self._db.execute(
            "UPDATE tokens SET binds = binds + 1 WHERE token = ? AND product_key = ? AND device_name = ?",
            (token, *keys(device)),
        )

    def drop(self, device: DeviceId) -> None:
        """Forget the unused tokens of a device."""
        self._db.execute(
            "DELETE FROM tokens WHERE product_key = ? AND device_name = ? AND binds = 0", keys(device)
        )

    def figures(self) -> list[TokenFigures]:
        """What was counted of each token."""
        rows = self._db.execute(
            "SELECT token, product_key, device_name, reports, binds FROM tokens ORDER BY 2, 3, reported"
        )
        return [
            TokenFigures(DeviceId(pk, dn), reports, binds, token) for token, pk, dn, reports, binds in rows
        ]
