"""Mistakes between options and between files, each with its places; all of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import load
from tests.config_files import BULB, MINIMAL, Files, only, problems


@pytest.fixture
def write(tmp_path: Path) -> Files:
    return Files(tmp_path)


# What is wrong between options and files.


def test_missing_options_point_at_their_table(write: Files) -> None:
    told = problems(
        write(main="# nothing\n\n[gateway]\nproduct_key = 'a1Bdn3wGate'\n[cloud.api]\nurl='http://x'\n")
    )
    assert told == [
        "enrolld.toml:3: gateway.device_name: is missing; it must be a string of 4 to 32 of "
        'A-Z a-z 0-9 _ @ . : -, for example device_name = "hall-gateway"',
        'enrolld.toml:5: cloud.link: is missing; it must be "embedded" or "mqtt", '
        'for example link = "embedded"',
        "enrolld.toml:5: cloud.api.app_key: is missing; it must be a string of 1 to 64 printable characters, "
        'for example app_key = "12345678"',
    ]


def test_an_empty_file_lacks_what_is_required(write: Files) -> None:
    told = problems(write(main=""))
    assert [line[: line.index(": is missing")] for line in told] == [
        "enrolld.toml:1: gateway.product_key",
        "enrolld.toml:1: gateway.device_name",
        "enrolld.toml:1: cloud.link",
    ]


def test_a_wrong_value_is_not_missing_as_well(write: Files) -> None:
    assert len(problems(write(main="gateway = 1\ncloud.link = 2\n[networks.home]\nssid = 3\n"))) == 3


def test_drop_ins_clash_with_both_places_named(write: Files) -> None:
    files = {
        "enrolld.toml.d/10-a.toml": "[permits]\nceiling = 60\n[log]\nlevel = 'info'\n",
        "enrolld.toml.d/20-b.toml": "log.level = 'info'\npermits = { ceiling = 90 }\n",
        "enrolld.toml.d/30-c.toml": "# again\n\npermits.ceiling = 60\nble.radios = []\n",
    }
    path = write(files)
    assert only(path) == (
        "enrolld.toml.d/20-b.toml:2: permits.ceiling: clashes with enrolld.toml.d/10-a.toml:2, "
        "which sets another value; keep one of the two"
    )


def test_a_network_has_one_name(write: Files) -> None:
    told = problems(
        write(
            {"enrolld.toml.d/a.toml": "[networks.b]\nssid_hex = '00'\n"},
            MINIMAL + "[networks.a]\npassphrase = 'passphrase.a'\n[networks.b]\nssid = 'x'\n",
        )
    )
    assert told == [
        "enrolld.toml:6: networks.a.ssid: is missing; write ssid as text, or ssid_hex as hex digits",
        "enrolld.toml.d/a.toml:2: networks.b.ssid_hex: ssid is set too, at enrolld.toml:9; "
        "keep one of the two",
    ]


def test_one_network_is_the_default(write: Files) -> None:
    files = {"enrolld.toml.d/a.toml": "[networks.b]\nssid = 'y'\ndefault = true\n"}
    main = MINIMAL + "[networks.a]\nssid = 'x'\ndefault = true\n[networks.c]\nssid='z'\ndefault = false\n"
    assert only(write(files, main)) == (
        "enrolld.toml.d/a.toml:3: networks.b.default: a network is the default already, at enrolld.toml:8; "
        "keep one of the two"
    )


@pytest.mark.parametrize("table", ["ble", "wifi"])
def test_simulated_radios_do_not_go_with_the_vendors_cloud(write: Files, table: str) -> None:
    files = {"enrolld.toml.d/a.toml": f"[{table}]\nradios = ['simulated']\n"}
    told = only(write(files, MINIMAL.replace("embedded", "mqtt")))
    assert told.startswith(f'enrolld.toml.d/a.toml:2: {table}.radios: has "simulated"')
    assert "enrolld.toml:5" in told
    assert load(write(files, MINIMAL)).cloud.link == "embedded"


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        (BULB.replace("Bulb", "Lamp"), 1, "product_key"),
        (BULB + "oops = 1", 4, "oops"),
        (BULB.replace("5", "1"), 2, "net_type"),
        (BULB.replace("5", "'5'"), 2, "net_type"),
        (BULB + "node_type = 2", 4, "node_type"),
        (BULB + "security = 'optional'", 4, "security"),
        (BULB + "published = 'yes'", 4, "published"),
        (BULB + 'name = "a\\u001bb"', 4, "name"),
        (BULB + "secret = 'passphrase.home'", 4, "secret"),
        (BULB.replace("net_type = 5", ""), 1, "net_type"),
        ("net_type = 5", 1, "product_key"),
        (BULB.replace("0x000aa7ab", "000aa7ab"), 3, "product_ids[0]"),
        (BULB.replace("0x000aa7ab", "0x1000aa7ab"), 3, "product_ids[0]"),
        (BULB.replace('"0x000aa7ab"', "0x000aa7ab"), 3, "product_ids[0]"),
        (BULB.replace("]", ',\n"0xaa7ab"]'), 4, "product_ids[1]"),
        (BULB + "[[more]]\nx = 1", 4, "more"),
    ],
)
def test_product_files(write: Files, text: str, line: int, key: str) -> None:
    told = only(write({"products.d/a1Bdn3wBulb.toml": text}))
    assert told.startswith(f"products.d/a1Bdn3wBulb.toml:{line}: {key}: ")


def test_two_products_do_not_share_an_id(write: Files) -> None:
    other = BULB.replace("Bulb", "Lamp").replace('["0x000aa7ab"]', '[\n"0x1",\n"0xAA7AB"]')
    path = write({"products.d/a1Bdn3wBulb.toml": BULB, "products.d/a1Bdn3wLamp.toml": other})
    assert only(path) == (
        "products.d/a1Bdn3wLamp.toml:5: product_ids[1]: 0x000aa7ab belongs to the product of "
        "products.d/a1Bdn3wBulb.toml:3 already"
    )


def test_all_problems_of_all_files_come_at_once_in_order(write: Files) -> None:
    files = {
        "enrolld.toml.d/a.toml": "log.level = 1\nx = 1\n",
        "enrolld.toml.d/b.toml": "[broken\n",
        "products.d/a1Bdn3wBulb.toml": "net_type = 9\n",
    }
    told = problems(write(files, MINIMAL.replace('"embedded"', "1") + "\n[service]\nlisten = 1\n"))
    assert [line.partition(": ")[0] for line in told] == [
        "enrolld.toml.d/b.toml:1",
        "enrolld.toml.d/a.toml:1",
        "enrolld.toml.d/a.toml:2",
        "enrolld.toml:5",
        "enrolld.toml:8",
        "products.d/a1Bdn3wBulb.toml:1",
        "products.d/a1Bdn3wBulb.toml:1",
    ]
