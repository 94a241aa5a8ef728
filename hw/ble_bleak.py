"""A Bluetooth adapter of this machine as a radio: active scanning by BlueZ, through bleak.

It implements `agent.ports.BleRadio`. Nothing of bleak leaves this file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, NoReturn

from agent.errors import HardwareError
from agent.model import COMPANY_ID
from agent.ports import AdvertHeard, Clock
from hw.bluez import open_bluez

COMPANY = int.from_bytes(COMPANY_ID, "little")
UNKNOWN_RSSI = -127  # BlueZ tells no strength
STARTS_WITHIN = 15.0
STOPS_WITHIN = 5.0
LOOK_EVERY = 5.0  # a scan that bluetoothd forgot (it was restarted) stays silent without an error


class BluezRadio:
    """The adapter of that address, or the first one without."""

    def __init__(self, name: str, address: bytes | None, clock: Clock) -> None:
        self._name = name
        self._address = address
        self._clock = clock

    @property
    def name(self) -> str:
        """As configured."""
        return self._name

    async def listen(self, heard: AdvertHeard, opened: Callable[[], None]) -> NoReturn:
        """Hand over every advert of company 0x01A8 until cancelled; HardwareError when scanning ends."""
        async with open_bluez() as bluez:
            adapter = await bluez.find(self._address)
            async with _scanning(adapter.name, heard):
                opened()
                while True:
                    await self._clock.sleep(LOOK_EVERY)
                    if not await bluez.is_scanning(adapter):
                        raise HardwareError("scan_stopped", f"{adapter.name} has stopped scanning")


@asynccontextmanager
async def _scanning(adapter: str, heard: AdvertHeard) -> AsyncIterator[None]:
    from bleak import BleakScanner
    from bleak.exc import BleakError

    def take(device: Any, advertisement: Any) -> None:
        data = advertisement.manufacturer_data.get(COMPANY)
        if data is not None:
            rssi = None if advertisement.rssi == UNKNOWN_RSSI else advertisement.rssi
            heard(bytes.fromhex(device.address.replace(":", "")), rssi, COMPANY_ID + data)

    scanner = BleakScanner(take, scanning_mode="active", bluez={"adapter": adapter})
    try:
        async with asyncio.timeout(STARTS_WITHIN):
            await scanner.start()
    except (BleakError, OSError, EOFError) as error:  # TimeoutError is an OSError
        why = str(error) or type(error).__name__
        raise HardwareError("scan_refused", f"{adapter} does not start scanning: {why}") from error
    try:
        yield
    finally:
        with suppress(BleakError, OSError, EOFError):  # it may be gone, with its scan
            async with asyncio.timeout(STOPS_WITHIN):
                await scanner.stop()
