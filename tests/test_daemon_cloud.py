"""What the cloud and the operator ask of a whole daemon: windows, starts, removals; and what it answers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.assembly import Probes
from agent.model import DeviceId
from tests.world import (
    CAMERA,
    GATEWAY,
    LOCK,
    OTHER_PLUG,
    PLUG,
    Document,
    Line,
    Owner,
    Site,
    World,
    in_world,
    live,
    names,
)

COMBO = DeviceId("a1DemoCombo", "combo-01")
COMBO_MAC = "F0:F6:40:79:84:D6"
COMBO_ID = f"ble:{COMBO_MAC}/000aa7ab"
DOORSTEP = f"""\
[[wifi]]
product_key = "a1DemoCam01"
device_name = "camera-01"
mac = "B0:F8:93:15:BF:21"
[[ble]]
generation = "B1"
sub_type = 3
product_key = "a1DemoCombo"
product_id = 0x000AA7AB
device_name = "combo-01"
mac = "{COMBO_MAC}"
[[ble]]
generation = "B1"
product_key = "a1DemoLock1"
product_id = 0x0003C045
device_name = "lock-01"
mac = "EE:1B:BE:4A:86:15"
address = "EE:1B:BE:4A:86:15"
[[ble]]
generation = "B1"
product_key = "a1Neighbour"
product_id = 0x62AB314B
device_name = "curtain-09"
mac = "1E:DA:7F:98:30:A9"
"""
RADIOS: dict[str, Any] = {"ble": ("simulated",), "wifi": ("simulated",), "home": DOORSTEP}

Command = tuple[str | None, object]


async def windows_after(world: World, commands: list[Command], owner: Owner | None) -> Document:
    """The windows after those commands, by admin.sock or, with an owner, by the cloud."""
    for number, (product_key, time) in enumerate(commands):
        if owner is None:
            assert (await world.permit(product_key, time))[0] == 200
            continue
        assert (await owner.permit(product_key, time)).code == 200
        await world.until(partial(has_come, world, number), within=1)
    return await world.read.get("/v1/permits")


def has_come(world: World, number: int) -> bool:
    return len(world.told("permit_opened")) + len(world.told("permit_denied")) > number


ALGEBRA: list[list[Command]] = [
    [("a1DemoPlug1", 60)],
    [("a1DemoPlug1", 0), ("a1DemoPlug1", 60)],
    [("a1DemoPlug1", 60), ("a1DemoPlug1", 65535)],
    [(None, 60), ("a1DemoPlug1", 65535), ("a1DemoPlug1", 1)],
    [("a1DemoPlug1", 65535), ("a1DemoLock1", 65535), (None, 0)],
    [("a1DemoPlug1", 0), (None, 65534), ("a1DemoLock1", 65535), (None, 65535)],
    [("a1Nobody000", 60)],
]


@pytest.mark.parametrize("commands", ALGEBRA)
@pytest.mark.parametrize("ceiling", [None, 30])
def test_the_cloud_and_the_socket_open_the_same_windows(
    tmp_path: Path, commands: list[Command], ceiling: int | None
) -> None:
    seen: list[Document] = []

    async def by_socket(world: World) -> None:
        await world.owner()
        seen.append(await windows_after(world, commands, None))

    async def by_cloud(world: World) -> None:
        seen.append(await windows_after(world, commands, await world.owner()))

    for name, scene in (("socket", by_socket), ("cloud", by_cloud)):
        site = Site(tmp_path / name)
        if ceiling is not None:
            site.drop_in(f"[permits]\nceiling = {ceiling}\n")
        live(site, scene)
    assert all(window["by"] == "cli" for window in seen[0]["windows"])
    assert all(window["by"] == "cloud" for window in seen[1]["windows"])
    for document in seen:
        for window in document["windows"]:
            del window["by"], window["opened_ago"]
            window["ends_in"] = window["ends_in"] and round(window["ends_in"])
    assert seen[0] == seen[1]
    assert all(not w["always"] and w["ends_in"] <= 30 for w in seen[0]["windows"] if ceiling)


@in_world()
async def test_a_time_that_is_none_changes_nothing(world: World) -> None:
    await world.permit("a1DemoPlug1", 600)
    before = (await world.read.get("/v1/permits"))["windows"]
    wrong: list[object] = [None, -1, 65536, 1.5, "60", True, [], 2**62]
    for time in wrong:
        status, refused = await world.permit("a1DemoPlug1", time)
        assert (status, refused["error"]["code"]) == (400, "malformed"), time
    for product_key in ("a b", "x" * 21):
        assert (await world.permit(product_key, 60))[0] == 400
    after = (await world.read.get("/v1/permits"))["windows"]
    assert [w["ends_in"] for w in after] == [w["ends_in"] for w in before]
    assert len(world.told("permit_opened")) == 1


@in_world(drop_in="[permits]\nceiling = 30\n")
async def test_a_ceiling_caps_what_is_asked(world: World) -> None:
    _, document = await world.permit("a1DemoPlug1", 0)
    _, document = await world.permit("a1DemoLock1", 10)
    rows = {w["product_key"]: (w["always"], w["ends_in"], w["capped"]) for w in document["windows"]}
    assert rows == {"a1DemoPlug1": (False, 30, True), "a1DemoLock1": (False, 10, False)}
    assert document["ceiling"] == 30
    await world.until(lambda: len(world.told("permit_closed", reason="expired")) == 2, within=31)
    assert not world.told("warning_raised", code="window_always_open")


@in_world()
async def test_an_endless_window_is_a_standing_warning(world: World) -> None:
    await world.permit(None, 0)
    await world.until(lambda: world.told("warning_raised", code="window_always_open"))
    health = await world.read.get("/v1/health")
    assert [w["code"] for w in health["warnings"]] == ["window_always_open"]
    assert health["ok"] is True
    await world.permit(None, 65535)
    await world.until(lambda: world.told("warning_cleared", code="window_always_open"))


# Direct devices


@in_world(**RADIOS)
async def test_a_direct_device_starts_by_the_command_of_the_operator(world: World) -> None:
    await world.until(lambda: world.told("enrollee_found", id="wifi:a1DemoCam01/camera-01"))
    assert (await world.join(CAMERA, medium="wifi"))["reason"] == "no_start_command"
    status, started = await world.admin.ask("POST", "/v1/provision", {"enrollee": "camera-01"})
    assert (status, started["decision"], started["enrollee"]) == (200, "admitted", f"wifi:{CAMERA}")
    assert started["ends_in"] == 60
    place = await world.ticket(CAMERA, medium="wifi")
    status, done = await world.finish(place)
    assert (status, done["state"]) == (202, "joining")
    assert (await world.joins.get(place))["state"] == "online"
    assert await world.row(CAMERA) is None, "a direct device is no sub-device"
    assert (await world.join(CAMERA, medium="wifi"))["reason"] == "no_start_command", "a start is for once"
    await world.clock.sleep(120)
    assert [e.fields["outcome"] for e in world.told("provisioning_ended")] == ["done"]


@in_world(**RADIOS)
async def test_a_direct_device_starts_by_the_cloud(world: World) -> None:
    owner = await world.owner()
    await world.until(lambda: world.told("enrollee_reported", id="wifi:a1DemoCam01/camera-01"))
    answer = await owner.call("/awss/enrollee/checkin", **names(CAMERA), timeout=5)
    assert answer.code == 200
    await world.until(lambda: world.told("provisioning_started", device=str(CAMERA), by="cloud"), within=1)
    assert (await world.join(CAMERA, medium="wifi"))["decision"] == "admitted"
    await world.until(lambda: world.told("provisioning_ended", device=str(CAMERA)))
    started, ended = world.told("provisioning_started")[0], world.told("provisioning_ended")[0]
    assert ended.fields["outcome"] == "timeout"
    assert ended.boot - started.boot == pytest.approx(5, abs=1.1)
    assert (await world.join(CAMERA, medium="wifi"))["reason"] == "no_start_command"


@in_world(**RADIOS)
async def test_a_start_of_a_combo_device_is_for_the_enrollee_that_was_named(world: World) -> None:
    """Its name is not on the air: only the other stack learns it."""
    await world.until(lambda: world.told("enrollee_found", id=COMBO_ID))
    status, started = await world.admin.ask("POST", "/v1/provision", {"enrollee": COMBO_MAC})
    assert (status, started["decision"], started["enrollee"]) == (200, "admitted", COMBO_ID)
    elsewhere = await world.join(COMBO, medium="ble", address="00:00:00:00:00:01")
    assert elsewhere["reason"] == "no_start_command"
    place = await world.ticket(COMBO, medium="ble", address=COMBO_MAC)
    assert (await world.finish(place))[0] == 202
    again = await world.join(COMBO, medium="ble", address=COMBO_MAC)
    assert again["reason"] == "no_start_command", "a start is for once"
    await world.clock.sleep(120)
    assert [e.fields["outcome"] for e in world.told("provisioning_ended")] == ["done"]


@in_world(**RADIOS)
async def test_what_cannot_be_started_says_why(world: World) -> None:
    await world.until(lambda: len(world.told("enrollee_found")) == 4)
    answers = {
        enrollee: await world.admin.ask("POST", "/v1/provision", {"enrollee": enrollee, **more})
        for enrollee, more in [
            ("EE:1B:BE:4A:86:15", {}),
            ("nobody", {}),
            ("1E:DA:7F:98:30:A9", {}),
            ("camera-01", {"network": "office"}),
            (COMBO_MAC, {"passphrase": "not to be told"}),
        ]
    }
    assert answers["EE:1B:BE:4A:86:15"][1]["reason"] == "wrong_kind"
    assert answers["nobody"][0] == 404
    assert answers["1E:DA:7F:98:30:A9"][0] == 400
    assert "product file" in answers["1E:DA:7F:98:30:A9"][1]["error"]["sentence"]
    assert answers["camera-01"][0] == 404
    assert "home" in answers["camera-01"][1]["error"]["sentence"]
    assert answers[COMBO_MAC][0] == 400
    assert "not to be told" not in str(answers)
    assert world.told("provisioning_started") == []


# Removals


@in_world()
async def test_forget_takes_a_device_out_of_the_cloud_as_well(world: World) -> None:
    await world.let_in(PLUG, OTHER_PLUG)
    status, row = await world.admin.ask("DELETE", f"/v1/subdevices/{PLUG}")
    assert (status, row["state"]) == (200, "removing")
    await world.until(lambda: world.told("subdevice_removed", device=str(PLUG)), within=1)
    assert (await world.service.figures()).topology == {GATEWAY: [OTHER_PLUG]}
    assert await world.row(PLUG) is None
    assert (await world.admin.ask("DELETE", f"/v1/subdevices/{PLUG}"))[0] == 404
    assert (await world.row(OTHER_PLUG) or {})["state"] == "online"
    await world.let_in(PLUG)
    assert (await world.service.figures()).topology == {GATEWAY: [PLUG, OTHER_PLUG]}


def test_what_the_cloud_must_hear_waits_until_the_line_is_back(tmp_path: Path) -> None:
    line = Line()

    async def scene(world: World) -> None:
        await world.let_in(PLUG)
        line.is_cut = True
        place = await world.ticket(OTHER_PLUG)
        assert (await world.finish(place))[0] == 202
        assert (await world.admin.ask("DELETE", f"/v1/subdevices/{PLUG}"))[0] == 200
        await world.clock.sleep(100)
        assert (await world.join(PLUG))["reason"] == "being_removed"
        assert (await world.joins.get(place))["state"] == "joining"
        assert (await world.join(OTHER_PLUG))["reason"] == "join_running"
        facts = (await world.read.get(f"/v1/why/{PLUG}"))["facts"]
        assert "1 message about it waits for the cloud's answer." in [fact["sentence"] for fact in facts]
        line.is_cut = False
        await world.until(lambda: world.told("subdevice_removed", device=str(PLUG)), within=61)
        await world.until(lambda: world.told("subdevice_online", device=str(OTHER_PLUG)), within=61)
        assert (await world.service.figures()).topology == {GATEWAY: [OTHER_PLUG]}
        assert (await world.joins.get(place))["state"] == "online"

    live(Site(tmp_path), scene, probes=Probes(on_send=line.pass_on))


def test_a_join_that_is_forgotten_before_the_cloud_heard_of_it_never_happens(tmp_path: Path) -> None:
    line = Line()

    async def scene(world: World) -> None:
        await world.permit("a1DemoPlug1", 600)
        line.is_cut = True
        place = await world.ticket(PLUG)
        assert (await world.finish(place))[0] == 202
        assert (await world.admin.ask("DELETE", f"/v1/subdevices/{PLUG}"))[0] == 200
        line.is_cut = False
        await world.until(lambda: world.told("subdevice_removed", device=str(PLUG)))
        assert (await world.joins.get(place))["state"] == "failed"
        assert world.told("subdevice_online") == []
        assert (await world.service.figures()).topology == {}

    live(Site(tmp_path), scene, probes=Probes(on_send=line.pass_on))


@in_world()
async def test_the_app_removes_a_device_from_afar(world: World) -> None:
    await world.let_in(PLUG)
    owner = await world.owner(PLUG)
    assert (await world.row(PLUG) or {})["bound"] is True
    assert (await owner.remove(PLUG)).code == 200
    await world.until(lambda: world.told("subdevice_removed", device=str(PLUG), by="cloud"), within=1)
    assert await world.row(PLUG) is None
    assert (await owner.remove(PLUG)).code == 6401
    await world.clock.sleep(700)
    assert len(world.told("token_reported", device=str(PLUG))) == 1, "nothing is said for who is gone"


@in_world()
async def test_the_cloud_disables_enables_and_deletes(world: World) -> None:
    await world.let_in(PLUG)
    await world.service.manage(PLUG, "disable")
    await world.until(lambda: world.told("subdevice_disabled", device=str(PLUG)), within=1)
    assert (await world.row(PLUG) or {})["state"] == "disabled"
    assert (await world.join(PLUG))["reason"] == "device_disabled"
    reported = len(world.told("token_reported", device=str(PLUG)))
    await world.clock.sleep(300)
    assert len(world.told("token_reported", device=str(PLUG))) == reported, "a disabled one is silent"
    await world.service.manage(PLUG, "enable")
    await world.until(lambda: world.told("subdevice_online", device=str(PLUG))[1:], within=1)
    assert (await world.row(PLUG) or {})["state"] == "online"
    await world.service.manage(PLUG, "delete")
    await world.until(lambda: world.told("subdevice_removed", device=str(PLUG), by="cloud"), within=1)
    assert await world.row(PLUG) is None
    assert (await world.read.get("/v1/status"))["subdevices"] == {"total": 0, "online": 0}


@in_world()
async def test_who_connects_in_our_name_is_noticed_and_outlived(world: World) -> None:
    await world.let_in(PLUG)
    other = await world.service.connect(GATEWAY, lambda topic, payload: None)
    await world.until(lambda: world.told("cloud_lost"), within=1)
    link = (await world.read.get("/v1/status"))["link"]
    assert link["state"] == "offline"
    assert [w["code"] for w in (await world.read.get("/v1/health"))["warnings"]] == ["cloud_unreachable"]
    await world.until(lambda: len(world.told("cloud_connected")) == 2, within=2)
    assert other.is_closed
    await world.until(lambda: len(world.told("subdevice_online", device=str(PLUG))) == 2, within=1)
    assert (await world.read.get("/v1/health"))["warnings"] == []


@in_world()
async def test_a_lock_and_a_plug_are_told_apart_by_their_windows(world: World) -> None:
    owner = await world.owner()
    await owner.permit("a1DemoLock1", 60)
    await world.until(lambda: world.told("permit_opened", by="cloud"), within=1)
    assert (await world.join(LOCK))["decision"] == "admitted"
    assert (await world.join(PLUG))["decision"] == "refused"
