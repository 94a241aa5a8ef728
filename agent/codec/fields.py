"""Records as plain JSON values, the same in every document (DESIGN 3, decode)."""

from __future__ import annotations

from agent.model import BleRecord, Station, WifiRecord, mac_text, ssid_text


def ble_fields(record: BleRecord) -> dict[str, object]:
    """The fields of an advertisement: ``mac`` in display order, ``sign`` in hex."""
    signature = record.signature
    return {
        "generation": record.generation.value,
        "sub_type": record.sub_type,
        "product_id": record.product_id,
        "mac": mac_text(record.mac),
        "fmsk": record.fmsk,
        "secured": record.secured,
        "secret": record.secret,
        "wants_wifi": record.wants_wifi,
        "bound": record.bound,
        "connectable": record.connectable,
        "signature": signature and {"sign": signature.sign.hex(), "sequence": signature.sequence},
    }


def wifi_fields(record: WifiRecord) -> dict[str, object]:
    """The fields of an AA element; ``random`` and ``sign`` in hex. They were on the air: none is secret."""
    return {
        "version": record.version,
        "device_name": record.device_name,
        "product_key": record.product_key,
        "random": record.random.hex(),
        "security": record.security,
        "sign_method": record.sign_method,
        "sign": record.sign.hex(),
    }


def station_fields(station: Station, rssi: int | None) -> dict[str, object]:
    """The fields of one 802.11 frame; ``rssi`` in dBm."""
    return {
        "kind": station.kind,
        "bssid": mac_text(station.bssid),
        "source": mac_text(station.source),
        "ssid": ssid_text(station.ssid),
        "ssid_hex": station.ssid.hex(),
        "hidden": station.hidden,
        "channel": station.channel,
        "rssi": rssi,
        "security": station.security,
        "enrollee": station.enrollee and wifi_fields(station.enrollee),
    }
