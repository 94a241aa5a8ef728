"""The gateway's sub-devices: which state changes are legal, and the map of them in memory.

What `CHANGES` lacks is an error of the caller. Whether a member is online is a matter of its session and
not of the topology; nothing of that is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from agent.errors import InputRefused
from agent.model import DeviceId, mac_bytes

MEMBERS = 2000  # cloud-device-channel.md 6: sub-devices per gateway


class State(StrEnum):
    """Where a sub-device stands in the topology."""

    JOINING = "joining"
    MEMBER = "member"
    DISABLED = "disabled"
    REMOVING = "removing"


class Change(StrEnum):
    """What happens to a sub-device (cloud-device-channel.md 5.2)."""

    ADDED = "added"  # the cloud answered topo/add, or named it in topo/change 0
    FAILED = "failed"  # the join came to nothing
    DISABLED = "disabled"  # thing/disable or topo/change 8
    ENABLED = "enabled"  # thing/enable or topo/change 2
    FORGOTTEN = "forgotten"  # we asked the cloud to delete it
    DELETED = "deleted"  # the cloud deleted it, or confirmed that


CHANGES: dict[State, dict[Change, State | None]] = {
    State.JOINING: {
        Change.ADDED: State.MEMBER,
        Change.FAILED: None,
        Change.DISABLED: State.DISABLED,
        Change.FORGOTTEN: State.REMOVING,
        Change.DELETED: None,
    },
    State.MEMBER: {
        Change.ADDED: State.MEMBER,  # answers may come twice
        Change.FAILED: State.MEMBER,  # a member whose second join fails stays one
        Change.DISABLED: State.DISABLED,
        Change.ENABLED: State.MEMBER,
        Change.FORGOTTEN: State.REMOVING,
        Change.DELETED: None,
    },
    State.DISABLED: {
        Change.ADDED: State.DISABLED,
        Change.FAILED: State.DISABLED,
        Change.DISABLED: State.DISABLED,
        Change.ENABLED: State.MEMBER,
        Change.FORGOTTEN: State.REMOVING,
        Change.DELETED: None,
    },
    State.REMOVING: {
        Change.ADDED: State.REMOVING,  # late answer to a topo/add; our delete is still to come
        Change.FAILED: State.REMOVING,
        Change.DISABLED: State.REMOVING,
        Change.ENABLED: State.REMOVING,
        Change.FORGOTTEN: State.REMOVING,
        Change.DELETED: None,
    },
}
"""State and change to the next state; None: it leaves the topology."""


@dataclass(frozen=True, slots=True)
class SubDevice:
    """One sub-device of this gateway.

    ``medium`` and ``address`` are as it joined by; ``joined_utc`` is for display. ``first_login`` is boot
    seconds of the boot ``first_login_boot_id``. ``product_id`` and ``mac`` (6 bytes) are those of the BLE
    record, None for other stacks.
    """

    device: DeviceId
    state: State
    bound: bool
    medium: str
    address: str
    joined_utc: float
    first_login: float | None = None
    first_login_boot_id: str = ""
    product_id: int | None = None
    mac: bytes | None = None


def change_state(sub: SubDevice, change: Change) -> SubDevice | None:
    """The sub-device after a change; None when it leaves. ValueError for a change the table lacks."""
    after = CHANGES[sub.state]
    if change not in after:
        raise ValueError(f"a sub-device that is {sub.state} cannot be {change}")
    state = after[change]
    return None if state is None else replace(sub, state=state)


class Topology:
    """The sub-devices by name and by BLE record."""

    def __init__(self, subs: Iterable[SubDevice] = ()) -> None:
        self._subs: dict[DeviceId, SubDevice] = {}
        self._by_record: dict[tuple[int, bytes], DeviceId] = {}
        for sub in subs:
            self.put(sub)

    def __len__(self) -> int:
        return len(self._subs)

    def __iter__(self) -> Iterator[SubDevice]:
        return iter(self._subs.values())

    def __contains__(self, device: DeviceId) -> bool:
        return device in self._subs

    @property
    def is_full(self) -> bool:
        """True at the 2000 sub-devices that the cloud allows a gateway."""
        return len(self._subs) >= MEMBERS

    def get(self, device: DeviceId) -> SubDevice | None:
        """The sub-device of that name."""
        return self._subs.get(device)

    def by_record(self, product_id: int, mac: bytes) -> SubDevice | None:
        """The sub-device whose BLE record has that product id and MAC (6 bytes, display order)."""
        device = self._by_record.get((product_id, mac))
        return None if device is None else self._subs[device]

    def put(self, sub: SubDevice) -> None:
        """Add a sub-device or replace the one of that name; InputRefused 6400 when there is no room."""
        if sub.device not in self._subs and self.is_full:
            raise InputRefused(f"the gateway has {MEMBERS} sub-devices and can take no more", code=6400)
        self.drop(sub.device)
        self._subs[sub.device] = sub
        if sub.product_id is not None and sub.mac is not None:
            self._by_record[sub.product_id, sub.mac] = sub.device

    def drop(self, device: DeviceId) -> SubDevice | None:
        """Take a sub-device out and return it; None when there is none of that name."""
        sub = self._subs.pop(device, None)
        if sub is not None and sub.product_id is not None and sub.mac is not None:
            key = (sub.product_id, sub.mac)
            if self._by_record.get(key) == device:
                del self._by_record[key]
        return sub

    def find(self, text: str) -> SubDevice | None:
        """The one sub-device meant by ``pk/dn``, a device name, an address or a MAC.

        None when nothing fits; InputRefused 409 when several do.
        """
        product_key, _, name = text.rpartition("/")
        exact = self._subs.get(DeviceId(product_key, name))
        if exact is not None:
            return exact
        found = [sub for sub in self if _is_called(sub, text)]
        if len(found) > 1:
            names = ", ".join(str(sub.device) for sub in found[:3])
            raise InputRefused(f"{text!r} fits {len(found)} sub-devices ({names}); say which", code=409)
        return found[0] if found else None


def _is_called(sub: SubDevice, text: str) -> bool:
    if text in (sub.device.device_name, sub.address):
        return True
    if sub.mac is None:
        return False
    try:
        return mac_bytes(text) == sub.mac
    except ValueError:
        return False
