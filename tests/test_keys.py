"""Key formulas against the vendor's reference (ble-keys.json) and against a second wording of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from agent import keys
from agent.errors import InputRefused
from agent.model import mac_bytes

FOLDER = Path(__file__).parent / "vectors"
CASES: list[dict[str, Any]] = json.loads((FOLDER / "ble-keys.json").read_text("utf-8"))["cases"]
SIGNED = [c for c in json.loads((FOLDER / "ble-adv.json").read_text("utf-8"))["cases"] if c["signed"]]
RANDOM = bytes(range(16))
MAC = bytes.fromhex("f0f6407984d6")
SECRET = "WqPBJ4hsVeLFljRf"


def stages() -> list[Any]:
    """Every stage of generations A and B. A0 has no cipherType; 6 is its formula."""
    found = []
    for case in CASES:
        if "secret_ascii" in case:
            found.append(
                pytest.param(case["cipher_type"] or 6, case["secret_ascii"], case, case, id=case["id"])
            )
        for name, secret in (("product_key_stage", "product_secret"), ("device_key_stage", "device_secret")):
            if name in case:
                stage = case[name]
                found.append(
                    pytest.param(stage["cipher_type"], case[secret], case, stage, id=f"{case['id']}-{name}")
                )
    return found


@pytest.mark.parametrize(("cipher_type", "secret", "case", "expected"), stages())
def test_derives_what_the_reference_derives(
    cipher_type: int, secret: str, case: dict[str, Any], expected: dict[str, Any]
) -> None:
    random, mac = bytes.fromhex(case["random_hex"]), mac_bytes(case["mac_display"])
    assert keys.key_material(cipher_type, secret, random, mac).hex() == expected["ikm_hex"]
    digest = keys.derive(cipher_type, secret, random, mac)
    assert digest.hex() == expected["sha256_hex"]
    assert keys.session_key(digest).hex() == expected["aes_key_hex"]


@pytest.mark.parametrize("case", [c for c in CASES if c["generation"] == "C"], ids=lambda c: c["id"])
def test_derives_generation_c(case: dict[str, Any]) -> None:
    random, product_id = bytes.fromhex(case["random_hex"]), int(case["product_id"], 16)
    arguments = (random, product_id, case["device_name"], case["device_secret"])
    assert keys.key_material_c(*arguments).hex() == case["ikm_hex"]
    assert keys.derive_c(*arguments).hex() == case["sha256_hex"]
    assert keys.session_key(keys.derive_c(*arguments)).hex() == case["aes_key_hex"]


@pytest.mark.parametrize("case", SIGNED, ids=lambda c: c["id"])
def test_signs_adverts_as_the_reference_does(case: dict[str, Any]) -> None:
    per_device = case["sign_secret"] == "device"
    secret = case["device_secret" if per_device else "product_secret"]
    sequence = case["sequence_on_air"]
    sign = keys.sign_advert(case["device_name"], secret, case["product_key"], sequence, per_device=per_device)
    assert sign.hex() == case["sign_hex"]


def test_all_vectors_are_used() -> None:
    assert len(CASES) == 32
    assert len(SIGNED) == 13


def test_types_with_and_without_mac_differ() -> None:
    plain = hashlib.sha256(SECRET.encode() + b"," + RANDOM).digest()
    mixed = hashlib.sha256(SECRET.encode() + b"," + MAC + b"," + RANDOM).digest()
    assert keys.derive(3, SECRET, RANDOM, None) == keys.derive(4, SECRET, RANDOM, MAC) == plain
    assert keys.derive(6, SECRET, RANDOM, MAC) == keys.derive(7, SECRET, RANDOM, MAC) == mixed


@pytest.mark.parametrize(
    "text", ["00" * 15, "00" * 17, "", "0" * 31, "zz" * 16, " " + "00" * 16, "00" * 16 + "\n", "٠" * 32]
)
def test_random_must_be_32_hex_digits(text: str) -> None:
    with pytest.raises(InputRefused, match="random"):
        keys.read_random(text)


def test_random_in_either_case() -> None:
    assert keys.read_random("aB" * 16) == b"\xab" * 16


@pytest.mark.parametrize(
    ("cipher_type", "secret", "random", "mac", "names"),
    [
        (5, SECRET, RANDOM, MAC, "cipher type"),
        (0, SECRET, RANDOM, MAC, "cipher type"),
        (3, "", RANDOM, None, "secret"),
        (3, "geheimnis-ü", RANDOM, None, "secret"),
        (4, SECRET, RANDOM[:15], None, "random"),
        (6, SECRET, RANDOM, None, "MAC"),
        (7, SECRET, RANDOM, MAC[:5], "MAC"),
    ],
)
def test_bad_input_is_refused_without_naming_the_secret(
    cipher_type: int, secret: str, random: bytes, mac: bytes | None, names: str
) -> None:
    with pytest.raises(InputRefused, match=names) as caught:
        keys.derive(cipher_type, secret, random, mac)
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize(
    ("product_id", "name", "secret"), [(-1, "d", "s"), (2**32, "d", "s"), (1, "", "s"), (1, "d", "")]
)
def test_bad_input_of_generation_c_is_refused(product_id: int, name: str, secret: str) -> None:
    with pytest.raises(InputRefused):
        keys.derive_c(RANDOM, product_id, name, secret)


def test_a_short_digest_has_no_key() -> None:
    with pytest.raises(InputRefused, match="digest"):
        keys.session_key(b"\0" * 15)
    assert keys.session_key(bytes(range(32))) == bytes(range(16))
