"""The front as a server: slow and half-sent requests, kept connections, broken HTTP, faults, TLS."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import logging
import socket
import sqlite3
import ssl
from pathlib import Path

import pytest

from agent.codec.apigw import ReceivedRequest
from agent.errors import HardwareError
from agent.events import EventLog
from agent.health import Health
from agent.ingress import Ingress
from agent.model import Product
from agent.service.entrance import Entrance
from agent.service.http import Address, Front, Limits
from agent.service.service import FILE_NAME, Service
from tests.http_world import (
    CHECK,
    LIST,
    App,
    SetClock,
    envelope,
    frame,
    listening,
    read_answer,
    shop_at,
)
from tests.service_world import opened

SHORT = Limits(request=0.2, idle=0.6, connections=20)
BODY = json.dumps(envelope({"token": "x"}, "t")).encode()
PAGE = {"pageSize": 1, "pageNum": 1}


def signed(app: App) -> bytes:
    return frame(CHECK, BODY, app.sign(CHECK, BODY))


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What still comes until the service closes; the test hangs no longer than five seconds."""
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("sent", [b"", b"POST /awss/token/check HTTP/1.1\r\nhost: x\r\nx-ca-key: "])
async def test_headers_that_do_not_come(tmp_path: Path, sent: bytes) -> None:
    async with shop_at(tmp_path, limits=SHORT) as shop:
        reader, writer = await asyncio.open_connection("127.0.0.1", shop.app.port)
        writer.write(sent)
        assert await closed(reader) == b""
        writer.close()


async def test_headers_that_trickle(tmp_path: Path) -> None:
    async with shop_at(tmp_path, limits=SHORT) as shop:
        reader, writer = await asyncio.open_connection("127.0.0.1", shop.app.port)
        ending = asyncio.create_task(closed(reader))
        for octet in signed(shop.app):
            writer.write(bytes((octet,)))
            done, _ = await asyncio.wait((ending,), timeout=0.05)
            if done:
                break
        assert ending.done(), "a byte now and then keeps nobody waiting"
        writer.close()


async def test_a_body_that_does_not_come(tmp_path: Path) -> None:
    async with shop_at(tmp_path, limits=SHORT) as shop:
        reader, writer = await asyncio.open_connection("127.0.0.1", shop.app.port)
        writer.write(signed(shop.app)[:-5])
        told = await asyncio.wait_for(read_answer(reader), 5)
        assert (told.status, told.headers["connection"]) == (408, "close")
        assert await closed(reader) == b""
        writer.close()


async def test_a_peer_that_leaves_in_the_middle(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with shop_at(tmp_path) as shop:
        for cut in (10, 200, len(signed(shop.app)) - 5):
            _, writer = await asyncio.open_connection("127.0.0.1", shop.app.port)
            writer.write(signed(shop.app)[:cut])
            await writer.drain()
            writer.transport.abort()
        assert (await shop.app.post(CHECK, BODY)).code == 401
    assert not caplog.records, caplog.text


async def test_slow_peers_do_not_keep_others_out(tmp_path: Path) -> None:
    async with shop_at(tmp_path, limits=SHORT) as shop:
        slow = [await asyncio.open_connection("127.0.0.1", shop.app.port) for _ in range(15)]
        for _, writer in slow:
            writer.write(b"POST ")
        assert (await shop.app.post(CHECK, BODY)).code == 401
        for reader, writer in slow:
            assert await closed(reader) == b""
            writer.close()


async def test_connections_have_a_limit_and_come_free_again(tmp_path: Path) -> None:
    async with shop_at(tmp_path, limits=SHORT) as shop:
        first = [await asyncio.open_connection("127.0.0.1", shop.app.port) for _ in range(SHORT.connections)]
        reader, writer = await asyncio.open_connection("127.0.0.1", shop.app.port)
        assert await closed(reader) == b"", "one too many"
        writer.close()
        for reader, writer in first:
            assert await closed(reader) == b"", "silent ones end"
            writer.close()
        assert (await shop.app.post(CHECK, BODY)).code == 401


async def test_a_connection_is_kept_and_ends_when_idle(tmp_path: Path) -> None:
    async with shop_at(tmp_path, limits=SHORT) as shop:
        reader, writer = await asyncio.open_connection("127.0.0.1", shop.app.port)
        for _ in range(3):
            writer.write(signed(shop.app))
            assert (await read_answer(reader)).code == 401
        writer.write(signed(shop.app) + signed(shop.app))
        assert [(await read_answer(reader)).code for _ in range(2)] == [401, 401]
        assert await closed(reader) == b""
        writer.close()


async def test_expect_continue(tmp_path: Path) -> None:
    async with shop_at(tmp_path) as shop:
        head, _, body = signed(shop.app).partition(b"\r\n\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", shop.app.port)
        writer.write(head + b"\r\nexpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await read_answer(reader)).code == 401
        writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"POST /x HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /x HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /x HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /x HTTP/1.1\r\nhost: x\r\n" + b"a: " + b"b" * 20_000 + b"\r\n\r\n",
        b"POST /x HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 2000 + b"\r\n",
    ],
)
async def test_broken_http(tmp_path: Path, caplog: pytest.LogCaptureFixture, sent: bytes) -> None:
    caplog.set_level(logging.INFO)
    async with shop_at(tmp_path, limits=SHORT) as shop:
        reader, writer = await asyncio.open_connection("127.0.0.1", shop.app.port)
        writer.write(sent)
        answer = await closed(reader)
        assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400")) or not answer
        assert b"Traceback" not in answer
        writer.close()
        assert (await shop.app.post(CHECK, BODY)).code == 401
    assert "Traceback" not in caplog.text


# Faults behind the front.


async def test_a_state_that_cannot_be_written(tmp_path: Path) -> None:
    async with shop_at(tmp_path) as shop:
        home = await shop.furnish()
        other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        login = {"request": {"authCode": home.account.auth_code, "accountType": "OA_SESSION"}}
        told = await shop.app.call("/account/createSessionByAuthCode", login)
        assert (told.status, told.document["code"]) == (503, 503)
        assert (await shop.app.call(LIST, PAGE, home.token)).code == 200, "reading goes on"
        other.execute("ROLLBACK")
        other.close()
        assert (await shop.app.call("/account/createSessionByAuthCode", login)).code == 200


async def test_a_bug_costs_one_request_and_is_told(tmp_path: Path) -> None:
    faults: list[Exception] = []

    def products() -> dict[str, Product]:
        if faults:
            raise faults.pop()
        return {}

    clock = SetClock()
    health = Health(clock.utc, EventLog(clock).emit)
    service = await Service.open(
        tmp_path, products=products, product_secret=lambda _: None, device_secret=lambda _: None, clock=clock
    )
    entrance = Entrance(service, clock, Ingress(health, strict=False))
    app = App(0, service.app.key, service.app.secret, clock)

    async def ask() -> int:
        request = ReceivedRequest("POST", CHECK, list(app.sign(CHECK, BODY).items()), BODY)
        answer = await entrance.answer(request)
        assert answer.status == 200
        return int(json.loads(answer.body)["code"])

    faults.append(ZeroDivisionError("a bug"))
    assert [await ask(), await ask()] == [20004, 401]
    assert health.has("parser_bug", subject="http api")
    await service.close()


# Addresses.


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    async with shop_at(tmp_path) as shop:
        front = Front(Entrance(shop.service, shop.clock, shop.ingress), Address("127.0.0.1", shop.app.port))
        with pytest.raises(HardwareError) as caught:
            async with listening(front):
                pass
        assert caught.value.code == "service_address"
        assert f"127.0.0.1:{shop.app.port}" in str(caught.value)
        assert front.url is None


async def test_ipv6(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    async with opened(tmp_path, clock=(clock := SetClock())) as service:
        ingress = Ingress(Health(clock.utc, EventLog(clock).emit), strict=True)
        front = Front(Entrance(service, clock, ingress), Address("::1", 0))
        async with listening(front) as port:
            assert front.url == f"http://[::1]:{port}"
        assert front.url is None


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for loopback that signs itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "service")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    files = directory / "service.crt", directory / "service.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


async def test_tls(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    async with opened(tmp_path, clock=(clock := SetClock())) as service:
        ingress = Ingress(Health(clock.utc, EventLog(clock).emit), strict=True)
        front = Front(Entrance(service, clock, ingress), Address("127.0.0.1", 0, certificate, key), SHORT)
        async with listening(front) as port:
            assert front.url == f"https://127.0.0.1:{port}"
            trust = ssl.create_default_context(cafile=str(certificate))
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
            writer.write(signed(App(port, service.app.key, service.app.secret, clock)))
            assert (await read_answer(reader)).code == 401
            writer.close()
            await writer.wait_closed()
            plain, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await closed(plain) == b"", "who does not speak TLS is not waited for"
            writer.close()


@pytest.mark.parametrize("missing", ["service.crt", "service.key", "both"])
async def test_tls_files_that_do_not_do(tmp_path: Path, missing: str) -> None:
    certificate, key = make_certificate(tmp_path)
    for file in (certificate, key):
        if missing == "both":
            file.write_text("nothing")
        elif file.name == missing:
            file.unlink()
    async with shop_at(tmp_path) as shop:
        address = Address("127.0.0.1", 0, certificate, key)
        front = Front(Entrance(shop.service, shop.clock, shop.ingress), address)
        with pytest.raises(HardwareError) as caught:
            async with listening(front):
                pass
        assert caught.value.code == "service_tls"
