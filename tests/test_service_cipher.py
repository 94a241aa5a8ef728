"""Keys: over HTTP the whole digest, over the device channel the AES key, for whoever may have it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from agent.codec import alink
from agent.model import DeviceId
from tests.jumping import run_jumping
from tests.service_world import (
    BLE,
    COMBO,
    DEVICE_SECRETS,
    GATEWAY,
    OTHER_GATEWAY,
    PRODUCT_SECRETS,
    TOKEN,
    Line,
    named,
    opened,
    own,
)

PATH = "/awss/cipher/get"
NO_OBJECTS: list[object] = [[], "", 0, False, "x"]
RANDOM = "4420823CFDE6F1C26B30F90EC7DD01E4"
MAC = "AA:BB:CC:00:11:22"


def digest(secret: str, mac: str | None = None) -> str:
    parts = [secret.encode(), *([bytes.fromhex(mac.replace(":", ""))] if mac else []), bytes.fromhex(RANDOM)]
    return hashlib.sha256(b"\x2c".join(parts)).hexdigest()


KETTLE_PS, LAMP_PS, KETTLE_DS = (
    PRODUCT_SECRETS["a1ComboPrdK"],
    PRODUCT_SECRETS["a1BleProdKy"],
    DEVICE_SECRETS[COMBO],
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (named(COMBO) | {"cipherType": 3}, digest(KETTLE_PS)),
        (named(COMBO), digest(KETTLE_PS)),
        (named(COMBO) | {"cipherType": None}, digest(KETTLE_PS)),
        (named(COMBO) | {"cipherType": ""}, digest(KETTLE_PS)),
        ({"productKey": "a1ComboPrdK", "cipherType": 3}, digest(KETTLE_PS)),
        (named(COMBO) | {"cipherType": 4, "params": {}}, digest(KETTLE_DS)),
        (
            {"productId": "000aa7ab", "deviceName": "x", "cipherType": 6, "params": {"mac": MAC}},
            digest(LAMP_PS, MAC),
        ),
        ({"productId": "aa7ab", "cipherType": 6, "params": {"mac": "aabbcc001122"}}, digest(LAMP_PS, MAC)),
        ({"productId": "0xaa7ab", "cipherType": 3, "params": {"mac": MAC}}, digest(LAMP_PS)),
        (named(COMBO) | {"cipherType": 7, "params": {"mac": "AA-BB-CC-00-11-22"}}, digest(KETTLE_DS, MAC)),
        ({"productKey": "", "productId": "75C66266", "cipherType": 3}, digest(LAMP_PS)),
    ],
)
def test_keys_over_http(tmp_path: Path, given: dict[str, object], expected: str) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            caller = (await service.create_account("home")).caller
            for random in (RANDOM, RANDOM.lower()):
                answer = await service.call(caller, PATH, {"deviceInfoForCipher": given | {"random": random}})
                assert (answer.code, answer.data) == (200, expected)

    run_jumping(main())


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (named(COMBO) | {"random": RANDOM, "cipherType": 5}, 460),
        (named(COMBO) | {"random": RANDOM, "cipherType": 8}, 460),
        (named(COMBO) | {"random": RANDOM, "cipherType": "3"}, 460),
        (named(COMBO) | {"random": RANDOM, "cipherType": True}, 460),
        (named(COMBO) | {"random": RANDOM[:-2]}, 460),
        (named(COMBO) | {"random": RANDOM + "00"}, 460),
        (named(COMBO) | {"random": "zz" * 16}, 460),
        (named(COMBO), 460),
        ({"random": RANDOM}, 460),
        ({"random": RANDOM, "productId": "123456789"}, 460),
        ({"random": RANDOM, "productId": 123}, 460),
        (named(COMBO) | {"random": RANDOM, "cipherType": 6}, 460),
        (named(COMBO) | {"random": RANDOM, "cipherType": 6, "params": {"mac": "AA:BB"}}, 460),
        (named(COMBO) | {"random": RANDOM, "cipherType": 6, "params": [MAC]}, 460),
        *((named(COMBO) | {"random": RANDOM, "params": wrong}, 460) for wrong in NO_OBJECTS),
        ({"random": RANDOM, "productKey": "a1ComboPrdK", "cipherType": 4}, 460),
        ({"random": RANDOM, "productKey": "a1Unknown00"}, 5005),
        ({"random": RANDOM, "productId": "99"}, 5005),
        ({"random": RANDOM, "productKey": "a1Hidden000"}, 6100),
        (named(DeviceId("a1ComboPrdK", "nobody")) | {"random": RANDOM, "cipherType": 4}, 6100),
        ([], 460),
        (None, 460),
    ],
)
def test_codes_over_http(tmp_path: Path, given: object, code: int) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            caller = (await service.create_account("home")).caller
            answer = await service.call(caller, PATH, {"deviceInfoForCipher": given})
            assert (answer.code, answer.data) == (code, None)

    run_jumping(main())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (named(COMBO) | {"cipherType": 3, "awssVer": {"router": "2.0"}}, digest(KETTLE_PS)),
        (named(COMBO) | {"cipherType": 4}, digest(KETTLE_DS)),
        ({"productId": "0x000aa7ab", "mac": MAC, "cipherType": 6}, digest(LAMP_PS, MAC)),
        ({"productId": "0x000aa7ab", "mac": MAC, "cipherType": 3}, digest(LAMP_PS)),
        (named(COMBO) | {"mac": MAC, "cipherType": 7}, digest(KETTLE_DS, MAC)),
    ],
)
def test_keys_over_the_device_channel(tmp_path: Path, given: dict[str, object], expected: str) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            code, data = await line.ask(alink.CIPHER_GET, given | {"random": RANDOM})
            assert isinstance(data, dict)
            assert (code, data["secret"]) == (200, expected[:32].upper())
            echo = {k: given[k] for k in ("productKey", "deviceName", "productId", "mac") if k in given}
            assert data == echo | {"secret": data["secret"]}

    run_jumping(main())


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (named(COMBO) | {"cipherType": 5, "random": RANDOM}, 6100),
        (named(BLE) | {"cipherType": 4, "random": RANDOM}, 6100),
        (named(DeviceId("a1Hidden000", "draft")) | {"cipherType": 3, "random": RANDOM}, 6100),
        (named(COMBO) | {"cipherType": 3}, 460),
        (named(COMBO) | {"cipherType": 9, "random": RANDOM}, 460),
        ({"productId": "aa7ab", "cipherType": 6, "random": RANDOM}, 460),
        ([], 460),
    ],
)
def test_codes_over_the_device_channel(tmp_path: Path, given: object, code: int) -> None:
    async def main() -> None:
        async with opened(tmp_path) as service:
            line = await Line(service).open(GATEWAY)
            assert (await line.ask(alink.CIPHER_GET, given))[0] == code

    run_jumping(main())


def test_a_device_key_is_only_for_the_account_that_owns_the_device(tmp_path: Path) -> None:
    given = named(COMBO) | {"random": RANDOM, "cipherType": 4}

    async def main() -> None:
        async with opened(tmp_path) as service:
            lines = [await Line(service).open(g) for g in (GATEWAY, OTHER_GATEWAY)]
            callers = [await own(service, line, name) for line, name in zip(lines, "ab", strict=True)]
            direct = await Line(service).open(COMBO, gateway=False)
            await direct.ask(alink.MATCH, {"token": TOKEN})
            bound = await service.call(callers[0], "/awss/token/user/bind", named(COMBO) | {"token": TOKEN})
            assert bound.code == 200
            codes = [(await service.call(c, PATH, {"deviceInfoForCipher": given})).code for c in callers]
            assert codes == [200, 6100]
            assert [(await line.ask(alink.CIPHER_GET, given))[0] for line in lines] == [200, 6100]

    run_jumping(main())
