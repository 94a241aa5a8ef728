"""A direct device's own connection: proven by its secret, good for its token."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.codec import alink_sign
from agent.errors import CloudBusy, CloudRefused, InputRefused
from agent.model import DeviceId
from agent.ports import DeviceUplink
from agent.service.uplink import EmbeddedUplink
from tests.jumping import run_jumping
from tests.service_world import COMBO, DEVICE_SECRETS, SUB, TOKEN, named, opened

SECRET = DEVICE_SECRETS[COMBO]


def test_a_device_reports_its_token_and_is_bound(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            uplink: DeviceUplink = EmbeddedUplink(service)
            caller = (await service.create_account("home")).caller
            async with uplink.connect(COMBO, SECRET) as connection:
                reply = await connection.match(bytes.fromhex(TOKEN))
                assert (reply.code, reply.data) == (200, {})
                bind = named(COMBO) | {"token": TOKEN}
                assert (await service.call(caller, "/awss/token/user/bind", bind)).code == 200
                assert (await connection.match(bytes(16))).code == 460
            with pytest.raises(CloudBusy):
                await connection.match(bytes.fromhex(TOKEN))
            assert (await service.figures()).binds == {COMBO: 1}

    run_jumping(main())


def test_what_the_service_tells_the_device(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            caller = (await service.create_account("home")).caller
            async with EmbeddedUplink(service).connect(COMBO, SECRET) as connection:
                window = await service.call(caller, "/awss/time/window/user/bind", named(COMBO))
                assert window.code == 200
                bound = {"identifier": "awss.BindNotify", "value": {"Operation": "Bind"}}
                assert connection.notices == [("_thing/event/notify", bound)]

    run_jumping(main())


@pytest.mark.parametrize(
    ("device", "secret", "code"),
    [
        (COMBO, SECRET + "x", 401),
        (COMBO, "", 401),
        (DeviceId("a1ComboPrdK", "nobody"), SECRET, 401),
        (DeviceId("a1Unknown00", "nobody"), SECRET, 401),
        (SUB, DEVICE_SECRETS[SUB], 403),
    ],
)
def test_who_is_not_let_in(tmp_path: Path, device: DeviceId, secret: str, code: int) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            with pytest.raises(CloudRefused) as refused:
                async with EmbeddedUplink(service).connect(device, secret):
                    pass
            assert refused.value.code == code
            assert not secret or secret not in str(refused.value)

    run_jumping(main())


@pytest.mark.parametrize("username", ["", "combo_01", "&", "a1ComboPrdK&combo_01"])
def test_broken_connects(tmp_path: Path, username: str) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            given = alink_sign.Credentials("x|signmethod=hmacsha1|", username, "00")
            with pytest.raises(InputRefused) as refused:
                await service.connect_signed(given, lambda *_: None)
            assert refused.value.code == 401

    run_jumping(main())


def test_a_disabled_device_is_not_let_in(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            async with EmbeddedUplink(service).connect(COMBO, SECRET):
                pass
            await service.manage(COMBO, "disable")
            with pytest.raises(CloudRefused) as refused:
                async with EmbeddedUplink(service).connect(COMBO, SECRET):
                    pass
            assert refused.value.code == 522

    run_jumping(main())
