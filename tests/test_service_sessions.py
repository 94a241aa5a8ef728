"""Who is online: connections, logins and logouts, and what the operator ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.codec import alink
from agent.errors import InputRefused
from agent.model import DeviceId
from agent.service.values import ServiceSettings
from tests.jumping import run_jumping
from tests.service_world import (
    DEVICE_SECRETS,
    GATEWAY,
    OTHER_GATEWAY,
    SUB,
    SUB_2,
    TOKEN,
    Line,
    join,
    login_of,
    named,
    opened,
    own,
    signed,
)

SECRET = DEVICE_SECRETS[SUB]


def test_too_many_online_and_too_many_logins(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path, settings=ServiceSettings(online_limit=1)) as service:
            line = await Line(service).open(GATEWAY)
            await join(line, SUB)
            for _ in range(4):
                assert (await line.ask(alink.LOGIN, login_of(SUB, SECRET)))[0] == 200
            assert (await line.ask(alink.LOGIN, login_of(SUB, SECRET)))[0] == 429
            await asyncio.sleep(61)
            assert (await line.ask(alink.LOGIN, login_of(SUB, SECRET)))[0] == 200
            _, data = await line.ask(alink.SUB_REGISTER, [named(SUB_2)])
            assert isinstance(data, list)
            secret = data[0]["deviceSecret"]
            assert (await line.ask(alink.TOPO_ADD, [signed(SUB_2, secret)]))[0] == 200
            assert (await line.ask(alink.LOGIN, login_of(SUB_2, secret)))[0] == 428
            assert (await line.ask(alink.MATCH, {"token": TOKEN}, SUB_2))[0] == 520
            assert (await line.ask(alink.LOGOUT, named(SUB)))[0] == 200
            assert (await line.ask(alink.LOGIN, login_of(SUB_2, secret)))[0] == 200

    run_jumping(main())


def test_batches_log_in_all_or_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            _, data = await line.ask(alink.SUB_REGISTER, [named(SUB_2)])
            assert isinstance(data, list)
            second = data[0]["deviceSecret"]
            await line.ask(alink.TOPO_ADD, [signed(SUB, SECRET), signed(SUB_2, second)])
            good = [login_of(SUB, SECRET), login_of(SUB_2, second)]
            bad = [good[0], good[1] | {"sign": "00"}]
            names = [named(SUB), named(SUB_2)]
            assert (await line.ask(alink.BATCH_LOGIN, {"deviceList": bad}))[0] == 6287
            assert (await line.ask(alink.MATCH, {"token": TOKEN}, SUB))[0] == 520
            assert await line.ask(alink.BATCH_LOGIN, {"deviceList": good}) == (200, names)
            assert await line.ask(alink.BATCH_LOGOUT, names) == (200, names)
            shared = [{k: v for k, v in entry.items() if k != "signMethod"} for entry in good]
            batch = {"signMethod": "hmacSha256", "deviceList": shared}
            assert await line.ask(alink.LOGIN, batch) == (200, names), "the shape decides, not the topic"
            assert await line.ask(alink.BATCH_LOGOUT, {"deviceList": names}) == (200, names)
            assert await line.ask(alink.BATCH_LOGIN, good) == (200, names)
            assert (await line.ask(alink.BATCH_LOGIN, {"deviceList": good * 26}))[0] == 460
            assert (await line.ask(alink.BATCH_LOGIN, {"deviceList": []}))[0] == 460
            assert (await line.ask(alink.BATCH_LOGOUT, [*names, named(GATEWAY)]))[0] == 520
            assert (await line.ask(alink.MATCH, {"token": TOKEN}, SUB))[0] == 200, "none was logged out"

    run_jumping(main())


def test_codes_of_logins(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            await join(line, SUB)
            for entry, code in (
                (login_of(SUB_2, SECRET), 6100),
                (login_of(DeviceId("a1Unknown00", "name"), SECRET), 6100),
                (login_of(SUB, SECRET + "x"), 6287),
                (named(SUB), 460),
                (5, 460),
                ({"deviceList": {}}, 460),
                ({"deviceList": [5]}, 460),
            ):
                assert (await line.ask(alink.LOGIN, entry))[0] == code, entry

    run_jumping(main())


def test_one_gateway_does_not_speak_for_another(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            first = await Line(service).open(GATEWAY)
            await Line(service).open(OTHER_GATEWAY)
            code, data = await first.ask(alink.MATCH, {"token": TOKEN}, OTHER_GATEWAY)
            assert (code, data) == (6401, named(OTHER_GATEWAY))
            assert (await service.figures()).tokens == ()

    run_jumping(main())


def test_the_operators_verbs(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            await own(service, line, "home")
            await join(line, SUB)
            with pytest.raises(InputRefused):
                await service.manage(SUB, "explode")
            with pytest.raises(InputRefused):
                await service.manage(SUB_2, "disable")
            await service.manage(SUB, "disable")
            assert line.downlinks("thing/disable", SUB) == [{}]
            assert (await line.ask(alink.MATCH, {"token": TOKEN}, SUB))[0] == 522
            assert (await line.ask(alink.LOGIN, login_of(SUB, SECRET)))[0] == 522
            await service.manage(SUB, "enable")
            assert line.downlinks("thing/enable", SUB) == [{}]
            assert (await line.ask(alink.LOGIN, login_of(SUB, SECRET)))[0] == 200
            await service.manage(SUB, "delete")
            assert line.downlinks("thing/delete", SUB) == [{}]
            assert (await line.ask(alink.MATCH, {"token": TOKEN}, SUB))[0] == 521
            assert (await line.ask(alink.LOGIN, login_of(SUB, SECRET)))[0] == 521
            assert (await line.ask(alink.TOPO_ADD, [signed(SUB, SECRET)]))[0] == 6100
            await join(line, SUB)
            await service.manage(GATEWAY, "disable")
            assert line.session is not None
            assert line.session.is_closed
            with pytest.raises(InputRefused) as refused:
                await line.open(GATEWAY)
            assert refused.value.code == 522

    run_jumping(main())


def test_a_second_connection_ends_the_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            first = await Line(service).open(GATEWAY)
            await join(first, SUB)
            second = await Line(service).open(GATEWAY)
            topic, body = first.received[-1]
            assert (topic, body["code"]) == ("/ext/error/a1GwProdKey/gw_0001", 427)
            assert first.session is not None
            await first.session.wait_closed()
            assert await first.send("/sys/a1GwProdKey/gw_0001/thing/topo/get", b'{"id":"1"}') == []
            assert (await second.ask(alink.MATCH, {"token": TOKEN}, SUB))[0] == 520, "it must log in again"
            service.disconnect(first.session)
            assert await second.ask(alink.TOPO_GET, {}) == (200, [named(SUB)]), "the old one ends nothing"

    run_jumping(main())


def test_messages_that_get_no_reply(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            topic = "/sys/a1GwProdKey/gw_0001/thing/topo/get"
            for where, payload in (
                (topic, b"{"), (topic, b'{"params":{}}'), (topic, b"[" * 5000), ("nonsense", b'{"id":"1"}'),
                ("/sys/a b/c/thing/x", b'{"id":"1"}'),
            ):  # fmt: skip
                assert await line.send(where, payload) == []
            assert (await service.figures()).broken == 5
            quiet = alink.build_request("1", alink.TOPO_GET, {}, ack=False)
            assert await line.send(topic, quiet) == []
            assert await line.send(topic + "_reply", b'{"id":"1","code":200}') == []
            assert (await service.figures()).broken == 5
            assert (await line.ask("thing/event/property/post", {}))[0] == 6450

    run_jumping(main())
