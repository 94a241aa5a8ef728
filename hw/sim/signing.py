"""What simulated BLE devices sign with their secrets: their adverts, and their request to be logged in.

Written apart from the gateway's and the service's own code, so that each checks the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from agent.model import DeviceId, Generation, Signature

# ble-breeze.md 7.2: how the product id is written in the client id
_CLIENT_ID: dict[Generation, tuple[Literal["big", "little"], bool]] = {
    Generation.A1: ("big", True),
    Generation.B0: ("little", True),
    Generation.B1: ("big", True),
    Generation.C: ("big", False),
}
SIGNS_LOGIN = frozenset(_CLIENT_ID)  # A0 has no signature, and that of Genie is not known


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device was given in the factory; a device without a secret of its own uses its product's."""

    device: DeviceId
    product_id: int
    product_secret: str = field(repr=False)
    device_secret: str | None = field(default=None, repr=False)

    @property
    def labelled_secret(self) -> bytes:
        """The secret that signs, behind its label (ble-breeze.md 2.6 and 7.2)."""
        if self.device_secret:
            return b"deviceSecret" + self.device_secret.encode("ascii")
        return b"productSecret" + self.product_secret.encode("ascii")


def sign_advert(identity: Identity, sequence: int) -> Signature:
    """The signed part of an advert with that sequence number as sent (ble-breeze.md 2.6)."""
    text = b"deviceName" + identity.device.device_name.encode("ascii") + identity.labelled_secret
    text += b"productKey" + identity.device.product_key.encode("ascii")
    text += b"sequence" + sequence.to_bytes(4, "little")
    return Signature(sha256(text).digest()[:4], sequence)


def client_id(generation: Generation, product_id: int) -> str:
    """Eight hex digits of the product id as a generation of `SIGNS_LOGIN` hashes them."""
    order, upper = _CLIENT_ID[generation]
    digits = product_id.to_bytes(4, order).hex()
    return digits.upper() if upper else digits


def sign_login(identity: Identity, generation: Generation, random: bytes, *, keyed: str) -> dict[str, str]:
    """The ``sign_params`` of a join (ble-breeze.md 7.2 and 10.3), made of the 16 octets that the device drew.

    For the generations of `SIGNS_LOGIN`. Only A1 signs ``random`` and sends it XORed with the first 16
    octets of its secret; an A1 device ``keyed`` by ``product`` signs with the productSecret though it may
    have a secret of its own.
    """
    client = client_id(generation, identity.product_id)
    text = f"clientId{client}deviceName{identity.device.device_name}".encode("ascii")
    tail = b"productKey" + identity.device.product_key.encode("ascii")
    params = {"clientId": client, "signMethod": "sha256"}
    if generation is Generation.A1:
        own = identity.device_secret if keyed == "device" else None
        secret = (own or identity.product_secret).encode("ascii")
        params["random"] = bytes(a ^ b for a, b in zip(random, secret[:16], strict=True)).hex()
        # the reference hashes 32 octets from the secret's first; behind a productSecret its memory held zeros
        text += b"deviceSecret" + secret.ljust(32, b"\0")
        tail += b"random" + random.hex().upper().encode("ascii")
    else:
        text += identity.labelled_secret
    return params | {"sign": sha256(text + tail).hexdigest()}
