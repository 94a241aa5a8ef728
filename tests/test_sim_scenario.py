"""Scenario files: what is refused, with which key, and the secrets that a home needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import credentials as operator
from agent.config.files import load as load_settings
from agent.errors import ConfigError
from agent.model import DeviceId
from hw.sim.plans import Crowd
from hw.sim.scenario import credentials, device_secret_name, load, product_secret_name, read

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / "hw" / "sim" / "data"

BLE = """
[[ble]]
generation = "{generation}"
product_key = "a1AnyProduct"
product_id = {product_id}
device_name = "any"
mac = "00:00:00:00:00:01"
"""
PLAIN = BLE.format(generation="B1", product_id=7)


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("sed = 1", "the file", "unknown field `sed`"),
        ("seed = '1'", "seed", "Expected `int`"),
        ("length = nan", "length", "Expected `float`"),
        ("[[ble]]", "ble[0]", "missing required field"),
        (PLAIN + "interval = 0.0", "ble[0].interval", ">= 0.02"),
        (PLAIN + "mac_ = 1", "ble[0]", "unknown field `mac_`"),
        (PLAIN.replace("00:01", "0001"), "ble[0].mac", "matching regex"),
        (PLAIN.replace("a1Any", "a1 Any"), "ble[0].product_key", "matching regex"),
        (PLAIN.replace("a1AnyProduct", "a1Any\\n"), "ble[0].product_key", "matching regex"),
        (PLAIN + "sub_type = 5", "ble[0].sub_type", "B1 has 0 to 4, not 5"),
        (BLE.format(generation="B9", product_id=7), "ble[0].generation", "Invalid enum value 'B9'"),
        (BLE.format(generation="A0", product_id=0x1_0000), "ble[0].product_id", "holds two octets"),
        (BLE.format(generation="A1", product_id=7) + "signed = true", "ble[0].signed", "only B0 and B1"),
        (PLAIN + "appears = 4.0\nleaves = 4.0", "ble[0].leaves", "not after it appears at 4"),
        (PLAIN + PLAIN, "ble[1].device_name", "a1AnyProduct/any is in this home twice"),
        (
            "[[access_point]]\nbssid = '000000000001'\nssid = '" + "€" * 11 + "'",
            "access_point[0].ssid",
            "33 octets",
        ),
        ("[[noise]]\nmedium = 'infrared'", "noise[0].medium", "Invalid enum value 'infrared'"),
        ("[[join]]\nat = 1\ndevice = 'a1Plug'", "join[0].device", "matching regex"),
        ("[[join]]\nat = 1\ndevice = 'a1Plug/p'", "join[0].medium", "a1Plug/p is not on the air here"),
        (
            "[[join]]\nat = 1\ndevice = 'a1Plug/p'\nmedium = 'zigbee'\naddress = '1'\nsigned = true",
            "join[0].signed",
            "no BLE device",
        ),
        ("[[user]]\nat = 1\ndo = 'dance'", "user[0].do", "Invalid enum value 'dance'"),
        ("[[user]]\nat = 1\ndo = 'bind'", "user[0].device", "bind needs one"),
        ("[[user]]\nat = 1\ndo = 'permit'", "user[0].time", "permit needs one"),
        ("[[radio]]\nat = -1\ndo = 'unplug'", "radio[0].at", ">= 0"),
        ("[[crowd]]\nat = 1\nproduct_key = 'a1Plug'\ncount = 0", "crowd[0].count", ">= 1"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_key(text: str, key: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}: {key}: ")
    assert reason in str(caught.value)


def test_a_file_that_is_no_toml_or_not_there_is_a_configuration_error_too(tmp_path: Path) -> None:
    file = tmp_path / "odd.toml"
    with pytest.raises(ConfigError, match=r"odd\.toml"):
        load(file)
    for data in (b"seed = ", b"\xff"):
        file.write_bytes(data)
        with pytest.raises(ConfigError, match=r"odd\.toml"):
            load(file)


def test_an_empty_file_is_an_empty_home_that_never_ends() -> None:
    scenario = read("")
    assert scenario.length is None
    assert not scenario.devices()


def test_a_crowd_asks_one_after_another_by_names_and_addresses_of_their_own() -> None:
    joins = list(Crowd(at=2, product_key="a1DemoPlug1", count=200, spacing=0.5).joins())
    assert len({join.device for join in joins}) == len({join.address for join in joins}) == 200
    assert joins[0].device == "a1DemoPlug1/crowd-0001"
    assert joins[-1].address == "00:12:4B:00:00:00:00:C8"
    assert [join.at for join in joins[:3]] == [2, 2.5, 3]


CROWD = PLAIN + "[[crowd]]\nat = 1\nproduct_key = 'a1DemoPlug1'\ncount = 3\n"


def test_credentials_are_new_each_time_and_of_the_documented_lengths() -> None:
    scenario = read(CROWD)
    first, second = credentials(scenario), credentials(scenario)
    assert set(first) == {
        "product_secret.a1AnyProduct",
        "device_secret.a1AnyProduct.any",
        "product_secret.a1DemoPlug1",
        *(f"device_secret.a1DemoPlug1.crowd-000{n}" for n in (1, 2, 3)),
    }
    assert not set(first.values()) & set(second.values())
    for name, value in first.items():
        assert len(value) == (16 if name.startswith("product") else 32)
        assert value.isascii()
        assert value.isalnum()


@pytest.mark.parametrize("device", [DeviceId("a1Plug", "p-01"), DeviceId("a.1:P", "x:y.z@_-")])
def test_a_secret_has_the_name_that_the_operators_file_has(device: DeviceId) -> None:
    assert product_secret_name(device.product_key) == operator.product_secret_name(device.product_key)
    expected = operator.device_secret_name(device.product_key, device.device_name)
    assert device_secret_name(device) == expected


def test_the_default_home_fits_its_configuration_and_product_files() -> None:
    scenario, settings = load(HOME / "scenario.toml"), load_settings(HOME / "enrolld.toml")
    unconfigured = {device.product_key for device in scenario.devices()} - set(settings.products)
    assert unconfigured == {"a1Neighbour"}
    for plan in scenario.ble:
        product = settings.products.get(plan.product_key)
        assert product is None or product.product_ids == (plan.product_id,)
    assert {plan.generation.value for plan in scenario.ble} == {"A0", "A1", "B0", "B1", "C", "genie"}
    kinds = {product.net_type for product in settings.products.values()}
    assert kinds == {3, 4, 5}
    assert settings.cloud.link == "embedded"
    assert settings.service.listen == "127.0.0.1:0"
    network = settings.default_network
    assert network
    assert network.ssid in {point.ssid_bytes for point in scenario.access_points}


def test_the_copy_in_config_is_a_link_to_the_default_home() -> None:
    link = ROOT / "config" / "home.toml"
    assert not link.readlink().is_absolute()
    assert link.resolve() == HOME / "scenario.toml"
