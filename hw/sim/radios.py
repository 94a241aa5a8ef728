"""The gateway's radios in a simulated home: real bytes from the air, through the real parsers.

They implement `agent.ports.BleRadio` and `agent.ports.WifiRadio`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NoReturn

from agent.codec import ad
from agent.codec.dot11 import FrameReader
from agent.errors import FrameError
from agent.ports import AdvertHeard, StationHeard
from hw.sim.air import Air, Medium, Transmission

RADIOTAP = 127  # LINKTYPE_IEEE802_11_RADIOTAP
# flags, rate, channel, antenna signal, antenna, RX flags; 18 octets in all
_RADIOTAP_HEADER = struct.Struct("<BBHIBBHHbBH")
_PRESENT = 0x0000_482E
_ONE_MBIT = 2
_BAND_2GHZ_CCK = 0x00A0
_BAND_5GHZ_OFDM = 0x0140


class SimulatedBleRadio:
    """A BLE adapter that hears the advertisers of an `Air`."""

    def __init__(self, name: str, air: Air) -> None:
        self._name = name
        self._air = air
        self.malformed = 0  # adverts of ours that were broken, since the radio was made

    @property
    def name(self) -> str:
        """As configured."""
        return self._name

    async def listen(self, heard: AdvertHeard, opened: Callable[[], None]) -> NoReturn:
        """Hand over every advert of company 0x01A8 until cancelled; HardwareError once unplugged."""
        with self._air.antenna(Medium.BLE, self._name) as antenna:
            opened()
            while True:
                for sent in await antenna.receive():
                    manufacturer = self._find(sent.data)
                    if manufacturer is not None:
                        heard(sent.address, sent.strength, manufacturer)

    def _find(self, data: bytes) -> bytes | None:
        try:
            return ad.find_manufacturer(data)
        except FrameError:
            self.malformed += 1
            return None


class SimulatedWifiRadio:
    """A Wi-Fi interface in monitor mode that hears every channel of an `Air`."""

    def __init__(self, name: str, air: Air) -> None:
        self._name = name
        self._air = air
        self.malformed = 0  # broken frames, since the radio was made

    @property
    def name(self) -> str:
        """As configured."""
        return self._name

    async def listen(self, heard: StationHeard, opened: Callable[[], None]) -> NoReturn:
        """Hand over the sender of every frame that we read, until cancelled; HardwareError once unplugged."""
        reader = FrameReader(RADIOTAP)
        with self._air.antenna(Medium.WIFI, self._name) as antenna:
            opened()
            while True:
                for sent in await antenna.receive():
                    self._hand_over(reader, capture(sent), heard)

    def _hand_over(self, reader: FrameReader, captured: bytes, heard: StationHeard) -> None:
        try:
            station = reader.read(captured, 0, len(captured))
        except FrameError:
            self.malformed += 1
            return
        if station is not None:
            heard(station, reader.rssi, 0.0)


def capture(sent: Transmission) -> bytes:
    """The frame as a monitor interface hands it over: behind an 18-octet radiotap header, without FCS."""
    band = _BAND_2GHZ_CCK if sent.channel <= 14 else _BAND_5GHZ_OFDM
    fields = (0, 0, _RADIOTAP_HEADER.size, _PRESENT, 0, _ONE_MBIT, frequency(sent.channel), band)
    return _RADIOTAP_HEADER.pack(*fields, sent.strength, 1, 0) + sent.data


def frequency(channel: int) -> int:
    """The centre of a 20 MHz channel in MHz; 1 to 14 are in the 2.4 GHz band, the others at 5 GHz."""
    if channel == 14:
        return 2484
    return 2407 + 5 * channel if channel < 14 else 5000 + 5 * channel
