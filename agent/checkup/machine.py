"""How systemd sees the service, and the hardware behind its radios."""

from __future__ import annotations

import subprocess
from pathlib import Path

from agent.checkup.findings import UNITS, Finding, Findings, Machine, Severity, good, problem
from agent.config import Settings

CONFIGURATION, CREDENTIALS = "78", "243"  # exit statuses after which systemd does not start it again
RESTARTS = 3


def examine_units(systemctl: str) -> Findings:
    """How systemd sees the service and its sockets."""
    for unit in UNITS:
        shown = _show(systemctl, unit)
        if shown is None:
            yield Finding(
                "units", Severity.NOTE, "systemd does not answer here", "supervise enrolld by yourself"
            )
            return
        yield _judge(unit, shown)


def _judge(unit: str, shown: dict[str, str]) -> Finding:
    state, status = shown.get("ActiveState", ""), shown.get("ExecMainStatus", "")
    if shown.get("LoadState") != "loaded":
        return problem(
            "units", f"{unit} is {shown.get('LoadState')}", "make install, systemctl daemon-reload"
        )
    if status == CREDENTIALS and state != "active":
        return problem(
            "units", f"{unit}: systemd could not hand over the secrets", "mend them, systemctl start enrolld"
        )
    if status == CONFIGURATION and state != "active":
        return problem(
            "units", f"{unit} ended with status 78: its configuration", "mend it, systemctl start enrolld"
        )
    if state != "active":
        why = f" ({shown['Result']})" if shown.get("Result") not in ("", "success", None) else ""
        return problem(
            "units", f"{unit} is {state}{why}", f"systemctl enable --now {unit}; journalctl -u {unit}"
        )
    if int(shown.get("NRestarts") or 0) > RESTARTS:
        count = shown["NRestarts"]
        return Finding(
            "units", Severity.NOTE, f"{unit} was started again {count} times", f"journalctl -u {unit}"
        )
    return good("units", f"{unit} is active{': ' + shown['StatusText'] if shown.get('StatusText') else ''}")


def _show(systemctl: str, unit: str) -> dict[str, str] | None:
    names = "LoadState,ActiveState,Result,NRestarts,ExecMainStatus,StatusText"
    try:
        done = subprocess.run(  # noqa: S603  a fixed command; the unit is one of ours
            [systemctl, "show", unit, "-p", names], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def examine_radios(machine: Machine, settings: Settings) -> Findings:
    """The hardware behind the configured radios."""
    for name in settings.ble.radios:
        if name == "bluez" or name.startswith("bluez:"):
            yield _bluetooth(machine, name)
    for name in settings.wifi.radios:
        kind, _, interface = name.partition(":")
        if kind == "nl80211":
            yield _wifi(machine, name, interface)
        elif kind == "monitor":
            yield problem(
                "radios", f"{name}: this version does not open such a radio yet", f"use nl80211:{interface}"
            )


def _bluetooth(machine: Machine, name: str) -> Finding:
    adapters = sorted(
        path.name for path in (machine.sys / "class/bluetooth").glob("hci*") if ":" not in path.name
    )
    if not adapters:
        return problem(
            "radios", f"{name}: the kernel has no Bluetooth adapter", "plug one in; dmesg | grep -i bluetooth"
        )
    blocked = _blocked(machine.sys, "bluetooth")
    if blocked:
        return problem("radios", f"{name}: Bluetooth is blocked ({blocked})", "rfkill unblock bluetooth")
    shown = _show(machine.systemctl, "bluetooth.service")
    if shown is not None and shown.get("ActiveState") != "active":
        return problem("radios", f"{name}: bluetoothd does not run", "systemctl enable --now bluetooth")
    return good("radios", f"{name}: {', '.join(adapters)}")


def _wifi(machine: Machine, name: str, interface: str) -> Finding:
    place = machine.sys / "class/net" / interface
    if not place.exists():
        there = sorted(path.parent.name for path in (machine.sys / "class/net").glob("*/phy80211"))
        mend = f"use one of these in [wifi] radios: {', '.join(there) or 'there is none'}"
        return problem("radios", f"{name}: there is no interface {interface}", mend)
    if not (place / "phy80211").exists():
        return problem(
            "radios", f"{name}: {interface} is no Wi-Fi interface", "name another in [wifi] radios"
        )
    blocked = _blocked(machine.sys, "wlan")
    if blocked:
        return problem("radios", f"{name}: Wi-Fi is blocked ({blocked})", "rfkill unblock wlan")
    return good("radios", f"{name}: {interface} is there")


def _blocked(sys: Path, kind: str) -> str:
    """The names of the switches that block radios of that kind."""
    found = []
    for switch in sorted((sys / "class/rfkill").glob("rfkill*")):
        try:
            words = {
                name: (switch / name).read_text("utf-8").strip() for name in ("type", "name", "soft", "hard")
            }
        except OSError:
            continue
        if words["type"] == kind and "1" in (words["soft"], words["hard"]):
            found.append(words["name"])
    return ", ".join(found)
