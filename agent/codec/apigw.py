"""The API gateway's signature: how a client makes it and how a server checks it (cloud-http-api.md 2).

The JSON inside is `agent.codec.apigw_envelope`. Which nonces were used is state, and not here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from enum import Enum
from functools import lru_cache
from urllib.parse import unquote_plus

from agent.codec.apigw_envelope import build_request as build_envelope
from agent.errors import FrameError

Headers = Sequence[tuple[str, str]]

METHOD = "POST"
KEY = "x-ca-key"
NONCE = "x-ca-nonce"
TIMESTAMP = "x-ca-timestamp"
SIGNATURE = "x-ca-signature"
SIGNED_NAMES = "x-ca-signature-headers"
MD5 = "content-md5"
ERROR_MESSAGE = "X-Ca-Error-Message"
# Section 2.2, part 6. The official client compares exact lower-case names, so "Token" would be signed.
UNSIGNED = frozenset(
    (SIGNATURE, SIGNED_NAMES, "accept", MD5, "content-type", "date", "host", "token", "user-agent")
)
TOLERANCE = 900.0  # seconds between the two clocks (section 2.1)
LONGEST_ERROR = 2048  # characters of X-Ca-Error-Message; clients take 8 KiB of header at most

DATE = re.compile(
    r"[A-Z][a-z]{2}, ([0-9]{1,2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
MILLISECONDS = re.compile(r"[0-9]{1,15}")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Fault(Enum):
    """Why the gateway turns a request away: HTTP status and text (section 2.3, recommended column)."""

    SIGNATURE_MISSING = (401, "Empty Signature")
    SIGNATURE_WRONG = (400, "Invalid Signature")
    KEY_UNKNOWN = (400, "Invalid AppKey")
    BODY_CHANGED = (400, "Invalid Content-MD5")
    DATE_OLD = (400, "Timestamp Expired")
    NONCE_USED = (400, "Nonce Used")
    NOT_AUTHORIZED = (403, "Unauthorized")
    THROTTLED = (429, "Throttled by Flow Control")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def text(self) -> str:
        """What the vendor's gateway calls it."""
        return self.value[1]


class GatewayRefused(FrameError):
    """A request that the gateway turns away; ``error_message`` is the value for `ERROR_MESSAGE`.

    For a wrong signature that holds the server's own string to sign, each line feed as ``#``.
    """

    def __init__(self, fault: Fault, string_to_sign: str | None = None) -> None:
        super().__init__(fault.text)
        self.fault = fault
        own = "" if string_to_sign is None else f", Server StringToSign:{string_to_sign}"
        self.error_message = _printable(fault.text + own.replace("\n", "#"))[:LONGEST_ERROR]


def _printable(text: str) -> str:
    """Safe as a header's value: escapes for control characters and for everything beyond ASCII."""
    ascii_text = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in ascii_text)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """One POST: ``path`` as signed, all headers but the transport's own (Host, Content-Length), the body."""

    path: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as it arrived: ``target`` is path and query as in the request line, never decoded.

    ``headers`` have any letter case; of a name that stands there twice the first counts.
    """

    method: str
    target: str
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verified:
    """Whose request it is; ``nonce`` None when there is none that is signed, so a repeat cannot be told.

    ``sent`` is the date that was checked, in seconds since 1970; None when dates are not.
    """

    app_key: str
    nonce: str | None
    sent: float | None = field(default=None, compare=False)


def sort_signed_names(names: Iterable[str]) -> list[str]:
    """The names to sign: those that are not excluded, spelled as given, sorted by code point."""
    return sorted(name for name in names if name not in UNSIGNED)


def content_md5(body: bytes) -> str:
    """The value of Content-MD5; empty for an empty body."""
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii") if body else ""


def string_to_sign(method: str, headers: Headers, path_and_query: str, signed_names: Iterable[str]) -> str:
    """The seven parts, joined by line feeds; a header that is missing is empty text (section 2.2).

    Values are looked up in any letter case; names appear as ``signed_names`` spells them.
    """
    return _compose(method, _index(headers), path_and_query, signed_names)


def _compose(method: str, values: Mapping[str, str], path_and_query: str, signed_names: Iterable[str]) -> str:
    fixed = [values.get(name, "") for name in ("accept", MD5, "content-type", "date")]
    signed = "\n".join([f"{name}:{values.get(name.lower(), '')}" for name in signed_names])
    return "\n".join((method.upper(), *fixed, signed, path_and_query))


def _index(headers: Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in reversed(headers)}


def sign(app_secret: str, text: str) -> str:
    """The signature of a string to sign: base64 of its HMAC-SHA256."""
    # Octets that are no UTF-8 arrive as surrogates; each keeps its own encoding, so none passes for another.
    key, message = app_secret.encode("utf-8", "surrogatepass"), text.encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.digest(key, message, "sha256")).decode("ascii")


def format_date(utc: float) -> str:
    """Seconds since 1970 as an RFC 1123 date."""
    return formatdate(utc, usegmt=True)


def build_request(
    path: str,
    params: Mapping[str, object],
    *,
    app_key: str,
    app_secret: str,
    api_ver: str,
    iot_token: str | None,
    request_id: str,
    nonce: str,
    date: str,
    version: str | None = "1.0",
    language: str | None = None,
    headers: Headers = (),
    user_agent: str = "enrolld",
) -> SignedRequest:
    """One signed call as the official client sends it.

    ``headers`` are further ones, signed unless excluded; ``date`` is RFC 1123. A repeat has the same
    ``request_id``, and a new nonce and date.
    """
    body = build_envelope(request_id, params, api_ver, iot_token, version=version, language=language)
    sent = [
        ("date", date),
        (NONCE, nonce),
        (KEY, app_key),
        ("x-ca-signaturemethod", "HmacSHA256"),
        ("accept", "application/json"),
        ("user-agent", user_agent),
        *headers,
        ("content-type", "application/octet-stream"),
        (MD5, content_md5(body)),
    ]
    names = sort_signed_names(name for name, _ in sent)
    signature = sign(app_secret, string_to_sign(METHOD, sent, path, names))
    sent += [(SIGNED_NAMES, ",".join(names)), (SIGNATURE, signature)]
    return SignedRequest(path, tuple(sent), body)


def verify(
    request: ReceivedRequest, secret_of: Callable[[str], str | None], *, utc: float | None
) -> Verified:
    """Whose request it is, when its signature, body and date are right; else GatewayRefused.

    ``secret_of`` gives the secret of an app key, None for an unknown one. ``utc`` is the server's time in
    seconds, None to leave dates unchecked. A date or nonce counts only where the signature covers it.
    """
    values = _index(request.headers)
    signature = values.get(SIGNATURE, "")
    if not signature:
        raise GatewayRefused(Fault.SIGNATURE_MISSING)
    secret = secret_of(values.get(KEY, ""))
    if secret is None:
        raise GatewayRefused(Fault.KEY_UNKNOWN)
    if not _same(content_md5(request.body), values.get(MD5, "")):  # without it the body would be unsigned
        raise GatewayRefused(Fault.BODY_CHANGED)
    names = read_signed_names(values.get(SIGNED_NAMES, ""))
    _check_signature(request, values, secret, names)
    signed = {name.lower() for name in names}
    sent = None if utc is None else _check_date(values, signed, utc)
    return Verified(values.get(KEY, ""), values.get(NONCE) if NONCE in signed else None, sent)


def read_signed_names(text: str) -> list[str]:
    """The names in `SIGNED_NAMES`: joined by commas, or as one document has it by colons (section 2.2)."""
    return [name.strip() for name in text.split("," if "," in text else ":")] if text else []


def _check_signature(
    request: ReceivedRequest, values: Mapping[str, str], secret: str, names: list[str]
) -> None:
    texts = [_compose(request.method, values, target, names) for target in _targets(request.target)]
    given = values[SIGNATURE]
    fits = [_same(sign(secret, text), given) for text in texts]  # every one, however early one fits
    if not any(fits):
        raise GatewayRefused(Fault.SIGNATURE_WRONG, texts[0])


def _targets(target: str) -> Iterator[str]:
    """How clients may have written what they signed: as sent, its query decoded, and that sorted by key."""
    yield target
    path, mark, query = target.partition("?")
    if mark:
        pairs = [unquote_plus(pair, "utf-8", "surrogateescape") for pair in query.split("&")]
        yield f"{path}?{'&'.join(pairs)}"
        yield f"{path}?{'&'.join(sorted(pairs, key=lambda pair: pair.partition('=')[0]))}"


def _same(expected: str, given: str) -> bool:
    """Whether two texts are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))


def _check_date(values: Mapping[str, str], signed: set[str], utc: float) -> float:
    """The timestamp where one is signed, else Date, which always is; in seconds."""
    timestamp = values.get(TIMESTAMP) if TIMESTAMP in signed else None
    try:
        sent = read_date(values.get("date", "")) if timestamp is None else _read_milliseconds(timestamp)
    except FrameError:
        raise GatewayRefused(Fault.DATE_OLD) from None
    if abs(utc - sent) > TOLERANCE:
        raise GatewayRefused(Fault.DATE_OLD)
    return sent


@lru_cache(maxsize=64)  # a busy second has one date; what is no date is never kept
def read_date(text: str) -> float:
    """Seconds since 1970 of an RFC 1123 date in GMT; FrameError for anything else."""
    match = DATE.fullmatch(text)
    if match is None or match[2] not in MONTHS:
        raise FrameError("not an RFC 1123 date")
    day, year, hour, minute, second = (int(match[number]) for number in (1, 3, 4, 5, 6))
    try:
        return datetime(year, MONTHS.index(match[2]) + 1, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        raise FrameError("a date that the calendar does not have") from None


def _read_milliseconds(text: str) -> float:
    if not MILLISECONDS.fullmatch(text):
        raise FrameError("not a number of milliseconds")
    return int(text) / 1000
