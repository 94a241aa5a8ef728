"""The records of captures on their way into one registry, and the counts of what became of them."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from agent.codec import ad
from agent.codec.capture import (
    ADVERT_READERS,
    BROKEN,
    JSON_LINE,
    Buffer,
    LineReader,
    Record,
    link_type,
    read_records,
)
from agent.codec.dot11 import LINK_TYPES, FrameReader
from agent.codec.hci import Report
from agent.errors import FrameError
from agent.registry import Registry

CHUNK = 8192  # records; behind them the pages that were read are given back

Take = Callable[[Buffer, int, int, float], bool]
"""Gives the packet ``buffer[start:end]`` of that time to the registry; True when discovery used it."""


@dataclass(slots=True)
class Tally:
    """What became of the records of one capture, and the times of its first and last in seconds."""

    malformed: int = 0
    ignored: int = 0
    used: int = 0
    first: float | None = None
    last: float = 0.0

    @property
    def frames(self) -> int:
        """All records that were read."""
        return self.malformed + self.ignored + self.used

    @property
    def seconds(self) -> float:
        """How long the capture lasted."""
        return 0.0 if self.first is None else max(0.0, self.last - self.first)

    def note_time(self, at: float) -> None:
        """Take in the time of one more record."""
        if self.first is None:
            self.first = at
        self.last = at


def play(buffer: Buffer, registry: Registry, tally: Tally) -> None:
    """Let the registry see a whole capture.

    UnknownFormat when it is none; CaptureBroken behind the last record that could be read, which then were
    seen and counted.
    """
    records = read_records(buffer)
    takes: dict[int, Take] = {JSON_LINE: _take_lines(registry, tally), BROKEN: _take_broken}
    begin = 0
    while (end := _play_chunk(buffer, islice(records, CHUNK), takes, registry, tally)) is not None:
        begin = _give_back(buffer, begin, end)


def _play_chunk(
    buffer: Buffer, records: Iterator[Record], takes: dict[int, Take], registry: Registry, tally: Tally
) -> int | None:
    """The hot loop: returns where the last of these records ends, None when there were none."""
    used = ignored = malformed = 0
    current: int | None = None
    take: Take = _take_nothing
    at, end = 0.0, None
    try:
        for at, word, start, end in records:
            if word != current:
                current = word
                take = takes.get(word) or takes.setdefault(word, _choose(registry, word))
                if word != JSON_LINE:
                    tally.note_time(at)
            try:
                if take(buffer, start, end, at):
                    used += 1
                else:
                    ignored += 1
            except FrameError:
                malformed += 1
    finally:
        tally.used += used
        tally.ignored += ignored
        tally.malformed += malformed
        if current not in (None, JSON_LINE):
            tally.note_time(at)
    return end


def _choose(registry: Registry, word: int) -> Take:
    link = link_type(word)
    if link in LINK_TYPES:
        return _take_frames(registry, word)
    if link in ADVERT_READERS:
        return _take_adverts(registry, link)
    return _take_nothing


def _take_frames(registry: Registry, word: int) -> Take:
    reader = FrameReader(word)
    read, see = reader.read, registry.see_station

    def take(buffer: Buffer, start: int, end: int, at: float) -> bool:
        station = read(buffer, start, end)
        if station is None:
            return False
        see(station, reader.rssi, 0.0, at)
        return True

    return take


def _take_adverts(registry: Registry, link: int) -> Take:
    read = ADVERT_READERS[link]

    def take(buffer: Buffer, start: int, end: int, at: float) -> bool:
        return _see_reports(registry, read(buffer, start, end), at)

    return take


def _take_lines(registry: Registry, tally: Tally) -> Take:
    """JSON lines tell their time themselves, some of them."""
    lines = LineReader()

    def take(buffer: Buffer, start: int, end: int, at: float) -> bool:
        reports = lines.read(buffer, start, end)
        if lines.at is not None:
            tally.note_time(lines.at)
        return _see_reports(registry, reports, tally.last)

    return take


def _take_broken(buffer: Buffer, start: int, end: int, at: float) -> bool:
    raise FrameError("the length of the record contradicts its block")


def _take_nothing(buffer: Buffer, start: int, end: int, at: float) -> bool:
    return False


def _see_reports(registry: Registry, reports: list[Report] | None, at: float) -> bool:
    used = False
    for report in reports or ():
        manufacturer = ad.find_manufacturer(report.data)
        if manufacturer is not None and ad.is_known(manufacturer):
            registry.see_advert(report.address, report.rssi, manufacturer, at)
            used = True
    return used


def _give_back(buffer: Buffer, begin: int, end: int) -> int:
    """Let go of the pages before ``end``: a capture may be larger than the memory."""
    end -= end % mmap.PAGESIZE
    if isinstance(buffer, mmap.mmap) and end > begin:
        buffer.madvise(mmap.MADV_DONTNEED, begin, end - begin)
    return end
