"""Keys for provisioning, derived from the secrets that the service holds (HTTP 4.6; DC 4.2)."""

from __future__ import annotations

from agent import keys
from agent.errors import InputRefused
from agent.model import DeviceId, Product, mac_bytes
from agent.service.fields import read_integer, read_object, read_optional, read_product_id, read_text
from agent.service.values import Answer, Caller, Desk

PER_PRODUCT = (3, 6)
WITH_MAC = (6, 7)
ECHOED = ("productKey", "deviceName", "productId", "mac")
UNKNOWN = "device not found: nobody holds a secret for this key"


def get_key(desk: Desk, caller: Caller, params: object) -> Answer:
    """``/awss/cipher/get``: the whole digest, 64 lower-case hex digits; without cipherType that of type 3."""
    given = read_object(read_object(params).get("deviceInfoForCipher"), "deviceInfoForCipher")
    extra = read_object({} if given.get("params") is None else given["params"], "deviceInfoForCipher.params")
    kind = _read_kind(given)
    digest = _derive(desk, caller.identity, given, kind, _read_mac(extra) if kind in WITH_MAC else None)
    return Answer(data=digest.hex())


def take_cipher_get(desk: Desk, gateway: DeviceId, params: object) -> Answer:
    """``thing/cipher/get``: the AES key, 32 upper-case hex digits.

    For a BLE enrollee (ours) ``productId`` and ``mac`` name it. Type 5 has no formula: 6100.
    """
    given = read_object(params)
    if given.get("cipherType") == 5:
        raise InputRefused("device not found: cipherType 5 has no secret here", code=6100)
    kind = _read_kind(given)
    owner = desk.book.devices.bound_to(gateway)
    digest = _derive(desk, owner, given, kind, _read_mac(given) if kind in WITH_MAC else None)
    named = {name: read_optional(given, name) for name in ECHOED}
    echo = {name: value for name, value in named.items() if value is not None}
    return Answer(data=echo | {"secret": keys.session_key(digest).hex().upper()})


def _read_kind(params: dict[str, object]) -> int:
    if params.get("cipherType") in (None, ""):
        return 3
    kind = read_integer(params, "cipherType", 3, 7)
    if kind not in keys.CIPHER_TYPES:
        raise InputRefused("request parameter error: cipherType must be 3, 4, 6 or 7")
    return kind


def _read_mac(params: dict[str, object]) -> bytes:
    try:
        return mac_bytes(read_text(params, "mac", most=17))
    except ValueError:
        raise InputRefused("request parameter error: mac must be 12 hex digits") from None


def _derive(
    desk: Desk, identity: str | None, params: dict[str, object], kind: int, mac: bytes | None
) -> bytes:
    random = keys.read_random(read_text(params, "random", most=64))
    device_name = read_optional(params, "deviceName", most=128)
    product = _find_product(desk, params)
    if kind in PER_PRODUCT:
        secret = desk.product_secret(product.product_key)
    else:
        secret = _find_device_secret(desk, identity, product, device_name)
    if secret is None:
        raise InputRefused(UNKNOWN, code=6100)
    return keys.derive(kind, secret, random, mac)


def _find_product(desk: Desk, params: dict[str, object]) -> Product:
    product_key, product_id = read_optional(params, "productKey", most=64), read_product_id(params)
    if product_key is None and product_id is None:
        raise InputRefused("request parameter error: neither productKey nor productId is given")
    for product in desk.products.values():
        if product.product_key == product_key or (product_key is None and product_id in product.product_ids):
            return product
    raise InputRefused("product not found", code=5005)


def _find_device_secret(
    desk: Desk, identity: str | None, product: Product, device_name: str | None
) -> str | None:
    if device_name is None:
        raise InputRefused("request parameter error: deviceName is missing")
    device = DeviceId(product.product_key, device_name)
    if desk.owner_of(device) not in (None, identity):
        raise InputRefused("device not found", code=6100)
    return desk.device_secret(device)
