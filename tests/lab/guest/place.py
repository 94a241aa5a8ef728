"""The installed service's configuration in the laboratory: a gateway, three products, secrets, radios."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from tests.lab.guest.machine import ETC, sh

GATEWAY = "a1LabGate001/lab-gateway"
PLUG = "a1LabPlug001"
LAMP = "a1LabLamp001"
COMBO = "a1LabCombo01"
ENROLLEE = "F0:F6:40:79:84:D6"
ENROLLEE_ID = f"ble:{ENROLLEE}/000aa7ab"
ADVERT = "3619aba70a00d6847940f6f0"  # ble-breeze.md 13.1, behind the company id
NETWORK = "lab network"

MAIN = f"""\
# kept by an upgrade
[gateway]
product_key = "{GATEWAY.partition("/")[0]}"
device_name = "{GATEWAY.partition("/")[2]}"
[ble]
radios = ["bluez"]
[wifi]
radios = ["nl80211:wlan2"]
[networks.home]
ssid = "{NETWORK}"
passphrase = "passphrase.home"
default = true
[cloud]
link = "embedded"
"""
PRODUCTS = {
    PLUG: 'name = "plug"\nnet_type = 5\n',
    LAMP: 'name = "lamp"\nnet_type = 5\n',
    COMBO: 'name = "combo"\nnet_type = 3\nproduct_ids = ["0x000aa7ab"]\n',
}
AIR = [
    {"op": "plug", "name": "a"},
    {
        "op": "beacon",
        "address": ENROLLEE,
        "rssi": -52,
        "data": {"flags": 6, "company": 0x01A8, "data": ADVERT},
    },
]
POINTS = [{"phy": 0, "channel": 6, "bss": [{"ssid": NETWORK, "psk": "correct horse"}]}]


def furnish() -> None:
    """Write the configuration and make new secrets."""
    (ETC / "enrolld.toml").write_text(MAIN, "utf-8")
    for key, text in PRODUCTS.items():
        (ETC / "products.d" / f"{key}.toml").write_text(f'product_key = "{key}"\n{text}', "utf-8")
    for name in (
        f"product_secret.{PLUG}",
        f"device_secret.{PLUG}.plug-1",
        "gateway_secret",
        "passphrase.home",
    ):
        write_secret(name, secrets.token_hex(16))


def write_secret(name: str, text: str) -> None:
    """One file of the directory of secrets."""
    file = ETC / "secrets" / name
    file.touch(0o600)
    file.write_text(f"{text}\n", "utf-8")


def raise_radios() -> None:
    """The virtual Bluetooth air with one enrollee, and an access point that another interface can scan."""
    Path("/run/air.json").write_text(json.dumps(AIR), "utf-8")
    Path("/run/points.json").write_text(json.dumps(POINTS), "utf-8")
    sh("ble-up /run/air.json")
    sh("wifi_aps.py --radios 3 --up /run/points.json")
    sh("ip link set wlan2 up")
