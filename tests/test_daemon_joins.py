"""Joins of other stacks' devices through a whole daemon: the door, its tickets, and what it says of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.codec import ad
from agent.model import BleRecord, DeviceId, Generation, mac_text
from hw.sim.signing import Identity, sign_login
from tests.jumping import JumpingClock, run_jumping
from tests.world import (
    CAMERA,
    LOCK,
    OTHER_PLUG,
    PLUG,
    Document,
    Site,
    World,
    asking,
    in_world,
    live,
    running,
)

LOCK_MAC = bytes.fromhex("EE1BBE4A8615")
ELSEWHERE = "00:12:4B:00:14:B5:D1:99"
# No file here holds the secrets of these two.
REGISTERED = DeviceId("a1DemoPlug1", "plug-77")
STRANGE_LOCK = DeviceId("a1DemoLock1", "lock-77")


async def facts(world: World, name: str) -> dict[str, str]:
    """What ``why`` says of a device, by the names of the facts, with the reason of the decision."""
    document = await world.read.get(f"/v1/why/{name}")
    decision = document["decision"] or {"reason": None}
    return {f["name"]: f["sentence"] for f in document["facts"]} | {"reason": decision["reason"]}


@in_world()
async def test_a_closed_window_refuses_and_gives_no_ticket(world: World) -> None:
    decision = await world.join(PLUG)
    assert decision == {
        "v": 1,
        "decision": "refused",
        "reason": "window_closed",
        "sentence": "No window is open for Plug (Zigbee).",
        "ticket": None,
        "ends_in": None,
    }
    assert await world.row(PLUG) is None
    assert [e.fields["device"] for e in world.told("join_refused")] == [str(PLUG)]
    told = await facts(world, str(PLUG))
    assert told["reason"] == "window_closed"
    assert told["right"] == decision["sentence"]
    assert told["now"] == "If it asked now: No window is open for Plug (Zigbee)."


@in_world()
async def test_an_open_window_lets_in_up_to_the_cloud(world: World) -> None:
    assert (await world.permit("a1DemoPlug1", 60))[0] == 200
    decision = await world.join(PLUG)
    assert (decision["decision"], decision["reason"], decision["ends_in"]) == ("admitted", "window_open", 60)
    place = f"/v1/joins/{decision['ticket']}"
    assert (await world.joins.get(place))["state"] == "admitted"
    assert await world.row(PLUG) is None, "nothing joins by asking alone"
    assert await world.finish(place) == (202, {"v": 1, "state": "joining"})
    await world.until(lambda: world.told("subdevice_online", device=str(PLUG)), within=2)
    assert await world.joins.get(place) == {
        "v": 1,
        "state": "online",
        "code": None,
        "sentence": "It is online.",
    }
    row = await world.row(PLUG)
    assert row is not None
    assert (row["state"], row["bound"], row["medium"]) == ("online", False, "zigbee")
    assert list((await world.service.figures()).topology.values()) == [[PLUG]]
    assert "plug-01" in (await facts(world, "plug-01"))["name"]


@in_world()
async def test_a_device_without_a_secret_here_is_registered_first(world: World) -> None:
    await world.let_in(REGISTERED)
    row = await world.row(REGISTERED)
    assert row is not None
    assert row["state"] == "online"


@in_world()
async def test_a_command_against_one_product_denies_it_even_under_any(world: World) -> None:
    await world.permit("a1DemoPlug1", 65535)
    await world.permit(None, 0)
    assert (await world.join(PLUG))["decision"] == "admitted", "any empties the denied list"
    await world.permit("a1DemoPlug1", 65535)
    decision = await world.join(OTHER_PLUG)
    assert (decision["decision"], decision["reason"]) == ("refused", "product_denied")
    assert (await world.join(LOCK))["decision"] == "admitted", "any is still open for the others"
    assert (await facts(world, "plug-02"))["reason"] == "product_denied"
    assert (await world.read.get("/v1/permits"))["denied"] == ["a1DemoPlug1"]


@in_world()
async def test_an_unknown_product_never_joins_not_even_by_any(world: World) -> None:
    stranger = DeviceId("a1Nobody000", "thing-01")
    await world.permit(None, 0)
    await world.permit("a1Nobody000", 0)
    decision = await world.join(stranger)
    assert (decision["decision"], decision["reason"]) == ("refused", "unknown_product")
    assert (await facts(world, str(stranger)))["reason"] == "unknown_product"


@in_world()
async def test_a_gateway_and_a_direct_device_do_not_come_in_by_a_window(world: World) -> None:
    await world.permit(None, 0)
    decision = await world.join(CAMERA, medium="wifi", address="B0:F8:93:15:BF:21")
    assert (decision["decision"], decision["reason"]) == ("refused", "no_start_command")


@in_world()
async def test_a_window_that_ended_says_so(world: World) -> None:
    await world.permit("a1DemoPlug1", 8)
    await world.until(lambda: world.told("permit_closed", reason="expired"))
    opened, closed = world.told("permit_opened")[0], world.told("permit_closed")[0]
    assert closed.boot - opened.boot == pytest.approx(8, abs=0.05)
    assert (await world.read.get("/v1/permits"))["windows"] == []
    assert (await world.join(PLUG))["decision"] == "refused"


@in_world()
async def test_a_member_may_come_again_by_the_way_it_came_and_by_no_other(world: World) -> None:
    await world.let_in(PLUG)
    decision = await world.join(PLUG, address=ELSEWHERE)
    assert (decision["decision"], decision["reason"]) == ("refused", "already_member")
    assert (await facts(world, str(PLUG)))["reason"] == "already_member"
    place = await world.ticket(PLUG)
    assert (await world.finish(place))[0] == 202
    await world.until(lambda: len(world.told("subdevice_online", device=str(PLUG))) == 2)
    assert (await world.joins.get(place))["state"] == "online"
    assert (await world.read.get("/v1/status"))["subdevices"] == {"total": 1, "online": 1}
    await world.permit("a1DemoPlug1", 65535)
    assert (await world.join(PLUG))["decision"] == "refused", "also a member needs a window"


@in_world()
async def test_the_decision_stands_for_60_s_though_the_window_closes(world: World) -> None:
    await world.permit("a1DemoPlug1", 5)
    in_time, too_late = await world.ticket(PLUG), await world.ticket(OTHER_PLUG)
    await world.clock.sleep(59)
    assert (await world.read.get("/v1/permits"))["windows"] == []
    assert (await world.finish(in_time))[0] == 202
    await world.clock.sleep(1)
    status, refused = await world.finish(too_late)
    assert (status, refused["error"]["code"]) == (410, "gone")
    assert (await world.joins.ask("GET", too_late))[0] == 410
    await world.until(lambda: world.told("subdevice_online"))
    assert await world.row(OTHER_PLUG) is None


@pytest.mark.parametrize("product_key", ["a1DemoPlug1", None])
def test_never_voids_open_tickets(tmp_path: Path, product_key: str | None) -> None:
    async def scene(world: World) -> None:
        await world.permit(None, 600)
        plug, lock = await world.ticket(PLUG), await world.ticket(LOCK, medium="ble")
        await world.permit(product_key, 65535)
        status, refused = await world.finish(plug)
        assert (status, refused["error"]["code"]) == (410, "gone")
        assert "voided" in refused["error"]["sentence"]
        assert (await world.finish(lock))[0] == (410 if product_key is None else 202)
        assert await world.row(PLUG) is None

    live(Site(tmp_path), scene)


@in_world()
async def test_never_for_another_product_leaves_a_ticket_alone(world: World) -> None:
    await world.permit("a1DemoPlug1", 600)
    place = await world.ticket(PLUG)
    await world.permit("a1DemoLock1", 65535)
    assert (await world.finish(place))[0] == 202


@in_world()
async def test_a_ticket_is_redeemed_once_and_told_for_ten_minutes(world: World) -> None:
    await world.permit("a1DemoPlug1", 0)
    place = await world.ticket(PLUG)
    assert (await world.finish(place))[0] == 202
    status, refused = await world.finish(place)
    assert (status, refused["error"]["code"]) == (409, "conflict")
    await world.until(lambda: world.told("subdevice_online"))
    settled = world.told("subdevice_online")[0].boot
    await world.clock.sleep(settled + 599.5 - world.clock.boot())
    assert (await world.joins.get(place))["state"] == "online"
    assert (await world.finish(place))[0] == 409
    await world.clock.sleep(1)
    assert (await world.joins.ask("GET", place))[0] == 404
    assert (await world.finish(place))[0] == 404


@in_world()
async def test_asking_twice_gives_the_same_ticket_and_one_event(world: World) -> None:
    await world.permit("a1DemoPlug1", 600)
    assert await world.ticket(PLUG) == await world.ticket(PLUG)
    assert await world.ticket(PLUG, address=ELSEWHERE) != await world.ticket(PLUG)


@in_world()
async def test_a_join_that_the_cloud_refuses_fails_with_its_code(world: World) -> None:
    await world.permit("a1DemoPlug1", 600)
    await world.let_in(PLUG, OTHER_PLUG)
    await world.service.manage(OTHER_PLUG, "delete")
    await world.until(lambda: world.told("subdevice_removed", device=str(OTHER_PLUG)))
    place = await world.ticket(OTHER_PLUG)
    assert (await world.finish(place))[0] == 202
    await world.until(lambda: world.told("subdevice_failed", device=str(OTHER_PLUG)))
    state = await world.joins.get(place)
    assert (state["state"], state["code"]) == ("failed", 6100)
    assert "6100" in state["sentence"]
    assert await world.row(OTHER_PLUG) is None
    assert (await world.row(PLUG) or {})["state"] == "online"


@in_world()
async def test_a_device_without_a_secret_here_signs_its_login_itself(world: World) -> None:
    await world.permit("a1DemoLock1", 600)
    product_secret = world.site.secrets["product_secret.a1DemoLock1"]
    right = sign_login(Identity(STRANGE_LOCK, 0x3C045, product_secret), Generation.B1, b"", keyed="product")
    wrong = right | {"sign": "00" * 32}
    refused = await world.ticket(STRANGE_LOCK, medium="ble")
    assert (await world.finish(refused, sign_params=wrong))[0] == 202
    await world.until(lambda: world.told("subdevice_failed"))
    assert (await world.joins.get(refused))["state"] == "failed"
    place = await world.ticket(STRANGE_LOCK, medium="ble")
    assert (await world.finish(place, sign_params=right))[0] == 202
    await world.until(lambda: world.told("subdevice_online", device=str(STRANGE_LOCK)))


@in_world()
async def test_the_join_socket_joins_and_nothing_else(world: World) -> None:
    for method, target in [("GET", "/v1/status"), ("GET", "/v1/events"), ("POST", "/v1/permits")]:
        status, refused = await world.joins.ask(method, target, {"product_key": None, "time": 0})
        assert (status, refused["error"]["code"]) == (403, "wrong_socket")
    for client in (world.read, world.admin):
        assert (await client.ask("POST", "/v1/joins", asking(PLUG)))[0] == 403
    assert (await world.read.ask("POST", "/v1/permits", {"product_key": None, "time": 0}))[0] == 403
    assert world.told("permit_opened") == []


BROKEN: list[tuple[str, object]] = [
    ("not JSON", "{"),
    ("no object", [1]),
    ("no version", {k: v for k, v in asking(PLUG).items() if k != "v"}),
    ("another version", asking(PLUG) | {"v": 2}),
    ("a number for a name", asking(PLUG) | {"device_name": 7}),
    ("a name too short", asking(PLUG) | {"device_name": "abc"}),
    ("a name too long", asking(PLUG) | {"device_name": "a" * 33}),
    ("a name of foreign letters", asking(PLUG) | {"device_name": "plug 01"}),
    ("no address", asking(PLUG) | {"address": ""}),
    ("a medium in capitals", asking(PLUG) | {"medium": "Zigbee"}),
    ("no product", asking(PLUG) | {"product_key": None}),
    ("more than is known", asking(PLUG) | {"kind": "direct"}),
]


def test_a_malformed_join_is_400_and_decides_nothing(tmp_path: Path) -> None:
    async def scene(world: World) -> None:
        await world.permit(None, 0)
        for what, body in BROKEN:
            status, refused = await world.joins.ask("POST", "/v1/joins", body)
            assert (status, refused["error"]["code"]) == (400, "malformed"), what
            assert refused["error"]["sentence"], what
        assert world.told("join_admitted") == world.told("join_refused") == []

    live(Site(tmp_path), scene)


@pytest.mark.parametrize(
    "done",
    [
        {"token": "00"},
        {"token": 7},
        {"sign_params": "none"},
        {"sign_params": {"clientId": "a", "signMethod": "rot13", "sign": "00" * 32}},
        {"sign_params": {"clientId": "", "signMethod": "sha256", "sign": "00" * 32}},
        {"sign_params": {"clientId": "a", "signMethod": "sha256", "sign": "zz"}},
        {"v": 2},
        {"state": "online"},
    ],
)
def test_a_malformed_done_is_400_and_leaves_the_ticket(tmp_path: Path, done: Document) -> None:
    async def scene(world: World) -> None:
        await world.permit(None, 0)
        place = await world.ticket(PLUG)
        status, refused = await world.finish(place, **done)
        assert (status, refused["error"]["code"]) == (400, "malformed")
        assert (await world.finish(place))[0] == 202

    live(Site(tmp_path), scene)


@in_world()
async def test_a_ticket_that_never_was_is_404(world: World) -> None:
    for answer in (await world.finish("/v1/joins/abc"), await world.joins.ask("GET", "/v1/joins/abc")):
        assert (answer[0], answer[1]["error"]["code"]) == (404, "unknown")


@in_world()
async def test_why_of_what_nobody_knows_is_404(world: World) -> None:
    status, refused = await world.read.ask("GET", "/v1/why/nobody")
    assert (status, refused["error"]["code"]) == (404, "unknown")


def test_windows_and_tickets_outlive_the_process_and_not_the_boot(tmp_path: Path) -> None:
    site = Site(tmp_path)

    async def main() -> None:
        async with running(site) as world:
            await world.let_in(OTHER_PLUG)
            await world.permit("a1DemoPlug1", 300)
            await world.permit("a1DemoLock1", 0)
            place = await world.ticket(PLUG)
            lock = await world.ticket(LOCK)
        async with running(site) as world:
            windows = (await world.read.get("/v1/permits"))["windows"]
            assert {w["product_key"] for w in windows} == {"a1DemoPlug1", "a1DemoLock1"}
            await world.until(lambda: world.told("subdevice_online", device=str(OTHER_PLUG)))
            assert (await world.finish(place))[0] == 202
        async with running(site, clock=JumpingClock(boot_id="boot-2")) as world:
            closed = [e.fields for e in world.told("permit_closed")]
            assert closed == [{"product_key": "a1DemoPlug1", "reason": "rebooted"}]
            windows = (await world.read.get("/v1/permits"))["windows"]
            assert [(w["product_key"], w["always"]) for w in windows] == [("a1DemoLock1", True)]
            assert (await world.finish(lock))[0] == 404
            # What had begun is finished: the cloud may have it already.
            await world.until(lambda: len(world.told("subdevice_online")) == 2)

    run_jumping(main())


@in_world()
async def test_a_sub_device_is_named_in_full_where_a_name_is_not_enough(world: World) -> None:
    await world.join(PLUG)
    await world.join(DeviceId("a1DemoLock1", "plug-01"))
    status, refused = await world.read.ask("GET", "/v1/why/plug-01")
    assert (status, refused["error"]["code"]) == (409, "conflict")
    assert (await facts(world, str(PLUG)))["reason"] == "window_closed"


def heard_lock(world: World, fmsk: int, product_id: int = 0x0003C045) -> str:
    """Let a radio hear the lock say that; the address by which a BLE stack of the site would name it."""
    record = BleRecord(
        generation=Generation.B1,
        sub_type=0,
        product_id=product_id,
        mac=LOCK_MAC,
        fmsk=fmsk,
        # What follows from the octets above is not looked at.
        secured=True,
        secret=None,
        wants_wifi=False,
        bound=None,
        connectable=True,
    )
    world.agent.discovery.advert_heard("ble")(b"\xc0" + LOCK_MAC[1:], -50, ad.build_manufacturer(record))
    return mac_text(LOCK_MAC)


@pytest.mark.parametrize(
    ("fmsk", "product_id", "reason"),
    [
        (0x09, 0x0003C045, "window_open"),
        (0x01, 0x0003C045, "security_downgrade"),
        (0x49, 0x0003C045, "device_bound"),
        (0x09, 0x00012345, "wrong_product"),
    ],
)
def test_the_door_judges_what_is_on_the_air_whoever_asks(
    tmp_path: Path, fmsk: int, product_id: int, reason: str
) -> None:
    async def scene(world: World) -> None:
        assert (await world.permit(LOCK.product_key, 60))[0] == 200
        address = heard_lock(world, fmsk, product_id)
        decision = await world.join(LOCK, address=address, medium="ble")
        assert decision["reason"] == reason
        assert (await facts(world, str(LOCK)))["reason"] == reason

    live(Site(tmp_path), scene)


@in_world()
async def test_a_member_that_says_it_is_bound_may_come_again(world: World) -> None:
    assert (await world.permit(LOCK.product_key, 600))[0] == 200
    address = heard_lock(world, 0x09)
    assert (await world.finish(await world.ticket(LOCK, address=address, medium="ble")))[0] == 202
    await world.until(lambda: world.told("subdevice_online", device=str(LOCK)))
    (row,) = (await world.read.get("/v1/enrollees"))["enrollees"]
    assert row["state"] == "joined"
    heard_lock(world, 0x49)
    assert (await world.join(LOCK, address=address, medium="ble"))["reason"] == "window_open"


@in_world()
async def test_asking_again_is_a_new_decision_that_stands_for_60_s(world: World) -> None:
    assert (await world.permit(PLUG.product_key, 600))[0] == 200
    place = await world.ticket(PLUG)
    await world.clock.sleep(58)
    assert await world.ticket(PLUG) == place
    await world.clock.sleep(58)
    assert (await world.finish(place))[0] == 202


@in_world()
async def test_many_refusals_are_counted_and_do_not_push_out_the_news(world: World) -> None:
    for number in range(300):
        decision = await world.join(DeviceId("a1DemoPlug1", f"plug-{number:04}"))
        assert decision["reason"] == "window_closed"
    assert len(world.told("join_refused")) <= 66
    status = await world.read.get("/v1/status")
    assert status["joins"] == {"admitted": 0, "refused": {"window_closed": 300}}
    await world.clock.sleep(5)
    await world.join(DeviceId("a1DemoPlug1", "plug-later"))
    assert world.told("join_refused", device="a1DemoPlug1/plug-later")
