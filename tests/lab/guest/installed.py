"""The service as installed: its unit, its hardening, what it hears, who may ask it what, what it logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.guest import place, rights
from tests.lab.guest.machine import (
    ETC,
    Document,
    fetch,
    get,
    is_active,
    journal,
    pid,
    post,
    sh,
    show,
    start,
    status_of,
    wait,
)
from tests.lab.guest.steps import Script

UNITS = "enrolld.service enrolld.socket enrolld-join.socket enrolld-admin.socket"
SHARE = Path("/opt/enrolld/share/enrolld")
MOST_EXPOSED = {"default": 1.1, "scan": 1.6, "raw": 1.9}

script = Script("installed")


@script.shows("make install, from wheels alone, on a machine without network")
def install() -> str:
    make = "/lab/src/bin/make -C /lab/src install PYTHON=/usr/bin/python3 WHEELS=/lab/src/wheels"
    said = sh(make, limit=400)
    sh("id _enrolld && getent group enrolld enrolld-join enrolld-admin")
    assert sh("stat -c '%a %U' /etc/enrolld/secrets") == "700 root"
    return said.splitlines()[-1]


@script.shows("the units verify")
def verify() -> None:
    said = sh(f"systemd-analyze verify {UNITS}")
    assert not said, said


@contextmanager
def added(name: str) -> Iterator[None]:
    """With one of the drop-ins that are shipped."""
    directory = Path("/etc/systemd/system/enrolld.service.d")
    if name != "default":
        sh(f"install -D -m 0644 {SHARE / name}.conf {directory / name}.conf && systemctl daemon-reload")
    try:
        yield
    finally:
        sh(f"rm -rf {directory} && systemctl daemon-reload")


@script.shows("systemd-analyze security: default, scan and raw drop-in")
def score() -> str:
    scores = {}
    for name in MOST_EXPOSED:
        with added(name):
            last = sh("systemd-analyze security --no-pager enrolld.service").splitlines()[-1]
        scores[name] = float(last.partition(": ")[2].split()[0])
    assert all(scores[name] <= most for name, most in MOST_EXPOSED.items()), scores
    return ", ".join(f"{name} {value} (at most {MOST_EXPOSED[name]})" for name, value in scores.items())


@script.shows("it becomes ready, with all radios and nothing wrong")
def ready() -> str:
    place.furnish()
    place.raise_radios()
    sh("systemctl enable --now enrolld", limit=90)
    for unit in UNITS.split():
        assert sh(f"systemctl is-enabled {unit}") == "enabled", unit
    wait("active", is_active, 60)
    wait("both radios listen", lambda: show("StatusText").startswith("2 of 2 radios listen"), 30)
    strays = [
        entry["MESSAGE"] for entry in journal() if not entry.get("LOGGER", "enrolld").startswith("enrolld")
    ]
    assert not strays, strays
    return show("StatusText")


@script.shows("it has no capability, no new privileges, a filter of system calls, and no core")
def closed() -> str:
    facts = dict(line.split(":", 1) for line in Path(f"/proc/{pid()}/status").read_text().splitlines())
    for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "CapInh"):
        assert int(facts[name], 16) == 0, (name, facts[name])
    assert facts["NoNewPrivs"].strip() == "1"
    assert facts["Seccomp"].strip() == "2"
    assert sh(f"stat -c %U /proc/{pid()}") == "_enrolld"
    core = next(line for line in Path(f"/proc/{pid()}/limits").read_text().splitlines() if "core" in line)
    assert core.split()[4:6] == ["0", "0"], core
    return f"resident {int(facts['VmRSS'].split()[0]) // 1024} MiB, {facts['Threads'].strip()} threads"


@script.shows("a BLE advertisement of the air reaches the table through bluetoothd")
def hears_ble() -> str:
    def found() -> object:
        rows = get("/v1/enrollees")["enrollees"]
        return next((row for row in rows if row["id"] == place.ENROLLEE_ID and row["count"] > 1), None)

    row = wait(place.ENROLLEE_ID, found, 40)
    assert (row["address"], row["rssi"], row["class"]) == (place.ENROLLEE, -52, "configured"), row
    return f"{row['id']} {row['rssi']} dBm, heard {row['count']} times"


@script.shows("a cached Wi-Fi scan result that somebody else asked for reaches the table through nl80211")
def hears_wifi() -> str:
    # On a busy host a scan may never come back: the laboratory's README.
    sh(
        "for try in 1 2 3; do timeout 20 iw dev wlan2 scan > /dev/null && exit 0; sleep 1; done; exit 1",
        limit=90,
    )

    def found() -> object:
        points = get("/v1/enrollees")["access_points"]
        return next((point for point in points if point["ssid"] == place.NETWORK), None)

    point = wait("the access point", found, 30)
    assert (point["channel"], point["security"], point["bssid"]) == (6, "wpa2", "02:00:00:10:00:00"), point
    assert status_of("runuser -u _enrolld -- iw dev wlan2 scan") != 0, (
        "an ordinary user could scan by himself"
    )
    return f"{point['ssid']} channel {point['channel']}, {point['rssi']} dBm, age {point['age']:.0f} s"


@script.shows("each right is a socket: four Unix users try every verb on every socket")
def try_rights() -> str:
    for user, group in (
        ("reader", "enrolld"),
        ("joiner", "enrolld-join"),
        ("boss", "enrolld-admin"),
        ("stranger", ""),
    ):
        sh(f"useradd --no-create-home {f'-G {group}' if group else ''} {user}")
        seen = json.loads(sh("cd /lab/src && python3 -m tests.lab.guest.rights", user=user))
        rights.judge(user, seen)
    return f"{len(rights.VERBS)} verbs, {len(rights.ALLOWED)} sockets, {len(rights.USERS)} users"


@script.shows("enrollctl says 77 to whoever may not, and 0 to whoever may")
def ask_by_hand() -> None:
    assert status_of("runuser -u reader -- enrollctl permits") == 0
    assert status_of("runuser -u reader -- enrollctl permit a1LabPlug001 60") == 77
    assert status_of("runuser -u boss -- enrollctl permit a1LabLamp001 never") == 0


@script.shows("the journal has device, window and session of each event, with levels")
def logs() -> str:
    post("/v1/permits", {"v": 1, "product_key": place.PLUG, "time": 3600})
    post("/v1/permits", {"v": 1, "product_key": place.LAMP, "time": 65535})
    post("/v1/permits", {"v": 1, "product_key": place.COMBO, "time": 0})
    join()
    wait("the warning is logged", lambda: "warning_raised" in told(), 10)
    entries = told()
    assert entries["permit_opened"]["ENROLLD_WINDOW"] in {place.PLUG, place.COMBO}, entries["permit_opened"]
    device = f"{place.PLUG}/plug-1"
    joined = [entries[kind] for kind in ("join_admitted", "subdevice_joining", "subdevice_online")]
    assert {entry["ENROLLD_DEVICE"] for entry in joined} == {device}
    assert len({entry["ENROLLD_SESSION"] for entry in joined}) == 1
    warned = entries["warning_raised"]
    assert (warned["ENROLLD_CODE"], warned["PRIORITY"]) == ("window_always_open", "4"), warned
    assert {entry["SYSLOG_IDENTIFIER"] for entry in entries.values()} == {"enrolld"}
    assert sh(f"journalctl -b -o cat --no-pager ENROLLD_DEVICE={device} | wc -l") >= "3"
    return f"{len(entries)} kinds of events"


def told() -> dict[str, Document]:
    """The last entry of each kind of event."""
    return {entry["ENROLLD_EVENT"]: entry for entry in journal() if "ENROLLD_EVENT" in entry}


def join() -> None:
    """Another stack's join: permitted, decided, done, online."""
    wish = {"v": 1, "medium": "zigbee", "address": "00:12:4B:00:14:B5:D1:01", "product_key": place.PLUG}
    answer = post("/v1/joins", {**wish, "device_name": "plug-1"}, on="join.sock")
    assert answer["decision"] == "admitted", answer
    ticket = answer["ticket"]
    post(f"/v1/joins/{ticket}/done", {"v": 1, "sign_params": None}, on="join.sock")

    def online() -> bool:
        return bool(json.loads(fetch("GET", f"/v1/joins/{ticket}", on="join.sock")[1])["state"] == "online")

    wait("the sub-device is online", online, 30)
    wait("its token is reported", lambda: get("/v1/tokens")["tokens"], 30)


@script.shows("the level of the log changes at run time")
def change_level() -> None:
    def debugs() -> int:
        return sum(entry["PRIORITY"] == "7" for entry in journal())

    assert fetch("PUT", "/v1/loglevel", {"v": 1, "level": "debug"})[0] == 200
    before = debugs()
    sh("vble.py --ctl /run/vble.sock "
       '\'{"op": "beacon", "address": "F0:F6:40:79:84:D7", "rssi": -60, '
       '"data": {"flags": 6, "company": 424, "data": "3619aba70a00d7847940f6f0"}}\'')  # fmt: skip
    wait("entries of level debug", lambda: debugs() > before, 30)
    assert fetch("PUT", "/v1/loglevel", {"v": 1, "level": "info"})[0] == 200


@script.shows("systemctl reload takes new settings, and a bad file changes nothing")
def reload() -> None:
    extra = ETC / "enrolld.toml.d" / "ceiling.toml"
    extra.write_text("[permits]\nceiling = 50000\n")
    sh("systemctl reload enrolld")
    wait("the ceiling", lambda: get("/v1/permits")["ceiling"] == 50000, 20)
    extra.write_text("[permits]\nceiling = 'x'\n")
    sh("systemctl reload enrolld")
    wait("the refusal", lambda: "settings_refused" in {w["code"] for w in get("/v1/health")["warnings"]}, 20)
    assert get("/v1/permits")["ceiling"] == 50000
    extra.unlink()
    sh("systemctl reload enrolld")
    wait("no ceiling", lambda: get("/v1/permits")["ceiling"] is None, 20)
    assert is_active()


@script.shows("doctor finds nothing wrong")
def examine() -> str:
    return sh("enrollctl doctor").splitlines()[-1]


@script.shows("without its sockets' service running, the first request starts it")
def activate() -> None:
    sh("systemctl stop enrolld.service")
    assert fetch("GET", "/v1/permits", on="enrolld.sock")[0] == 200
    wait("active", is_active, 60)


@script.shows("systemctl stop ends it in time and cleanly")
def stop_and_start() -> None:
    sh("systemctl stop enrolld.service", limit=20)
    assert show("Result") == "success"
    assert show("ExecMainStatus") == "0"
    start("start")
