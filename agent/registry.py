"""Who is out there: enrollees and access points, in one bounded table, and what is worth an event.

One call per frame. A repeat that changes nothing costs a look-up or two and counts itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.catalog import Catalog, Verify
from agent.entries import CLASS_NAMES, Entry, Rank, key_of
from agent.errors import InputRefused
from agent.model import MAC_TEXT, BleRecord, Product, Station, WifiRecord, mac_bytes
from agent.news import Change
from agent.sightings import Sightings
from agent.table import MOST_OTHERS, Table

CAPACITY = 4096


class Registry:
    """Enrollees by (record MAC, product id) or (product key, device name), access points by BSSID.

    ``capacity`` bounds all of them together, ``most_others`` the enrollees of unconfigured products.
    """

    def __init__(
        self,
        products: Mapping[str, Product],
        verify: Verify,
        capacity: int = CAPACITY,
        *,
        most_others: int = MOST_OTHERS,
    ) -> None:
        self._table = Table(capacity, most_others)
        self._sightings = Sightings(self._table, Catalog(products, verify))

    def see_advert(self, address: bytes, rssi: int | None, data: bytes, now: float) -> Change | None:
        """Take in one advertisement of company 0x01A8 and say what is new about its enrollee.

        ``address`` is the GAP address in display order, ``data`` the manufacturer data from the company
        id on, ``now`` boot time. FrameError when the data is ours and broken.
        """
        entry = self._table.by_data.get(data)
        if entry is not None and entry.steady and entry.address == address:
            entry.count += 1
            entry.last = now
            if rssi is not None:
                entry.rssi = rssi
            return None
        return self._sightings.see_ble(entry, address, rssi, data, now)

    def see_station(self, station: Station, rssi: int | None, age: float, now: float) -> Change | None:
        """Take in one frame or scan result and say what is new about its enrollee.

        Access points are kept without a word. ``age`` in seconds; a scan result that only got older is
        the same sighting and counts once. Frames of bystanders (no AA element, no network) are ignored.
        """
        entry = self._table.by_key.get(station.bssid)
        if entry is not None and entry.station is station and entry.steady and not age:
            entry.count += 1
            entry.last = now
            if rssi is not None:
                entry.rssi = rssi
            return None
        return self._sightings.see_frame(entry, station, rssi, now - age, now)

    def sweep(self, now: float) -> list[Entry]:
        """The enrollees that were told of and are gone since the last sweep, each once.

        Gone is unheard for 60 s, or evicted. What was not heard for 10 minutes is forgotten.
        """
        self._table.collect(now)
        return self._table.take_gone()

    def set_products(self, products: Mapping[str, Product]) -> None:
        """Take over the products of a reload and put every enrollee into its new class."""
        self._sightings.catalog = self._sightings.catalog.replaced(products)
        for entry in self.entries():
            self._sightings.classify(entry)
        self._table.trim()

    def entries(self) -> list[Entry]:
        """All enrollees, strangers included, in the order in which they came."""
        return [entry for entry in self._table if entry.record is not None]

    def access_points(self) -> list[Entry]:
        """All access points, in the order in which they came."""
        return [entry for entry in self._table if entry.record is None]

    def find(self, text: str) -> Entry:
        """The enrollee of that id, or with that record MAC, address or device name if only one has it.

        InputRefused (404) with a sentence when there is none, or more than one.
        """
        key = key_of(text)
        entry = self._table.by_key.get(key) if key is not None else None
        if entry is not None:
            return entry
        found = [entry for entry in self.entries() if _is_called(entry, text)]
        if len(found) == 1:
            return found[0]
        if not found:
            raise InputRefused(f"no enrollee {text[:80]!r} is in the list of what was heard lately", code=404)
        ids = ", ".join(entry.id for entry in found[:4])
        raise InputRefused(f"{text[:80]!r} fits {len(found)} enrollees, name one by its id: {ids}", code=404)

    def protect(self, enrollee_id: str) -> Entry:
        """Keep an enrollee in the table until `release` is called as often; InputRefused (404) without it."""
        entry = self.find(enrollee_id)
        entry.sessions += 1
        self._table.place(entry)
        return entry

    def release(self, enrollee_id: str) -> None:
        """End one `protect`."""
        entry = self.find(enrollee_id)
        entry.sessions = max(0, entry.sessions - 1)
        self._table.place(entry)

    def flooded(self, now: float) -> bool:
        """True for a minute after a newcomer of a configured product found the table full of its like."""
        return self._table.overrun(now)

    def totals(self) -> dict[str, int]:
        """The sizes of ``GET /v1/status``: total, capacity, configured, other, access_points, strangers."""
        held = self._table.held
        return {
            "total": len(self._table),
            "capacity": self._table.capacity,
            "configured": held[Rank.CONFIGURED],
            "other": held[Rank.OTHER],
            "access_points": held[Rank.ACCESS_POINT],
            "strangers": held[Rank.STRANGER],
        }

    def losses(self) -> dict[str, int]:
        """What was not kept so far: ``refused_*`` newcomers, ``evicted_*`` entries, ``ignored_*`` frames."""
        refused = {f"refused_{CLASS_NAMES[rank]}": self._table.refused[rank] for rank in Rank}
        evicted = {f"evicted_{CLASS_NAMES[rank]}": self._table.evicted[rank] for rank in Rank}
        ignored = {f"ignored_{reason}": count for reason, count in self._sightings.ignored.items()}
        return refused | evicted | ignored


def _is_called(entry: Entry, text: str) -> bool:
    record = entry.record
    if isinstance(record, WifiRecord) and record.device_name == text:
        return True
    if not MAC_TEXT.fullmatch(text):
        return False
    mac = mac_bytes(text)
    return entry.address == mac or (isinstance(record, BleRecord) and record.mac == mac)
