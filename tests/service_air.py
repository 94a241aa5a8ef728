"""Reports of enrollees as gateways send them, and the list as an account sees it."""

from __future__ import annotations

from agent.codec import awss
from agent.model import DeviceId, WifiRecord
from agent.service.service import Service
from agent.service.values import Caller
from tests.service_world import COMBO, PRODUCT_SECRETS, get

LIST = "/awss/enrollee/list/get"
PAGE = {"pageSize": 99, "pageNum": 1}
RANDOM = bytes(range(16))
BLE_ID = "ble:AA:BB:CC:00:11:22/000aa7ab"


def record(device: DeviceId, secret: str, security: int = 3) -> WifiRecord:
    sign = awss.sign(secret, RANDOM, device.device_name, device.product_key)
    return WifiRecord(1, device.device_name, device.product_key, RANDOM, security, 0, sign)


KETTLE = record(COMBO, PRODUCT_SECRETS["a1ComboPrdK"])


def found(*records: WifiRecord, rssi: object = -57, **members: object) -> dict[str, object]:
    payload = [awss.found_payload(r) for r in records]
    hotspot = {"type": 0, "ssid": "HomeNet", "bssid": "A0:B1:C2:D3:E4:F5", "rssi": rssi, "payload": payload}
    return hotspot | members


def lamp(mac: str = "AA:BB:CC:00:11:22", **members: object) -> dict[str, object]:
    return {"productId": "0x000aa7ab", "mac": mac, "rssi": -60, "generation": "B1"} | members


async def listed(service: Service, caller: Caller) -> list[dict[str, object]]:
    data = await get(service, caller, LIST, PAGE)
    items = data["items"]
    assert isinstance(items, list)
    assert data["totalNum"] == len(items)
    return items
