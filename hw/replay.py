"""Captures as radios: what was recorded is heard again, at the pace of its own timestamps."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, Protocol

from agent.codec import ad
from agent.codec.capture import (
    ADVERT_READERS,
    JSON_LINE,
    Buffer,
    CaptureBroken,
    LineReader,
    Record,
    link_type,
    read_records,
)
from agent.codec.dot11 import LINK_TYPES, FrameReader
from agent.errors import FrameError, HardwareError
from agent.model import Station
from agent.ports import AdvertHeard, Clock, StationHeard

YIELD_EVERY = 256  # records; a dense capture must not hold up the other jobs


@contextlib.contextmanager
def open_capture(path: Path) -> Iterator[Buffer]:
    """The octets of a capture file, mapped and not copied. OSError when it cannot be read."""
    with path.open("rb") as file:
        if not stat.S_ISREG(path.stat().st_mode):
            raise OSError(f"{path} is no regular file")
        if path.stat().st_size == 0:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield mapped


class ReplayBle:
    """The advertisements of a capture file as a BLE radio."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.name = f"replay:{path}"
        self._path = path
        self._clock = clock

    async def listen(self, heard: AdvertHeard, opened: Callable[[], None]) -> NoReturn:
        """Tell each advertisement of ours in its time, then be silent; HardwareError for a bad capture."""
        await _play(self._path, self._clock, _Adverts(heard), opened)


class ReplayWifi:
    """The 802.11 frames of a capture file as a Wi-Fi radio."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.name = f"replay:{path}"
        self._path = path
        self._clock = clock

    async def listen(self, heard: StationHeard, opened: Callable[[], None]) -> NoReturn:
        """Tell each frame that we read in its time, then be silent; HardwareError for a bad capture."""
        await _play(self._path, self._clock, _Stations(heard), opened)


class _Source(Protocol):
    """Reads one record, then tells what was in it when its time has come."""

    def read(self, buffer: Buffer, record: Record) -> float | None: ...

    def tell(self) -> None: ...


class _Adverts:
    def __init__(self, heard: AdvertHeard) -> None:
        self._heard = heard
        self._lines = LineReader()
        self._found: list[tuple[bytes, int | None, bytes]] = []

    def read(self, buffer: Buffer, record: Record) -> float | None:
        at, word, start, end = record
        read = self._lines.read if word == JSON_LINE else ADVERT_READERS.get(link_type(word))
        reports = read(buffer, start, end) if read else None
        self._found = []
        for report in reports or ():
            manufacturer = ad.find_manufacturer(report.data)
            if manufacturer is not None:
                self._found.append((report.address, report.rssi, manufacturer))
        return self._lines.at if word == JSON_LINE else at

    def tell(self) -> None:
        for address, rssi, manufacturer in self._found:
            self._heard(address, rssi, manufacturer)


class _Stations:
    def __init__(self, heard: StationHeard) -> None:
        self._heard = heard
        self._readers: dict[int, FrameReader] = {}
        self._found: tuple[Station, int | None] | None = None

    def read(self, buffer: Buffer, record: Record) -> float | None:
        at, word, start, end = record
        self._found = None
        if link_type(word) in LINK_TYPES:
            reader = self._readers.get(word)
            if reader is None:
                reader = self._readers[word] = FrameReader(word)
            station = reader.read(buffer, start, end)
            if station is not None:
                self._found = station, reader.rssi
        return at

    def tell(self) -> None:
        if self._found is not None:
            self._heard(*self._found, 0.0)


async def _play(path: Path, clock: Clock, source: _Source, opened: Callable[[], None]) -> NoReturn:
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        try:
            buffer = await loop.run_in_executor(None, stack.enter_context, open_capture(path))
        except OSError as error:
            raise _unreadable(path, error.strerror or str(error)) from error
        try:
            await _play_records(buffer, clock, source, opened)
        except CaptureBroken as error:
            raise _unreadable(path, str(error)) from error
        while True:
            await asyncio.Event().wait()


def _unreadable(path: Path, why: str) -> HardwareError:
    return HardwareError("capture_unreadable", f"cannot read the capture {path}: {why}")


async def _play_records(buffer: Buffer, clock: Clock, source: _Source, opened: Callable[[], None]) -> None:
    records = read_records(buffer)
    opened()
    offset: float | None = None  # boot time of the capture's zero
    for count, record in enumerate(records, 1):
        try:
            at = source.read(buffer, record)
        except FrameError:
            continue
        if at is not None:
            offset = clock.boot() - at if offset is None else offset
            wait = at + offset - clock.boot()
            if wait > 0:
                await clock.sleep(wait)
        if count % YIELD_EVERY == 0:
            await clock.sleep(0)
        source.tell()
