"""The gateway's link to the service of its own process, as the CloudLink port promises it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.cloud.embedded import EmbeddedLink
from agent.codec import alink
from agent.errors import CloudBusy, CloudRefused
from agent.model import DeviceId
from agent.ports import CloudLink, Downlink
from agent.service.service import FILE_NAME, Service
from tests.jumping import JumpingClock, run_jumping
from tests.service_world import DEVICE_SECRETS, GATEWAY, SUB, TOKEN, login_of, named, opened, signed

SECRET = DEVICE_SECRETS[SUB]


@asynccontextmanager
async def held(
    service: Service, on_send: Callable[[str], None] | None = None
) -> AsyncIterator[tuple[EmbeddedLink, list[Downlink], asyncio.Task[None]]]:
    """A link that is held, what arrives on it, and the task that holds it."""
    link = EmbeddedLink(service, GATEWAY, JumpingClock(), on_send)
    port: CloudLink = link
    arrived: list[Downlink] = []
    connected = asyncio.Event()
    async with asyncio.TaskGroup() as group:

        async def hold() -> None:
            try:
                await port.hold(arrived.append, connected.set)
            except CloudBusy:
                return

        task = group.create_task(hold())
        await connected.wait()
        try:
            yield link, arrived, task
        finally:
            task.cancel()


def test_asking(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service, held(service) as (link, _, _):
            assert link.carries_ble
            reply = await link.ask(GATEWAY, alink.SUB_REGISTER, [named(SUB)])
            assert (reply.code, reply.message) == (200, "success")
            assert SECRET in str(reply.data)
            assert SECRET not in repr(reply)
            refused = await link.ask(GATEWAY, alink.LOGIN, login_of(SUB, SECRET))
            assert (refused.code, refused.message) == (6401, "topo relation not exist")
            assert (await link.ask(GATEWAY, alink.TOPO_ADD, [signed(SUB, SECRET)])).code == 200
            assert (await link.ask(SUB, alink.MATCH, {"token": TOKEN})).code == 520, "told by ext/error"
            assert (await link.ask(GATEWAY, alink.LOGIN, login_of(SUB, SECRET))).code == 200
            assert (await link.ask(SUB, alink.MATCH, {"token": TOKEN})).code == 200

    run_jumping(main())


def test_many_at_once_each_get_their_own_reply(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service, held(service) as (link, _, _):
            names = [DeviceId("a1SubProdKy", f"plug_{n:03}") for n in range(30)]
            replies = await asyncio.gather(
                *(link.ask(GATEWAY, alink.SUB_REGISTER, [named(device)]) for device in names)
            )
            answered = [reply.data[0]["deviceName"] for reply in replies if isinstance(reply.data, list)]
            assert answered == [device.device_name for device in names]

    run_jumping(main())


def test_a_downlink_arrives_and_is_answered(tmp_path: Path) -> None:
    sent: list[str] = []

    async def main() -> None:
        async with opened(tmp_path) as service, held(service, sent.append) as (link, arrived, _):
            caller = (await service.create_account("home")).caller
            await link.ask(GATEWAY, alink.MATCH, {"token": TOKEN})
            await service.call(caller, "/awss/token/user/bind", named(GATEWAY) | {"token": TOKEN})
            permit = {"iotId": service.iot_id(GATEWAY), "productKey": "a1SubProdKy", "time": 60}
            assert (await service.call(caller, "/thing/gateway/permit", permit)).code == 200
            bound, window = arrived
            assert (bound.device, bound.name) == (GATEWAY, "_thing/event/notify")
            assert (window.name, window.params) == (alink.PERMIT, {"productKey": "a1SubProdKy", "time": 60})
            assert isinstance(window.id, str)
            await link.answer(window, 200, {})
            await link.answer(window, 460, {})
            quiet = Downlink(GATEWAY, alink.PERMIT, "1", {}, ack=False)
            await link.answer(quiet, 200, {})
            assert sent == ["connect", alink.MATCH, alink.PERMIT + "_reply", alink.PERMIT + "_reply"]
            assert (await service.figures()).broken == 0

    run_jumping(main())


def test_a_refused_checkin_is_told_to_the_service(tmp_path: Path) -> None:
    lamp = {"productId": "0x000aa7ab", "mac": "AA:BB:CC:00:11:22", "rssi": -60}

    async def main() -> None:
        async with opened(tmp_path) as service, held(service) as (link, arrived, _):
            caller = (await service.create_account("home")).caller
            await link.ask(GATEWAY, alink.MATCH, {"token": TOKEN})
            await service.call(caller, "/awss/token/user/bind", named(GATEWAY) | {"token": TOKEN})
            assert (await link.ask(GATEWAY, alink.FOUND, {"ble": [lamp]})).code == 200
            checkin = {"enrolleeId": "ble:AA:BB:CC:00:11:22/000aa7ab"}
            assert (await service.call(caller, "/awss/enrollee/checkin", checkin)).code == 200
            assert TOKEN not in repr(arrived)
            page = {"pageSize": 1, "pageNum": 1}
            for code, status in ((200, 1), (400, 0)):
                await link.answer(arrived[-1], code, {})
                listed = await service.call(caller, "/awss/enrollee/list/get", page)
                assert isinstance(listed.data, dict)
                assert listed.data["items"][0]["status"] == status

    run_jumping(main())


def test_without_a_session_nothing_is_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            link = EmbeddedLink(service, GATEWAY, JumpingClock())
            with pytest.raises(CloudBusy):
                await link.ask(GATEWAY, alink.TOPO_GET, {})
            with pytest.raises(CloudBusy):
                await link.answer(Downlink(GATEWAY, alink.PERMIT, "1", {}), 200, {})
            async with held(service) as (later, _, _):
                assert (await later.ask(GATEWAY, alink.TOPO_GET, {})).code == 200
            with pytest.raises(CloudBusy):
                await later.ask(GATEWAY, alink.TOPO_GET, {})

    run_jumping(main())


def test_a_session_that_is_taken_over_ends_the_hold(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service, held(service) as (_, arrived, task):
            await service.connect(GATEWAY, lambda *_: None)
            await task
            assert task.done()
            assert arrived == [], "the notice of the takeover is no downlink"
            link = EmbeddedLink(service, GATEWAY, JumpingClock())
            with pytest.raises(CloudBusy, match="elsewhere"):
                await link.hold(lambda _: None, lambda: service.kick(GATEWAY))

    run_jumping(main())


def test_a_disabled_gateway_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            async with held(service) as (_, _, task):
                await service.manage(GATEWAY, "disable")
                await task
            with pytest.raises(CloudRefused) as refused:
                await EmbeddedLink(service, GATEWAY, JumpingClock()).hold(lambda _: None, lambda: None)
            assert refused.value.code == 522

    run_jumping(main())


def test_a_request_that_is_never_answered_is_given_up_after_15_seconds(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service, held(service) as (link, _, _):
            started = asyncio.get_running_loop().time()
            with pytest.raises(CloudBusy, match="no reply"):
                await link.ask(GATEWAY, alink.TOPO_GET, {"large": "x" * alink.LARGEST})  # dropped as broken
            assert asyncio.get_running_loop().time() - started == pytest.approx(15, abs=0.1)
            assert (await link.ask(GATEWAY, alink.TOPO_GET, {})).code == 200

    run_jumping(main())


def test_whoever_waits_when_the_session_ends_is_told_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service, held(service) as (link, _, task):
            started = asyncio.get_running_loop().time()
            async with asyncio.TaskGroup() as group:

                async def ask() -> None:
                    with pytest.raises(CloudBusy):
                        await link.ask(GATEWAY, alink.TOPO_GET, {"large": "x" * alink.LARGEST})

                group.create_task(ask())
                await asyncio.sleep(3)
                service.kick(GATEWAY)
                await task
            assert asyncio.get_running_loop().time() - started == pytest.approx(3, abs=0.1)

    run_jumping(main())


def test_names_from_the_air_do_not_leave_their_topic(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service, held(service) as (link, _, _):
            with pytest.raises(CloudRefused):
                await link.ask(DeviceId("a1SubProdKy", "../../gw_0001"), alink.MATCH, {"token": TOKEN})

    run_jumping(main())


def test_a_state_that_cannot_be_written_is_a_busy_cloud(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service, held(service) as (link, _, _):
            locker = sqlite3.connect(tmp_path / FILE_NAME, timeout=0)
            try:
                locker.execute("BEGIN IMMEDIATE")
                with pytest.raises(CloudBusy):
                    await link.ask(GATEWAY, alink.MATCH, {"token": TOKEN})
            finally:
                locker.close()
            assert (await link.ask(GATEWAY, alink.MATCH, {"token": TOKEN})).code == 200

    run_jumping(main())


def test_the_line_can_be_cut_before_anything_is_sent(tmp_path: Path) -> None:
    cut: list[str] = []

    def on_send(name: str) -> None:
        if name in cut:
            raise CloudBusy(f"{name}: the line is cut")

    async def main() -> None:
        async with opened(tmp_path) as service:
            async with held(service, on_send) as (link, _, _):
                cut.append(alink.MATCH)
                with pytest.raises(CloudBusy, match="cut"):
                    await link.ask(GATEWAY, alink.MATCH, {"token": TOKEN})
                assert (await service.figures()).tokens == ()
            cut.append("connect")
            with pytest.raises(CloudBusy, match="cut"):
                await EmbeddedLink(service, GATEWAY, JumpingClock(), on_send).hold(
                    lambda _: None, lambda: None
                )

    run_jumping(main())
