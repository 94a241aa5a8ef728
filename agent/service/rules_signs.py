"""The signature that a sub-device's messages carry: HMAC (DC 5.2), or TLV 05 of a BLE device (DESIGN 5)."""

from __future__ import annotations

from agent.codec.alink_sign import Tlv05, session_text, verify, verify_tlv05
from agent.errors import InputRefused
from agent.model import DeviceId
from agent.service.fields import read_optional, read_text
from agent.service.values import Desk


def check_sign(
    desk: Desk, device: DeviceId, entry: dict[str, object], *, code: int, method: str | None = None
) -> None:
    """Refuse with ``code`` what the device's secret did not sign, with 6100 when nobody knows that secret.

    ``method`` stands for all entries of a batch. ``signMethod`` sha256 without a timestamp is TLV 05.
    """
    client_id, sign = read_text(entry, "clientId"), read_text(entry, "sign")
    spelled = read_optional(entry, "signMethod") or read_optional(entry, "signmethod") or method
    if spelled is None:
        raise InputRefused("request parameter error: signMethod is missing")
    timestamp = _read_timestamp(entry)
    if timestamp is None and spelled.lower() == "sha256":
        given = Tlv05(client_id, sign, read_optional(entry, "random"))
        return _check_tlv05(desk, device, given, code)
    if timestamp is None:
        raise InputRefused("request parameter error: timestamp is missing")
    secret = desk.device_secret(device)
    if secret is None:
        raise InputRefused("device not found", code=6100)
    if not verify(spelled, secret, session_text(client_id, device, timestamp), sign):
        raise InputRefused("invalid sign", code=code)
    return None


def _read_timestamp(entry: dict[str, object]) -> str | None:
    """Opaque text; some clients send the number (DC 5.2)."""
    value = entry.get("timestamp")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return read_optional(entry, "timestamp")


def _check_tlv05(desk: Desk, device: DeviceId, given: Tlv05, code: int) -> None:
    if not given.is_well_formed():
        raise InputRefused("request parameter error: clientId, sign or random is not the hex of TLV 05")
    product = desk.products[device.product_key]
    device_secret = desk.device_secret(device)
    product_secret = desk.product_secret(device.product_key)
    if device_secret is None and product_secret is None:
        raise InputRefused("device not found", code=6100)
    if verify_tlv05(
        given, device, product.product_ids, device_secret=device_secret, product_secret=product_secret
    ):
        return
    if given.random is not None and device_secret is None:
        raise InputRefused("sign_unverifiable: A1 per product signs what only the device knows", code=code)
    raise InputRefused("invalid sign", code=code)
