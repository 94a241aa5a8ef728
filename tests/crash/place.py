"""One crash test's place: configuration and secrets in a directory, and the disk as found there."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.credentials import device_secret_name
from agent.model import DeviceId

GATEWAY = DeviceId("a1CrashGate", "gateway-01")
LOCK, PLUG, BULB = "a1CrashLock", "a1CrashPlug", "a1CrashBulb"  # a lock has a secret of the operator's
PRODUCTS = (LOCK, PLUG, BULB)
SHARED_MEMORY = Path("/dev/shm")

CONFIG = f"""\
[gateway]
product_key = "{GATEWAY.product_key}"
device_name = "{GATEWAY.device_name}"
[cloud]
link = "embedded"
[service]
listen = ""
token_life = 3600
[secrets]
directory = "secrets"
[log]
level = "error"
"""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One bind token of the agent's store."""

    device: DeviceId
    value: str = field(repr=False)
    boot_id: str
    made: float
    expires: float
    state: str


@dataclass(frozen=True, slots=True)
class Disk:
    """What both files hold at one moment."""

    tokens: tuple[TokenRow, ...]
    subdevices: dict[DeviceId, str]
    received_secrets: dict[DeviceId, str] = field(repr=False)
    waiting_items: int
    topology: dict[DeviceId, DeviceId]
    minted_secrets: dict[DeviceId, str] = field(repr=False)
    reports: dict[tuple[str, DeviceId], int] = field(repr=False)


@contextmanager
def workplace() -> Iterator[Path]:
    """A directory for a place, in memory if possible: SIGKILL leaves there what it leaves on disk."""
    home = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="crash-", dir=home) as name:
        yield Path(name)


def furnish(place: Path, devices: Iterable[DeviceId]) -> None:
    """Write the configuration, and a secret for each lock."""
    (place / "enrolld.toml").write_text(CONFIG, "utf-8")
    (place / "products.d").mkdir()
    for number, key in enumerate(PRODUCTS):
        text = f'product_key = "{key}"\nname = "{key}"\nnet_type = 5\nproduct_ids = ["0x0000000{number}"]\n'
        (place / "products.d" / f"{key}.toml").write_text(text, "utf-8")
    (place / "secrets").mkdir(mode=0o700)
    for device in devices:
        if device.product_key == LOCK:
            file = place / "secrets" / device_secret_name(device.product_key, device.device_name)
            file.touch(0o600)
            file.write_text(secrets.token_hex(16), "ascii")


def read_disk(place: Path) -> Disk:
    """Both files as a dead daemon left them; read from copies: mending is its successor's work."""
    with tempfile.TemporaryDirectory(prefix="copy-", dir=place) as name:
        for file in (place / "state").glob("*.db*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, name)
        agent, service = Path(name) / "enrolld.db", Path(name) / "service.db"
        return Disk(
            tokens=tuple(
                TokenRow(DeviceId(pk, dn), value.hex().upper(), boot, made, expires, state)
                for pk, dn, value, boot, made, expires, state in _select(
                    agent,
                    "SELECT product_key, device_name, value, boot_id, made, expires, state FROM tokens "
                    "ORDER BY id",
                )
            ),
            subdevices={
                DeviceId(pk, dn): str(state)
                for pk, dn, state in _select(agent, "SELECT product_key, device_name, state FROM subdevices")
            },
            received_secrets=_secrets(agent, "SELECT product_key, device_name, secret FROM secrets"),
            waiting_items=len(_select(agent, "SELECT id FROM outbox")),
            topology={
                DeviceId(pk, dn): DeviceId(gateway_key, gateway_name)
                for pk, dn, gateway_key, gateway_name in _select(
                    service, "SELECT product_key, device_name, gateway_key, gateway_name FROM topology"
                )
            },
            minted_secrets=_secrets(
                service, "SELECT product_key, device_name, secret FROM devices WHERE secret IS NOT NULL"
            ),
            reports={
                (token, DeviceId(pk, dn)): reports
                for token, pk, dn, reports in _select(
                    service, "SELECT token, product_key, device_name, reports FROM tokens"
                )
            },
        )


def _secrets(path: Path, query: str) -> dict[DeviceId, str]:
    return {DeviceId(pk, dn): secret for pk, dn, secret in _select(path, query)}


def _select(path: Path, query: str) -> list[tuple]:  # type: ignore[type-arg]
    """All rows; none when the file has no tables yet."""
    with closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        return db.execute(query).fetchall() if version else []
