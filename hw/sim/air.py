"""The shared medium of a simulated home: who sends is heard by every radio that listens.

The air has no clock. What is sent lies in each antenna's bounded inbox until the radio's own coroutine
takes it out on a later turn of the loop, so that trouble in a listener belongs to the listener and never
to the sender.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import StrEnum
from types import TracebackType
from typing import NamedTuple

from agent.errors import HardwareError

INBOX = 4096  # a radio that is not served forgets the oldest, as a controller's own buffer does


class Medium(StrEnum):
    """What a radio is built for."""

    BLE = "ble"
    WIFI = "wifi"


class Transmission(NamedTuple):
    """One advertisement (AD structures, from a GAP address) or one 802.11 frame (on a channel).

    ``strength`` is what the gateway receives, in dBm.
    """

    data: bytes
    strength: int
    address: bytes = b""
    channel: int = 0


class Antenna:
    """What one radio picks up while it is used as a context; made by `Air.antenna`."""

    def __init__(self, air: Air, medium: Medium, name: str) -> None:
        self.medium = medium
        self.name = name
        self._air = air
        self._inbox: deque[Transmission] = deque(maxlen=INBOX)
        self._stirred = asyncio.Event()

    def __enter__(self) -> Antenna:
        self._air.attach(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._air.detach(self)

    def deliver(self, sent: Transmission) -> None:
        """Keep one transmission until the radio takes it."""
        self._inbox.append(sent)
        self._stirred.set()

    def stir(self) -> None:
        """Wake the radio so that it looks at its plug."""
        self._stirred.set()

    async def receive(self) -> list[Transmission]:
        """Wait for transmissions, oldest first; HardwareError ``adapter_gone`` once unplugged."""
        while True:
            self._air.check_plug(self)
            if self._inbox:
                taken = list(self._inbox)
                self._inbox.clear()
                return taken
            self._stirred.clear()
            await self._stirred.wait()


class Air:
    """One home's medium. Radios are named as configured; a BLE and a Wi-Fi radio may share a name."""

    def __init__(self) -> None:
        self._antennas: list[Antenna] = []
        self._unplugged: set[tuple[Medium, str]] = set()
        self._deaf: set[tuple[Medium, str]] = set()

    def antenna(self, medium: Medium, name: str) -> Antenna:
        """A new antenna; it hears while it is used as a context."""
        return Antenna(self, medium, name)

    def attach(self, antenna: Antenna) -> None:
        """Let an antenna hear from now on; HardwareError ``adapter_gone`` while its radio is unplugged."""
        self.check_plug(antenna)
        self._antennas.append(antenna)

    def detach(self, antenna: Antenna) -> None:
        """Let an antenna hear no more."""
        self._antennas.remove(antenna)

    def send_advert(self, address: bytes, ad: bytes, strength: int) -> None:
        """Advertise AD structures from a GAP address (6 bytes, display order) at that RSSI in dBm."""
        self._send(Medium.BLE, Transmission(ad, strength, address=address))

    def send_frame(self, frame: bytes, channel: int, strength: int) -> None:
        """Send one 802.11 frame, without a radiotap header, on a channel at that RSSI in dBm."""
        self._send(Medium.WIFI, Transmission(frame, strength, channel=channel))

    def check_plug(self, antenna: Antenna) -> None:
        """Return while the antenna's radio is in its socket, else HardwareError ``adapter_gone``."""
        if (antenna.medium, antenna.name) in self._unplugged:
            raise HardwareError("adapter_gone", f"the {antenna.medium} radio {antenna.name} is unplugged")

    def unplug(self, name: str, medium: Medium | None = None) -> None:
        """Pull radios of that name (of both media unless told): listening ends in a HardwareError."""
        self._unplugged |= _named(name, medium)
        for antenna in self._antennas:
            antenna.stir()

    def plug(self, name: str, medium: Medium | None = None) -> None:
        """Put radios back; the next listen succeeds."""
        self._unplugged -= _named(name, medium)

    def deafen(self, name: str, medium: Medium | None = None) -> None:
        """Let radios stay open and hear nothing, as a wedged controller does."""
        self._deaf |= _named(name, medium)

    def cure(self, name: str, medium: Medium | None = None) -> None:
        """Let deafened radios hear again."""
        self._deaf -= _named(name, medium)

    def _send(self, medium: Medium, sent: Transmission) -> None:
        for antenna in self._antennas:
            if antenna.medium is medium and (medium, antenna.name) not in self._deaf:
                antenna.deliver(sent)


def _named(name: str, medium: Medium | None) -> set[tuple[Medium, str]]:
    return {(each, name) for each in Medium if medium in (None, each)}
