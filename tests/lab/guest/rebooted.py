"""The second boot, on the disk of the first: timed windows are closed, everything else is kept."""

from __future__ import annotations

import json

from tests.lab.guest.machine import get, journal, start
from tests.lab.guest.packing import BOOT_ID, TOLD, unpack
from tests.lab.guest.place import COMBO, LAMP, PLUG
from tests.lab.guest.steps import Script

script = Script("rebooted")


@script.shows("after a reboot of the machine the service starts on the same state")
def begin() -> None:
    unpack()
    assert json.loads(TOLD.read_text())["boot_id"] != BOOT_ID.read_text(), "this is the same boot"
    start("start")


@script.shows("timed windows are closed with reason rebooted; open ones and denials stay")
def windows() -> str:
    before, after = json.loads(TOLD.read_text())["permits"], get("/v1/permits")
    assert {window["product_key"]: window["always"] for window in before["windows"]} == {
        PLUG: False,
        COMBO: True,
    }
    assert {window["product_key"]: window["always"] for window in after["windows"]} == {COMBO: True}
    assert before["denied"] == after["denied"] == [LAMP]
    closed = [entry for entry in journal() if entry.get("ENROLLD_EVENT") == "permit_closed"]
    assert [(entry["ENROLLD_WINDOW"], entry["ENROLLD_REASON"]) for entry in closed] == [(PLUG, "rebooted")]
    return str(closed[0]["MESSAGE"])


@script.shows("the topology is kept; no token of the other boot is sent")
def rest() -> str:
    before = json.loads(TOLD.read_text())
    names = [sub["id"] for sub in before["subdevices"]["subdevices"]]
    assert names
    assert names == [sub["id"] for sub in get("/v1/subdevices")["subdevices"]]
    old = max(token["age"] for token in before["tokens"]["tokens"])
    uptime = get("/v1/status")["uptime"]
    tokens = get("/v1/tokens")
    assert all(token["age"] <= uptime + 1 for token in tokens["tokens"]), (old, tokens)
    return f"{names}; dropped: {tokens['dropped']}"
