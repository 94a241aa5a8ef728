"""Frames of made-up devices for the tests of registry, reports and discovery, written octet by octet."""

from __future__ import annotations

import hmac
from dataclasses import replace

from agent.model import Product, Station, WifiRecord
from agent.news import Change
from agent.registry import Registry

SECRET = "product-secret-of-the-plug"
LAMP = Product("a1lamp00001", "Lamp", 5, product_ids=(0x0A01,))
PLUG = Product("a1plug00001", "Plug", 3, secret="product_secret.a1plug00001")
PRODUCTS = {product.product_key: product for product in (LAMP, PLUG)}
LAMP_ID = 0x0A01
STRANGE_ID = 0xBEEF


def advert(number: int, product_id: int = LAMP_ID, *, fmsk: int = 0x19, sub_type: int = 0) -> bytes:
    """Manufacturer data of generation B1 (ble-breeze.md 2.2); ``number`` becomes the record MAC."""
    head = b"\xa8\x01" + bytes((sub_type << 4 | 6, fmsk))
    return head + product_id.to_bytes(4, "little") + number.to_bytes(6, "little")


def address(number: int) -> bytes:
    return (0xC0_00_00_00_00_00 | number).to_bytes(6, "big")


def lamp_id(number: int, product_id: int = LAMP_ID) -> str:
    return f"ble:{number.to_bytes(6, 'big').hex(':').upper()}/{product_id:08x}"


def record(
    name: str, product_key: str = PLUG.product_key, *, genuine: bool = True, random: bytes = b"r" * 16
) -> WifiRecord:
    """An AA record, signed with SECRET or with something else (wifi-awss.md 2.2)."""
    key = (SECRET if genuine else "a guess").encode()
    sign = hmac.digest(key, random + name.encode() + product_key.encode(), "sha1")
    return WifiRecord(1, name, product_key, random, 3, 0, sign)


def probe(enrollee: WifiRecord | None, source: int = 1) -> Station:
    return Station(
        "probe_request",
        b"\xff" * 6,
        address(source),
        b"",
        hidden=True,
        channel=6,
        security=None,
        enrollee=enrollee,
    )


def beacon(number: int, ssid: bytes = b"HomeNet", *, enrollee: WifiRecord | None = None) -> Station:
    mac = number.to_bytes(6, "big")
    return Station("beacon", mac, mac, ssid, not ssid, 6, "wpa2", enrollee)


def probe_response(number: int, ssid: bytes) -> Station:
    return replace(beacon(number, ssid), kind="probe_response")


def verify(heard: WifiRecord) -> bool | None:
    """We hold the secret of the plug and no other."""
    if heard.product_key != PLUG.product_key:
        return None
    message = heard.random + heard.device_name.encode() + heard.product_key.encode()
    return hmac.compare_digest(hmac.digest(SECRET.encode(), message, "sha1"), heard.sign)


def fresh(capacity: int = 4096, most_others: int = 256) -> Registry:
    return Registry(PRODUCTS, verify, capacity, most_others=most_others)


def hear(registry: Registry, number: int, now: float = 0.0, product_id: int = LAMP_ID) -> Change | None:
    return registry.see_advert(address(number), -60, advert(number, product_id), now)


def ids(registry: Registry) -> set[str]:
    return {entry.id for entry in registry.entries() + registry.access_points()}


def sound(registry: Registry, kind: str, number: int = 1, now: float = 0.0) -> str:
    """Let one device of a class be heard; its id."""
    if kind == "configured":
        hear(registry, number + 1000, now)
        return lamp_id(number + 1000)
    if kind == "other":
        hear(registry, number, now, STRANGE_ID)
        return lamp_id(number, STRANGE_ID)
    station: Station = beacon(number)
    if kind == "stranger":
        station = probe(record(f"s{number}", genuine=False))
    registry.see_station(station, -60, 0, now)
    return f"wifi:a1plug00001/s{number}" if kind == "stranger" else station.bssid.hex(":").upper()
