"""Scenario files: read, checked as a whole, and the secrets that their devices need.

A file that is wrong raises ConfigError with the file and the key.
"""

from __future__ import annotations

import secrets
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from agent.errors import ConfigError
from agent.model import DeviceId, Generation
from hw.sim.plans import (
    AccessPoint,
    Ble,
    Crowd,
    Enrollee,
    Join,
    Noise,
    Part,
    Presence,
    RadioFault,
    Seconds,
    Token,
    UserStep,
    Wifi,
)
from hw.sim.signing import SIGNS_LOGIN

# ble-breeze.md 2.3
SUB_TYPES = {
    Generation.A0: range(1),
    Generation.A1: range(1),
    Generation.B0: range(3),
    Generation.B1: range(5),
    Generation.C: range(8, 13),
    Generation.GENIE: range(8, 16),
}


class Scenario(Part, frozen=True, kw_only=True):
    """A whole home; the same seed gives the same dice. Without ``length`` it goes on for ever."""

    seed: int = 0
    length: Seconds | None = None
    access_points: tuple[AccessPoint, ...] = msgspec.field(name="access_point", default=())
    ble: tuple[Ble, ...] = ()
    wifi: tuple[Wifi, ...] = ()
    noise: tuple[Noise, ...] = ()
    joins: tuple[Join, ...] = msgspec.field(name="join", default=())
    crowds: tuple[Crowd, ...] = msgspec.field(name="crowd", default=())
    tokens: tuple[Token, ...] = msgspec.field(name="token", default=())
    user: tuple[UserStep, ...] = ()
    radios: tuple[RadioFault, ...] = msgspec.field(name="radio", default=())

    def all_joins(self) -> Iterator[Join]:
        """The scripted joins and those of every crowd."""
        yield from self.joins
        for crowd in self.crowds:
            yield from crowd.joins()

    def devices(self) -> set[DeviceId]:
        """Everything here that has a name in the cloud, the gateway aside."""
        named = {plan.device for plan in (*self.ble, *self.wifi)}
        named |= {device_id(join.device) for join in self.all_joins()}
        return named | {device_id(token.device) for token in self.tokens}


def device_id(text: str) -> DeviceId:
    """The device named ``<product key>/<device name>``."""
    product_key, _, device_name = text.partition("/")
    return DeviceId(product_key, device_name)


def load(path: Path) -> Scenario:
    """Read a scenario file; ConfigError names the file and the key."""
    try:
        return read(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def read(text: str) -> Scenario:
    """The scenario that a TOML text describes; ConfigError names the key, TOMLDecodeError the line."""
    try:
        scenario = msgspec.convert(tomllib.loads(text), Scenario)
    except msgspec.ValidationError as error:
        reason, _, key = str(error).partition(" - at ")
        raise ConfigError(f"{key.strip('`').removeprefix('$.') or 'the file'}: {reason}") from error
    for key, complaint in _complaints(scenario):
        raise ConfigError(f"{key}: {complaint}")
    return scenario


def credentials(scenario: Scenario) -> dict[str, str]:
    """New random secrets for every credential name that the devices of a scenario look for."""
    fresh: dict[str, str] = {}
    for device in sorted(scenario.devices()):
        fresh.setdefault(product_secret_name(device.product_key), random_text(16))
        fresh[device_secret_name(device)] = random_text(32)
    return fresh


def product_secret_name(product_key: str) -> str:
    """The credential name of a productSecret (DESIGN 2)."""
    return f"product_secret.{_escape(product_key, plain='_@-')}"


def device_secret_name(device: DeviceId) -> str:
    """The credential name of a deviceSecret (DESIGN 2); a dot of the product key is escaped too."""
    product_key = _escape(device.product_key, plain="_@-")
    return f"device_secret.{product_key}.{_escape(device.device_name, plain='_@.-')}"


def _escape(text: str, *, plain: str) -> str:
    return "".join(c if c.isalnum() or c in plain else f"%{ord(c):02X}" for c in text)


def random_text(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


Row = TypeVar("Row", bound=Part)


def _rows(key: str, rows: tuple[Row, ...]) -> Iterator[tuple[str, Row]]:
    for number, row in enumerate(rows):
        yield f"{key}[{number}]", row


def _complaints(scenario: Scenario) -> Iterator[tuple[str, str]]:
    yield from _presence_complaints(scenario)
    for key, point in _rows("access_point", scenario.access_points):
        if len(point.ssid_bytes) > 32:
            yield f"{key}.ssid", f"{len(point.ssid_bytes)} octets are too many: an SSID has at most 32"
    for key, plan in _rows("ble", scenario.ble):
        yield from _ble_complaints(key, plan)
    for key, step in _rows("user", scenario.user):
        yield from _user_complaints(key, step)
    yield from _join_complaints(scenario)


def _presence_complaints(scenario: Scenario) -> Iterator[tuple[str, str]]:
    seen: set[DeviceId] = set()
    for name in ("access_points", "ble", "wifi", "noise"):
        rows: tuple[Presence, ...] = getattr(scenario, name)
        for key, row in _rows(name.removesuffix("s"), rows):
            if row.leaves is not None and row.leaves <= row.appears:
                yield f"{key}.leaves", f"{row.leaves:g} is not after it appears at {row.appears:g}"
            if isinstance(row, Enrollee):
                if row.device in seen:
                    yield f"{key}.device_name", f"{row.device} is in this home twice"
                seen.add(row.device)


def _ble_complaints(key: str, plan: Ble) -> Iterator[tuple[str, str]]:
    allowed = SUB_TYPES[plan.generation]
    if plan.sub_type not in allowed:
        yield f"{key}.sub_type", f"{plan.generation} has {allowed[0]} to {allowed[-1]}, not {plan.sub_type}"
    if plan.generation is Generation.A0 and plan.product_id > 0xFFFF:
        yield f"{key}.product_id", f"this record holds two octets; 0x{plan.product_id:x} needs more"
    if plan.signed and plan.generation not in {Generation.B0, Generation.B1}:
        yield f"{key}.signed", f"only B0 and B1 sign their adverts, not {plan.generation}"


def _user_complaints(key: str, step: UserStep) -> Iterator[tuple[str, str]]:
    if step.do in {"check", "bind", "checkin", "remove"} and step.device is None:
        yield f"{key}.device", f"{step.do} needs one"
    if step.do == "permit" and step.time is None:
        yield f"{key}.time", "permit needs one"


def _join_complaints(scenario: Scenario) -> Iterator[tuple[str, str]]:
    generations = {plan.device: plan.generation for plan in scenario.ble}
    on_air = {plan.device for plan in (*scenario.ble, *scenario.wifi)}
    for key, join in _rows("join", scenario.joins):
        device = device_id(join.device)
        if device not in on_air and not (join.medium and join.address):
            yield f"{key}.medium", f"{join.device} is not on the air here: give its medium and address"
        if join.signed and generations.get(device) not in SIGNS_LOGIN:
            yield f"{key}.signed", f"{join.device} is no BLE device of a generation that signs its login"
