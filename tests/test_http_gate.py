"""Who may knock: signatures, bodies, dates and nonces, with the statuses that the document recommends."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agent.codec.apigw import Fault, GatewayRefused, ReceivedRequest
from agent.service.book_accounts import AppKey
from agent.service.gate import Gate, Nonces
from agent.service.service import FILE_NAME
from tests.http_world import CHECK, LIST, LOGIN, REFRESH, SetClock, Shop, Told, envelope, frame, shop_at
from tests.service_world import dump, opened

VECTORS = Path(__file__).parent / "vectors" / "http-signed-requests.json"
PUBLIC: list[dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))["vectors"]
SENT_AT = 1580974374.0  # Thu, 06 Feb 2020 07:32:54 GMT, pinned in every vector
KEY, SECRET = "23270001", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SIGNED = ("x-ca-key", "x-ca-nonce", "x-ca-signaturemethod")
BODY = json.dumps(envelope({"token": "x"}, "t")).encode()


@pytest_asyncio.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_at(tmp_path) as shop:
        yield shop


def message(told: Told) -> str:
    assert told.document["code"] == told.status
    return told.headers["x-ca-error-message"]


async def test_a_signed_request_passes_the_gate(shop: Shop) -> None:
    assert (await shop.app.post(CHECK, BODY)).code == 401


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ({"without": ("x-ca-key",)}, 400, "Invalid AppKey"),
        ({"x_ca_key": "11111111"}, 400, "Invalid AppKey"),
        ({"content_md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, 400, "Invalid Content-MD5"),
        ({"without": ("content-md5",)}, 400, "Invalid Content-MD5"),
        ({"without": ("date",)}, 400, "Timestamp Expired"),
        ({"date": "yesterday"}, 400, "Timestamp Expired"),
        ({"date": "Thu, 06 Feb 2020 07:32:54 GMT"}, 400, "Timestamp Expired"),
        ({"x_ca_timestamp": "1", "signed": (*SIGNED, "x-ca-timestamp")}, 400, "Timestamp Expired"),
        ({"x_ca_timestamp": "1"}, 200, ""),
        ({"x_ca_stage": "RELEASE", "signed": (*SIGNED, "x-ca-stage")}, 200, ""),
        ({"without": ("accept",)}, 200, ""),
        ({"content_type": "application/json"}, 200, ""),
    ],
)
async def test_headers(shop: Shop, options: dict[str, Any], status: int, words: str) -> None:
    before = dump(shop.directory)
    told = await shop.app.post(CHECK, BODY, **options)
    assert told.status == status
    if status != 200:
        assert message(told) == words
    assert dump(shop.directory) == before


async def test_no_signature(shop: Shop) -> None:
    headers = shop.app.sign(CHECK, BODY)
    del headers["x-ca-signature"]
    told = await shop.app.send(CHECK, BODY, headers)
    assert (told.status, message(told)) == (401, "Empty Signature")
    assert (await shop.app.send(CHECK, b"", {})).status == 401


async def test_a_wrong_signature_is_told_what_was_signed_here(shop: Shop) -> None:
    headers = shop.app.sign(CHECK, BODY) | {"x-ca-signature": "A" * 43 + "="}
    told = await shop.app.send(CHECK, BODY, headers)
    assert told.status == 400
    text = "#".join(
        ["POST", "application/json", headers["content-md5"], "application/octet-stream", headers["date"]]
        + [f"{name}:{headers[name]}" for name in SIGNED]
        + [CHECK]
    )
    assert message(told) == f"Invalid Signature, Server StringToSign:{text}"
    assert shop.app.secret not in str(told)


async def test_the_path_is_signed_and_so_is_the_query(shop: Shop) -> None:
    told = await shop.app.send(LIST, BODY, shop.app.sign(CHECK, BODY))
    assert (told.status, message(told)[:17]) == (400, "Invalid Signature")
    assert (await shop.app.post(f"{CHECK}?a=1", BODY)).status == 200
    told = await shop.app.send(f"{CHECK}?a=2", BODY, shop.app.sign(f"{CHECK}?a=1", BODY))
    assert told.status == 400


async def test_a_hostile_header_stays_inside_the_error_message(shop: Shop) -> None:
    told = await shop.app.send(f"{CHECK}?\x01\xe9=\t", BODY, shop.app.sign(CHECK, BODY))
    assert told.status == 400
    for value in told.headers.values():
        assert value.isprintable()


@pytest.mark.parametrize("skew", [-899, 0, 899])
async def test_dates_within_a_quarter_of_an_hour(shop: Shop, skew: int) -> None:
    date = formatdate(shop.clock.utc() + skew, usegmt=True)
    assert (await shop.app.post(CHECK, BODY, date=date)).status == 200


@pytest.mark.parametrize("skew", [-902, 902])
async def test_dates_beyond(shop: Shop, skew: int) -> None:
    told = await shop.app.post(CHECK, BODY, date=formatdate(shop.clock.utc() + skew, usegmt=True))
    assert (told.status, message(told)) == (400, "Timestamp Expired")


async def test_a_nonce_is_good_once(shop: Shop) -> None:
    headers = shop.app.sign(CHECK, BODY)
    assert (await shop.app.send(CHECK, BODY, headers)).status == 200
    for wait in (0, 800):
        shop.clock.move(wait)
        told = await shop.app.send(CHECK, BODY, headers)
        assert (told.status, message(told)) == (400, "Nonce Used")
    told = await shop.app.post(CHECK, BODY, x_ca_nonce=headers["x-ca-nonce"])
    assert message(told) == "Nonce Used"
    shop.clock.move(120)
    assert message(await shop.app.send(CHECK, BODY, headers)) == "Timestamp Expired"
    shop.clock.move(1000)
    assert (await shop.app.post(CHECK, BODY, x_ca_nonce=headers["x-ca-nonce"])).status == 200


@pytest.mark.parametrize("options", [{"without": ("x-ca-nonce",)}, {"x_ca_nonce": "1"}])
async def test_a_request_without_a_signed_nonce_is_good_once_too(shop: Shop, options: dict[str, Any]) -> None:
    headers = shop.app.sign(CHECK, BODY, signed=("x-ca-key",), **options)
    assert (await shop.app.send(CHECK, BODY, headers)).status == 200
    if "x-ca-nonce" in headers:
        headers["x-ca-nonce"] = "2"
    assert message(await shop.app.send(CHECK, BODY, headers)) == "Nonce Used"


async def test_a_refused_request_uses_no_nonce_up(shop: Shop) -> None:
    headers = shop.app.sign(CHECK, BODY)
    assert (await shop.app.send(CHECK, BODY, headers | {"x-ca-signature": "x"})).status == 400
    assert (await shop.app.send(CHECK, BODY, headers)).status == 200


async def test_the_lab_takes_old_dates_and_repeats_but_no_wrong_signature(tmp_path: Path) -> None:
    async with shop_at(tmp_path, lab=True) as shop:
        headers = shop.app.sign(CHECK, BODY, date="Thu, 06 Feb 2020 07:32:54 GMT")
        for _ in range(2):
            assert (await shop.app.send(CHECK, BODY, headers)).status == 200
        wrong = headers | {"x-ca-signature": "x" * 44}
        assert (await shop.app.send(CHECK, BODY, wrong)).status == 400


def test_the_memory_of_nonces_is_bounded_and_forgets_nothing_that_could_come_again() -> None:
    nonces = Nonces(most=100)
    for number in range(1000):
        nonces.take(f"n{number}", 1000.0 + number, 1500.0)
    assert len(nonces) == 100
    for number in range(1000):
        with pytest.raises(GatewayRefused) as refused:
            nonces.take(f"n{number}", 1000.0 + number, 1500.0)
        assert refused.value.fault is (Fault.NONCE_USED if number >= 900 else Fault.DATE_OLD)
    nonces.take("new", 2000.0, 3100.0)
    assert len(nonces) == 1, "those whose date is over are dropped"


# The public vectors, end to end.


@pytest.fixture
async def vector_shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """A service with the key of the vectors, at the moment when they were sent."""
    async with opened(tmp_path):
        pass
    db = sqlite3.connect(tmp_path / FILE_NAME)
    for name, value in (("app_key", KEY), ("app_secret", SECRET)):
        db.execute("UPDATE keys SET value = ? WHERE name = ?", (value.encode(), name))
    db.commit()
    db.close()
    clock = SetClock()
    clock.move(SENT_AT - clock.utc())
    async with shop_at(tmp_path, clock=clock) as shop:
        yield shop


def recorded(vector: dict[str, Any]) -> tuple[str, bytes, dict[str, str]]:
    headers = {name: value for name, value in vector["headers"] if name.lower() != "content-length"}
    return vector["request_line"].split()[1], vector["body"].encode(), headers


@pytest.mark.parametrize("vector", PUBLIC, ids=lambda v: v["name"])
async def test_what_the_official_client_sent_is_let_in(vector_shop: Shop, vector: dict[str, Any]) -> None:
    path, body, headers = recorded(vector)
    headers.pop("host")
    told = await vector_shop.app.send(path, body, headers)
    expected = {LOGIN: 2462, REFRESH: 2401}.get(path, 401)
    assert (told.code, told.document["id"]) == (expected, vector["body_json"]["id"])


def altered(text: str) -> list[str]:
    """The text with each of its characters, in turn, another."""
    return [text[:at] + chr(ord(c) ^ 1) + text[at + 1 :] for at, c in enumerate(text)]


@pytest.mark.parametrize("vector", PUBLIC, ids=lambda v: v["name"])
async def test_one_byte_makes_all_the_difference(vector: dict[str, Any]) -> None:
    clock = SetClock()
    clock.move(SENT_AT - clock.utc())
    gate = Gate(AppKey(KEY, SECRET), clock)
    path, body, headers = recorded(vector)

    def refused(path: str, headers: dict[str, str], body: bytes) -> Fault:
        with pytest.raises(GatewayRefused) as caught:
            gate.admit(ReceivedRequest("POST", path, list(headers.items()), body))
        return caught.value.fault

    for at in range(len(body)):
        other = body[:at] + bytes((body[at] ^ 1,)) + body[at + 1 :]
        assert refused(path, headers, other) is Fault.BODY_CHANGED
    for other_path in altered(path):
        assert refused(other_path, headers, body) is Fault.SIGNATURE_WRONG
    faults = {"x-ca-key": Fault.KEY_UNKNOWN, "content-md5": Fault.BODY_CHANGED}
    names = ("accept", "content-type", "date", "x-ca-nonce", "x-ca-signaturemethod", "x-ca-signature")
    for name in (*names, "x-ca-signature-headers", *faults):
        for value in altered(headers[name]):
            fault = refused(path, headers | {name: value}, body)
            assert fault is faults.get(name, Fault.SIGNATURE_WRONG), (name, value)
    assert gate.admit(ReceivedRequest("POST", path, list(headers.items()), body)) == KEY


async def test_the_raw_target_is_what_counts(shop: Shop) -> None:
    headers = shop.app.sign(f"{CHECK}?name=a%20b", BODY)
    assert (await shop.app.raw(frame(f"{CHECK}?name=a%20b", BODY, headers))).status == 200
    decoded = shop.app.sign(f"{CHECK}?name=a b", BODY)
    told = await shop.app.raw(frame(f"{CHECK}?name=a%20b", BODY, decoded))
    assert told.status == 200, "the official client signs what it has not encoded yet"
