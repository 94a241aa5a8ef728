"""What the cloud asks of the gateway: one function for each topic, and the answer it gets.

The functions behind are the same that the sockets and the command line call.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from agent.errors import AgentError, CloudBusy, CloudRefused, FrameError, InputRefused, StoreError
from agent.gateway.bindings import Bindings
from agent.gateway.door import Door
from agent.gateway.roster import Roster
from agent.gateway.starts import Starts
from agent.ingress import Ingress
from agent.model import NAME_TEXT, PRODUCT_KEY_TEXT, DeviceId
from agent.ports import CloudLink, Downlink

BY = "cloud"
LISTED = 30  # cloud-device-channel.md 6: topo/add per message
# cloud-device-channel.md 5.2; 8 is disable and 2 enable, as the change page says
ADDED, DELETED, ENABLED, DISABLED = 0, 1, 2, 8

log = logging.getLogger("enrolld.downlinks")

Act = Callable[[Downlink], Awaitable[object]]


class Downlinks:
    """Obeys one downlink after the other; a broken one is answered 460 and changes nothing."""

    def __init__(
        self,
        gateway: DeviceId,
        door: Door,
        starts: Starts,
        roster: Roster,
        bindings: Bindings,
        ingress: Ingress,
    ) -> None:
        self._gateway = gateway
        self._door = door
        self._starts = starts
        self._roster = roster
        self._bindings = bindings
        self._ingress = ingress
        self._acts: dict[str, Act] = {
            "thing/gateway/permit": self._permit,
            "thing/awss/enrollee/checkin": self._check_in,
            "thing/topo/change": self._change_topology,
            "thing/disable": self._disable,
            "thing/enable": self._enable,
            "thing/delete": self._delete,
            "_thing/event/notify": self._notify,
        }

    async def obey(self, link: CloudLink, downlink: Downlink) -> None:
        """Act on one downlink and answer it; what was answered 200 is on the disk."""
        act = self._acts.get(downlink.name)
        if act is None:
            log.info("the cloud asks %s of %s, which is not known here", downlink.name, downlink.device)
            await self._answer(link, downlink, 6450, {})  # method not supported
            return
        try:
            data = await act(downlink)
        except InputRefused as error:
            log.warning("the cloud asks %s: %s", downlink.name, error)
            await self._answer(link, downlink, error.code, {})
        except (FrameError, StoreError) as error:
            log.warning("the cloud asks %s: %s", downlink.name, error)
            await self._answer(link, downlink, 500 if isinstance(error, StoreError) else 460, {})
        except AgentError:
            raise
        except Exception as error:  # noqa: BLE001  ingress boundary
            self._ingress.caught("downlink", downlink.name.encode(), error)
        else:
            await self._answer(link, downlink, 200, data)

    async def _answer(self, link: CloudLink, downlink: Downlink, code: int, data: object) -> None:
        if not downlink.ack:
            return
        try:
            await link.answer(downlink, code, data)
        except (CloudBusy, CloudRefused) as error:
            log.warning("the answer to %s was lost: %s", downlink.name, error)

    async def _permit(self, downlink: Downlink) -> object:
        params = _object(downlink.params)
        await self._door.permit(params.get("productKey"), params.get("time"), by=BY)
        return {}

    async def _check_in(self, downlink: Downlink) -> object:
        params = _object(downlink.params)
        # The cloud expects 200 in any case (wifi-awss.md 3.4); what became of it is in the events.
        enrollee = params.get("enrolleeId")  # ours: BLE enrollees of the embedded service
        name = enrollee if isinstance(enrollee, str) else None
        self._starts.check_in(_device(params), params.get("timeout"), enrollee=name, by=BY)
        return {}

    async def _change_topology(self, downlink: Downlink) -> object:
        params = _object(downlink.params)
        status = params.get("status")
        if status not in (ADDED, DELETED, ENABLED, DISABLED) or isinstance(status, bool):
            raise InputRefused("the status of topo/change is 0, 1, 2 or 8")
        for device in _devices(params.get("subList")):
            if status == DELETED:
                await self._roster.removed(device, by=BY)
            elif status != ADDED:  # additions come by the door: nobody is let in from afar
                await self._roster.set_enabled(device, enabled=status == ENABLED)
        return {}

    async def _disable(self, downlink: Downlink) -> object:
        await self._roster.set_enabled(downlink.device, enabled=False)
        return {}

    async def _enable(self, downlink: Downlink) -> object:
        await self._roster.set_enabled(downlink.device, enabled=True)
        return {}

    async def _delete(self, downlink: Downlink) -> object:
        if downlink.device != self._gateway:
            await self._roster.removed(downlink.device, by=BY)
        return {}

    async def _notify(self, downlink: Downlink) -> object:
        """Bind and unbind events (cloud-device-channel.md 4.3)."""
        params = _object(downlink.params)
        identifier = params.get("identifier")
        if identifier == "awss.BindNotify":
            operation = _object(params.get("value")).get("Operation")
            if operation in ("Bind", "Unbind"):
                await self._bindings.bound(downlink.device, is_bound=operation == "Bind")
        return {"identifier": identifier, "serviceResult": {}}


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InputRefused("the params are a JSON object")
    return value


def _device(value: dict[str, object]) -> DeviceId:
    product_key, device_name = value.get("productKey"), value.get("deviceName")
    if not isinstance(product_key, str) or not PRODUCT_KEY_TEXT.fullmatch(product_key):
        raise InputRefused("productKey is missing or not a productKey")
    if not isinstance(device_name, str) or len(device_name) > 64 or not NAME_TEXT.fullmatch(device_name):
        raise InputRefused("deviceName is missing or not a deviceName")
    return DeviceId(product_key, device_name)


def _devices(value: object) -> list[DeviceId]:
    if not isinstance(value, list) or len(value) > LISTED:
        raise InputRefused(f"subList is an array of at most {LISTED} devices")
    return [_device(_object(row)) for row in value]
