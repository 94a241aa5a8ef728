"""Requests per second and latency of the HTTP API, beside a bare aiohttp handler; each is a process."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from agent.codec import apigw
from tests.bench.http_server import TOKEN

CONNECTIONS = (1, 32, 256)
SECONDS = 0.5
ROUNDS = 3
DEVICE = {"productKey": "a1BenchLamp", "deviceName": "lamp-0001"}
RANDOM = "4420823CFDE6F1C26B30F90EC7DD01E4"
CHECK = "/awss/token/check"

Document = dict[str, Any]


class Connection(asyncio.Protocol):
    """Sends one request after the other, each when its answer is there."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self._until = 0.0
        self._waiting = b""
        self._sent_at = 0.0
        self.latencies: list[float] = []
        self.refused = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def start(self, until: float) -> None:
        """Send the first, and no further ones after that time."""
        self._until = until
        self._send()

    def _send(self) -> None:
        request = next(self._requests, None)
        self._sent_at = time.perf_counter()
        if request is None or self._sent_at > self._until:
            self._transport.close()
            self.done.set_result(None)
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        head, end, body = self._waiting.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self.latencies.append(time.perf_counter() - self._sent_at)
        self.refused += not body.startswith(b'{"code":200') and not body.startswith(b'{"code": 200')
        self._waiting = b""
        self._send()


def _hand_over(connection: Connection) -> Connection:
    return connection


async def measure(port: int, requests: Iterator[bytes], connections: int) -> tuple[float, float]:
    """Requests per second, and the 99th percentile of latency in milliseconds."""
    loop = asyncio.get_running_loop()
    made = [Connection(requests) for _ in range(connections)]
    for connection in made:
        await loop.create_connection(partial(_hand_over, connection), "127.0.0.1", port)
    began = time.perf_counter()
    for connection in made:
        connection.start(began + SECONDS)
    await asyncio.gather(*(connection.done for connection in made))
    spent = time.perf_counter() - began
    latencies = sorted(itertools.chain.from_iterable(connection.latencies for connection in made))
    assert not sum(connection.refused for connection in made), "every call succeeds"
    assert spent >= SECONDS * 0.9, "there were requests enough for the whole time"
    return len(latencies) / spent, latencies[int(len(latencies) * 0.99)] * 1000


def calls(known: Document) -> dict[str, tuple[str, Document]]:
    """What is measured: path and parameters of each."""
    cipher = {"deviceInfoForCipher": DEVICE | {"cipherType": 3, "random": RANDOM}}
    return {
        "token/check": (CHECK, {"token": TOKEN}),
        "cipher/get": ("/awss/cipher/get", cipher),
        "product/filter": ("/awss/enrollee/product/filter", {"iotDevices": [DEVICE]}),
        "gateway/permit": ("/thing/gateway/permit", {"iotId": known["gateway"], "time": 60}),
        "list/get of 10000": ("/awss/enrollee/list/get", {"pageSize": 20, "pageNum": 250}),
    }


def sign(known: Document, path: str, params: Document, token: str | None) -> bytes:
    """One whole request."""
    nonce = secrets.token_hex(16)
    request = apigw.build_request(
        path,
        params,
        app_key=known["app_key"],
        app_secret=known["app_secret"],
        api_ver="1.0.8",
        iot_token=token,
        request_id=nonce,
        nonce=nonce,
        date=apigw.format_date(time.time()),
    )
    head = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(request.body)}"]
    head += [f"{name}: {value}" for name, value in request.headers]
    return "\r\n".join([*head, "", ""]).encode() + request.body


@contextmanager
def server(kind: str) -> Iterator[Document]:
    """A server in its own process, and what it tells of itself."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "tests.bench.http_server", kind, directory]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                yield json.loads(process.stdout.readline())
            finally:
                process.stdin.close()


async def log_in(known: Document) -> str:
    request = {"authCode": known["auth_code"], "accountType": "OA_SESSION"}
    reader, writer = await asyncio.open_connection("127.0.0.1", known["port"])
    writer.write(sign(known, "/account/createSessionByAuthCode", {"request": request}, None))
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    answer = json.loads(await reader.readexactly(length))
    writer.close()
    return str(answer["data"]["iotToken"])


class Bench:
    """The two servers, and how many requests each call will need."""

    def __init__(self, bare: Document, known: Document, token: str) -> None:
        self._bare = bare
        self._known = known
        self._token = token
        self._rates: dict[str, float] = {}

    async def run_round(self, connections: int) -> dict[str, tuple[float, float]]:
        """The figures of the bare handler and of every call; requests of the latter are signed one by one."""
        same = sign(self._known, CHECK, {"token": TOKEN}, self._token)
        found = {"bare handler": await measure(self._bare["port"], itertools.repeat(same), connections)}
        for name, (path, params) in calls(self._known).items():
            count = int(self._rates.get(name, 10_000) * SECONDS * 2) + 2 * connections
            requests = [sign(self._known, path, params, self._token) for _ in range(count)]
            found[name] = await measure(self._known["port"], iter(requests), connections)
            self._rates[name] = found[name][0]
        return found


async def compare() -> None:
    with server("bare") as bare, server("service") as known:
        bench = Bench(bare, known, await log_in(known))
        for connections in CONNECTIONS:
            show(connections, [await bench.run_round(connections) for _ in range(ROUNDS)])


def show(connections: int, rounds: list[dict[str, tuple[float, float]]]) -> None:
    """Medians of the rounds, and of the ratios within each round."""
    for name in rounds[0]:
        rate, p99 = (statistics.median(figures) for figures in zip(*(r[name] for r in rounds), strict=True))
        ratio = statistics.median(r[name][0] / r["bare handler"][0] for r in rounds)
        print(f"{connections:4} connections  {name:18} {rate:7.0f}/s  p99 {p99:6.1f} ms  x {ratio:4.2f}")


def main() -> None:
    """Print the table; a simple call is to have at least 0.4 of the bare handler's rate."""
    asyncio.run(compare())


if __name__ == "__main__":
    main()
