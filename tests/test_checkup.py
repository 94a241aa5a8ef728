"""The check-up of an installation: what it names, and that it is silent where all is well."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from agent.checkup import Finding, Machine, Severity, examine
from agent.checkup.machine import examine_units
from agent.cli.main import main
from agent.credentials import is_loadable

CONFIG = """\
[gateway]
product_key = "a1Gate"
device_name = "gateway"
[ble]
radios = ["bluez"]
[wifi]
radios = ["nl80211:wlan0", "monitor:mon0"]
[cloud]
link = "embedded"
"""
SYSTEMCTL = """\
#!/bin/sh
# systemctl show UNIT -p NAMES
case $2 in
bluetooth.service) printf 'LoadState=loaded\\nActiveState=active\\n' ;;
enrolld.service) cat "$(dirname "$0")/service" ;;
*) printf 'LoadState=loaded\\nActiveState=active\\nResult=success\\n' ;;
esac
"""
ACTIVE = (
    "LoadState=loaded\nActiveState=active\nResult=success\nNRestarts=0\nExecMainStatus=0\nStatusText=fine\n"
)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which the files, radios and units are as they must be."""
    etc = tmp_path / "etc"
    (etc / "secrets").mkdir(parents=True, mode=0o700)
    (etc / "products.d").mkdir()
    (etc / "enrolld.toml").write_text(CONFIG)
    (etc / "products.d" / "a1Plug.toml").write_text('product_key = "a1Plug"\nnet_type = 5\n')
    secret(etc, "product_secret.a1Plug", "0123456789abcdef")
    (tmp_path / "sys/class/bluetooth/hci0").mkdir(parents=True)
    (tmp_path / "sys/class/net/wlan0/phy80211").mkdir(parents=True)
    (tmp_path / "systemctl").write_text(SYSTEMCTL)
    (tmp_path / "systemctl").chmod(0o755)
    (tmp_path / "service").write_text(ACTIVE)
    return Machine(
        etc / "enrolld.toml",
        tmp_path / "state",
        tmp_path / "run",
        tmp_path / "sys",
        str(tmp_path / "systemctl"),
    )


def secret(etc: Path, name: str, text: str, mode: int = 0o600) -> None:
    file = etc / "secrets" / name
    file.write_text(text)
    file.chmod(mode)


def wrong(machine: Machine, part: str) -> list[Finding]:
    """The problems of one part."""
    return [f for f in examine(machine) if f.part == part and f.severity is Severity.PROBLEM]


def test_where_all_is_well_nothing_is_said_but_that(machine: Machine) -> None:
    for part in ("configuration", "secrets", "units"):
        assert wrong(machine, part) == []
    (radio,) = wrong(machine, "radios")
    assert radio.sentence.startswith("monitor:mon0")


def test_every_problem_has_a_way_to_mend_it(machine: Machine) -> None:
    found = list(examine(machine))
    assert all(finding.mend for finding in found if finding.severity is Severity.PROBLEM)
    assert any(finding.severity is Severity.PROBLEM for finding in found)


def test_each_mistake_of_the_configuration_is_named_with_its_line(machine: Machine) -> None:
    machine.config.write_text(CONFIG.replace("[cloud]", "[clouds]"))
    sentences = [finding.sentence for finding in wrong(machine, "configuration")]
    assert any("enrolld.toml:8: clouds" in sentence for sentence in sentences), sentences


def test_files_that_the_service_may_not_read_are_named(machine: Machine) -> None:
    (machine.config.parent / "products.d" / "a1Plug.toml").chmod(0o600)
    (found,) = wrong(machine, "configuration")
    assert "a1Plug.toml is closed to the service (mode 0600)" in found.sentence


@pytest.mark.parametrize(
    ("name", "text", "mode", "said"),
    [
        ("device_secret.a1Plug.a:b", "x" * 32, 0o600, "never start the service"),
        ("device_secret.a1Plug.küche", "x" * 32, 0o600, "never start the service"),
        ("device_secret.a1Plug.one", "two\nlines", 0o600, "printable"),
        ("device_secret.a1Plug.one", "", 0o600, "is empty"),
        ("device_secret.a1Plug.one", "x" * 32, 0o644, "chmod 0600"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named_and_not_shown(
    machine: Machine, name: str, text: str, mode: int, said: str
) -> None:
    secret(machine.config.parent, name, text, mode)
    (found,) = wrong(machine, "secrets")
    assert name.partition(":")[0] in found.sentence
    assert said in found.sentence
    assert not text or text not in found.sentence


def test_a_directory_of_secrets_that_is_not_there_is_the_first_thing_to_mend(machine: Machine) -> None:
    (machine.config.parent / "secrets" / "product_secret.a1Plug").unlink()
    (machine.config.parent / "secrets").rmdir()
    (found,) = wrong(machine, "secrets")
    assert found.mend == f"install -d -m 0700 {machine.config.parent / 'secrets'}"


def test_the_state_directory_s_owner_and_mode(machine: Machine) -> None:
    machine.state.mkdir(mode=0o755)
    sentences = [finding.sentence for finding in wrong(machine, "state")]
    assert any("not to _enrolld" in sentence for sentence in sentences)
    assert any("open to others (mode 0755)" in sentence for sentence in sentences)


def test_sockets_that_are_missing_or_no_sockets_or_open_to_all(machine: Machine) -> None:
    machine.run.mkdir()
    (machine.run / "join.sock").mkdir()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(machine.run / "admin.sock"))
        (machine.run / "admin.sock").chmod(0o666)
        found = {Path(f.sentence.split()[0].rstrip(":")).name: f for f in wrong(machine, "sockets")}
    assert "systemctl start enrolld.socket" in (found["enrolld.sock"].mend or "")
    assert "in the way" in found["join.sock"].sentence
    assert "0666" in found["admin.sock"].sentence


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("LoadState=not-found\nActiveState=inactive\n", "not-found"),
        ("LoadState=loaded\nActiveState=failed\nResult=exit-code\nExecMainStatus=78\n", "its configuration"),
        ("LoadState=loaded\nActiveState=failed\nResult=exit-code\nExecMainStatus=243\n", "the secrets"),
        ("LoadState=loaded\nActiveState=failed\nResult=watchdog\nExecMainStatus=0\n", "watchdog"),
        ("LoadState=loaded\nActiveState=active\nResult=success\nNRestarts=9\n", "again 9 times"),
    ],
)
def test_how_systemd_sees_the_service(machine: Machine, shown: str, said: str) -> None:
    (Path(machine.systemctl).parent / "service").write_text(shown)
    first = next(examine_units(machine.systemctl))
    assert first.severity is not Severity.GOOD
    assert said in first.sentence


def test_without_systemd_that_is_one_note(tmp_path: Path) -> None:
    (found,) = examine_units(str(tmp_path / "nothing"))
    assert found.severity is Severity.NOTE


def test_radios_that_are_not_there_or_blocked(machine: Machine) -> None:
    switch = machine.sys / "class/rfkill/rfkill0"
    switch.mkdir(parents=True)
    for name, text in {"type": "bluetooth", "name": "hci0", "soft": "1", "hard": "0"}.items():
        (switch / name).write_text(f"{text}\n")
    (machine.sys / "class/net/wlan0/phy80211").rmdir()
    found = {finding.sentence.partition(":")[0]: finding for finding in wrong(machine, "radios")}
    assert "blocked (hci0)" in found["bluez"].sentence
    assert "no Wi-Fi interface" in found["nl80211"].sentence
    (machine.sys / "class/net/wlan0").rmdir()
    (machine.sys / "class/net/wlp2s0/phy80211").mkdir(parents=True)
    (found["nl80211"], _) = [
        f for f in wrong(machine, "radios") if "nl80211" in f.sentence or "monitor" in f.sentence
    ]
    assert "wlp2s0" in (found["nl80211"].mend or "")


@pytest.mark.parametrize(
    ("name", "loadable"),
    [
        ("device_secret.a1.b%3Ac", True),
        ("with space", True),
        ("a:b", False),
        ("tab\t", False),
        ("ä", False),
        ("x" * 247, True),
        ("x" * 248, False),
    ],
)
def test_names_that_systemd_loads(name: str, loadable: bool) -> None:
    assert is_loadable(name) == loadable


def test_the_command_says_1_when_something_is_wrong_and_knows_json(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--config", str(machine.config), "--state", str(machine.state), "--run", str(machine.run)]
    assert main(["doctor", *places, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["v"] == 1
    assert document["ok"] is False
    assert {"part", "severity", "sentence", "mend"} == set(document["findings"][0])
    assert main(["doctor", *places]) == 1
    assert "-> " in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else's")
def test_a_state_directory_of_root_is_wrong(machine: Machine) -> None:
    machine.state.mkdir(mode=0o700)
    (found, *_) = wrong(machine, "state")
    assert "belongs to root" in found.sentence
