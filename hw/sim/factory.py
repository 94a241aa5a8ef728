"""Where simulated devices get their secrets: by credential name, or made up for devices of strangers."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_hex

from agent.model import DeviceId
from hw.sim.scenario import device_secret_name, product_secret_name
from hw.sim.signing import Identity


class Factory:
    """Gives each device its identity, always the same one.

    ``secret`` gives a credential by its name; where there is none the device gets a random one, so that
    nobody else knows it.
    """

    def __init__(self, secret: Callable[[str], str | None]) -> None:
        self._secret = secret
        self._made_up: dict[str, str] = {}

    def identity(self, device: DeviceId, product_id: int = 0) -> Identity:
        """Its names and its two secrets."""
        product_secret = self._credential(product_secret_name(device.product_key))
        return Identity(device, product_id, product_secret, self.device_secret(device))

    def device_secret(self, device: DeviceId) -> str:
        """What it logs in to the cloud with."""
        return self._credential(device_secret_name(device))

    def _credential(self, name: str) -> str:
        given = self._secret(name)
        return given if given is not None else self._made_up.setdefault(name, token_hex(16))
