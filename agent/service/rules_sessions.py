"""Who is online: connections of devices, logins of sub-devices through a gateway (DC 1, 5.2, 5.3)."""

from __future__ import annotations

from agent.codec.alink_sign import Credentials, read_username, verify_connect
from agent.errors import FrameError, InputRefused
from agent.model import DeviceId, Kind
from agent.service.fields import read_device, read_devices, read_list, read_object, read_optional
from agent.service.rules_gateway import detach, names
from agent.service.rules_signs import check_sign
from agent.service.values import Answer, Desk

MOST_IN_BATCH = 50
STATUS_CODES = {"deleted": (521, "device deleted"), "disabled": (522, "device disabled")}
VERBS = {"disable": "disabled", "enable": "enabled", "delete": "deleted"}


def open_connection(desk: Desk, device: DeviceId, *, gateway: bool) -> None:
    """A device's own connection is open; whoever was logged in through an older one is not any more."""
    _check_status(desk, device)
    desk.book.devices.enter(device, desk.now.utc, gateway=gateway)
    desk.book.sessions.clear(device)
    desk.book.sessions.open(device, device, desk.now.boot)


def admit(desk: Desk, given: Credentials) -> DeviceId:
    """The direct device that a CONNECT proves to be; 401 when it does not, 403 for another kind."""
    try:
        device = read_username(given.username)
    except FrameError:
        raise InputRefused("request auth error", code=401) from None
    secret = desk.device_secret(device)
    if secret is None or not verify_connect(given, secret):
        raise InputRefused("request auth error", code=401)
    product = desk.products.get(device.product_key)
    if product is None or product.kind is not Kind.DIRECT:
        raise InputRefused("the product is not one of devices with a connection of their own", code=403)
    return device


def _check_status(desk: Desk, device: DeviceId) -> None:
    code, message = STATUS_CODES.get(desk.book.devices.status(device) or "", (0, ""))
    if code:
        raise InputRefused(message, code=code)


class SessionRefused(InputRefused):
    """A message on the topic of a device that is not online there; told on ``/ext/error`` (DC 5.3)."""


def check_session(desk: Desk, carrier: DeviceId, device: DeviceId) -> None:
    """Refuse with 521, 522, 6401 or 520 a message on a device's topic that this connection may not bring."""
    if device == carrier:
        return
    code, message = STATUS_CODES.get(desk.book.devices.status(device) or "", (0, ""))
    if code:
        raise SessionRefused(message, code=code)
    if desk.book.topology.gateway_of(device) != carrier:
        raise SessionRefused("topo relation not exist", code=6401)
    session = desk.book.sessions.find(device)
    if session is None or session[0] != carrier:
        raise SessionRefused("sub-device session does not exist", code=520)


def login(desk: Desk, gateway: DeviceId, params: object) -> Answer:
    """``combine/login`` and ``batch_login``: one object, or a list (``deviceList``): all or none."""
    given = params if isinstance(params, list) else read_object(params)
    if isinstance(given, dict) and "deviceList" not in given:
        return Answer(data=names(_log_in(desk, gateway, given, None)))
    method = read_optional(given, "signMethod") if isinstance(given, dict) else None
    listed = given["deviceList"] if isinstance(given, dict) else given
    entries = [read_object(entry, "a device") for entry in read_list(listed, "deviceList", MOST_IN_BATCH)]
    return Answer(data=[names(_log_in(desk, gateway, entry, method)) for entry in entries])


def _log_in(desk: Desk, gateway: DeviceId, entry: dict[str, object], method: str | None) -> DeviceId:
    device = read_device(entry)
    if desk.book.devices.status(device) is None or device.product_key not in desk.products:
        raise InputRefused("device not found", code=6100)
    _check_status(desk, device)
    if desk.book.topology.gateway_of(device) != gateway:
        raise InputRefused("topo relation not exist", code=6401)
    check_sign(desk, device, entry, code=6287, method=method)
    sessions = desk.book.sessions
    if sessions.note_login(device, desk.now.boot) > desk.settings.logins_per_minute:
        raise InputRefused("too many logins of this sub-device within a minute", code=429)
    sessions.open(device, gateway, desk.now.boot)
    if sessions.count(gateway) - 1 > desk.settings.online_limit:  # the gateway itself is online, too
        raise InputRefused("too many sub-devices online under the gateway", code=428)
    return device


def logout(desk: Desk, gateway: DeviceId, params: object) -> Answer:
    """``combine/logout`` and ``batch_logout``: one object, or a list, alone or as ``deviceList``."""
    listed = read_object(params).get("deviceList") if isinstance(params, dict) else params
    if isinstance(params, dict) and "deviceList" not in params:
        return Answer(data=names(_log_out(desk, gateway, read_device(params))))
    devices = read_devices(listed, MOST_IN_BATCH)
    return Answer(data=[names(_log_out(desk, gateway, device)) for device in devices])


def _log_out(desk: Desk, gateway: DeviceId, device: DeviceId) -> DeviceId:
    session = desk.book.sessions.find(device)
    if device == gateway or session is None or session[0] != gateway:
        raise InputRefused("sub-device session does not exist", code=520)
    desk.book.sessions.close(device)
    return device


def manage(desk: Desk, device: DeviceId, verb: str) -> Answer:
    """The operator's ``disable``, ``enable`` or ``delete`` of a known device, pushed on its own topic."""
    if verb not in VERBS:
        raise InputRefused("request parameter error: the verb must be disable, enable or delete")
    if desk.book.devices.status(device) is None:
        raise InputRefused("device not found", code=6100)
    pushes = desk.push(device, f"thing/{verb}", {})
    desk.book.devices.set_status(device, VERBS[verb])
    if verb != "enable":
        desk.book.sessions.close(device)
    if verb == "delete":
        detach(desk, device)
    return Answer(pushes=pushes)
