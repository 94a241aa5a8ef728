"""The configuration: TOML files in, frozen `Settings` or one ConfigError out."""

from __future__ import annotations

from agent.config.files import load
from agent.config.missing import missing_secrets
from agent.config.settings import (
    NEEDS_RESTART,
    ApiSettings,
    CloudSettings,
    LogSettings,
    Network,
    PermitSettings,
    RadioSettings,
    SecretSettings,
    ServiceSettings,
    Settings,
    differences,
    needs_restart,
)

__all__ = [
    "NEEDS_RESTART",
    "ApiSettings",
    "CloudSettings",
    "LogSettings",
    "Network",
    "PermitSettings",
    "RadioSettings",
    "SecretSettings",
    "ServiceSettings",
    "Settings",
    "differences",
    "load",
    "missing_secrets",
    "needs_restart",
]
