"""The device channel's platform side: bytes of one message in, bytes of its reply and of pushes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agent.codec import alink
from agent.errors import FrameError, InputRefused
from agent.model import DeviceId
from agent.service import (
    rules_cipher,
    rules_enrollees,
    rules_gateway,
    rules_registration,
    rules_sessions,
    rules_tokens,
)
from agent.service.values import Answer, Desk, Push

Rule = Callable[[Desk, DeviceId, object], Answer]

OF_ANY_DEVICE: dict[str, Rule] = {
    alink.MATCH: rules_tokens.take_match,
    alink.RESET: rules_tokens.take_reset,
}
OF_GATEWAYS: dict[str, Rule] = {
    alink.FOUND: rules_enrollees.take_found,
    alink.CIPHER_GET: rules_cipher.take_cipher_get,
    alink.TOPO_ADD: rules_gateway.add,
    alink.TOPO_DELETE: rules_gateway.delete,
    alink.TOPO_GET: rules_gateway.list_topology,
    alink.LIST_FOUND: rules_gateway.take_list_found,
    alink.SUB_REGISTER: rules_registration.register,
    alink.SUB_UNREGISTER: rules_registration.unregister,
    alink.PRODUCT_REGISTER: rules_registration.register_by_product,
    alink.LOGIN: rules_sessions.login,
    alink.BATCH_LOGIN: rules_sessions.login,
    alink.LOGOUT: rules_sessions.logout,
    alink.BATCH_LOGOUT: rules_sessions.logout,
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose connection a message came on, and whether that device is a gateway."""

    device: DeviceId
    gateway: bool


@dataclass(frozen=True, slots=True)
class Parcel:
    """Bytes to hand to the connection of ``carrier``."""

    carrier: DeviceId
    topic: str
    payload: bytes = field(repr=False)


def receive(desk: Desk, origin: Origin, topic: str, payload: bytes) -> list[Parcel]:
    """What one message brings about, committed: its reply first, then the pushes.

    A message on a sub-device's topic is that sub-device's, if it is logged in through this connection;
    otherwise ``/ext/error`` says why. FrameError, and nothing is changed, when topic or payload are broken.
    """
    place = alink.read_topic(topic)
    if place is None:
        raise FrameError("not a topic of a device")
    device, name = place
    message = alink.read_message(payload)
    if isinstance(message, alink.Answer):
        if (device, name) == (origin.device, alink.CHECKIN + alink.REPLY):
            with desk.book.transaction():
                rules_enrollees.take_checkin_reply(desk, device, message)
        return []
    try:
        with desk.book.transaction():
            rules_sessions.check_session(desk, origin.device, device)
            answer = _find_rule(origin, device, name)(desk, device, message.params)
    except rules_sessions.SessionRefused as refusal:
        return [_report_trouble(origin.device, device, message.id, refusal)]
    except InputRefused as refusal:
        answer = Answer(refusal.code, str(refusal))
    reply = [_pack_reply(origin.device, device, name, message, answer)] if message.ack else []
    return reply + [pack(push) for push in answer.pushes]


def _find_rule(origin: Origin, device: DeviceId, name: str) -> Rule:
    rule = OF_ANY_DEVICE.get(name)
    if rule is None and origin.gateway and device == origin.device:
        rule = OF_GATEWAYS.get(name)
    if rule is None:
        raise InputRefused("method not supported", code=6450)
    return rule


def _pack_reply(
    carrier: DeviceId, device: DeviceId, name: str, request: alink.Request, answer: Answer
) -> Parcel:
    payload = alink.build_answer(request.id, answer.code, answer.data, message=answer.message, name=name)
    return Parcel(carrier, alink.topic_of(device, name + alink.REPLY), payload)


def _report_trouble(carrier: DeviceId, device: DeviceId, number: str | int, refusal: InputRefused) -> Parcel:
    """``/ext/error`` on the gateway's topic (DC 5.3); the data, ours, names the sub-device."""
    data = rules_gateway.names(device)
    payload = alink.build_answer(number, refusal.code, data, message=str(refusal))
    return Parcel(carrier, alink.topic_of(carrier, alink.ERROR), payload)


def report_takeover(device: DeviceId, number: str) -> Parcel:
    """``/ext/error`` 427 for the connection that a second one of the same device replaces."""
    data = rules_gateway.names(device)
    payload = alink.build_answer(number, 427, data, message="the device connected elsewhere")
    return Parcel(device, alink.topic_of(device, alink.ERROR), payload)


def pack(push: Push) -> Parcel:
    """The bytes of a push."""
    payload = alink.build_request(push.id, push.name, push.params)
    return Parcel(push.carrier, alink.topic_of(push.device, push.name), payload)
