"""Secrets that the settings name and that are not there."""

from __future__ import annotations

from collections.abc import Iterator

from agent.config.settings import Settings
from agent.credentials import Credentials


def missing_secrets(settings: Settings, credentials: Credentials) -> list[str]:
    """One sentence for each, sorted by where it is named; the daemon runs without them."""
    return [
        f"{key} needs the credential {name}, which is not there; put the secret into a file of that name"
        for key, name in _name_secrets(settings)
        if credentials.get(name) is None
    ]


def _name_secrets(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.cloud.link == "mqtt":
        yield "cloud.link", "gateway_secret"
    if settings.cloud.api is not None:
        yield "cloud.api", "app_secret"
        yield "cloud.api.auth_code", settings.cloud.api.auth_code
    for network in settings.networks.values():
        if network.passphrase is not None:
            yield f"networks.{network.name}.passphrase", network.passphrase
    for product in settings.products.values():
        if product.secret is not None:
            yield f"products.d/{product.product_key}.toml secret", product.secret
