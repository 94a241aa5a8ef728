"""What the configuration gives when it is right, and what a reload changes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from agent.config import Settings, differences, load, missing_secrets, needs_restart
from agent.credentials import Credentials
from agent.model import DeviceId, Kind, Product
from tests.config_files import BULB, MINIMAL, Files, only


@pytest.fixture
def write(tmp_path: Path) -> Files:
    return Files(tmp_path)


# What is read.


def test_a_minimal_file_gets_the_documented_defaults(write: Files) -> None:
    settings = load(write())
    assert settings.gateway == DeviceId("a1Bdn3wGate", "hall-gateway")
    assert settings.ble.radios == settings.wifi.radios == ()
    assert settings.networks == {}
    assert settings.default_network is None
    assert (settings.cloud.link, settings.cloud.api) == ("embedded", None)
    assert dataclasses.astuple(settings.service) == ("127.0.0.1:8040", 60, 120, 600, None, None)
    assert settings.permits.ceiling is None
    assert settings.secrets.directory is None
    assert settings.log.level == "info"
    assert settings.products == {}


def test_everything_set(write: Files) -> None:
    text = """
        ble.radios = ["bluez:00-1a-7d-da-71-13", "bluez", "simulated", "replay:a file.btsnoop"]
        wifi = { radios = ["nl80211:wlan0", "monitor:mon0"] }
        permits.ceiling = 3600
        log.level = "debug"
        [networks.home]
        ssid = "Zuhause 家"
        bssid = "aa:bb:cc:dd:ee:ff"
        passphrase = "passphrase.home"
        default = true
        [networks.raw]
        ssid_hex = "00fF"
        bssid = "auto"
        [cloud.api]
        url = "https://api.example.com/"
        app_key = "123"
        home_id = "h1"
        [service]
        listen = "[::1]:0"
        found_interval = 5
        token_life = 3600
        bind_window = 86400
        tls_certificate = "service.crt"
        tls_key = "/keys/service.key"
        [secrets]
        directory = "keys"
    """
    path = write({"enrolld.toml.d/10-all.toml": text})
    settings = load(path)
    assert settings.ble.radios == ("bluez:00:1A:7D:DA:71:13", "bluez", "simulated", "replay:a file.btsnoop")
    assert settings.wifi.radios == ("nl80211:wlan0", "monitor:mon0")
    home, raw = settings.networks["home"], settings.networks["raw"]
    assert (home.ssid, home.bssid) == ("Zuhause 家".encode(), bytes.fromhex("aabbccddeeff"))
    assert (home.passphrase, home.default) == ("passphrase.home", True)
    assert (raw.ssid, raw.bssid, raw.passphrase, raw.default) == (b"\x00\xff", None, None, False)
    assert settings.default_network is home
    api = settings.cloud.api
    assert api is not None
    assert dataclasses.astuple(api) == ("https://api.example.com", "123", "h1", "auth_code")
    tls = (path.parent / "service.crt", Path("/keys/service.key"))
    assert dataclasses.astuple(settings.service) == ("[::1]:0", 5, 3600, 86400, *tls)
    assert settings.permits.ceiling == 3600
    assert settings.secrets.directory == path.parent / "keys"
    assert settings.log.level == "debug"


def test_products(write: Files) -> None:
    plug = (
        'product_key = "a1Kf7QwPlug"\nnet_type = 3\nname = "Plug 插座"\nnode_type = 1\ncategory = "Outlet"\n'
        'security = "none"\npublished = false\nsecret = "product_secret.a1Kf7QwPlug"\n'
        'product_ids = ["0x1", "0XFFFFFFFF"]\n'
    )
    settings = load(write({"products.d/a1Bdn3wBulb.toml": BULB, "products.d/a1Kf7QwPlug.toml": plug}))
    assert settings.products == {
        "a1Bdn3wBulb": Product("a1Bdn3wBulb", "a1Bdn3wBulb", 5, (0x000AA7AB,)),
        "a1Kf7QwPlug": Product(
            "a1Kf7QwPlug",
            "Plug 插座",
            3,
            (1, 0xFFFFFFFF),
            1,
            "Outlet",
            "none",
            published=False,
            secret="product_secret.a1Kf7QwPlug",
        ),
    }
    assert settings.products["a1Bdn3wBulb"].kind is Kind.SUB_DEVICE
    assert settings.products["a1Kf7QwPlug"].kind is Kind.DIRECT


def test_drop_ins_override_the_main_file_in_the_order_of_their_names(write: Files) -> None:
    files = {
        "enrolld.toml.d/20-log.toml": 'log.level = "error"\n[networks.home]\nssid = "B"\n',
        "enrolld.toml.d/10-log.toml": 'log.level = "error"\n[networks.guest]\nssid = "G"\n',
        "enrolld.toml.d/.hidden.toml": "not toml",
        "enrolld.toml.d/old.toml.bak": "not toml",
    }
    main = MINIMAL + 'log.level = "debug"\n[networks.home]\nssid = "A"\npassphrase = "passphrase.home"\n'
    settings = load(write(files, main.replace("log.level", "[log]\nlevel")))
    assert settings.log.level == "error"
    assert settings.networks["home"].ssid == b"B"
    assert settings.networks["home"].passphrase == "passphrase.home"
    assert list(settings.networks) == ["home", "guest"]


def test_a_drop_in_may_bring_what_the_main_file_lacks(write: Files) -> None:
    path = write({"enrolld.toml.d/cloud.toml": 'cloud.link = "mqtt"'}, MINIMAL.partition("[cloud]")[0])
    assert load(path).cloud.link == "mqtt"


def test_a_byte_order_mark_and_line_ends_of_windows(write: Files) -> None:
    text = (MINIMAL + "oops = 1\n").replace("\n", "\r\n")
    assert load(write(main=b"\xef\xbb\xbf" + MINIMAL.encode())).cloud.link == "embedded"
    assert only(write(main=b"\xef\xbb\xbf" + text.encode())).startswith(
        "enrolld.toml:6: cloud.oops: is not known"
    )


# Reloading.


def loaded(write: Files, extra: str = "", products: dict[str, str] | None = None) -> Settings:
    return load(write({f"products.d/{k}.toml": v for k, v in (products or {}).items()}, MINIMAL + extra))


def test_nothing_differs_when_nothing_changed(write: Files) -> None:
    text = "[networks.home]\nssid = 'x'\n"
    assert differences(loaded(write, text), loaded(write, "# comment\n" + text)) == []


def test_differences_name_what_changed(write: Files) -> None:
    old = loaded(
        write,
        "[networks.home]\nssid = 'x'\n[networks.old]\nssid = 'o'\n[ble]\nradios = ['bluez']\n",
        {"a1Bdn3wBulb": BULB},
    )
    new = loaded(
        write,
        "api = {url = 'https://x', app_key = 'k'}\n[networks.home]\nssid = 'y'\n"
        "[networks.'a.b']\nssid = 'n'\n[permits]\nceiling = 60\n",
        {"a1Bdn3wBulb": BULB + "security = 'none'"},
    )
    assert differences(old, new) == [
        "ble.radios",
        "cloud.api",
        'networks."a.b"',
        "networks.home.ssid",
        "networks.old",
        "permits.ceiling",
        "products.a1Bdn3wBulb.security",
    ]


@pytest.mark.parametrize(
    ("key", "restart"),
    [
        ("gateway.device_name", True),
        ("ble.radios", True),
        ("wifi.radios", True),
        ("cloud.link", True),
        ("service.listen", True),
        ("service.tls_certificate", True),
        ("service.tls_key", True),
        ("secrets.directory", True),
        ("permits.ceiling", False),
        ("products.a1Bdn3wBulb", False),
        ("networks.home.ssid", False),
        ("log.level", False),
        ("service.found_interval", False),
        ("cloud.api", False),
    ],
)
def test_what_needs_a_restart(key: str, restart: bool) -> None:
    assert needs_restart(key) is restart


def test_secrets_that_are_named_and_not_there(write: Files) -> None:
    extra = (
        "api = {url = 'https://x', app_key = 'k'}\n"
        "[networks.home]\nssid = 'x'\npassphrase = 'passphrase.home'\n"
    )
    settings = load(
        write(
            {"products.d/a1Bdn3wBulb.toml": BULB + "secret = 'product_secret.a1Bdn3wBulb'"},
            (MINIMAL + extra).replace("embedded", "mqtt"),
        )
    )
    told = missing_secrets(settings, Credentials({"app_secret": "s"}))
    assert [line.partition(", ")[0] for line in told] == [
        "cloud.link needs the credential gateway_secret",
        "cloud.api.auth_code needs the credential auth_code",
        "networks.home.passphrase needs the credential passphrase.home",
        "products.d/a1Bdn3wBulb.toml secret needs the credential product_secret.a1Bdn3wBulb",
    ]
    names = ("gateway_secret", "app_secret", "auth_code", "passphrase.home", "product_secret.a1Bdn3wBulb")
    assert missing_secrets(settings, Credentials(dict.fromkeys(names, "s"))) == []
