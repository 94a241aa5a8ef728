"""A gateway's door and its topology (HTTP 4.7, 4.8; DC 5.1, 5.2)."""

from __future__ import annotations

from agent.codec import alink
from agent.errors import InputRefused
from agent.model import DeviceId
from agent.service.fields import (
    check_name,
    read_device,
    read_devices,
    read_integer,
    read_list,
    read_object,
    read_optional,
    read_text,
)
from agent.service.rules_signs import check_sign
from agent.service.values import Answer, Caller, Desk, Push

MOST_ADDED = 30
MOST_NAMED = 50
NEVER = 65535


def names(device: DeviceId) -> dict[str, object]:
    """The two members by which messages name a device."""
    return {"productKey": device.product_key, "deviceName": device.device_name}


def permit(desk: Desk, caller: Caller, params: object) -> Answer:
    """``/thing/gateway/permit``: send the window to the gateway; its reply is not waited for.

    ``time`` is 0 (always), 1 to 65534 seconds, or 65535 (never); without ``productKey`` it is for any.
    """
    given = read_object(params)
    iot_id = read_text(given, "iotId")
    product_key = read_optional(given, "productKey", most=64)
    time = read_integer(given, "time", 0, NEVER)
    gateway = _own_gateway(desk, caller, iot_id)
    window: dict[str, object] = {"productKey": product_key} if product_key else {}
    pushes = desk.push(gateway, alink.PERMIT, window | {"time": time})
    if not pushes:
        raise InputRefused("device offline", code=6205)
    return Answer(pushes=pushes)


def _own_gateway(desk: Desk, caller: Caller, iot_id: str) -> DeviceId:
    """The gateway of that iotId, if it is bound to the caller: others' are not to be seen."""
    gateway = desk.book.devices.find(iot_id, gateway=True)
    if gateway is None or desk.book.devices.bound_to(gateway) != caller.identity:
        raise InputRefused("device not found", code=6100)
    return gateway


def remove(desk: Desk, caller: Caller, params: object) -> Answer:
    """``/thing/topo/remove``: end a relation and tell the gateway; also spelled ``subIotid``."""
    given = read_object(params)
    iot_id = read_text(given, "iotId")
    sub_iot_id = read_text(given, "subIotId" if given.get("subIotId") is not None else "subIotid")
    gateway = _own_gateway(desk, caller, iot_id)
    device = desk.book.devices.find(sub_iot_id)
    if device is None:
        raise InputRefused("device not found", code=6100)
    _check_relation(desk, gateway, device)
    return Answer(pushes=detach(desk, device))


def _check_relation(desk: Desk, gateway: DeviceId, device: DeviceId) -> None:
    if desk.book.topology.gateway_of(device) != gateway:
        raise InputRefused("topo relation not exist", code=6401)


def detach(desk: Desk, device: DeviceId) -> tuple[Push, ...]:
    """End a sub-device's relation and session; the push tells the gateway that it had (status 1, deleted)."""
    gateway = desk.book.topology.gateway_of(device)
    desk.book.topology.remove(device)
    desk.book.sessions.close(device)
    if gateway is None:
        return ()
    return desk.push(gateway, alink.TOPO_CHANGE, {"status": 1, "subList": [names(device)]})


def add(desk: Desk, gateway: DeviceId, params: object) -> Answer:
    """``thing/topo/add``: put signed sub-devices behind the gateway, all or none, each once."""
    entries = [read_object(entry, "a device") for entry in read_list(params, "params", MOST_ADDED)]
    devices = [_check_addable(desk, gateway, entry) for entry in entries]
    pushes: tuple[Push, ...] = ()
    for device in devices:
        if desk.book.topology.gateway_of(device) not in (None, gateway):
            pushes += detach(desk, device)
        desk.book.devices.enter(device, desk.now.utc)
        desk.book.topology.put(device, gateway, desk.now.utc)
        desk.book.enrollees.drop(device)
    if desk.book.topology.count(gateway) > desk.settings.topology_limit:
        raise InputRefused("topo relation count exceeded", code=6400)
    return Answer(data=[names(device) for device in devices], pushes=pushes)


def _check_addable(desk: Desk, gateway: DeviceId, entry: dict[str, object]) -> DeviceId:
    device = check_candidate(desk, gateway, read_device(entry))
    if desk.book.devices.status(device) == "deleted":
        raise InputRefused("device not found", code=6100)
    check_sign(desk, device, entry, code=401)
    return device


def check_candidate(desk: Desk, gateway: DeviceId, device: DeviceId) -> DeviceId:
    """The device itself when it may stand behind that gateway: 6402 for itself, 6250, 6280, 460."""
    if device == gateway:
        raise InputRefused("topo relation cannot add by self", code=6402)
    product = desk.products.get(device.product_key)
    if product is None:
        raise InputRefused("product not found", code=6250)
    if product.node_type != 0:
        raise InputRefused("request parameter error: a gateway cannot be a sub-device")
    return check_name(device)


def delete(desk: Desk, gateway: DeviceId, params: object) -> Answer:
    """``thing/topo/delete``: the gateway takes sub-devices out, all or none."""
    devices = read_devices(params, MOST_NAMED)
    for device in devices:
        if desk.book.devices.status(device) is None:
            raise InputRefused("device not found", code=6100)
        _check_relation(desk, gateway, device)
    for device in devices:
        desk.book.topology.remove(device)
        desk.book.sessions.close(device)
    return Answer(data=[names(device) for device in devices])


def list_topology(desk: Desk, gateway: DeviceId, params: object) -> Answer:
    """``thing/topo/get``: the sub-devices behind the gateway."""
    read_object(params)
    return Answer(data=[names(device) for device in desk.book.topology.of(gateway)])


def take_list_found(desk: Desk, gateway: DeviceId, params: object) -> Answer:
    """``thing/list/found``: sub-devices that the gateway discovered; checked, nothing is kept."""
    for device in read_devices(params, MOST_NAMED):
        check_candidate(desk, gateway, device)
    return Answer()
