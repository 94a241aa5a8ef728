"""Start commands for direct devices: the cloud's checkin and ``enrollctl provision`` are one function.

A start command is the grant by which a combo or zero-config device passes the door. Sub-devices have none:
they come in by a window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from agent.admission import Decision, JoinRequest
from agent.config import Network
from agent.entries import Entry
from agent.errors import InputRefused
from agent.events import EventLog
from agent.gateway.door import Door
from agent.model import BleRecord, DeviceId, Kind, WifiRecord, mac_text
from agent.registry import Registry


@dataclass(frozen=True, slots=True)
class Started:
    """What came of a start command for the enrollee of that id."""

    enrollee: str
    decision: Decision


class Starts:
    """Turns start commands into grants, and says when they begin and end."""

    def __init__(
        self, door: Door, registry: Registry, log: EventLog, *, networks: Callable[[], Mapping[str, Network]]
    ) -> None:
        self._door = door
        self._registry = registry
        self._log = log
        self._networks = networks

    def check_in(self, device: DeviceId, timeout: object, *, by: str, enrollee: str | None = None) -> Started:
        """The cloud's checkin for a device by name or by enrollee id, heard or not."""
        self._log.emit("checkin_received", device=str(device), by=by)
        try:
            entry: Entry | None = self._registry.find(enrollee or f"wifi:{device}")
        except InputRefused:
            entry = None
        request = JoinRequest("cloud", "", device, kind=Kind.DIRECT)
        if entry is not None:
            # The name that the cloud has for a BLE enrollee may be made up: the id is what counts.
            request = _request(entry, device_of(entry) or device)
        return self._start(request, timeout, by=by)

    def provision(self, enrollee: str, network: str | None, *, overwrite: bool, by: str) -> Started:
        """Start the enrollee of that id, MAC or name; InputRefused 404 when it is not heard."""
        if network is not None and network not in self._networks():
            known = ", ".join(sorted(self._networks())) or "none is configured"
            raise InputRefused(f"there is no network {network!r}; known networks: {known}", code=404)
        entry = self._registry.find(enrollee)
        device = device_of(entry)
        if device is None:
            raise InputRefused(f"{entry.id} is of no configured product: add a product file for it first")
        return self._start(_request(entry, device, overwrite=overwrite), None, by=by)

    def end_overdue(self) -> None:
        """Say of each start command whose time is over that nobody came."""
        for grant in self._door.take_ended_grants():
            self._log.emit("provisioning_ended", device=grant.name, outcome="timeout")

    def _start(self, request: JoinRequest, timeout: object, *, by: str) -> Started:
        decision = self._door.start(request, timeout, by=by)
        if decision.admitted:
            self._log.emit("provisioning_started", device=request.subject, by=by, ends_in=decision.ends_in)
        return Started(request.enrollee or f"wifi:{request.device}", decision)


def identify(registry: Registry, request: JoinRequest) -> JoinRequest:
    """Another stack's request with what the radio knows of the BLE enrollee at its address, if it hears one.

    So the door judges what is on the air whoever asks, a start command that named the enrollee lets in the
    direct device whose name only the other stack learnt, and a sub-device is known again by its record.
    """
    try:
        entry = registry.find(request.address)
    except InputRefused:
        return request
    record = entry.record
    if not isinstance(record, BleRecord):
        return request
    heard = replace(
        request, product_id=record.product_id, mac=record.mac, bound=record.bound, secured=record.secured
    )
    return replace(heard, enrollee=entry.id) if request.kind is Kind.DIRECT else heard


def device_of(entry: Entry) -> DeviceId | None:
    """The cloud's name for an enrollee; the device name is empty for BLE, where it is not on the air."""
    if isinstance(entry.record, WifiRecord):
        return DeviceId(entry.record.product_key, entry.record.device_name)
    return None if entry.product is None else DeviceId(entry.product.product_key, "")


def request_of(entry: Entry) -> JoinRequest | None:
    """What the door would be asked if this enrollee came in by itself; None without a configured product."""
    device = device_of(entry)
    if device is None or entry.product is None:
        return None
    return _request(entry, device, kind=entry.product.kind)


def _request(
    entry: Entry, device: DeviceId, *, kind: Kind = Kind.DIRECT, overwrite: bool = False
) -> JoinRequest:
    record = entry.record
    address = mac_text(entry.address)
    if not isinstance(record, BleRecord):
        return JoinRequest("wifi", address, device, kind=kind, overwrite=overwrite)
    return JoinRequest(
        "ble",
        address,
        device,
        kind=kind,
        enrollee=entry.id,
        product_id=record.product_id,
        mac=record.mac,
        bound=record.bound,
        secured=record.secured,
        overwrite=overwrite,
    )
