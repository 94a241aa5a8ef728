"""How a sub-device gets its deviceSecret (DC 5.2): open registration, and registration by productSecret."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.codec.alink_sign import register_text, verify
from agent.errors import InputRefused
from agent.model import DeviceId
from agent.service.fields import read_device, read_devices, read_list, read_object, read_text
from agent.service.rules_gateway import check_candidate, names
from agent.service.values import Answer, Desk

MOST_REGISTERED = 30


@dataclass(frozen=True, slots=True)
class Application:
    """One entry of product_register, with the productSecret's signature."""

    device: DeviceId
    random: str
    method: str
    sign: str = field(repr=False)


def register(desk: Desk, gateway: DeviceId, params: object) -> Answer:
    """``thing/sub/register``: any name of a configured product with node type 0, all or none (ours: open).

    The data holds each device's iotId and secret: the operator's, else one minted at the first registration.
    """
    devices = [check_candidate(desk, gateway, device) for device in read_devices(params, MOST_REGISTERED)]
    for device in devices:
        _check_visible(desk, gateway, device)
    return Answer(data=[_enter(desk, device) for device in devices])


def _check_visible(desk: Desk, gateway: DeviceId, device: DeviceId) -> None:
    """A device of another account is not to be seen, and its secret not to be had."""
    owner = desk.owner_of(device)
    if owner is not None and owner != desk.book.devices.bound_to(gateway):
        raise InputRefused("device not found", code=6100)


def _enter(desk: Desk, device: DeviceId) -> dict[str, object]:
    devices = desk.book.devices
    devices.enter(device, desk.now.utc)
    secret = desk.device_secret(device)
    if secret is None:
        secret = desk.sources.mint(16)
        devices.set_secret(device, secret)
    return {"iotId": devices.iot_id(device)} | names(device) | {"deviceSecret": secret}


def register_by_product(desk: Desk, gateway: DeviceId, params: object) -> Answer:
    """``product_register``: each device, signed with the productSecret, succeeds or fails for itself."""
    proxieds = read_list(read_object(params).get("proxieds"), "proxieds", MOST_REGISTERED)
    successes: list[dict[str, object]] = []
    failures: list[dict[str, object]] = []
    for application in [_read_application(entry) for entry in proxieds]:
        try:
            _check_application(desk, gateway, application)
            successes.append(_enter(desk, application.device))
        except InputRefused as refusal:
            detail = {"code": refusal.code, "message": str(refusal)}
            failures.append(names(application.device) | {"errorDetail": detail})
    return Answer(data={"successes": successes, "failures": failures})


def _read_application(entry: object) -> Application:
    given = read_object(entry, "a device")
    random, method = read_text(given, "random"), read_text(given, "signMethod")
    return Application(read_device(given), random, method, read_text(given, "sign"))


def _check_application(desk: Desk, gateway: DeviceId, given: Application) -> None:
    device = check_candidate(desk, gateway, given.device)
    _check_visible(desk, gateway, device)
    secret = desk.product_secret(device.product_key)
    text = register_text(device, given.random)
    if secret is None or not verify(given.method, secret, text, given.sign):
        raise InputRefused("invalid sign", code=401)


def unregister(desk: Desk, gateway: DeviceId, params: object) -> Answer:
    """``thing/sub/unregister``: forget minted secrets and relations of the gateway's own sub-devices."""
    devices = read_devices(params, MOST_REGISTERED)
    for device in devices:
        if desk.book.devices.status(device) is None:
            raise InputRefused("device not found", code=6100)
        if desk.book.topology.gateway_of(device) not in (None, gateway):
            raise InputRefused("topo relation not exist", code=6401)
        _check_visible(desk, gateway, device)
    for device in devices:
        desk.book.topology.remove(device)
        desk.book.sessions.close(device)
        desk.book.devices.set_secret(device, None)
    return Answer(data=[names(device) for device in devices])
