"""What the gateway signs for a sub-device: topo/add and combine login (cloud-device-channel.md 5.2).

With the deviceSecret it is an HMAC; without, the signature that the device made itself (TLV 05,
ble-breeze.md 10) is forwarded as it came.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from agent.codec import alink_sign
from agent.model import DeviceId
from agent.tickets import SignParams

METHOD = "hmacSha256"


@dataclass(frozen=True, slots=True)
class Proof:
    """How a sub-device proves itself: its deviceSecret, or its own signature."""

    secret: str | None = field(default=None, repr=False)
    params: SignParams | None = field(default=None, repr=False)


def topo_add_params(device: DeviceId, proof: Proof, utc: float) -> list[dict[str, str]]:
    """The params of ``thing/topo/add`` for one device; the clientId carries no bar options."""
    if proof.params is not None:
        return [_own(device, proof.params) | {"signmethod": proof.params.sign_method}]
    client_id = f"{device.product_key}.{device.device_name}"
    signed = _signed(device, proof, client_id, utc)
    return [signed | {"signmethod": METHOD}]


def login_params(device: DeviceId, proof: Proof, utc: float) -> dict[str, str]:
    """The params of ``combine/login``; the signed clientId is the whole one, options included."""
    if proof.params is not None:
        own = _own(device, proof.params)
        return own | {"signMethod": proof.params.sign_method, "cleanSession": "true"}
    client_id = f"{device.product_key}.{device.device_name}|_ss=1,_v=enrolld|"
    signed = _signed(device, proof, client_id, utc)
    return signed | {"signMethod": METHOD, "cleanSession": "true"}


def params_text(params: SignParams) -> str:
    """A device's own signature as the store keeps it."""
    return msgspec.json.encode([params.client_id, params.sign_method, params.sign, params.random]).decode()


def read_params_text(text: str) -> SignParams:
    """What `params_text` wrote."""
    client_id, method, sign, random = msgspec.json.decode(text, type=tuple[str, str, str, str | None])
    return SignParams(client_id, method, sign, random)


def _signed(device: DeviceId, proof: Proof, client_id: str, utc: float) -> dict[str, str]:
    timestamp = str(int(utc * 1000))
    text = alink_sign.session_text(client_id, device, timestamp)
    return {
        "productKey": device.product_key,
        "deviceName": device.device_name,
        "clientId": client_id,
        "timestamp": timestamp,
        "sign": alink_sign.sign(METHOD, proof.secret or "", text),
    }


def _own(device: DeviceId, params: SignParams) -> dict[str, str]:
    own = {
        "productKey": device.product_key,
        "deviceName": device.device_name,
        "clientId": params.client_id,
        "sign": params.sign,
    }
    return own if params.random is None else own | {"random": params.random}
