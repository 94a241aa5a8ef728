"""Topics and envelopes of the device channel (cloud-device-channel.md, sections 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.codec.strictjson import read_json, write_json
from agent.errors import FrameError, InputRefused
from agent.model import NAME_TEXT, PRODUCT_KEY_TEXT, DeviceId

FOUND = "thing/awss/enrollee/found"
CHECKIN = "thing/awss/enrollee/checkin"
MATCH = "thing/awss/enrollee/match"
CIPHER_GET = "thing/cipher/get"
RESET = "thing/reset"
NOTIFY = "_thing/event/notify"
PERMIT = "thing/gateway/permit"
TOPO_ADD = "thing/topo/add"
TOPO_DELETE = "thing/topo/delete"
TOPO_GET = "thing/topo/get"
TOPO_CHANGE = "thing/topo/change"
LIST_FOUND = "thing/list/found"
SUB_REGISTER = "thing/sub/register"
SUB_UNREGISTER = "thing/sub/unregister"
PRODUCT_REGISTER = "thing/proxy/provisioning/product_register"
LOGIN, BATCH_LOGIN = "combine/login", "combine/batch_login"
LOGOUT, BATCH_LOGOUT = "combine/logout", "combine/batch_logout"
ERROR = "ext/error"

REPLY = "_reply"
LONGEST_NAME = 64
LONGEST_ID = 64
LARGEST = 262_144  # octets of a payload; the documents set no limit, the platform's broker has this one


@dataclass(frozen=True, slots=True)
class Request:
    """A request in either direction; ``id`` keeps the JSON type it came in, ``ack`` False wants no reply."""

    id: str | int
    params: object = field(repr=False)  # tokens, signatures
    method: str | None = None
    ack: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply: code 200 is success, anything else an error with a message for people."""

    id: str | int
    code: int
    data: object = field(repr=False)  # it may carry a deviceSecret
    message: str = ""


def topic_of(device: DeviceId, name: str) -> str:
    """The full topic of a name such as ``thing/topo/add``, ``combine/login`` or ``ext/error``.

    InputRefused when the device's names do not fit a topic: one heard on the air could hold a ``/`` or ``#``.
    """
    if not is_device(device):
        raise InputRefused("the product key or device name does not fit a topic")
    place = f"{device.product_key}/{device.device_name}"
    if name == ERROR:
        return f"/{ERROR}/{place}"
    if name.startswith("combine/"):
        return f"/ext/session/{place}/{name}"
    return f"/sys/{place}/{name}"


def read_topic(topic: str) -> tuple[DeviceId, str] | None:
    """The device and the name of a topic; None when it is none of a device's system topics.

    FrameError when it is one and the names in it are broken.
    """
    parts = topic.split("/")
    match parts:
        case ["", "sys", product_key, device_name, "thing" | "_thing", *_]:
            name = "/".join(parts[4:])
        case ["", "ext", "session", product_key, device_name, "combine", *_]:
            name = "/".join(parts[5:])
        case ["", "ext", "error", product_key, device_name]:
            name = ERROR
        case _:
            return None
    device = DeviceId(product_key, device_name)
    if not is_device(device):
        raise FrameError("topic with a broken product key or device name")
    return device, name


def is_device(device: DeviceId) -> bool:
    """True when both names keep to the characters and lengths of cloud-device-channel.md 6."""
    return (
        PRODUCT_KEY_TEXT.fullmatch(device.product_key) is not None
        and len(device.device_name) <= LONGEST_NAME
        and NAME_TEXT.fullmatch(device.device_name) is not None
    )


def build_request(id: str | int, name: str, params: object, *, ack: bool = True) -> bytes:
    """The payload of a request on the topic ``name``; ``id`` should be decimal digits as a string."""
    envelope: dict[str, object] = {"id": id, "version": "1.0"}
    envelope |= {"method": name.replace("/", "."), "params": params}
    if not ack:
        envelope["sys"] = {"ack": 0}
    return write_json(envelope)


def build_answer(
    id: str | int, code: int, data: object, *, message: str = "success", name: str | None = None
) -> bytes:
    """The payload of a reply to the request ``id``, in the member order of the real cloud (section 4.3)."""
    envelope: dict[str, object] = {"code": code, "data": {} if data is None else data, "id": id}
    envelope["message"] = message
    if name is not None:
        envelope["method"] = name.replace("/", ".")
    envelope["version"] = "1.0"
    return write_json(envelope)


def read_message(payload: bytes) -> Request | Answer:
    """The request or reply in a payload: what has a ``code`` is a reply. FrameError when it is neither.

    All members but ``id`` and ``code`` may be absent, as official clients leave them.
    """
    if len(payload) > LARGEST:
        raise FrameError(f"message of {len(payload)} octets; the limit is {LARGEST}")
    envelope = read_json(payload)
    if not isinstance(envelope, dict):
        raise FrameError("message is not a JSON object")
    number = _read_id(envelope.get("id"))
    return _read_answer(number, envelope) if "code" in envelope else _read_request(number, envelope)


def _read_id(value: object) -> str | int:
    if isinstance(value, str) and 0 < len(value) <= LONGEST_ID:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise FrameError("message without an id")


def _read_answer(number: str | int, envelope: dict[str, object]) -> Answer:
    code, message = envelope["code"], envelope.get("message", "")
    if not isinstance(code, int) or isinstance(code, bool):
        raise FrameError("reply whose code is not a number")
    if message is not None and not isinstance(message, str):
        raise FrameError("reply whose message is not text")
    return Answer(number, code, envelope.get("data", {}), message or "")


def _read_request(number: str | int, envelope: dict[str, object]) -> Request:
    method, system = envelope.get("method"), envelope.get("sys")
    if method is not None and not isinstance(method, str):
        raise FrameError("request whose method is not text")
    if system is not None and not isinstance(system, dict):
        raise FrameError("request whose sys is not an object")
    wanted = (system or {}).get("ack", 1)
    return Request(number, envelope.get("params", {}), method, ack=wanted not in (0, "0", False))
