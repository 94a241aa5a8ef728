"""Readers of one parameter each: what does not fit is refused with code 460 and the parameter's name."""

from __future__ import annotations

import re

from agent.errors import InputRefused
from agent.model import NAME_TEXT, DeviceId

LONGEST_TEXT = 512
HEX_RANDOM = re.compile(r"[0-9A-Fa-f]{32}")
HEX_PRODUCT_ID = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{1,8})")


def read_object(value: object, name: str = "params") -> dict[str, object]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise InputRefused(f"request parameter error: {name} must be an object")
    return value


def read_list(value: object, name: str, most: int, *, least: int = 1) -> list[object]:
    """A JSON array of ``least`` to ``most`` entries."""
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise InputRefused(f"request parameter error: {name} must be a list of {least} to {most} entries")
    return value


def read_text(params: dict[str, object], name: str, *, most: int = LONGEST_TEXT) -> str:
    """A text that is there and not empty."""
    text = read_optional(params, name, most=most)
    if text is None:
        raise InputRefused(f"request parameter error: {name} is missing")
    return text


def read_optional(params: dict[str, object], name: str, *, most: int = LONGEST_TEXT) -> str | None:
    """A text, or None where it is absent, null or empty."""
    value = params.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > most or not _is_unicode(value):
        raise InputRefused(f"request parameter error: {name} must be text of at most {most} characters")
    return value


def _is_unicode(text: str) -> bool:
    """False for unpaired surrogates, which neither the database nor a topic can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_integer(params: dict[str, object], name: str, lowest: int, highest: int) -> int:
    """A whole number within bounds; neither text nor true and false are numbers."""
    value = params.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise InputRefused(f"request parameter error: {name} must be an integer from {lowest} to {highest}")
    return value


def read_device(value: object) -> DeviceId:
    """The ``productKey`` and ``deviceName`` of an object, both required."""
    params = read_object(value, "a device")
    return DeviceId(read_text(params, "productKey", most=64), read_text(params, "deviceName", most=128))


def read_devices(value: object, most: int) -> list[DeviceId]:
    """The devices of a list of 1 to ``most`` objects."""
    return [read_device(entry) for entry in read_list(value, "the list of devices", most)]


def read_token(value: object) -> str:
    """A bind token of 16 octets as 32 upper-case hex digits; all zeros is none (wifi-awss.md 5)."""
    if not isinstance(value, str) or not HEX_RANDOM.fullmatch(value) or not int(value, 16):
        raise InputRefused("request parameter error: token must be 32 hex digits and not all zero")
    return value.upper()


def read_product_id(params: dict[str, object], name: str = "productId") -> int | None:
    """The number behind a hex text of up to eight digits, with or without ``0x``; None if absent."""
    text = read_optional(params, name)
    if text is None:
        return None
    match = HEX_PRODUCT_ID.fullmatch(text)
    if match is None:
        raise InputRefused(f"request parameter error: {name} must be up to 8 hex digits")
    return int(match[1], 16)


def check_name(device: DeviceId) -> DeviceId:
    """The device itself when its name keeps to 4 to 32 characters of the allowed ones; else code 6280."""
    if not 4 <= len(device.device_name) <= 32 or not NAME_TEXT.fullmatch(device.device_name):
        raise InputRefused("device name does not meet the specification", code=6280)
    return device
