"""Request bodies: strict JSON, and what each verb may be told."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, TypeVar

import msgspec

from agent.codec.strictjson import read_json
from agent.errors import FrameError, InputRefused
from agent.status.message import Json

MALFORMED = 400

# What the door reads by itself, field by field.
JOIN = ("v", "medium", "address", "product_key", "device_name")
JOIN_DONE = ("v", "sign_params", "token")


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What every body may hold: the version of these documents."""

    v: Literal[1] = 1


class Permit(Body):
    """A window as `thing/gateway/permit` asks for it; ``time`` is judged where the cloud's is."""

    product_key: str | None = None
    time: Any = None


class Provision(Body):
    """Start provisioning one enrollee."""

    enrollee: str
    network: str | None = None
    passphrase: str | None = None
    overwrite: bool = False

    def __repr__(self) -> str:
        return f"Provision({self.enrollee!r})"


class NewAccount(Body):
    """An account of the embedded service, by the name that people call it."""

    name: str


class LogLevel(Body):
    """How much the daemon writes to its log."""

    level: str


B = TypeVar("B", bound=Body)


def read_body(data: bytes, kind: type[B]) -> B:
    """The body of a request as that kind; InputRefused (400) with a sentence when it is not one."""
    content = read_object(data, kind.__struct_encode_fields__)
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:  # it names types and places, never values
        raise InputRefused(f"the body is not as it must be: {error}", code=MALFORMED) from error


def read_object(data: bytes, members: Collection[str]) -> Json:
    """The body as an object of no other members; of one that comes twice the last counts."""
    try:
        content = read_json(data)
    except FrameError as error:
        raise InputRefused(f"the body: {error}", code=MALFORMED) from error
    if not isinstance(content, dict):
        raise InputRefused("the body must be one JSON object", code=MALFORMED)
    if unknown := content.keys() - set(members):
        named = ", ".join(sorted(map(ascii, unknown)))
        raise InputRefused(f"the body has unknown members: {named}", code=MALFORMED)
    return content
