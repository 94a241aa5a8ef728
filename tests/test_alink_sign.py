"""Signatures against the C SDK, the Python SDK and compiled BLE devices."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from agent.codec import alink, alink_sign
from agent.codec.alink_sign import Credentials, Tlv05
from agent.errors import FrameError, InputRefused
from agent.model import DeviceId, Generation

VECTORS = Path(__file__).parent / "vectors"
CONNECTS = json.loads((VECTORS / "mqtt-connect-sign-c.json").read_text())["vectors"]
PYTHON = json.loads((VECTORS / "mqtt-python-sdk.json").read_text())["vectors"]
GATEWAY_C = json.loads((VECTORS / "mqtt-gateway-c.json").read_text())["vectors"][0]["events"]
TLVS = json.loads((VECTORS / "ble-tlv.json").read_text())["cases"]

DEVICE_SECRETS = {
    "zb_0001": "DSsub0123456789abcdef0123456789ab",
    "lock-02": "f3b1c0de5566778899aabbccddeeff00",
    "zb_0001b": "ba9876543210fedcba9876543210busSD",
}
PRODUCT_SECRETS = {"a1SubProdKy": "PSsubsecret00001", "a1LockProd0": "PSlocksecret0002"}


@pytest.mark.parametrize(
    "vector", CONNECTS, ids=lambda v: f"{v['productKey']}/{v['deviceName']}/{v['variant']}"
)
def test_connects_of_the_c_sdk(vector: dict[str, Any]) -> None:
    given = Credentials(vector["clientId"], vector["username"], vector["password"])
    assert alink_sign.verify_connect(given, vector["deviceSecret"])
    assert alink_sign.verify_connect(
        dataclasses.replace(given, password=given.password.lower()), vector["deviceSecret"]
    )
    assert not alink_sign.verify_connect(given, vector["deviceSecret"] + "x")
    assert alink_sign.read_username(given.username) == DeviceId(vector["productKey"], vector["deviceName"])


@pytest.mark.parametrize("vector", CONNECTS[:4], ids=lambda v: v["variant"])
def test_our_password_is_that_of_the_c_sdk(vector: dict[str, Any]) -> None:
    device = DeviceId(vector["productKey"], vector["deviceName"])
    ours = alink_sign.connect_credentials(device, vector["deviceSecret"], "2524608000000")
    assert (ours.username, ours.password) == (vector["username"], vector["password"])
    assert alink_sign.verify_connect(ours, vector["deviceSecret"])


@pytest.mark.parametrize("vector", PYTHON, ids=lambda v: v["name"])
def test_connects_of_the_python_sdk(vector: dict[str, Any]) -> None:
    packet = next(p for p in vector["packets"] if p["type"] == "CONNECT")
    given = Credentials(packet["clientId"], packet["username"], packet["password"])
    secret = vector["input"].get("ps") or vector["input"]["ds"]
    assert alink_sign.verify_connect(given, secret)
    assert not alink_sign.verify_connect(dataclasses.replace(given, client_id="x" + given.client_id), "other")


def test_options_are_read_from_between_the_bars() -> None:
    stem, options = alink_sign.read_client_id("pk&dn|securemode=3,sii=type=3,hver=1.0,timestamp=15|")
    assert stem == "pk&dn"
    assert options == {"securemode": "3", "sii": "type=3", "hver": "1.0", "timestamp": "15"}
    assert alink_sign.read_client_id("plain") == ("plain", {})


@pytest.mark.parametrize(
    ("client_id", "username"),
    [("", "dn&pk"), ("x", "dn&pk"), ("x||", "dn&pk"), ("x|signmethod=rot13|", "dn&pk"), ("x|signmethod|", ""),
     ("x|signmethod=hmacsha1|", "dn"), ("x|signmethod=hmacsha1|", "&pk"), ("|||", "&&&")],
)  # fmt: skip
def test_connects_that_prove_nothing(client_id: str, username: str) -> None:
    assert not alink_sign.verify_connect(Credentials(client_id, username, ""), "secret")


def requests(events: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    sent = [e for e in events if e.get("type", e.get("ev")) in ("publish", "PUBLISH")]
    found = []
    for event in sent:
        place = alink.read_topic(event["topic"])
        assert place is not None
        found.append((place[1], json.loads(event["payload"]).get("params")))
    return found


ALL = requests(GATEWAY_C) + [r for v in PYTHON for r in requests(v["packets"])]


def signed(name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for topic, params in ALL:
        if topic == name:
            listed = (
                params
                if isinstance(params, list)
                else params.get("deviceList", params.get("proxieds", [params]))
            )
            found += [
                ({"signMethod": params["signMethod"]} if "deviceList" in params else {}) | e for e in listed
            ]
    return found


@pytest.mark.parametrize("name", [alink.TOPO_ADD, alink.LOGIN, alink.BATCH_LOGIN])
def test_topology_and_login_signs(name: str) -> None:
    entries = signed(name)
    assert entries
    for entry in entries:
        device = DeviceId(entry["productKey"], entry["deviceName"])
        text = alink_sign.session_text(entry["clientId"], device, entry["timestamp"])
        method = entry.get("signmethod") or entry["signMethod"]
        secret = DEVICE_SECRETS[entry["deviceName"]]
        assert alink_sign.verify(method, secret, text, entry["sign"])
        assert alink_sign.verify(method, secret, text, entry["sign"].swapcase())
        assert not alink_sign.verify(method, secret + "x", text, entry["sign"])
        assert not alink_sign.verify(method, secret, text + "x", entry["sign"])
        assert not alink_sign.verify(method, secret, text, entry["sign"][:-1])


def test_product_register_signs() -> None:
    entries = signed(alink.PRODUCT_REGISTER)
    assert len(entries) >= 3
    for entry in entries:
        device = DeviceId(entry["productKey"], entry["deviceName"])
        text = alink_sign.register_text(device, entry["random"])
        secrets = [PRODUCT_SECRETS[entry["productKey"]], "PSsub00000000001"]
        assert any(alink_sign.verify(entry["signMethod"], s, text, entry["sign"]) for s in secrets)


@pytest.mark.parametrize(
    ("method", "digest"),
    [
        ("hmacMd5", hashlib.md5),
        ("HMACSHA1", hashlib.sha1),
        ("hmacSha256", hashlib.sha256),
        ("Sha256", hashlib.sha256),
    ],
)
def test_methods_in_any_case(method: str, digest: Any) -> None:
    expected = hmac.new(b"secret", b"text", digest).hexdigest()
    assert alink_sign.sign(method, "secret", "text") == expected


def test_unknown_methods_are_refused() -> None:
    with pytest.raises(InputRefused):
        alink_sign.sign("md4", "secret", "text")


def test_a_sign_that_is_no_hex_is_just_wrong() -> None:
    assert not alink_sign.verify("hmacsha1", "secret", "text", "é" * 40)
    assert not alink_sign.verify("hmacsha1", "secret", "text", "")


def test_broken_user_names() -> None:
    for text in ("", "&", "dn", "dn&", "&pk"):
        with pytest.raises(FrameError):
            alink_sign.read_username(text)


def tlvs(plain: str) -> dict[int, bytes]:
    data, found = bytes.fromhex(plain), {}
    while data:
        found[data[0]] = data[2 : 2 + data[1]]
        data = data[2 + data[1] :]
    return found


SIGNED_05 = [c for c in TLVS if c["reply_plain_hex"] and 5 in tlvs(c["reply_plain_hex"])]
GENERATIONS = {
    "a1": Generation.A1,
    "b0": Generation.B0,
    "b1": Generation.B1,
    "b1s": Generation.B1,
    "c1": Generation.C,
}


PER_PRODUCT_A1 = "40dbc3edad5b"  # this device signed with what lay behind its productSecret in memory
VERIFIABLE = [c for c in SIGNED_05 if c["device_name"] != PER_PRODUCT_A1]


@pytest.mark.parametrize("case", VERIFIABLE, ids=lambda c: f"{c['id']}-{c['source']}-{c['case']}")
def test_tlv05_of_every_generation(case: dict[str, Any]) -> None:
    generation, reply = GENERATIONS[case["source"]], tlvs(case["reply_plain_hex"])
    product_id = int(case["product_id"], 16)
    device = DeviceId(case["product_key"], case["device_name"])
    ds, ps = case["device_secret"] or None, case["product_secret"]
    random = reply.get(4) or (tlvs_04(case) if generation is Generation.A1 else None)
    real = bytes(a ^ b for a, b in zip(random, ds.encode(), strict=False)) if random and ds else None
    ours = alink_sign.tlv05_sign(
        generation, product_id, device, device_secret=ds, product_secret=None if ds else ps, random=real
    )
    assert ours == reply[5]
    given = Tlv05(
        alink_sign.tlv05_client_id(generation, product_id), reply[5].hex(), random.hex() if random else None
    )
    held = {"device_secret": ds, "product_secret": ps}
    assert alink_sign.verify_tlv05(given, device, [1, product_id], **held)
    assert alink_sign.verify_tlv05(
        dataclasses.replace(given, sign=given.sign.upper()), device, [product_id], **held
    )
    assert not alink_sign.verify_tlv05(given, device, [1], **held)
    assert not alink_sign.verify_tlv05(given, DeviceId("other", "name"), [product_id], **held)
    assert not alink_sign.verify_tlv05(
        given, device, [product_id], device_secret="x" * 32, product_secret="y"
    )
    assert not alink_sign.verify_tlv05(given, device, [product_id], device_secret=None, product_secret=None)


def tlvs_04(case: dict[str, Any]) -> bytes:
    """A device of this harness answers every 04 of a session with the same random."""
    same = next(c for c in TLVS if c["device_name"] == case["device_name"] and c["case"] == "04 alone")
    return tlvs(same["reply_plain_hex"])[4]


def test_the_cases_cover_every_generation() -> None:
    assert {GENERATIONS[c["source"]] for c in SIGNED_05} == {
        Generation.A1,
        Generation.B0,
        Generation.B1,
        Generation.C,
    }
    assert {c["client_id_form"] for c in SIGNED_05 if "client_id_form" in c} == {
        "BE-upper",
        "LE-upper",
        "BE-lower",
    }
    for case in SIGNED_05:
        if "client_id" in case:
            ours = alink_sign.tlv05_client_id(GENERATIONS[case["source"]], int(case["product_id"], 16))
            assert ours == case["client_id"]


@pytest.mark.parametrize("case", [c for c in SIGNED_05 if c["device_name"] == PER_PRODUCT_A1])
def test_a_real_a1_per_product_is_not_believed(case: dict[str, Any]) -> None:
    product_id = int(case["product_id"], 16)
    sign = tlvs(case["reply_plain_hex"])[5].hex()
    given = Tlv05(alink_sign.tlv05_client_id(Generation.A1, product_id), sign, tlvs_04(case).hex())
    device = DeviceId(case["product_key"], case["device_name"])
    for secret in (case["device_secret"], None):
        held = {"device_secret": secret, "product_secret": case["product_secret"]}
        assert not alink_sign.verify_tlv05(given, device, [product_id], **held)


def test_a1_per_product_is_unverifiable() -> None:
    with pytest.raises(InputRefused, match="sign_unverifiable"):
        alink_sign.tlv05_sign(Generation.A1, 7, DeviceId("pk", "name"), product_secret="PS", random=bytes(16))
    digest = hashlib.sha256(
        b"clientId00000007deviceNamenamedeviceSecretPSproductKeypkrandom" + b"0" * 32
    ).hexdigest()
    given = Tlv05("00000007", digest, "00" * 16)
    assert not alink_sign.verify_tlv05(
        given, DeviceId("pk", "name"), [7], device_secret=None, product_secret="PS"
    )


def test_a0_has_no_tlv05() -> None:
    with pytest.raises(InputRefused):
        alink_sign.tlv05_client_id(Generation.A0, 7)


@pytest.mark.parametrize(
    "given",
    [
        Tlv05("7", "0" * 64),
        Tlv05("0000000g", "0" * 64),
        Tlv05("00000007", "0" * 63),
        Tlv05("00000007", "0" * 64, "0"),
    ],
)
def test_misshapen_parameters(given: Tlv05) -> None:
    assert not given.is_well_formed()
    assert not alink_sign.verify_tlv05(
        given, DeviceId("pk", "name"), [7], device_secret="d" * 32, product_secret="p"
    )


def test_nothing_secret_in_a_repr() -> None:
    ours = alink_sign.connect_credentials(DeviceId("pk", "name"), "secret", "1")
    assert ours.password not in repr(ours)
    assert "0" * 64 not in repr(Tlv05("00000007", "0" * 64))
