"""Enrollees: what gateways report, what an account sees of it, starting one (HTTP 4.1, 4.2; DC 4.1, 4.2)."""

from __future__ import annotations

from dataclasses import replace

from agent.codec import alink, awss
from agent.errors import FrameError, InputRefused
from agent.model import DeviceId, WifiRecord, mac_bytes, mac_text
from agent.service.book_air import Sighting
from agent.service.fields import (
    read_device,
    read_integer,
    read_list,
    read_object,
    read_optional,
    read_product_id,
    read_text,
    read_token,
)
from agent.service.values import Answer, Caller, Desk

MOST_REPORTED = 64  # enrollees in one message
MOST_LISTED = 256  # enrollees of one gateway
MOST_FILTERED = 50
LONGEST_RUN = 3600
DEFAULT_RUN = 60
MISSED_REPORTS = 3  # that many intervals without a report, and an enrollee is gone
LATEST_PAGE = 2**31 - 1


def take_found(desk: Desk, gateway: DeviceId, params: object) -> Answer:
    """``thing/awss/enrollee/found``: list each enrollee; the data tells the report interval of each.

    The hex of section 4.1 is in ``payload``; ``ble`` (ours) is a list of ``{productId, mac, rssi?,
    generation?}``. One whose sign is wrong by a secret that we hold, or whose product id nobody
    configured, is left out.
    """
    given = read_object(params)
    payload = read_list(given.get("payload", []), "payload", MOST_REPORTED, least=0)
    ble = read_list(given.get("ble", []), "ble", MOST_REPORTED, least=0)
    if not payload and not ble:
        raise InputRefused("request parameter error: neither payload nor ble names an enrollee")
    template = _read_hotspot(desk, gateway, given)
    heard = [_read_wifi(desk, template, entry) for entry in payload]
    heard += [_read_ble(desk, template, entry) for entry in ble]
    desk.book.enrollees.expire(desk.now.boot)
    return Answer(
        data=[_enter(desk, sighting) for sighting in heard if sighting and _has_room(desk, sighting)]
    )


def _read_hotspot(desk: Desk, gateway: DeviceId, params: dict[str, object]) -> Sighting:
    """What one message says of all its enrollees."""
    kind = read_integer(params, "type", 0, 1) if "type" in params else 0
    return Sighting(
        gateway=gateway,
        enrollee="",
        device=gateway,
        generation=None,
        ssid=read_optional(params, "ssid", most=128) or "",
        bssid=read_optional(params, "bssid", most=17) or "",
        rssi=_read_rssi(params),
        type=kind,
        created=desk.now.utc,
        modified=desk.now.utc,
        seen=desk.now.boot,
        life=0.0,
    )


def _read_rssi(params: dict[str, object]) -> int | None:
    """dBm, negative; a positive number is an octet without its sign (wifi-awss.md 3.3)."""
    if params.get("rssi") is None:
        return None
    rssi = read_integer(params, "rssi", -255, 255)
    return rssi - 256 if rssi > 0 else rssi


def _read_wifi(desk: Desk, template: Sighting, entry: object) -> Sighting | None:
    if not isinstance(entry, str):
        raise InputRefused("request parameter error: payload must hold hex texts")
    try:
        record = awss.read_found(entry)
    except FrameError as error:
        raise InputRefused(f"request parameter error: payload: {error}") from None
    device = DeviceId(record.product_key, record.device_name)
    if not alink.is_device(device):
        raise InputRefused("request parameter error: payload: names that do not fit a topic")
    if not _is_genuine(desk, device, record):
        return None
    life = MISSED_REPORTS * _interval(desk, device)
    return replace(template, enrollee=record.enrollee_id, device=device, life=life)


def _is_genuine(desk: Desk, device: DeviceId, record: WifiRecord) -> bool:
    """False when the sign is not made with the secret that we hold (wifi-awss.md 2.2)."""
    secrets = {3: desk.product_secret(device.product_key), 4: desk.device_secret(device)}
    secret = secrets.get(record.security)
    return secret is None or awss.verify(secret, record)


def _read_ble(desk: Desk, template: Sighting, entry: object) -> Sighting | None:
    given = read_object(entry, "an entry of ble")
    product_id = read_product_id(given)
    try:
        mac = mac_bytes(read_text(given, "mac", most=17))
    except ValueError:
        raise InputRefused("request parameter error: mac must be six pairs of hex digits") from None
    generation = read_optional(given, "generation", most=8)
    rssi = _read_rssi(given)
    if product_id is None:
        raise InputRefused("request parameter error: productId is missing")
    product = next((p for p in desk.products.values() if product_id in p.product_ids), None)
    if product is None:
        return None
    device = DeviceId(product.product_key, mac.hex())  # its name is not on the air; this is the usual one
    enrollee = f"ble:{mac_text(mac)}/{product_id:08x}"
    life = MISSED_REPORTS * _interval(desk, device)
    return replace(template, enrollee=enrollee, device=device, generation=generation, rssi=rssi, life=life)


def _interval(desk: Desk, device: DeviceId) -> int:
    return desk.settings.found_intervals.get(device, desk.settings.found_interval)


def _has_room(desk: Desk, sighting: Sighting) -> bool:
    return desk.book.enrollees.count_others(sighting) < MOST_LISTED


def _enter(desk: Desk, sighting: Sighting) -> dict[str, object]:
    desk.book.enrollees.put(sighting)
    entry = _names(sighting.device) | {"timeout": _interval(desk, sighting.device)}
    return entry | ({"enrolleeId": sighting.enrollee} if sighting.enrollee.startswith("ble:") else {})


def _names(device: DeviceId) -> dict[str, object]:
    return {"productKey": device.product_key, "deviceName": device.device_name}


def take_checkin_reply(desk: Desk, gateway: DeviceId, reply: alink.Answer) -> None:
    """``checkin_reply``: one that refuses ends the run."""
    if reply.code != 200:
        desk.book.enrollees.stop(gateway, str(reply.id))


def list_enrollees(desk: Desk, caller: Caller, params: object) -> Answer:
    """``/awss/enrollee/list/get``: one page of what the gateways of the account have on report.

    Besides the documented members each item has ``enrolleeId`` (ours).
    """
    given = read_object(params)
    size = read_integer(given, "pageSize", 1, 99)
    page = read_integer(given, "pageNum", 1, LATEST_PAGE)
    enrollees = desk.book.enrollees
    enrollees.expire(desk.now.boot)
    found = enrollees.page_of(caller.identity, size, (page - 1) * size)
    items = [_item(desk, sighting) for sighting in found]
    return Answer(data={"totalNum": enrollees.count_of(caller.identity), "items": items})


def _visible(desk: Desk, caller: Caller) -> list[Sighting]:
    desk.book.enrollees.expire(desk.now.boot)
    return desk.book.enrollees.of(desk.book.devices.gateways_of(caller.identity))


def _item(desk: Desk, sighting: Sighting) -> dict[str, object]:
    gateway, device = sighting.gateway, sighting.device
    return {
        "gmtCreate": int(sighting.created * 1000),
        "gmtModified": int(sighting.modified * 1000),
        "regIotId": desk.book.devices.iot_id(gateway),
        "regProductKey": gateway.product_key,
        "regDeviceName": gateway.device_name,
        "regProductName": desk.product_name(gateway.product_key),
        "enrolleeIotId": desk.book.devices.iot_id(device),
        "enrolleeProductKey": device.product_key,
        "enrolleeDeviceName": device.device_name,
        "enrolleeProductName": desk.product_name(device.product_key),
        "enrolleeId": sighting.enrollee,
        "bssid": sighting.bssid,
        "ssid": sighting.ssid,
        "rssi": "" if sighting.rssi is None else str(sighting.rssi),
        "type": sighting.type,
        "status": int(sighting.provisioning_until > desk.now.boot),
    }


def filter_products(desk: Desk, caller: Caller, params: object) -> Answer:
    """``/awss/enrollee/product/filter``: the given devices that are published and bound to nobody."""
    given = read_list(read_object(params).get("iotDevices"), "iotDevices", MOST_FILTERED)
    devices = [read_device(entry) for entry in given]
    return Answer(data=[_describe(desk, device) for device in devices if _is_offered(desk, caller, device)])


def _is_offered(desk: Desk, caller: Caller, device: DeviceId) -> bool:
    product = desk.products.get(device.product_key)
    if product is None or not product.published or desk.book.devices.bound_to(device) is not None:
        return False
    return desk.owner_of(device) in (None, caller.identity)


def _describe(desk: Desk, device: DeviceId) -> dict[str, object]:
    product = desk.products[device.product_key]
    return _names(device) | {
        "productName": product.name,
        "netType": product.net_type,
        "nodeType": product.node_type,
        "categoryKey": product.category,
        "categoryName": product.category,
        "categoryId": 0,
    }


def start_checkin(desk: Desk, caller: Caller, params: object) -> Answer:
    """``/awss/enrollee/checkin`` (ours): have the gateway that hears it best provision one enrollee.

    Params: ``enrolleeId``, or ``productKey`` and ``deviceName``; optional ``timeout`` (seconds) and
    ``token`` (32 hex digits). The data names the gateway and the token that the device will report.
    """
    given = read_object(params)
    timeout = read_integer(given, "timeout", -LONGEST_RUN, LONGEST_RUN) if "timeout" in given else 0
    timeout = timeout if timeout > 0 else DEFAULT_RUN
    made_here = given.get("token") is None
    token = desk.sources.mint(16).upper() if made_here else read_token(given["token"])
    sighting = _choose(desk, _select(desk, caller, given))
    checkin = _names(sighting.device) | {
        "timeout": timeout,
        "token": token,
        "ext": {"tokenType": int(made_here)},
    }
    if sighting.enrollee.startswith("ble:"):
        checkin |= {"enrolleeId": sighting.enrollee}
    pushes = desk.push(sighting.gateway, alink.CHECKIN, checkin)
    desk.book.enrollees.start(sighting, desk.now.boot + timeout, pushes[0].id)
    data = {"regIotId": desk.book.devices.iot_id(sighting.gateway), "token": token, "timeout": timeout}
    return Answer(data=data, pushes=pushes)


def _select(desk: Desk, caller: Caller, params: dict[str, object]) -> list[Sighting]:
    enrollee = read_optional(params, "enrolleeId")
    device = None if enrollee else read_device(params)
    found = [
        s for s in _visible(desk, caller) if (s.enrollee == enrollee if enrollee else s.device == device)
    ]
    if not found:
        raise InputRefused("device not found", code=6100)
    return found


def _choose(desk: Desk, sightings: list[Sighting]) -> Sighting:
    online = [s for s in sightings if s.gateway in desk.live]
    if not online:
        raise InputRefused("device offline", code=6205)
    return max(online, key=lambda s: -256 if s.rssi is None else s.rssi)
