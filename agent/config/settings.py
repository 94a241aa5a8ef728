"""The settings that a daemon runs on: frozen values, and what a reload changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.model import DeviceId, Product
from agent.toml_lines import KeyPath, key_text

NEEDS_RESTART = (
    "gateway",
    "ble.radios",
    "wifi.radios",
    "cloud.link",
    "service.listen",
    "service.tls_certificate",
    "service.tls_key",
    "secrets",
)
"""Key paths (prefixes) that a running daemon cannot change; every other setting applies at once."""


@dataclass(frozen=True, slots=True)
class RadioSettings:
    """The radios of one kind, as configured; empty is off."""

    radios: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """A Wi-Fi network for devices; ``bssid`` None is the strongest access point.

    ``passphrase`` is the name of a credential, None for an open network.
    """

    name: str
    ssid: bytes
    bssid: bytes | None
    passphrase: str | None
    default: bool


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """An installer's session for the HTTP API; ``auth_code`` names a credential."""

    url: str
    app_key: str
    home_id: str | None
    auth_code: str


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """``link`` is ``embedded`` or ``mqtt``."""

    link: str
    api: ApiSettings | None


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The embedded service; ``listen`` empty is no HTTP, times in seconds; TLS takes both files."""

    listen: str
    found_interval: int
    token_life: int
    bind_window: int
    tls_certificate: Path | None = None
    tls_key: Path | None = None


@dataclass(frozen=True, slots=True)
class PermitSettings:
    """``ceiling`` in seconds, None for none."""

    ceiling: int | None


@dataclass(frozen=True, slots=True)
class SecretSettings:
    """Where secrets are files; None when systemd alone hands them over."""

    directory: Path | None


@dataclass(frozen=True, slots=True)
class LogSettings:
    """``level`` is ``debug``, ``info``, ``warning`` or ``error``."""

    level: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All files together, checked; it holds names of secrets and never a secret."""

    gateway: DeviceId
    ble: RadioSettings
    wifi: RadioSettings
    networks: Mapping[str, Network]
    cloud: CloudSettings
    service: ServiceSettings
    permits: PermitSettings
    secrets: SecretSettings
    log: LogSettings
    products: Mapping[str, Product]

    @property
    def default_network(self) -> Network | None:
        """The network marked as default, if one is."""
        return next((network for network in self.networks.values() if network.default), None)


def differences(old: Settings, new: Settings) -> list[str]:
    """The key paths that differ, sorted: a whole network or product where it came or went, else its field."""
    return sorted(key_text(path) for path in _compare((), old, new))


def needs_restart(key: str) -> bool:
    """Whether a change of that key path waits for the next start."""
    return any(key == prefix or key.startswith(prefix + ".") for prefix in NEEDS_RESTART)


def _compare(path: KeyPath, old: object, new: object) -> list[KeyPath]:
    if old == new:
        return []
    before, after = _parts(old), _parts(new)
    if before is None or after is None:
        return [path]
    found: list[KeyPath] = []
    for key in {**before, **after}:
        if key in before and key in after:
            found += _compare((*path, key), before[key], after[key])
        else:
            found.append((*path, key))
    return found


def _parts(value: object) -> dict[str, object] | None:
    if isinstance(value, Mapping):
        return dict(value)
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None
