"""Signatures of the device channel: connect, topology, login, registration, and the TLV 05 of BLE devices.

Sources: cloud-device-channel.md 1, 1.1 and 5.2; ble-breeze.md 7.2 and 10.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.errors import FrameError, InputRefused
from agent.model import DeviceId, Generation

METHODS = {"hmacmd5": "md5", "hmacsha1": "sha1", "hmacsha256": "sha256", "sha256": "sha256"}
CLIENT_ID_05 = re.compile(r"[0-9A-Fa-f]{8}")
SIGN_05 = re.compile(r"[0-9A-Fa-f]{64}")
RANDOM_05 = re.compile(r"[0-9A-Fa-f]{32}")


def session_text(client_id: str, device: DeviceId, timestamp: str) -> str:
    """What topo/add, login and connect sign: names and values, names in alphabetical order.

    ``client_id`` is exactly as sent for topo/add and login; for connect only the part before the first bar.
    """
    return (
        f"clientId{client_id}deviceName{device.device_name}productKey{device.product_key}timestamp{timestamp}"
    )


def register_text(device: DeviceId, random: str) -> str:
    """What product_register and dynamic registration sign, with the productSecret."""
    return f"deviceName{device.device_name}productKey{device.product_key}random{random}"


def sign(method: str, secret: str, text: str) -> str:
    """The HMAC as lower-case hex; ``method`` in any letter case, InputRefused when it is none of ours."""
    digest = METHODS.get(method.lower())
    if digest is None:
        raise InputRefused("sign method must be hmacMd5, hmacSha1 or hmacSha256")
    return hmac.new(secret.encode(), text.encode(), digest).hexdigest()


def verify(method: str, secret: str, text: str, given: str) -> bool:
    """True when ``given`` is the signature, in either letter case; takes as long for every wrong one."""
    return _same(sign(method, secret, text), given)


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.lower().encode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an MQTT CONNECT carries (cloud-device-channel.md 1)."""

    client_id: str
    username: str
    password: str = field(repr=False)


def connect_credentials(
    device: DeviceId, secret: str, timestamp: str, *, securemode: int = 2, gateway: bool = False
) -> Credentials:
    """The CONNECT of a device that holds its deviceSecret, signed with HMAC-SHA256.

    ``timestamp`` is opaque text to the platform; ``securemode`` 2 is TLS, 3 plain TCP. Asks for ``_ss=1``.
    """
    stem = f"{device.product_key}.{device.device_name}"
    options = f"timestamp={timestamp},_ss=1,securemode={securemode},signmethod=hmacsha256"
    options += f",gw={int(gateway)}"
    password = sign("hmacsha256", secret, session_text(stem, device, timestamp)).upper()
    return Credentials(f"{stem}|{options}|", f"{device.device_name}&{device.product_key}", password)


def read_username(username: str) -> DeviceId:
    """The device of ``{dn}&{pk}``; FrameError when it is not of that form."""
    name, bar, product_key = username.rpartition("&")
    if not bar or not name or not product_key:
        raise FrameError("user name is not deviceName&productKey")
    return DeviceId(product_key, name)


def read_client_id(client_id: str) -> tuple[str, Mapping[str, str]]:
    """The part before the first bar, and the options between the bars (``securemode``, ``timestamp``, ..)."""
    stem, _, rest = client_id.partition("|")
    pairs = (option.partition("=") for option in rest.rpartition("|")[0].split(","))
    return stem, {name: value for name, _, value in pairs if name}


def verify_connect(given: Credentials, secret: str) -> bool:
    """True when the password of a CONNECT is signed with that secret.

    That is the deviceSecret, or with ``authType`` among the options the productSecret over its random.
    """
    try:
        device = read_username(given.username)
        stem, options = read_client_id(given.client_id)
        text = session_text(stem, device, options.get("timestamp", ""))
        if "authType" in options:
            text = register_text(device, options.get("random", ""))
        return verify(options.get("signmethod", ""), secret, text, given.password)
    except (FrameError, InputRefused):
        return False


def tlv05_client_id(generation: Generation, product_id: int) -> str:
    """The eight hex digits that a generation hashes for its product id (ble-breeze.md 7.2)."""
    match generation:
        case Generation.B0:
            return product_id.to_bytes(4, "little").hex().upper()
        case Generation.C | Generation.GENIE:
            return f"{product_id:08x}"
        case Generation.A1 | Generation.B1:
            return f"{product_id:08X}"
    raise InputRefused(f"generation {generation} has no TLV 05")


def tlv05_sign(
    generation: Generation,
    product_id: int,
    device: DeviceId,
    *,
    device_secret: str | None = None,
    product_secret: str | None = None,
    random: bytes | None = None,
) -> bytes:
    """The 32 octets of TLV 05 as a device of that generation makes them.

    Give one of the two secrets. ``random`` is the real random of 16 octets (TLV 04 xor the secret) and is
    hashed by A1 only. A1 per product is refused: it hashes memory that nobody knows (``sign_unverifiable``).
    """
    client_id = tlv05_client_id(generation, product_id)
    if generation is not Generation.A1:
        return _digest05(client_id, device, device_secret, product_secret)
    if device_secret is None or random is None or len(random) != 16:
        raise InputRefused("sign_unverifiable: A1 signs with a deviceSecret and a random of 16 octets")
    return _digest05(client_id, device, device_secret, None, random)


def _digest05(
    client_id: str,
    device: DeviceId,
    device_secret: str | None,
    product_secret: str | None,
    random: bytes | None = None,
) -> bytes:
    label = "deviceSecret" if device_secret is not None else "productSecret"
    secret = device_secret if device_secret is not None else product_secret
    text = f"clientId{client_id}deviceName{device.device_name}{label}{secret or ''}"
    text += f"productKey{device.product_key}"
    if random is not None:
        text += f"random{random.hex().upper()}"
    return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True, slots=True)
class Tlv05:
    """Login parameters of a BLE device (ble-breeze.md 10): ``random`` is TLV 04 as received, or None."""

    client_id: str
    sign: str = field(repr=False)
    random: str | None = None

    def is_well_formed(self) -> bool:
        """True when each member has its number of hex digits."""
        return (
            CLIENT_ID_05.fullmatch(self.client_id) is not None
            and SIGN_05.fullmatch(self.sign) is not None
            and (self.random is None or RANDOM_05.fullmatch(self.random) is not None)
        )


def verify_tlv05(
    given: Tlv05,
    device: DeviceId,
    product_ids: Iterable[int],
    *,
    device_secret: str | None,
    product_secret: str | None,
) -> bool:
    """True when one generation's form, made with a secret that we hold, gives that signature.

    The parameters do not name the generation, so each whose hashed product id reads ``client_id`` is
    tried. A1 is tried with the deviceSecret only, its TLV 04 freed of the secret (ble-breeze.md 7.1).
    """
    if not given.is_well_formed():
        return False
    expected = [
        digest
        for product_id in product_ids
        for digest in _digests05(given, product_id, device, device_secret, product_secret)
    ]
    fits = [_same(digest.hex(), given.sign) for digest in expected]  # every one, however early one fits
    return any(fits)


def _digests05(
    given: Tlv05, product_id: int, device: DeviceId, device_secret: str | None, product_secret: str | None
) -> Iterable[bytes]:
    for generation in (Generation.B0, Generation.B1, Generation.C):
        if tlv05_client_id(generation, product_id) == given.client_id:
            if device_secret is not None:
                yield _digest05(given.client_id, device, device_secret, None)
            if product_secret is not None:
                yield _digest05(given.client_id, device, None, product_secret)
    if given.random is None or device_secret is None or len(device_secret) < 16:
        return
    if tlv05_client_id(Generation.A1, product_id) == given.client_id:
        mask = device_secret.encode()[:16]
        random = bytes(a ^ b for a, b in zip(bytes.fromhex(given.random), mask, strict=True))
        yield _digest05(given.client_id, device, device_secret, None, random)
