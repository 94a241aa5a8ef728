"""What we ask BlueZ over the system bus beside scanning: which adapter it is, and whether it still scans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from agent.errors import HardwareError
from agent.model import mac_bytes, mac_text

SERVICE = "org.bluez"
ADAPTER = "org.bluez.Adapter1"
ANSWER_WITHIN = 5.0
ABSENT = {"org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"}
GONE = {"org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.DBus.Error.UnknownMethod"}


@dataclass(frozen=True, slots=True)
class Adapter:
    """One Bluetooth controller: its object path, its address (display order), whether it is switched on."""

    path: str
    address: bytes
    powered: bool

    @property
    def name(self) -> str:
        """The kernel's name, for example ``hci0``."""
        return self.path.rpartition("/")[2]


class Bluez:
    """A connection to the system bus; all calls raise HardwareError and nothing else."""

    def __init__(self, bus: Any) -> None:
        self._bus = bus

    async def find(self, address: bytes | None) -> Adapter:
        """The adapter of that address, or the first one (switched on, if any is)."""
        adapters = await self.adapters()
        fitting = [adapter for adapter in adapters if address in (None, adapter.address)]
        if not fitting:
            wanted = (
                "no Bluetooth adapter" if address is None else f"no Bluetooth adapter {mac_text(address)}"
            )
            there = ", ".join(mac_text(adapter.address) for adapter in adapters) or "none"
            raise HardwareError("adapter_gone", f"there is {wanted}; BlueZ knows: {there}")
        adapter = min(fitting, key=lambda adapter: (not adapter.powered, adapter.path))
        if not adapter.powered:
            raise HardwareError(
                "adapter_off",
                f"{adapter.name} is switched off; see `rfkill list` and `bluetoothctl power on`",
            )
        return adapter

    async def adapters(self) -> list[Adapter]:
        """All adapters that BlueZ knows."""
        objects = await self._call("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        return [
            Adapter(path, mac_bytes(known["Address"].value), bool(known["Powered"].value))
            for path, interfaces in objects.items()
            if (known := interfaces.get(ADAPTER)) is not None
        ]

    async def is_scanning(self, adapter: Adapter) -> bool:
        """Whether the adapter discovers at the moment, for whoever asked it to."""
        properties = "org.freedesktop.DBus.Properties"
        answer = await self._call(adapter.path, properties, "Get", "ss", [ADAPTER, "Discovering"])
        return bool(answer.value)

    async def _call(
        self, path: str, interface: str, member: str, signature: str = "", body: list[Any] | None = None
    ) -> Any:
        from dbus_next.constants import MessageFlag, MessageType
        from dbus_next.message import Message

        message = Message(
            destination=SERVICE,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=body or [],
            flags=MessageFlag.NO_AUTOSTART,
        )
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                answer = await self._bus.call(message)
        except (OSError, EOFError) as error:  # TimeoutError is an OSError
            raise HardwareError(
                "bluetooth_silent", f"BlueZ does not answer {member}: {_say(error)}"
            ) from error
        if answer.message_type is MessageType.ERROR:
            raise _refused(answer.error_name, answer.body)
        return answer.body[0]


def _refused(name: str, body: list[Any]) -> HardwareError:
    if name in ABSENT:
        return HardwareError("bluetoothd_gone", "bluetoothd is not running: `systemctl start bluetooth`")
    if name in GONE:
        return HardwareError("adapter_gone", "the Bluetooth adapter was taken away")
    return HardwareError("bluetooth_refused", f"BlueZ answers {name}: {' '.join(map(str, body))}")


def _say(error: BaseException) -> str:
    return str(error) or type(error).__name__


@asynccontextmanager
async def open_bluez() -> AsyncIterator[Bluez]:
    """A connection to the system bus, closed at the end; HardwareError when there is none."""
    from dbus_next.aio.message_bus import MessageBus
    from dbus_next.constants import BusType
    from dbus_next.errors import AuthError, InvalidAddressError

    try:
        bus: Any = MessageBus(bus_type=BusType.SYSTEM)
        async with asyncio.timeout(ANSWER_WITHIN):
            await bus.connect()
    except (OSError, EOFError, AuthError, InvalidAddressError) as error:
        raise HardwareError("bus_gone", f"the system's message bus cannot be had: {_say(error)}") from error
    try:
        yield Bluez(bus)
    finally:
        bus.disconnect()
        # How it ended is asked for: an exception that nobody takes would count as a bug of ours.
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_WITHIN):
                await asyncio.gather(bus.wait_for_disconnect(), return_exceptions=True)
