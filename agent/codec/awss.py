"""The enrollee element of zero-config Wi-Fi devices: vendor element D8:96:E0 type AA (wifi-awss.md 2.2)."""

from __future__ import annotations

import hmac

from agent.errors import FrameError
from agent.model import NAME_TEXT, WifiRecord

VENDOR_ELEMENT = 0xDD
OUI = b"\xd8\x96\xe0"
ENROLLEE_TYPE = OUI + b"\xaa"

RANDOM_SIZE = 16
SIGN_SIZE = 20
MOST_DEVICE_NAME = 64
MOST_PRODUCT_KEY = 20
SECURITIES = (3, 4, 5)
SIGN_METHODS = (0, 1)


def read_enrollee(body: bytes) -> WifiRecord:
    """The fields of an AA element; ``body`` begins at its version octet, behind OUI and type.

    Checked as wifi-awss.md 3.2 recommends: version's low nibble 1, names of 1..64 and 1..20 permitted
    characters, every step against the element's end. Octets behind the sign are reserved and ignored.
    Raises FrameError with the first thing that is wrong.
    """
    if not body or body[0] & 0x0F != 1:
        raise FrameError(f"enrollee element: version octet {body[:1].hex() or 'missing'}, x1 was expected")
    device_name, at = _read_name(body, 1, "device name", MOST_DEVICE_NAME)
    if body[at : at + 1] != b"\0":
        raise FrameError(
            f"enrollee element: frame type {body[at : at + 1].hex() or 'missing'}, 00 was expected"
        )
    return _read_rest(body, at + 1, body[0], device_name)


def _read_rest(body: bytes, at: int, version: int, device_name: str) -> WifiRecord:
    """From the length of the product key on; the cloud's form (DC 4.1) has the same octets there."""
    product_key, at = _read_name(body, at, "product key", MOST_PRODUCT_KEY)
    rest = body[at:]
    if len(rest) < 1 + RANDOM_SIZE + 3 + SIGN_SIZE:
        raise FrameError(f"enrollee element: {len(rest)} octets behind the product key; 40 are needed")
    size, (security, method, sign_size) = rest[0], rest[17:20]
    if size != RANDOM_SIZE or sign_size != SIGN_SIZE:
        raise FrameError(
            f"enrollee element: random of {size} and sign of {sign_size}; 16 and 20 were expected"
        )
    if security not in SECURITIES or method not in SIGN_METHODS:
        raise FrameError(f"enrollee element: security {security} with sign method {method} is not in use")
    return WifiRecord(version, device_name, product_key, rest[1:17], security, method, rest[20:40])


def _read_name(body: bytes, at: int, what: str, most: int) -> tuple[str, int]:
    """A counted name, and the offset behind it."""
    size = body[at] if at < len(body) else 0
    name = body[at + 1 : at + 1 + size]
    if not 1 <= size <= most or len(name) < size:
        raise FrameError(
            f"enrollee element: {what} of {size} octets, {len(name)} there; 1..{most} are allowed"
        )
    text = name.decode("latin-1")
    if not NAME_TEXT.fullmatch(text):
        raise FrameError(f"enrollee element: {what} holds a character outside letters, digits and -_@.:")
    return text, at + 1 + size


def _counted(octets: bytes) -> bytes:
    return bytes((len(octets),)) + octets


def _build_rest(record: WifiRecord) -> bytes:
    return b"".join((
        _counted(record.product_key.encode("ascii")),
        _counted(record.random),
        bytes((record.security, record.sign_method)),
        _counted(record.sign),
    ))  # fmt: skip


def build_enrollee(record: WifiRecord) -> bytes:
    """The whole element ``DD len D8 96 E0 AA ..`` that announces this record (wifi-awss.md 2.2)."""
    name = _counted(record.device_name.encode("ascii"))
    body = ENROLLEE_TYPE + bytes((record.version,)) + name + b"\0" + _build_rest(record)
    return bytes((VENDOR_ELEMENT,)) + _counted(body)


def found_payload(record: WifiRecord) -> str:
    """The record as upper-case hex for ``enrollee/found`` (cloud-device-channel.md 4.1).

    Version and frame type are not part of it.
    """
    return (_counted(record.device_name.encode("ascii")) + _build_rest(record)).hex().upper()


def read_found(hex_text: str) -> WifiRecord:
    """The record of one ``payload`` member of ``enrollee/found``; the version, not in it, becomes 01.

    Hex digits of either case. Raises FrameError, also for octets behind the sign.
    """
    try:
        body = bytes.fromhex(hex_text)
    except ValueError:
        raise FrameError("enrollee payload: not hex digits") from None
    device_name, at = _read_name(body, 0, "device name", MOST_DEVICE_NAME)
    record = _read_rest(body, at, 1, device_name)
    if found_payload(record) != hex_text.upper():
        raise FrameError("enrollee payload: more than the fields of an enrollee")
    return record


def sign(secret: str, random: bytes, device_name: str, product_key: str) -> bytes:
    """The 20 octets of HMAC-SHA1 over random, device name and product key, in that order (wifi-awss.md 2.2).

    The key is the secret as text: the product's for security 3, the device's for 4.
    """
    message = random + device_name.encode("ascii") + product_key.encode("ascii")
    return hmac.digest(secret.encode(), message, "sha1")


def verify(secret: str, record: WifiRecord) -> bool:
    """Whether the record was signed with this secret; takes the same time either way."""
    expected = sign(secret, record.random, record.device_name, record.product_key)
    return hmac.compare_digest(expected, record.sign)
