"""``key derive`` and ``decode``: their documents and their exit codes (DESIGN 3)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.offline import ADVERT, BEACON, PROBE, RADIOTAP, enrollctl, lie_about_signature

VECTORS = Path(__file__).parent / "vectors"
KEY_CASE = json.loads((VECTORS / "ble-keys.json").read_text("utf-8"))["cases"][0]
SECRET, RANDOM = KEY_CASE["product_secret"], KEY_CASE["random_hex"]
STAGE = KEY_CASE["product_key_stage"]


# key derive


@pytest.mark.parametrize("text", [SECRET, SECRET + "\n"])
def test_key_derive_from_standard_input(text: str) -> None:
    ran = enrollctl("key", "derive", "--type", 3, "--random", RANDOM, "--json", stdin=text.encode())
    assert ran.code == 0
    assert ran.document == {"v": 1, "digest": STAGE["sha256_hex"], "key": STAGE["aes_key_hex"]}


def test_key_derive_with_mac_from_a_file(tmp_path: Path) -> None:
    case = next(
        c for c in json.loads((VECTORS / "ble-keys.json").read_text())["cases"] if c.get("cipher_type") == 7
    )
    (tmp_path / "secret").write_text(case["secret_ascii"] + "\n")
    words = [
        "--type",
        7,
        "--random",
        case["random_hex"].upper(),
        "--secret-file",
        tmp_path / "secret",
        "--json",
    ]
    for mac in (case["mac_display"], case["mac_display"].replace(":", "").lower()):
        assert enrollctl("key", "derive", *words, "--mac", mac).document["digest"] == case["sha256_hex"]


def test_key_derive_for_people() -> None:
    ran = enrollctl("key", "derive", "--type", 3, "--random", RANDOM, stdin=SECRET.encode())
    assert ran.out.split() == ["digest", STAGE["sha256_hex"], "key", STAGE["aes_key_hex"]]


def test_only_one_newline_is_not_part_of_the_secret() -> None:
    words = ("key", "derive", "--type", 3, "--random", RANDOM, "--json")
    digests = [
        enrollctl(*words, stdin=SECRET.encode() + end).document["digest"] for end in (b"", b"\n", b"\n\n")
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (("--type", 3, "--random", "00" * 15), b"secret-x"),
        (("--type", 3, "--random", "0x" + "00" * 15), b"secret-x"),
        (("--type", 3, "--random", RANDOM), b""),
        (("--type", 3, "--random", RANDOM), b"\n"),
        (("--type", 3, "--random", RANDOM), "secret-xü".encode()),
        (("--type", 3, "--random", RANDOM), b"secret-x" * 1000),
        (("--type", 6, "--random", RANDOM, "--mac", "00:11:22:33:44"), b"secret-x"),
    ],
)
def test_key_derive_refuses_bad_input(words: tuple[object, ...], stdin: bytes) -> None:
    ran = enrollctl("key", "derive", *words, "--json", stdin=stdin)
    assert (ran.code, ran.out) == (65, "")
    assert len(ran.err.splitlines()) == 1
    assert "secret-x" not in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ("--type", 5, "--random", RANDOM),
        ("--type", 7, "--random", RANDOM),
        ("--type", 3),
        ("--random", RANDOM),
    ],
)
def test_key_derive_usage(words: tuple[object, ...]) -> None:
    assert enrollctl("key", "derive", *words, stdin=b"s").code == 2


def test_key_derive_without_the_file(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        ran = enrollctl("key", "derive", "--type", 3, "--random", RANDOM, "--secret-file", path)
        assert (ran.code, ran.out) == (66, "")
        assert str(path) in ran.err


# decode


def test_decode_advert() -> None:
    ran = enrollctl("decode", "advert", ADVERT)
    assert ran.code == 0
    assert ran.document == {
        "v": 1,
        "generation": "B1",
        "sub_type": 3,
        "product_id": 0x000AA7AB,
        "mac": "F0:F6:40:79:84:D6",
        "fmsk": 0x19,
        "secured": True,
        "secret": "device",
        "wants_wifi": True,
        "bound": False,
        "connectable": True,
        "signature": None,
    }


def test_decode_advert_with_signature() -> None:
    cases = json.loads((VECTORS / "ble-adv.json").read_text("utf-8"))["cases"]
    case = next(case for case in cases if case["signed"])
    signature = enrollctl("decode", "advert", case["adv_data"].upper()).document["signature"]
    assert signature == {"sign": case["sign_hex"], "sequence": case["sequence_on_air"]}


@pytest.mark.parametrize("data", ["", "020106", "1eff4c00", ADVERT.replace("3619", "3819")])
def test_decode_advert_of_others_is_null(data: str) -> None:
    ran = enrollctl("decode", "advert", data)
    assert (ran.code, ran.document) == (0, None)


@pytest.mark.parametrize("data", [ADVERT[:-2], "03ffa801", "0", "xyz", "02 01 06", "ü", "0x020106"])
def test_decode_advert_broken(data: str) -> None:
    ran = enrollctl("decode", "advert", data)
    assert ran.code == 65
    assert ran.document.keys() == {"v", "error"}


def test_decode_frame() -> None:
    ran = enrollctl("decode", "frame", (RADIOTAP + BEACON).hex(), "--radiotap")
    assert ran.code == 0
    assert ran.document == {
        "v": 1,
        "kind": "beacon",
        "bssid": "02:00:00:00:00:01",
        "source": "02:00:00:00:00:01",
        "ssid": "Home \\xff",
        "ssid_hex": "486f6d6520ff",
        "hidden": False,
        "channel": 6,
        "rssi": -55,
        "security": "wep",
        "enrollee": None,
    }


def test_decode_frame_of_an_enrollee() -> None:
    ran = enrollctl("decode", "frame", PROBE.hex())
    assert ran.code == 0
    fields = ran.document
    assert (fields["kind"], fields["rssi"], fields["channel"], fields["security"]) == (
        "probe_request",
        None,
        None,
        None,
    )
    assert fields["enrollee"] == {
        "version": 1,
        "device_name": "dev1",
        "product_key": "a1oSRt5Mh3d",
        "random": bytes(range(16)).hex(),
        "security": 4,
        "sign_method": 0,
        "sign": bytes(range(20)).hex(),
    }


def test_decode_frame_with_a_broken_enrollee_element() -> None:
    ran = enrollctl("decode", "frame", lie_about_signature(PROBE).hex())
    assert ran.code == 65
    assert ran.document["error"]
    assert ran.document["enrollee"] is None


def test_decode_frame_of_another_kind_is_null() -> None:
    ran = enrollctl("decode", "frame", (b"\x08\x00" + BEACON[2:]).hex())
    assert (ran.code, ran.document) == (0, None)


@pytest.mark.parametrize(
    ("data", "flags"), [(BEACON[:30].hex(), []), ("00000d00", ["--radiotap"]), ("8", []), ("", [])]
)
def test_decode_frame_broken(data: str, flags: list[str]) -> None:
    ran = enrollctl("decode", "frame", data, *flags)
    assert ran.code == 65
    assert ran.document.keys() == {"v", "error"}


def test_decode_frame_dissected_by_scapy() -> None:
    ran = enrollctl("decode", "frame", (RADIOTAP + BEACON).hex(), "--radiotap", "--dissect")
    document, rest = ran.out.split("\n", 1)
    assert json.loads(document)["kind"] == "beacon"
    assert "802.11 Beacon" in rest
    assert "Channel" in rest
