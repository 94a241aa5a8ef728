"""The key formulas: cipherType 3, 4, 6 and 7 of the cloud, generation C's own, and the advert's signature.

Sources: cloud-http-api.md 4.6, ble-breeze.md 2.6, 6.1 and 6.2. No message of this file holds a secret.
"""

from __future__ import annotations

import hashlib
import re

from agent.errors import InputRefused

CIPHER_TYPES = (3, 4, 6, 7)
WITH_MAC = (6, 7)
RANDOM_SIZE = 16
RANDOM_TEXT = re.compile(r"[0-9A-Fa-f]{32}")


def read_random(text: str) -> bytes:
    """The 16 octets of a random given as 32 hex digits, in either case; else InputRefused."""
    if not RANDOM_TEXT.fullmatch(text):
        raise InputRefused("random must be 32 hex digits (16 octets)")
    return bytes.fromhex(text)


def key_material(cipher_type: int, secret: str, random: bytes, mac: bytes | None) -> bytes:
    """The octets that `derive` hashes: secret as ASCII ``,`` [MAC in display order ``,``] random.

    Types 3 and 6 take a productSecret, 4 and 7 a deviceSecret; only 6 and 7 mix in ``mac``. InputRefused
    names the field that is wrong (cloud-http-api.md 4.6).
    """
    if cipher_type not in CIPHER_TYPES:
        raise InputRefused("cipher type must be 3, 4, 6 or 7")
    parts = [_ascii("secret", secret)]
    if cipher_type in WITH_MAC:
        if mac is None or len(mac) != 6:
            raise InputRefused(f"cipher type {cipher_type} needs a MAC of 6 octets")
        parts.append(mac)
    parts.append(_random(random))
    return b",".join(parts)


def derive(cipher_type: int, secret: str, random: bytes, mac: bytes | None) -> bytes:
    """The digest of 32 octets for a cipherType of the cloud; the session key is its `session_key`."""
    return hashlib.sha256(key_material(cipher_type, secret, random, mac)).digest()


def key_material_c(random: bytes, product_id: int, device_name: str, device_secret: str) -> bytes:
    """The octets that `derive_c` hashes: random ``,`` product id ``,`` name ``,`` secret.

    The product id is 8 lower-case hex digits.
    For combo devices the name is the MAC, 12 lower-case hex digits (ble-breeze.md 6.1).
    """
    if not 0 <= product_id <= 0xFFFFFFFF:
        raise InputRefused("product id must fit in 32 bits")
    name = _ascii("device name", device_name)
    secret = _ascii("device secret", device_secret)
    return b",".join((_random(random), b"%08x" % product_id, name, secret))


def derive_c(random: bytes, product_id: int, device_name: str, device_secret: str) -> bytes:
    """The digest of 32 octets of generation C and Genie (ble-breeze.md 6.1)."""
    return hashlib.sha256(key_material_c(random, product_id, device_name, device_secret)).digest()


def session_key(digest: bytes) -> bytes:
    """The AES-128 key: the first 16 octets of a digest (ble-breeze.md 6)."""
    if len(digest) < 16:
        raise InputRefused("digest must have at least 16 octets")
    return digest[:16]


def sign_advert(device_name: str, secret: str, product_key: str, sequence: int, *, per_device: bool) -> bytes:
    """The four octets that sign an advertisement of generation B (ble-breeze.md 2.6).

    ``secret`` is the deviceSecret when ``per_device``, else the productSecret; ``sequence`` as on air.
    """
    label = b"deviceSecret" if per_device else b"productSecret"
    text = b"deviceName" + _ascii("device name", device_name) + label + _ascii("secret", secret)
    text += b"productKey" + _ascii("product key", product_key) + b"sequence"
    return hashlib.sha256(text + sequence.to_bytes(4, "little")).digest()[:4]


def _ascii(field: str, text: str) -> bytes:
    if not text or not text.isascii():
        raise InputRefused(f"{field} must be ASCII text and not empty")
    return text.encode("ascii")


def _random(random: bytes) -> bytes:
    if len(random) != RANDOM_SIZE:
        raise InputRefused("random must be 16 octets")
    return random
