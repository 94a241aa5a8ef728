"""Generated requests with anything at every place: each is answered, nothing is a fault, nothing changes."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http_world import (
    BIND,
    CHECK,
    CHECKIN,
    CIPHER,
    FILTER,
    LAMP_ID,
    LIST,
    LOGIN,
    LOGOUT,
    PERMIT,
    REFRESH,
    REMOVE,
    SESSIONS,
    WINDOW,
    App,
    Home,
    Shop,
    Told,
    envelope,
    frame,
    read_answer,
    shop_at,
)
from tests.service_world import COMBO, GATEWAY, HOSTILE, SUB, TOKEN, named, spoil

ALL = os.environ.get("ENROLLD_TEST_ALL") == "1"
REQUESTS = 10_000 if ALL else 2_000
RANDOM = "4420823CFDE6F1C26B30F90EC7DD01E4"
CODES = {200, 400, 401, 403, 460, 2401, 2459, 2461, 2462, 5005, 6100, 6401, 6608, 20003}

Document = dict[str, Any]


def good_calls(shop: Shop, home: Home) -> dict[str, Document]:
    """Params of each call that fit; those that would change something name what is not there."""
    keys = {"identityId": home.account.identity, "refreshToken": "0" * 32}
    login = {"authCode": "0" * 32, "accountType": "OA_SESSION", "appKey": shop.app.key}
    return {
        LIST: {"pageSize": 10, "pageNum": 1},
        FILTER: {"iotDevices": [named(COMBO)]},
        CHECKIN: {"enrolleeId": LAMP_ID, "timeout": 5, "token": TOKEN},
        CHECK: named(GATEWAY) | {"token": TOKEN},
        BIND: named(GATEWAY) | {"token": TOKEN, "homeId": "home"},
        WINDOW: named(SUB) | {"homeId": "home"},
        CIPHER: {
            "deviceInfoForCipher": named(COMBO)
            | {"cipherType": 6, "random": RANDOM, "productId": "aa7ab", "params": {"mac": "AABBCC001122"}}
        },
        PERMIT: {"iotId": home.gateway, "productKey": "a1SubProdKy", "time": 60},
        REMOVE: {"iotId": home.gateway, "subIotId": "nothing"},
        LOGIN: {"request": login},
        REFRESH: {"request": keys},
        LOGOUT: {"request": keys},
    }


def write(document: object) -> bytes | None:
    """As JSON, in which surrogates and infinities stand as Python writes them; None for what cannot be."""
    try:
        return json.dumps(document).encode()
    except (ValueError, UnicodeEncodeError):
        return None


def break_bytes(dice: random.Random, body: bytes) -> bytes:
    """The body damaged as text: cut, twisted, nested, doubled, in another encoding."""
    at = dice.randrange(1, len(body))
    depth = dice.choice((5, 31, 33, 200, 20_000))
    return dice.choice(
        (
            body[:at],
            body[:at] + bytes((dice.randrange(256),)) + body[at + 1 :],
            body + body,
            b"\xef\xbb\xbf" + body,
            body.decode().encode("utf-16"),
            body.replace(b'"params"', b'"params":{"token":1},"params"', 1),
            body.replace(b'"id"', b'"id":[],"id"', 1),
            b'{"id":1,"params":' + b"[" * depth + b"]" * depth + b',"request":{"apiVer":"1.0.2"}}',
            b'{"id":1,"params":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}",
            body.replace(b":", b":" + b" " * dice.randrange(2000), 1),
            body.replace(b"1", b"-1e400"),
            body.replace(b"1", b"1" * dice.choice((19, 20, 5000)), 1),
            body.replace(b"1", b"-1.5"),
            body.replace(b"o", b"\\ud800"),
            body.replace(b"o", b"\xc0\xaf", 1),
        )
    )


def generate(dice: random.Random, calls: dict[str, Document], token: str) -> Iterator[tuple[str, bytes]]:
    """Requests without end."""
    spoilt = {path: list(spoil(params)) for path, params in calls.items()}
    while True:
        path = dice.choice(list(calls))
        document = envelope(calls[path], None if path in SESSIONS else token)
        way = dice.random()
        if way < 0.5:
            document["params"] = dice.choice(spoilt[path])
        elif way < 0.75:
            place = dice.choice((document, document["request"]))
            name = dice.choice(("id", "version", "params", "request", "apiVer", "iotToken", "extra"))
            place[name] = dice.choice((*HOSTILE, "9.9.9", "1.0.2.3.4", -1.0))
        body = write(document)
        if body is not None:
            yield path, break_bytes(dice, body) if way >= 0.75 else body


class Wire:
    """One connection that is kept, and opened again when the service closes it."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> Told:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._app.port)
        reader, writer = self._streams
        writer.write(frame(path, body, self._app.sign(path, body)))
        told = await read_answer(reader)
        if told.headers.get("connection") == "close":
            self.close()
        return told

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def test_generated_requests(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    seen: Counter[int] = Counter()
    async with shop_at(tmp_path) as shop:
        home = await shop.furnish()
        watch = sqlite3.connect(tmp_path / "service.db")
        wire = Wire(shop.app)
        requests = generate(random.Random(20201123), good_calls(shop, home), home.token)
        version = watch.execute("PRAGMA data_version").fetchone()
        pushes = len(home.line.received)
        for _ in range(REQUESTS):
            path, body = next(requests)
            told = await wire.post(path, body)
            if len(body) > 64 * 1024:
                assert told.status == 413
                continue
            assert told.status == 200, (path, body[:200], told)
            seen[told.code] += 1
            assert told.code in CODES, (path, body[:200], told)
            if told.code != 200:
                assert told.document["data"] is None
                assert watch.execute("PRAGMA data_version").fetchone() == version, (path, body[:200])
                assert len(home.line.received) == pushes, (path, body[:200])
            version = watch.execute("PRAGMA data_version").fetchone()
            pushes = len(home.line.received)
        wire.close()
        watch.close()
        good = await shop.app.call(LIST, {"pageSize": 1, "pageNum": 1}, home.token)
        assert good.code == 200, "and it serves as before"
    assert {200, 400, 401, 460} <= set(seen), seen
    assert seen[460] > REQUESTS / 5
    assert not caplog.records, caplog.text


@pytest.mark.parametrize("size", [64 * 1024, 64 * 1024 + 1])
@pytest.mark.parametrize("chunked", [False, True])
async def test_the_longest_body(tmp_path: Path, size: int, *, chunked: bool) -> None:
    async with shop_at(tmp_path) as shop:
        body = json.dumps(envelope({"token": ""}, "t")).encode()
        body = body.replace(b'""', b'"' + b"x" * (size - len(body)) + b'"')
        headers = shop.app.sign(CHECK, body)
        if chunked:
            lines = [f"POST {CHECK} HTTP/1.1", "host: x", "transfer-encoding: chunked"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            told = await shop.app.raw("\r\n".join([*lines, "", ""]).encode() + chunks + b"0\r\n\r\n")
        else:
            told = await shop.app.raw(frame(CHECK, body, headers))
        assert told.status == (200 if size == 64 * 1024 else 413)
        assert told.document["code"] == (401 if size == 64 * 1024 else 413)


async def test_a_body_that_is_announced_too_long_is_not_waited_for(tmp_path: Path) -> None:
    async with shop_at(tmp_path) as shop:
        head = frame(CHECK, b"", shop.app.sign(CHECK, b""))
        told = await shop.app.raw(head.replace(b"content-length: 0", b"content-length: 99999999"))
        assert told.status == 413
