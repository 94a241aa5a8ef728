"""The discovery job: what the radios hear goes into the registry, and from there to the cloud."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from agent.codec import awss
from agent.entries import CLASS_NAMES, Entry
from agent.errors import CloudBusy, CloudRefused, FrameError
from agent.events import EventLog
from agent.health import Health
from agent.ingress import Ingress
from agent.model import BleRecord, DeviceId, Station, WifiRecord, mac_text, ssid_text
from agent.news import Change
from agent.ports import AdvertHeard, Clock, CloudLink, StationHeard
from agent.registry import Registry
from agent.reports import ReportPace

FOUND = "thing/awss/enrollee/found"
# cloud-device-channel.md 4.1.
AWSS_VERSIONS = {"smartconfig": "2.0", "zconfig": "2.0", "router": "2.0", "ap": "2.0", "softap": "2.0"}
FOUND_BY_DEVICE = 0
UNKNOWN_RSSI = -127  # the message wants a number; no receiver hears anything that weak
LONGEST_NAP = 1.0  # how late a newcomer may be noticed
SHORTEST_NAP = 0.05

Network = Callable[[], tuple[bytes, bytes | None]]
"""SSID and BSSID of the network that the gateway is on; no BSSID when it is not known."""

log = logging.getLogger("enrolld.discovery")


@dataclass(slots=True)
class Heard:
    """Counters of one radio: frames handed over, broken ones, and the boot time of the last."""

    frames: int = 0
    malformed: int = 0
    last: float | None = None


class Discovery:
    """Callbacks for the radios, and the two coroutines that run beside them.

    ``joined`` says which enrollees are in the topology already: those are not reported.
    """

    def __init__(
        self,
        registry: Registry,
        events: EventLog,
        health: Health,
        ingress: Ingress,
        clock: Clock,
        *,
        joined: Callable[[Entry], bool] = lambda _: False,
    ) -> None:
        self._registry = registry
        self._events = events
        self._health = health
        self._ingress = ingress
        self._clock = clock
        self._joined = joined
        self._pace: ReportPace | None = None
        self.radios: dict[str, Heard] = {}

    @property
    def on_report(self) -> int:
        """How many enrollees are on report."""
        return self._pace.on_report if self._pace else 0

    def advert_heard(self, radio: str) -> AdvertHeard:
        """The callback of one BLE radio: a plain function that raises nothing (DESIGN 4)."""
        heard = self.radios.setdefault(radio, Heard())

        def take(address: bytes, rssi: int | None, data: bytes) -> None:
            heard.frames += 1
            heard.last = now = self._clock.boot()
            try:
                change = self._registry.see_advert(address, rssi, data, now)
            except FrameError:
                heard.malformed += 1
            except Exception as error:  # noqa: BLE001  ingress boundary
                self._ingress.caught("ble advert", data, error)
            else:
                if change is not None:
                    self._tell(change)

        return take

    def station_heard(self, radio: str) -> StationHeard:
        """The callback of one Wi-Fi radio: a plain function that raises nothing (DESIGN 4)."""
        heard = self.radios.setdefault(radio, Heard())

        def take(station: Station, rssi: int | None, age: float) -> None:
            heard.frames += 1
            now = self._clock.boot()
            heard.last = now - age
            try:
                change = self._registry.see_station(station, rssi, age, now)
            except FrameError:
                heard.malformed += 1
            except Exception as error:  # noqa: BLE001  ingress boundary
                self._ingress.caught("wifi frame", station.ssid, error)
            else:
                if change is not None:
                    self._tell(change)

        return take

    async def run_sweep(self) -> NoReturn:
        """Tell of lost enrollees and of floods, once a second, until cancelled."""
        while True:
            self._health.turns.turned("sweep", self._clock.boot())
            self.sweep()
            await self._clock.sleep(1.0)

    def sweep(self) -> None:
        """One round of `run_sweep`."""
        now = self._clock.boot()
        for entry in self._registry.sweep(now):
            self._events.emit("enrollee_lost", **_summary(entry))
        if self._registry.flooded(now):
            full = self._registry.totals()["configured"]
            self._health.set(
                "enrollee_flood",
                f"{full} devices that claim to be configured products fill the list of enrollees; new ones "
                "may not be seen in time. More than a site can hold are forgeries: look for their sender",
            )
        else:
            self._health.clear("enrollee_flood")

    async def run_reports(self, link: CloudLink, gateway: DeviceId, network: Network) -> NoReturn:
        """Report enrollees to the cloud, one in a message, at the pace that it asks for, until cancelled."""
        pace = self._pace = ReportPace(lambda: self._waiting(link))
        while True:
            self._health.turns.turned("reports", self._clock.boot())
            entry = pace.next(self._clock.boot())
            if entry is not None:
                await self._report(pace, entry, link, gateway, network)
            now = self._clock.boot()
            deadline = pace.deadline(now)
            nap = LONGEST_NAP if deadline is None else min(LONGEST_NAP, deadline - now)
            await self._clock.sleep(max(SHORTEST_NAP, nap))

    async def _report(
        self, pace: ReportPace, entry: Entry, link: CloudLink, gateway: DeviceId, network: Network
    ) -> None:
        params = found_params(entry, *network())
        try:
            reply = await link.ask(gateway, FOUND, params)
        except CloudBusy:
            pace.postponed(entry, self._clock.boot())
            return
        except CloudRefused as error:
            # Repeating it before its time would not help; the interval goes on as if it was taken.
            log.warning("%s: the cloud refused the report: %s", entry.id, error)
            pace.reported(entry, self._clock.boot())
            return
        pace.reported(entry, self._clock.boot())
        for enrollee_id, seconds in read_intervals(reply.data, entry):
            pace.interval(enrollee_id, seconds)
        if reply.code == 200:
            self._events.emit("enrollee_reported", **_summary(entry))
        else:
            log.warning("%s: the cloud answered the report with code %d", entry.id, reply.code)

    def _waiting(self, link: CloudLink) -> Iterator[Entry]:
        for entry in self._registry.entries():
            carried = link.carries_ble or isinstance(entry.record, WifiRecord)
            if carried and not self._joined(entry):
                yield entry

    def _tell(self, change: Change) -> None:
        fields = _summary(change.entry)
        if change.kind == "changed":
            fields["fields"] = list(change.fields)
        self._events.emit(f"enrollee_{change.kind}", **fields)


def found_params(entry: Entry, ssid: bytes, bssid: bytes | None) -> dict[str, object]:
    """The params of ``enrollee/found`` for one enrollee (cloud-device-channel.md 4.1).

    ``ssid`` and ``bssid`` are the registrar's network. A BLE enrollee goes into the member ``ble``, which
    is ours: the real cloud has no message for it.
    """
    rssi = wire_rssi(entry.rssi)
    params: dict[str, object] = {
        "awssVer": AWSS_VERSIONS,
        "type": FOUND_BY_DEVICE,
        "ssid": ssid_text(ssid),
        "bssid": "" if bssid is None else mac_text(bssid),
        "rssi": rssi,
        "payload": [],
    }
    record = entry.record
    if isinstance(record, WifiRecord):
        params["payload"] = [awss.found_payload(record)]
    elif record is not None:
        params["ble"] = [
            {
                "productId": f"0x{record.product_id:08x}",
                "mac": mac_text(record.mac),
                "rssi": rssi,
                "generation": record.generation.value,
            }
        ]
    return params


def wire_rssi(rssi: int | None) -> int:
    """A negative integer of dBm; what a driver gives as 1..255 is the octet of one (wifi-awss.md 3.3)."""
    if rssi is None:
        return UNKNOWN_RSSI
    if rssi > 0:
        rssi -= 256
    return max(-128, min(-1, rssi))


def read_intervals(data: object, reported: Entry) -> Iterator[tuple[str, float]]:
    """(enrollee id, seconds) for each item of ``found_reply`` that names an enrollee and a time.

    ``data`` is an array, or an object with a ``deviceList``; anything else in it is passed over. A BLE
    enrollee has no device name on the air, so the reply calls the reported one by its MAC, as 12 hex digits.
    """
    if isinstance(data, dict):
        data = data.get("deviceList")
    for item in data if isinstance(data, list) else ():
        match item:
            case {
                "productKey": str(product_key),
                "deviceName": str(name),
                "timeout": int(seconds) | float(seconds),
            }:
                nameless = isinstance(reported.record, BleRecord) and (product_key, name.lower()) == (
                    reported.product_key,
                    reported.record.mac.hex(),
                )
                yield (reported.id if nameless else f"wifi:{product_key}/{name}"), seconds


def _summary(entry: Entry) -> dict[str, object]:
    record = entry.record
    fields: dict[str, object] = {
        "id": entry.id,
        "class": CLASS_NAMES[entry.rank],
        "product_key": entry.product_key,
        "address": mac_text(entry.address),
        "rssi": entry.rssi,
    }
    if isinstance(record, BleRecord):
        fields["bound"] = record.bound
    return fields
