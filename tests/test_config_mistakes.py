"""Every mistake in one file is told with file, line and key path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.config import load
from tests.config_files import BULB, MINIMAL, Files, only, problems


@pytest.fixture
def write(tmp_path: Path) -> Files:
    return Files(tmp_path)


# What cannot be read.


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[gateway\n", 1),
        ("\n\na = \n", 3),
        ("a = 1\na = 2\n", 2),
        ("[a]\n[b]\n[a]\n", 3),
        ('a = 1\nb = """\nno end\n\n', 3),
        (f"a = {'9' * 5000}\n", 1),
    ],
)
def test_syntax_errors_have_file_and_line(write: Files, text: str, line: int) -> None:
    assert only(write(main=text)).startswith(f"enrolld.toml:{line}: is not TOML: ")


def test_absurd_nesting_is_an_error_and_not_a_crash(write: Files) -> None:
    assert only(write(main="a = " + "[" * 100_000)) == "enrolld.toml: is nested too deeply"


def test_octets_that_are_not_utf8(write: Files) -> None:
    assert (
        only(write(main=b"# fine\n# gr\xfc\xdf\n")) == "enrolld.toml:2: is not UTF-8; save the file as UTF-8"
    )


def test_files_that_are_none(write: Files, tmp_path: Path) -> None:
    path = write()
    (tmp_path / "enrolld.toml.d" / "a.toml").mkdir(parents=True)
    (tmp_path / "enrolld.toml.d" / "b.toml").symlink_to("nowhere")
    os.mkfifo(tmp_path / "enrolld.toml.d" / "c.toml")
    (tmp_path / "products.d").write_text("")
    assert problems(path) == [
        "enrolld.toml.d/a.toml: is not a file",
        "enrolld.toml.d/b.toml: cannot be read: No such file or directory",
        "enrolld.toml.d/c.toml: is not a file",
        "products.d: cannot be read: Not a directory",
    ]


def test_no_main_file(tmp_path: Path) -> None:
    assert only(tmp_path / "enrolld.toml") == "enrolld.toml: cannot be read: No such file or directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file(write: Files) -> None:
    path = write()
    path.chmod(0)
    assert only(path) == "enrolld.toml: cannot be read: Permission denied"


def test_a_file_that_cannot_be_read_does_not_make_options_missing(write: Files) -> None:
    path = write({"enrolld.toml.d/a.toml": "[cloud\n"}, MINIMAL.partition("[cloud]")[0])
    assert only(path).startswith("enrolld.toml.d/a.toml:1: is not TOML")


# What is wrong in one file.


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("[service]\nlisten = ''\nintervall = 5\n", 3, "service.intervall"),
        ("[servise]\n", 1, "servise"),
        ("a.b.c = 1\n", 1, "a.b.c"),
        ("[a.b]\nc = {}\n", 1, "a.b"),
        ('[service]\n"a b"."c" = 1\n', 2, 'service."a b".c'),
        ("[[foo.bar]]\nx = 1\n", 1, "foo.bar"),
        ('log . "le vel" = 1\n', 1, 'log."le vel"'),
        ("[log]\n'x.y' = 1\n", 2, 'log."x.y"'),
        ("[[products]]\nproduct_key = 'x'\n", 1, "products"),
        ("permits = { max = 5 }\n", 1, "permits.max"),
        ("networks = { home = { ssid = 'x', bssid = 'auto',\tkey = '''\n''' } }\n", 1, "networks.home.key"),
        ("[networks.home]\nssid = 'x'\n[networks.home.extra]\n", 3, "networks.home.extra"),
        ("[networks]\nssid = 'x'\n", 2, "networks.ssid"),
        ('log.level = """\\\n  info"""\n\nlog.file = ""\n', 4, "log.file"),
    ],
)
def test_unknown_keys(write: Files, text: str, line: int, key: str) -> None:
    told = only(write({"enrolld.toml.d/x.toml": text}))
    assert told.startswith(f"enrolld.toml.d/x.toml:{line}: {key}: ")
    assert "is not known" in told or "must be a table" in told


def test_an_unknown_key_names_what_is_near_or_known(write: Files) -> None:
    told = problems(write(main=MINIMAL + "[service]\nfound_intervall = 5\n[log]\nzzz = 1\n"))
    assert told == [
        "enrolld.toml:7: service.found_intervall: is not known; did you mean found_interval?",
        "enrolld.toml:9: log.zzz: is not known; known here: level",
    ]


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("log = 3", "log", "is an integer; it must be a table, [log]"),
        ("[[log]]\nlevel = 'info'", "log", "is an array of tables; it must be a table, [log]"),
        ("log.level = true", "log.level", "is a boolean; it must be"),
        ("service.found_interval = '60'", "service.found_interval", "is a string; it must be an integer"),
        (
            "service.found_interval = true",
            "service.found_interval",
            "is a boolean; it must be an integer",
        ),
        (
            "service.token_life = 60.0",
            "service.token_life",
            "is a number with a fraction; it must be an integer",
        ),
        ("permits.ceiling = 1979-05-27", "permits.ceiling", "is a date; it must be an integer"),
        ("permits.ceiling = 07:32:00", "permits.ceiling", "is a time; it must be an integer"),
        ("permits.ceiling = 1979-05-27 07:32:00", "permits.ceiling", "is a date and time; it must be"),
        ("ble.radios = 'bluez'", "ble.radios", "is a string; it must be an array"),
        ("ble.radios = [{}]", "ble.radios[0]", "is a table; it must be"),
        ("wifi.radios.x = 1", "wifi.radios", "is a table; it must be an array"),
        ("networks.home = 'x'", "networks.home", "is a string; it must be a table, [networks.home]"),
        (
            "networks.home = { ssid = 'x', default = 1 }",
            "networks.home.default",
            "is an integer; it must be true",
        ),
    ],
)
def test_wrong_types(write: Files, text: str, key: str, words: str) -> None:
    told = only(write({"enrolld.toml.d/x.toml": f"# first\n{text}\n"}))
    assert told.startswith(f"enrolld.toml.d/x.toml:2: {key}: {words}")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("service.found_interval = 4", "service.found_interval"),
        ("service.found_interval = 3601", "service.found_interval"),
        ("service.token_life = 29", "service.token_life"),
        ("service.bind_window = 0", "service.bind_window"),
        ("service.bind_window = 86401", "service.bind_window"),
        ("permits.ceiling = 0", "permits.ceiling"),
        ("permits.ceiling = 65535", "permits.ceiling"),
        ("log.level = 'trace'", "log.level"),
        ("cloud.link = 'Mqtt'", "cloud.link"),
        ("service.listen = '127.0.0.1'", "service.listen"),
        ("service.listen = '127.0.0.1:65536'", "service.listen"),
        ("service.listen = ':8040'", "service.listen"),
        ("gateway.device_name = 'abc'", "gateway.device_name"),
        (f"gateway.device_name = '{'a' * 33}'", "gateway.device_name"),
        ("gateway.device_name = 'hall gateway'", "gateway.device_name"),
        ("gateway.device_name = 'gateway-é'", "gateway.device_name"),
        ("gateway.product_key = ''", "gateway.product_key"),
        (f"gateway.product_key = '{'a' * 21}'", "gateway.product_key"),
        ("secrets.directory = ''", "secrets.directory"),
        ('secrets.directory = "a\\u0000b"', "secrets.directory"),
        ("networks.h = { ssid = '' }", "networks.h.ssid"),
        (f"networks.h = {{ ssid = '{'é' * 17}' }}", "networks.h.ssid"),
        ("networks.h = { ssid_hex = 'abc' }", "networks.h.ssid_hex"),
        (f"networks.h = {{ ssid_hex = '{'00' * 33}' }}", "networks.h.ssid_hex"),
        ("networks.h = { ssid = 'x', bssid = 'AA:BB:CC:DD:EE' }", "networks.h.bssid"),
        ("networks.'a b' = { ssid = 'x' }", 'networks."a b"'),
        ("networks.'*' = { ssid = 'x' }", 'networks."*"'),
        ("cloud.api = { url = 'ftp://x', app_key = 'k' }", "cloud.api.url"),
        ("cloud.api = { url = 'https://user:pw@host', app_key = 'k' }", "cloud.api.url"),
        ("cloud.api = { url = 'https://x:65536', app_key = 'k' }", "cloud.api.url"),
        ("cloud.api = { url = 'https://x', app_key = '' }", "cloud.api.app_key"),
        ("cloud.api = { url = 'https://x', app_key = 'k', home_id = \"a\\nb\" }", "cloud.api.home_id"),
    ],
)
def test_out_of_range(write: Files, text: str, key: str) -> None:
    assert only(write({"enrolld.toml.d/x.toml": f"\n{text}\n"})).startswith(
        f"enrolld.toml.d/x.toml:2: {key}: "
    )


@pytest.mark.parametrize(
    ("table", "radio"),
    [
        ("ble", "hci0"),
        ("ble", "bluez:"),
        ("ble", "bluez:hci0"),
        ("ble", "replay:"),
        ("ble", "simulated:1"),
        ("ble", "nl80211:wlan0"),
        ("wifi", "wlan0"),
        ("wifi", "nl80211"),
        ("wifi", "nl80211:"),
        ("wifi", "monitor:.."),
        ("wifi", "monitor:a/b"),
        ("wifi", "nl80211:an-interface-of16"),
        ("wifi", "bluez"),
        ("wifi", ""),
    ],
)
def test_radios_have_a_form(write: Files, table: str, radio: str) -> None:
    good = "simulated"
    path = write({"enrolld.toml.d/x.toml": f'{table}.radios = [\n  "{good}",\n  # next\n  "{radio}",\n]\n'})
    assert only(path).startswith(f"enrolld.toml.d/x.toml:4: {table}.radios[1]: ")


def test_a_radio_stands_once_however_it_is_spelled(write: Files) -> None:
    text = "ble.radios = ['bluez:aa:bb:cc:dd:ee:ff',\n'bluez:AA-BB-CC-DD-EE-FF']"
    assert only(write({"enrolld.toml.d/x.toml": text})) == (
        "enrolld.toml.d/x.toml:2: ble.radios[1]: stands in the array twice; remove one"
    )


@pytest.mark.parametrize("listen", ["0.0.0.0:8040", "192.168.1.2:80", "[::]:8040", "gateway.local:8040"])
def test_listening_beyond_loopback_needs_tls(write: Files, listen: str) -> None:
    told = only(write({"enrolld.toml.d/x.toml": f"[service]\nlisten = '{listen}'"}))
    assert told.startswith("enrolld.toml.d/x.toml:2: service.listen: is beyond loopback, which needs TLS")
    tls = "[service]\ntls_certificate = 'service.crt'\ntls_key = '/etc/service.key'\n"
    service = load(write({"enrolld.toml.d/y.toml": tls})).service
    assert service.listen == listen
    assert service.tls_certificate == write.directory / "service.crt"
    assert service.tls_key == Path("/etc/service.key")


@pytest.mark.parametrize("key", ["tls_certificate", "tls_key"])
def test_tls_takes_both_files(write: Files, key: str) -> None:
    told = only(write({"enrolld.toml.d/x.toml": f"[service]\nlisten = '[::]:443'\n{key} = 'x.pem'"}))
    assert told.startswith(f"enrolld.toml.d/x.toml:3: service.{key}: is one of two")


def test_no_message_repeats_a_secret_that_stands_in_the_wrong_place(write: Files) -> None:
    secret = "hunter2hunter2"
    files = {
        "enrolld.toml.d/a.toml": f"[networks.home]\nssid = 'x'\npassphrase = '{secret}'\npsk = '{secret}'\n",
        "enrolld.toml.d/b.toml": f"[cloud.api]\nurl='https://x'\napp_key='k'\nauth_code = '{secret}'\n",
        "enrolld.toml.d/c.toml": f"passphrase = '{secret}\n",
        "products.d/a1Bdn3wBulb.toml": BULB + f"secret = '{secret}'\n",
    }
    told = problems(write(files))
    assert [line.partition(": ")[0] for line in told] == [
        "enrolld.toml.d/c.toml:1",
        "enrolld.toml.d/a.toml:3",
        "enrolld.toml.d/a.toml:4",
        "enrolld.toml.d/b.toml:4",
        "products.d/a1Bdn3wBulb.toml:4",
    ]
    assert secret not in "\n".join(told)
