"""The JSON around each call of the HTTP API, both ways (cloud-http-api.md 1.1 and 1.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.codec.strictjson import read_json, write_json
from agent.errors import FrameError, InputRefused

SUCCESS = 200
NO_ENVELOPE = 400  # request error (section 5)
VERSION = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){1,3}")
LOWEST_VERSION = (1, 0, 0)


class EnvelopeRefused(InputRefused):
    """A request that is no call: ``code`` and the sentence answer it, with the ``id`` where it had one."""

    def __init__(self, message: str, *, code: int = 460, request_id: str = "") -> None:
        super().__init__(message, code=code)
        self.id = request_id


@dataclass(frozen=True, slots=True)
class Request:
    """What a call asks; ``iot_token`` None where it has no session."""

    id: str
    api_ver: str
    params: dict[str, object] = field(repr=False)  # they carry bind tokens and authCodes
    iot_token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What a call was answered; code 200 is success, anything else is not."""

    code: int
    message: str = "success"
    data: object = field(default=None, repr=False)  # it may be a key or a session
    localized: str = ""
    id: str = ""

    def document(self) -> dict[str, object]:
        """All five members, in the documented order."""
        return {
            "code": self.code,
            "data": self.data,
            "message": self.message,
            "localizedMsg": self.localized or self.message,
            "id": self.id,
        }


def build_request(
    request_id: str,
    params: Mapping[str, object],
    api_ver: str,
    iot_token: str | None,
    *,
    version: str | None = "1.0",
    language: str | None = None,
) -> bytes:
    """The body of a call, octet for octet as the official client writes it; None leaves a member out.

    InputRefused for text that UTF-8 cannot carry.
    """
    common = {"apiVer": api_ver, "iotToken": iot_token, "language": language}
    document: dict[str, object] = {"id": request_id}
    if version is not None:
        document["version"] = version
    document["params"] = params
    document["request"] = {name: value for name, value in common.items() if value is not None}
    try:
        return write_json(document)
    except UnicodeEncodeError:
        raise InputRefused("request parameter error: text that is not Unicode") from None


def read_request(body: bytes) -> Request:
    """The call in a body; EnvelopeRefused 400 when it is no JSON object, 460 for a member that does not fit.

    ``id`` may be a number, ``version`` and further members of ``request`` may be anything (section 6).
    """
    try:
        document = read_json(body)
    except FrameError as error:
        raise EnvelopeRefused(f"request error: {error}", code=NO_ENVELOPE) from None
    if not isinstance(document, dict):
        raise EnvelopeRefused("request error: the body must be a JSON object", code=NO_ENVELOPE)
    request_id = _read_id(document.get("id"))
    if request_id is None:
        raise EnvelopeRefused("request parameter error: id must be text or a whole number")
    try:
        common = _read_object(document, "request")
        params = _read_object(document, "params")
        return Request(request_id, _read_version(common), params, _read_token(common))
    except InputRefused as refusal:
        raise EnvelopeRefused(str(refusal), code=refusal.code, request_id=request_id) from None


def _read_id(value: object) -> str | None:
    """Absent is empty; None is what cannot be an id."""
    if value is None:
        return ""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    return None


def _read_object(document: dict[str, object], name: str) -> dict[str, object]:
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputRefused(f"request parameter error: {name} must be an object")
    return value


def _read_version(common: dict[str, object]) -> str:
    """Samples carry versions of other pages, so none is told from another (section 6)."""
    text = common.get("apiVer")
    if not isinstance(text, str) or not VERSION.fullmatch(text):
        raise InputRefused("request parameter error: request.apiVer must be dotted numbers such as 1.0.2")
    numbers = tuple(int(part) for part in text.split("."))
    if numbers + (0,) * (3 - len(numbers)) < LOWEST_VERSION:
        raise InputRefused("request parameter error: request.apiVer must be 1.0.0 or later")
    return text


def _read_token(common: dict[str, object]) -> str | None:
    token = common.get("iotToken")
    if token is not None and not isinstance(token, str):
        raise InputRefused("request parameter error: request.iotToken must be text")
    return token or None


def build_response(response: Response) -> bytes:
    """The body of an answer, with all five members."""
    return write_json(response.document())


def read_response(body: bytes) -> Response:
    """The answer in a body; FrameError when it is not the envelope. Only ``code`` must be there."""
    document = read_json(body)
    code = document.get("code") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(code, int) or isinstance(code, bool):
        raise FrameError("not the envelope of the API: an object with a number as code")
    message, localized = document.get("message"), document.get("localizedMsg")
    return Response(
        code,
        message if isinstance(message, str) else "",
        document.get("data"),
        localized if isinstance(localized, str) else "",
        _read_id(document.get("id")) or "",
    )
