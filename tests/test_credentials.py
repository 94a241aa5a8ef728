"""Secrets come from files by name; what is wrong with a file is told without its content."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.credentials import (
    Credentials,
    device_secret_name,
    kind_of,
    load,
    product_secret_name,
    read_device_secret_name,
)
from agent.model import DeviceId


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    directory = tmp_path / "secrets"
    directory.mkdir(mode=0o700)
    return directory


def put(directory: Path, name: str, content: bytes = b"s3cr3t-value\n", mode: int = 0o600) -> None:
    file = directory / name
    file.write_bytes(content)
    file.chmod(mode)


def test_names() -> None:
    assert product_secret_name("a1Bdn3wBulb") == "product_secret.a1Bdn3wBulb"
    assert device_secret_name("a1Bdn3wBulb", "AA:bb.c-d_e@f") == "device_secret.a1Bdn3wBulb.AA%3Abb.c-d_e@f"
    assert device_secret_name("a1.b", "x y é%") == "device_secret.a1%2Eb.x%20y%20%C3%A9%25"


@pytest.mark.parametrize(
    "name",
    [
        "device_secret",
        "device_secret.a1Bdn3wBulb",
        "device_secret.a1Bdn3wBulb.",
        "device_secret..name",
        "device_secret.a1Bdn3wBulb.a:b",
        "device_secret.a1Bdn3wBulb.a%3ab",
        "device_secret.a1Bdn3wBulb.a%41b",
        "device_secret.a1Bdn3wBulb.a%FFb",
        "device_secret.a1Bdn3wBulb.a%",
        "product_secret.a1Bdn3wBulb",
        "\udcff",
    ],
)
def test_what_is_no_name_of_a_device_secret(name: str) -> None:
    assert read_device_secret_name(name) is None


@given(product_key=st.text(st.characters(codec="utf-8"), min_size=1), device_name=st.text(min_size=1))
def test_a_name_of_a_device_secret_reads_back(product_key: str, device_name: str) -> None:
    if not device_name.isprintable():
        return
    name = device_secret_name(product_key, device_name)
    assert re.fullmatch(r"[A-Za-z0-9_@.%-]+", name)
    assert read_device_secret_name(name) == DeviceId(product_key, device_name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gateway_secret", "gateway_secret"),
        ("app_secret", "app_secret"),
        ("auth_code", "auth_code"),
        ("product_secret.a1", "product_secret"),
        ("device_secret.a1.b", "device_secret"),
        ("passphrase.home", "passphrase"),
        ("passphrase.my home", None),
        ("passphrase", None),
        ("product_secret.", None),
        ("product_secret.a.b", None),
        ("product_secret.\udcff", None),
        ("README", None),
        ("", None),
    ],
)
def test_kinds(name: str, kind: str | None) -> None:
    assert kind_of(name) == kind


def test_a_directory_of_secrets(secrets: Path) -> None:
    put(secrets, "gateway_secret", b"one newline goes\n")
    put(secrets, "app_secret", b"none is fine")
    put(secrets, "device_secret.a1Bdn3wBulb.00%3A11", b"x" * 256)
    put(secrets, "device_secret.a1Bdn3wBulb.aabbccddeeff", b"y")
    put(secrets, "device_secret.a1Bdn3wLamp.other", b"z")
    put(secrets, ".gitignore", b"*\n", 0o644)
    credentials = load(secrets, systemd=None)
    assert credentials.problems() == []
    assert credentials.get("gateway_secret") == "one newline goes"
    assert credentials.get("app_secret") == "none is fine"
    assert credentials.get("auth_code") is None
    assert credentials.device_names("a1Bdn3wBulb") == ["00:11", "aabbccddeeff"]
    assert credentials.names() == [
        "app_secret",
        "device_secret.a1Bdn3wBulb.00%3A11",
        "device_secret.a1Bdn3wBulb.aabbccddeeff",
        "device_secret.a1Bdn3wLamp.other",
        "gateway_secret",
    ]


def test_systemd_comes_first_and_its_modes_are_its_own(secrets: Path, tmp_path: Path) -> None:
    systemd = tmp_path / "credentials"
    systemd.mkdir(mode=0o755)
    put(systemd, "secrets_app_secret", b"from systemd", 0o444)
    put(systemd, "secrets_auth_code", b"same", 0o444)
    put(systemd, "something-else", b"\xff not ours")
    put(secrets, "app_secret", b"from the directory")
    put(secrets, "auth_code", b"same")
    put(secrets, "gateway_secret", b"only here")
    credentials = load(secrets, systemd=systemd)
    assert credentials.get("app_secret") == "from systemd"
    assert credentials.get("gateway_secret") == "only here"
    assert credentials.names() == ["app_secret", "auth_code", "gateway_secret"]
    assert credentials.problems() == [
        f"{secrets}/app_secret: differs from systemd's credential, which is used"
    ]


def test_nowhere_to_look() -> None:
    credentials = load(None, systemd=None)
    assert credentials.names() == []
    assert credentials.problems() == []


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert load(tmp_path / "no", systemd=None).problems() == [
        f"{tmp_path}/no: the secrets cannot be read: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("app_secret", b"", "is empty"),
        ("app_secret", b"\n", "is empty"),
        ("app_secret", b"s3cr3t\n\n", "printable ASCII"),
        ("app_secret", b"s3cr3t\r\n", "printable ASCII"),
        ("app_secret", b"s3cr3t\x00", "printable ASCII"),
        ("app_secret", "s3cr3té".encode(), "printable ASCII"),
        ("app_secret", b"s3cr3t" * 43, "longer than 256 octets"),
        ("app_secret", b"s3cr3t" * 100_000, "longer than 256 octets"),
        ("passphrase.home", b"s3cr3t7\n", "8 to 63"),
        ("passphrase.home", b"s3cr3t" * 10 + b"1234", "8 to 63"),
        ("passphrase.home", b"0" * 65, "8 to 63"),
        ("passphrase:home", b"s3cr3t-value", "write %3A"),
        ("device_secret.a1Bdn3wBulb.a:b", b"s3cr3t-value", "write %3A"),
        ("app-secret", b"s3cr3t-value", "is not the name of a secret"),
        ("app_secret~", b"s3cr3t-value", "is not the name of a secret"),
    ],
)
def test_a_bad_file_is_named_and_left_out(secrets: Path, name: str, content: bytes, words: str) -> None:
    put(secrets, name, content)
    put(secrets, "gateway_secret")
    credentials = load(secrets, systemd=None)
    (problem,) = credentials.problems()
    assert problem.startswith(f"{secrets}/{name}: ")
    assert words in problem
    assert "s3cr3t" not in problem
    assert credentials.names() == ["gateway_secret"]


@pytest.mark.parametrize(
    "content", [b"8 chars.", b"x" * 63, b"0123456789abcdefABCDEF" * 2 + b"0" * 20, b" !~ mix~ "]
)
def test_passphrases(secrets: Path, content: bytes) -> None:
    put(secrets, "passphrase.home", content)
    credentials = load(secrets, systemd=None)
    assert credentials.problems() == []
    assert credentials.get("passphrase.home") == content.decode()


def test_a_strange_file_name_is_shown_harmlessly(secrets: Path) -> None:
    put(secrets, "a\x1b[2J\n")
    put(secrets, os.fsdecode(b"b\xff"))
    first, second = load(secrets, systemd=None).problems()
    assert first.startswith(f"{secrets}/a\\x1b[2J\\n: systemd refuses such a file name")
    assert second.startswith(f"{secrets}/b\\udcff: systemd refuses such a file name")


def test_what_is_no_file_is_not_opened(secrets: Path) -> None:
    (secrets / "app_secret").mkdir(mode=0o700)
    os.mkfifo(secrets / "auth_code", 0o600)
    (secrets / "gateway_secret").symlink_to("nowhere")
    put(secrets, "passphrase.home")
    (secrets / "passphrase.link").symlink_to("passphrase.home")
    credentials = load(secrets, systemd=None)
    assert credentials.names() == ["passphrase.home", "passphrase.link"]
    assert credentials.problems() == [
        f"{secrets}/app_secret: is not a regular file; a secret is a file",
        f"{secrets}/auth_code: is not a regular file; a secret is a file",
        f"{secrets}/gateway_secret: No such file or directory",
    ]


def test_open_doors_are_told_and_the_secrets_used(secrets: Path) -> None:
    put(secrets, "app_secret", mode=0o644)
    put(secrets, "auth_code", mode=0o620)
    put(secrets, "gateway_secret", mode=0o400)
    secrets.chmod(0o750)
    credentials = load(secrets, systemd=None)
    assert credentials.problems() == [
        f"{secrets}: is open to others (mode 0750); run chmod 0700 on it",
        f"{secrets}/app_secret: is open to others (mode 0644); run chmod 0600 on it",
        f"{secrets}/auth_code: is open to others (mode 0620); run chmod 0600 on it",
    ]
    assert credentials.names() == ["app_secret", "auth_code", "gateway_secret"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file(secrets: Path) -> None:
    put(secrets, "app_secret", mode=0)
    assert load(secrets, systemd=None).problems() == [f"{secrets}/app_secret: Permission denied"]


def test_no_repr_shows_a_value() -> None:
    credentials = Credentials({"gateway_secret": "hunter2", "auth_code": "hunter3"})
    assert repr(credentials) == "Credentials(auth_code, gateway_secret)"
