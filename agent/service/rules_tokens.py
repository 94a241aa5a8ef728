"""Bind tokens and bindings (HTTP 4.3 to 4.5; DC 4.3; wifi-awss.md 5)."""

from __future__ import annotations

from agent.codec import alink
from agent.errors import InputRefused
from agent.model import DeviceId
from agent.service.fields import HEX_RANDOM, read_device, read_object, read_optional, read_text, read_token
from agent.service.values import Answer, Caller, Desk, Push

NOT_FOUND = "token not found"


def take_match(desk: Desk, device: DeviceId, params: object) -> Answer:
    """``thing/awss/enrollee/match`` on a device's topic: the token is that device's, whoever relays it."""
    token = read_token(read_object(params).get("token"))
    desk.book.tokens.report(token, device, desk.now.boot_id, desk.now.boot)
    return Answer()


def take_reset(desk: Desk, device: DeviceId, params: object) -> Answer:
    """``thing/reset`` on a device's own topic: it belongs to nobody, and its unused tokens are dead."""
    read_object(params)
    desk.book.tokens.drop(device)
    return Answer(pushes=_notify(desk, device, "Unbind") if desk.book.devices.unbind(device) else ())


def check_token(desk: Desk, caller: Caller, params: object) -> Answer:
    """``/awss/token/check``: whose token it is; 6608 when it is not alive, or not that device's.

    A device of another account, or behind a gateway of one, is not to be seen.
    """
    given = read_object(params)
    token = read_text(given, "token")
    product_key, device_name = read_optional(given, "productKey"), read_optional(given, "deviceName")
    if device_name is not None and product_key is None:
        raise InputRefused("request parameter error: deviceName needs productKey")
    device = _holder(desk, caller, token, product_key, device_name)
    iot_id = desk.book.devices.iot_id(device)
    return Answer(data={"productKey": device.product_key, "deviceName": device.device_name, "iotId": iot_id})


def _holder(
    desk: Desk, caller: Caller, token: str, product_key: str | None, device_name: str | None
) -> DeviceId:
    """The device that last reported a live token, of those that the caller means and may see."""
    holders: list[DeviceId] = []
    if HEX_RANDOM.fullmatch(token):
        oldest = desk.now.boot - desk.settings.token_life
        holders = desk.book.tokens.find(token.upper(), desk.now.boot_id, oldest)
    for device in holders:
        is_meant = product_key in (None, device.product_key) and device_name in (None, device.device_name)
        if is_meant and desk.owner_of(device) in (None, caller.identity):
            return device
    raise InputRefused(NOT_FOUND, code=6608)


def bind_by_token(desk: Desk, caller: Caller, params: object) -> Answer:
    """``/awss/token/user/bind``: bind the device, once per token; the data is its iotId."""
    given = read_object(params)
    device = _read_target(desk, given)
    token = read_text(given, "token")
    _holder(desk, caller, token, device.product_key, device.device_name)
    answer = _bind(desk, caller, given, device)
    desk.book.tokens.use(token.upper(), device)
    return answer


def bind_in_window(desk: Desk, caller: Caller, params: object) -> Answer:
    """``/awss/time/window/user/bind``: bind a device that came online a short while ago, else 6608.

    A device of another account, or behind a gateway of one, is not to be seen.
    """
    given = read_object(params)
    device = _read_target(desk, given)
    if desk.owner_of(device) not in (None, caller.identity):
        raise InputRefused("device not found", code=6100)
    session = desk.book.sessions.find(device)
    if session is None or session[0] not in desk.live:
        raise InputRefused(NOT_FOUND, code=6608)
    if desk.now.boot - session[1] > desk.settings.bind_window:
        raise InputRefused(NOT_FOUND, code=6608)
    return _bind(desk, caller, given, device)


def _read_target(desk: Desk, params: dict[str, object]) -> DeviceId:
    """The known device that a bind names."""
    read_optional(params, "homeId")
    device = read_device(params)
    if desk.book.devices.status(device) in ("enabled", "disabled"):
        return device
    if device.product_key not in desk.products:
        raise InputRefused("product not found", code=5005)
    raise InputRefused("device not found", code=6100)


def _bind(desk: Desk, caller: Caller, params: dict[str, object], device: DeviceId) -> Answer:
    devices = desk.book.devices
    devices.bind(device, caller.identity, read_optional(params, "homeId") or caller.home, desk.now.utc)
    desk.book.enrollees.drop(device)
    return Answer(data=devices.iot_id(device), pushes=_notify(desk, device, "Bind"))


def _notify(desk: Desk, device: DeviceId, operation: str) -> tuple[Push, ...]:
    value = {"identifier": "awss.BindNotify", "value": {"Operation": operation}}
    return desk.push(device, alink.NOTIFY, value)
