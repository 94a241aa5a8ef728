"""What a frame does that is no plain repeat: a newcomer, a change, an entry heard again after a while."""

from __future__ import annotations

import dataclasses
from collections import Counter

from agent.catalog import Catalog
from agent.codec import ad
from agent.entries import Entry, ble_entry, merge, station_entry
from agent.model import BleRecord, Station, WifiRecord
from agent.news import Change, News
from agent.table import Table

LONGEST_DATA = 64  # longer manufacturer data is parsed each time rather than remembered
SAME_SIGHTING = 0.5  # seconds by which the age of an unchanged scan result may jitter

# The signature counts up by itself and the sign follows the random: neither is news.
SILENT_FIELDS = {"signature", "sign"}


class Sightings:
    """Writes what was heard into the table. ``ignored`` counts frames that left no trace, by reason."""

    def __init__(self, table: Table, catalog: Catalog) -> None:
        self.catalog = catalog
        self.ignored: Counter[str] = Counter()
        self._table = table
        self._news = News()

    def see_frame(
        self, known: Entry | None, station: Station, rssi: int | None, when: float, now: float
    ) -> Change | None:
        """Take in an 802.11 frame heard at ``when``; ``known`` is the access point of its BSSID, if any."""
        if station.trouble is not None:
            self.ignored["broken_element"] += 1
        if station.kind != "probe_request":
            self._see_network(known, station, rssi, when, now)
        elif station.enrollee is None:
            self.ignored["bystander"] += 1
        if station.enrollee is None:
            return None
        return self._see_wifi(station, station.enrollee, rssi, when, now)

    def classify(self, entry: Entry) -> None:
        """Put an enrollee of the table into the class that it has by now."""
        assert entry.record is not None  # noqa: S101
        entry.product = self.catalog.product_of(entry.record)
        rank = self.catalog.rank_of(entry.record)
        if rank != entry.rank:
            entry.steady = False
            entry.changes.add("class")
            self._table.rerank(entry, rank)

    def see_ble(
        self, entry: Entry | None, address: bytes, rssi: int | None, data: bytes, now: float
    ) -> Change | None:
        """Take in an advertisement; ``entry`` is the one that sent the same data before, if any."""
        if entry is None:
            record = ad.read(data)
            if record is None:
                self.ignored["other_protocol"] += 1
                return None
            entry = self._table.by_key.get((record.mac, record.product_id))
            kept = data if len(data) <= LONGEST_DATA else b""
            if entry is None:
                return self._admit(ble_entry(record, address, kept, rssi, now), now)
            _note(entry, record)
            self._table.rekey(entry, kept)
        if entry.address != address:
            entry.address = address
            entry.changes.add("address")
        return self._hear_again(entry, rssi, now, now)

    def _see_network(
        self, entry: Entry | None, station: Station, rssi: int | None, when: float, now: float
    ) -> None:
        if entry is None:
            entry = station_entry(station, None, rssi, when)
            self._admit(entry, now)
        elif _is_newer(entry, when, now):
            if entry.described is not None:
                entry.described = merge(entry.described, station)
            self._hear_again(entry, rssi, when, now)
        # A frame with something more in it must not be taken for a plain repeat.
        plain = station.enrollee is None and station.trouble is None
        entry.station = station if plain else None

    def _see_wifi(
        self, station: Station, record: WifiRecord, rssi: int | None, when: float, now: float
    ) -> Change | None:
        entry = self._table.by_key.get((record.product_key, record.device_name))
        if entry is None:
            return self._admit(station_entry(station, record, rssi, when), now)
        if entry.station is not station and record != entry.record:
            if not self._may_replace(entry, record):
                self.ignored["forged"] += 1
                return None
            _note(entry, record)
        elif not _is_newer(entry, when, now):
            return None
        if entry.address != station.source:
            entry.address = station.source
            entry.changes.add("address")
        entry.station = entry.described = station
        return self._hear_again(entry, rssi, when, now)

    def _may_replace(self, entry: Entry, record: WifiRecord) -> bool:
        """No frame with a wrong sign touches a better entry; a right one takes a stranger's place afresh."""
        rank = self.catalog.rank_of(record)
        if rank > entry.rank:
            entry.count = 0
            self._table.rerank(entry, rank)
            entry.product = self.catalog.product_of(record)
        return rank >= entry.rank

    def _admit(self, entry: Entry, now: float) -> Change | None:
        if entry.record is not None:
            entry.product = self.catalog.product_of(entry.record)
            entry.rank = self.catalog.rank_of(entry.record)
        if not self._table.admit(entry, now):
            return None
        return self._news.tell(entry, now)

    def _hear_again(self, entry: Entry, rssi: int | None, when: float, now: float) -> Change | None:
        entry.hear(rssi, when)
        if entry.lost:
            entry.lost = entry.announced = False
            self._table.place(entry)
        elif entry.count == 2:
            self._table.place(entry)
        return self._news.tell(entry, now)


def _is_newer(entry: Entry, when: float, now: float) -> bool:
    """Whether this is another sighting, and not an old scan result read once more."""
    return when >= now or when > entry.last + SAME_SIGHTING


def _note(entry: Entry, record: BleRecord | WifiRecord) -> None:
    """Take over a record and remember which of its fields are new."""
    for field in dataclasses.fields(record):
        name = field.name
        if name not in SILENT_FIELDS and getattr(record, name) != getattr(entry.record, name):
            entry.changes.add(name)
    entry.record = record
