"""How sub-devices get their secrets, and BLE devices that join by their own signature."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.codec import alink, alink_sign
from agent.model import DeviceId, Generation
from tests.jumping import run_jumping
from tests.service_world import (
    BLE,
    DEVICE_SECRETS,
    GATEWAY,
    OTHER_GATEWAY,
    PRODUCT_SECRETS,
    SUB,
    SUB_2,
    Line,
    join,
    named,
    opened,
    own,
    signed,
)

SECRET = DEVICE_SECRETS[SUB]

PRODUCT_ID = 0x75C66266


def test_registration(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            both = [named(SUB), named(SUB_2)]
            code, data = await line.ask(alink.SUB_REGISTER, both)
            assert code == 200
            assert isinstance(data, list)
            assert data[0] == named(SUB) | {"iotId": service.iot_id(SUB), "deviceSecret": SECRET}, (
                "the operator's"
            )
            assert len(bytes.fromhex(data[1]["deviceSecret"])) == 16, "a minted one"
            assert await line.ask(alink.SUB_REGISTER, both) == (200, data), "the same again"
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            assert await line.ask(alink.SUB_REGISTER, both) == (200, data), "and after a restart"
            assert (await line.ask(alink.SUB_UNREGISTER, both))[0] == 200
            _, again = await line.ask(alink.SUB_REGISTER, both)
            assert isinstance(again, list)
            assert again[1]["iotId"] == data[1]["iotId"]
            assert again[1]["deviceSecret"] != data[1]["deviceSecret"]

    run_jumping(main())


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (named(DeviceId("a1Unknown00", "name")), 6250),
        (named(OTHER_GATEWAY), 460),
        (named(GATEWAY), 6402),
        (named(DeviceId("a1SubProdKy", "abc")), 6280),
        (named(DeviceId("a1SubProdKy", "has space")), 6280),
        ({"productKey": "a1SubProdKy"}, 460),
        (None, 460),
    ],
)
def test_registrations_that_are_refused_whole(tmp_path: Path, entry: object, code: int) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            assert (await line.ask(alink.SUB_REGISTER, [named(SUB_2), entry]))[0] == code
            assert (await line.ask(alink.SUB_UNREGISTER, [named(SUB_2)]))[0] == 6100, "nothing was registered"
            if code != 460 or entry == named(OTHER_GATEWAY):
                assert (await line.ask(alink.LIST_FOUND, [named(SUB_2), entry]))[0] == code

    run_jumping(main())


def test_the_secret_of_another_accounts_device_is_not_to_be_had(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            first = await Line(service).open(GATEWAY)
            second = await Line(service).open(OTHER_GATEWAY)
            await own(service, first, "a")
            await join(first, SUB)
            for owned in (False, True):
                if owned:
                    await own(service, second, "b")
                assert (await second.ask(alink.SUB_REGISTER, [named(SUB)]))[0] == 6100
                assert (await second.ask(alink.SUB_UNREGISTER, [named(SUB)]))[0] == 6401
                proxied = named(SUB) | {"random": "1", "signMethod": "hmacSha1"}
                text = alink_sign.register_text(SUB, "1")
                proxied["sign"] = alink_sign.sign("hmacSha1", PRODUCT_SECRETS[SUB.product_key], text)
                _, data = await second.ask(alink.PRODUCT_REGISTER, {"proxieds": [proxied]})
                assert isinstance(data, dict)
                assert data["successes"] == []

    run_jumping(main())


def test_product_registration_answers_for_each(tmp_path: Path) -> None:
    def proxied(device: DeviceId, secret: str) -> dict[str, object]:
        sign = alink_sign.sign("hmacsha256", secret, alink_sign.register_text(device, "77"))
        return named(device) | {"random": "77", "signMethod": "hmacSha256", "sign": sign}

    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            unknown = DeviceId("a1Unknown00", "name")
            entries = [
                proxied(SUB_2, PRODUCT_SECRETS[SUB.product_key]),
                proxied(SUB, "wrong"),
                proxied(unknown, "x"),
            ]
            code, data = await line.ask(alink.PRODUCT_REGISTER, {"proxieds": entries})
            assert isinstance(data, dict)
            assert code == 200
            [success] = data["successes"]
            assert success.items() >= named(SUB_2).items()
            assert success["iotId"] == service.iot_id(SUB_2)
            failed = [(f["productKey"], f["errorDetail"]["code"]) for f in data["failures"]]
            assert failed == [("a1SubProdKy", 401), ("a1Unknown00", 6250)]
            assert (await line.ask(alink.TOPO_ADD, [signed(SUB_2, success["deviceSecret"])]))[0] == 200
            hostile: list[object] = [{}, {"proxieds": []}, {"proxieds": [{}]}, {"proxieds": entries * 11}, []]
            for broken in hostile:
                assert (await line.ask(alink.PRODUCT_REGISTER, broken))[0] == 460

    run_jumping(main())


def tlv05(generation: Generation, **secret: str) -> dict[str, object]:
    device_secret, product_secret = secret.get("device_secret"), secret.get("product_secret")
    real = bytes(range(16)) if generation is Generation.A1 else None
    sign = alink_sign.tlv05_sign(
        generation, PRODUCT_ID, BLE, device_secret=device_secret, product_secret=product_secret, random=real
    )
    client_id = alink_sign.tlv05_client_id(generation, PRODUCT_ID)
    entry = named(BLE) | {"clientId": client_id, "signMethod": "sha256", "sign": sign.hex()}
    if device_secret:
        tlv04 = bytes(a ^ b for a, b in zip(range(16), device_secret.encode(), strict=False))
        entry["random"] = tlv04.hex()
    return entry


@pytest.mark.parametrize("generation", [Generation.A1, Generation.B0, Generation.B1, Generation.C])
def test_a_ble_device_joins_by_its_tlv05(tmp_path: Path, generation: Generation) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            _, data = await line.ask(alink.SUB_REGISTER, [named(BLE)])
            assert isinstance(data, list)
            entry = tlv05(generation, device_secret=data[0]["deviceSecret"])
            assert await line.ask(alink.TOPO_ADD, [entry]) == (200, [named(BLE)])
            assert await line.ask(alink.LOGIN, entry) == (200, named(BLE))
            assert (await line.ask(alink.LOGIN, entry | {"sign": "00" * 32}))[0] == 6287
            assert (await line.ask(alink.TOPO_ADD, [entry | {"sign": "00" * 32}]))[0] == 401
            assert (await line.ask(alink.TOPO_ADD, [entry | {"sign": "00"}]))[0] == 460
            assert (await line.ask(alink.TOPO_ADD, [entry | {"clientId": "00000001"}]))[0] == 401

    run_jumping(main())


@pytest.mark.parametrize("generation", [Generation.B0, Generation.B1, Generation.C])
def test_a_ble_device_joins_by_its_productsecret(tmp_path: Path, generation: Generation) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            entry = tlv05(generation, product_secret=PRODUCT_SECRETS[BLE.product_key])
            assert await line.ask(alink.TOPO_ADD, [entry]) == (200, [named(BLE)]), "never registered"
            assert await line.ask(alink.LOGIN, entry) == (200, named(BLE))

    run_jumping(main())


def test_a1_per_product_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            entry = tlv05(Generation.B1, product_secret="other") | {"random": "00" * 16}
            [(_, reply)] = await line.send(
                alink.topic_of(GATEWAY, alink.TOPO_ADD), alink.build_request("9", alink.TOPO_ADD, [entry])
            )
            assert reply["code"] == 401
            assert "sign_unverifiable" in str(reply["message"])

    run_jumping(main())
