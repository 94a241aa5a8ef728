"""The local sockets, over real Unix sockets: what they refuse, how they time out, how they end."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from agent.errors import CloudBusy, CloudRefused, ConfigError, InputRefused, StoreError
from agent.health import Health
from agent.ingress import Ingress
from agent.status.server import SocketServer
from agent.status.sockets import Listener, Right, bind_all
from tests.jumping import JumpingClock, run_jumping
from tests.recording import STATUS, RecordingAgent

READ, JOIN, ADMIN = (right.value for right in Right)


@dataclass
class Served:
    """A running server: what it talks to, where it listens, the task that serves."""

    agent: RecordingAgent
    run: Path
    health: Health
    task: asyncio.Task[None]


@contextmanager
def bound(run: Path) -> Iterator[list[Listener]]:
    listeners = bind_all(run)
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


@asynccontextmanager
async def serving(run: Path, *, strict: bool = True) -> AsyncIterator[Served]:
    clock = JumpingClock()
    agent = RecordingAgent(clock)
    health = Health(clock.utc, agent.log.emit)
    with bound(run) as listeners:
        server = SocketServer(agent, Ingress(health, strict=strict), clock, listeners)
        async with asyncio.TaskGroup() as tasks:
            task: asyncio.Task[None] = tasks.create_task(server.serve())
            yield Served(agent, run, health, task)
            task.cancel()


class Peer:
    """A client that sends bytes as they are and reads responses without any HTTP library."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(0)
        self.path = path
        self.buffer = b""

    async def __aenter__(self) -> Self:
        await asyncio.get_running_loop().sock_connect(self.socket, str(self.path))
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.socket.close()

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def more(self) -> bool:
        data = await asyncio.get_running_loop().sock_recv(self.socket, 65536)
        self.buffer += data
        return bool(data)

    async def until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            if not await self.more():
                raise EOFError(self.buffer)
        taken, _, self.buffer = self.buffer.partition(mark)
        return taken

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        """One response that has a Content-Length."""
        lines = (await self.until(b"\r\n\r\n")).decode("ascii").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        length = int(headers["content-length"])
        while len(self.buffer) < length:
            assert await self.more(), "the body is cut off"
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(lines[0].split(" ")[1]), headers, body

    async def ended(self) -> bool:
        """True once the server has closed and sent nothing more."""
        return not await self.more() and not self.buffer

    async def ask(self, method: str, target: str, body: bytes | None = None) -> tuple[int, Any]:
        await self.send(message(method, target, body))
        status, _, answered = await self.response()
        return status, json.loads(answered)


def message(method: str, target: str, body: bytes | None = None) -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nHost: enrolld\r\n"
    if body is None:
        return f"{head}\r\n".encode()
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def ask(path: Path, method: str, target: str, body: bytes | None = None) -> tuple[int, Any]:
    async with Peer(path) as peer:
        return await peer.ask(method, target, body)


async def test_sockets_are_0600_whatever_the_umask(tmp_path: Path) -> None:
    async with serving(tmp_path / "run"):
        for name in (READ, JOIN, ADMIN):
            mode = (tmp_path / "run" / name).stat().st_mode
            assert stat.S_ISSOCK(mode)
            assert stat.S_IMODE(mode) == 0o600


async def test_status_answers_on_read_and_admin(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        assert await ask(served.run / READ, "GET", "/v1/status") == (200, STATUS)
        assert await ask(served.run / ADMIN, "GET", "/v1/status") == (200, STATUS)


@pytest.mark.parametrize("name", ["enrollees", "permits", "subdevices", "tokens", "adapters", "health"])
async def test_every_read_is_one_document(tmp_path: Path, name: str) -> None:
    async with serving(tmp_path) as served:
        status, answered = await ask(served.run / READ, "GET", f"/v1/{name}")
        assert (status, answered) == (200, getattr(served.agent, name)())


async def test_why_takes_an_id_with_or_without_encoded_slashes(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        for target in ("/v1/why/a1Plug%2Faabbcc001122", "/v1/why/a1Plug/aabbcc001122"):
            assert (await ask(served.run / READ, "GET", target))[0] == 200
        status, answered = await ask(served.run / READ, "GET", "/v1/why/nobody")
        assert (status, answered["error"]["code"]) == (404, "unknown")


async def test_metrics_are_served_as_text(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, Peer(served.run / READ) as peer:
        await peer.send(message("GET", "/metrics"))
        status, headers, body = await peer.response()
        assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert b'\nenrolld_enrollees{class="configured"} 3\n' in body


CHANGES = [
    ("POST", "/v1/permits", b'{"product_key":"a1Plug","time":60}', ("permit", "a1Plug", 60, "cli")),
    ("POST", "/v1/permits", b'{"v":1,"product_key":null,"time":0}', ("permit", None, 0, "cli")),
    (
        "POST",
        "/v1/provision",
        b'{"enrollee":"wifi:a/b","network":"home","passphrase":"p","overwrite":true}',
        ("provision", "wifi:a/b", "home", "p", True, "cli"),
    ),
    (
        "POST",
        "/v1/provision",
        b'{"enrollee":"wifi:a/b"}',
        ("provision", "wifi:a/b", None, None, False, "cli"),
    ),
    ("DELETE", "/v1/subdevices/a1Plug/x%3Ay", None, ("forget", "a1Plug/x:y", "cli")),
    ("PUT", "/v1/loglevel", b'{"level":"debug"}', ("loglevel", "debug")),
]


@pytest.mark.parametrize(("method", "target", "body", "told"), CHANGES)
async def test_changes_reach_the_agent_from_admin_only(
    tmp_path: Path, method: str, target: str, body: bytes | None, told: tuple[object, ...]
) -> None:
    async with serving(tmp_path) as served:
        for name in (READ, JOIN):
            status, answered = await ask(served.run / name, method, target, body)
            assert (status, answered["error"]["code"]) == (403, "wrong_socket")
            assert "admin.sock" in answered["error"]["sentence"]
        assert served.agent.told == []
        status, answered = await ask(served.run / ADMIN, method, target, body)
        assert (status, answered["v"]) == (200, 1)
        assert served.agent.told == [told]


async def test_joins_go_through_join_sock_only(tmp_path: Path) -> None:
    body = {"v": 1, "medium": "zigbee", "address": "00124b", "product_key": "a1Plug", "device_name": "z1"}
    done = {"v": 1, "sign_params": {"clientId": "c", "signMethod": "sha256", "sign": "00"}, "token": "ab"}
    async with serving(tmp_path) as served:
        for name in (READ, ADMIN):
            assert (await ask(served.run / name, "POST", "/v1/joins", b"{}"))[0] == 403
        assert (await ask(served.run / JOIN, "GET", "/v1/status"))[0] == 403
        async with Peer(served.run / JOIN) as peer:
            status, answered = await peer.ask("POST", "/v1/joins", json.dumps(body).encode())
            assert (status, answered["ticket"]) == (200, "t-1")
            assert (await peer.ask("POST", "/v1/joins/t-1/done", json.dumps(done).encode()))[0] == 202
            assert (await peer.ask("GET", "/v1/joins/t-1"))[1]["state"] == "online"
        assert served.agent.told == [
            ("join", body),
            ("complete_join", "t-1", done),
            ("join_state", "t-1"),
        ]


BROKEN = [
    (b"", "JSON"),
    (b"{", "JSON"),
    (b"\xff\xfe", "JSON"),
    (b'{"time":60} x', "JSON"),
    (b'{"time":NaN}', "JSON"),
    (b"[1]", "one JSON object"),
    (b"null", "one JSON object"),
    (b'"text"', "one JSON object"),
    (b"[" * 60_000, "nested"),
    (b'{"time":' + b"[" * 40 + b"]" * 40 + b"}", "nested"),
    (b'{"time":36893488147419103232}', "64 bits"),
    (b'{"time":60,"surprise":1,"more":2}', "'more', 'surprise'"),
    (b'{"time":60,"\\u001b[2J":1}', "'\\x1b[2J'"),
    (b'{"time":60,"product_key":7}', "product_key"),
    (b'{"v":2,"time":60}', "$.v"),
    (b'{"v":"1","time":60}', "$.v"),
    (b'{"time":"60"}', "0 to 65535"),
    (b'{"time":70000}', "0 to 65535"),
    (b"{}", "0 to 65535"),
]


@pytest.mark.parametrize(("body", "said"), BROKEN)
async def test_a_malformed_body_is_400_and_the_connection_lives(
    tmp_path: Path, body: bytes, said: str
) -> None:
    async with serving(tmp_path) as served, Peer(served.run / ADMIN) as peer:
        status, answered = await peer.ask("POST", "/v1/permits", body)
        assert (status, answered["v"], answered["error"]["code"]) == (400, 1, "malformed")
        assert said in answered["error"]["sentence"]
        assert (await peer.ask("POST", "/v1/permits", b'{"time":60,"time":61}'))[0] == 200
        assert served.agent.told[-1] == ("permit", None, 61, "cli")  # of duplicate members the last


async def test_a_wrong_type_never_echoes_a_passphrase(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        body = b'{"enrollee":"wifi:a/b","passphrase":["hunter2hunter2"]}'
        status, answered = await ask(served.run / ADMIN, "POST", "/v1/provision", body)
        assert status == 400
        assert "hunter2" not in json.dumps(answered)
        assert "passphrase" in answered["error"]["sentence"]


ROUTES = [
    ("GET", "/", 404),
    ("GET", "/v1/nothing", 404),
    ("GET", "/v1/status/", 404),
    ("GET", "/v1/why/%ff", 400),
    ("POST", "/v1/status", 405),
    ("HEAD", "/v1/status", 405),
    ("GET", "/v1/loglevel", 405),
    ("BREW", "/v1/permits", 405),
    ("GET", "/v1/status?x=1", 400),
    ("GET", "/v1/events?after=-1", 400),
    ("GET", "/v1/events?after=1e3", 400),
    ("GET", "/v1/events?follow=yes", 400),
    ("GET", "/v1/events?follow=2", 400),
    ("GET", "/v1/events?after=1&unknown=2", 400),
    ("GET", "/v1/events?after=%ff", 400),
]


@pytest.mark.parametrize(("method", "target", "expected"), ROUTES)
async def test_paths_methods_and_queries(tmp_path: Path, method: str, target: str, expected: int) -> None:
    async with serving(tmp_path) as served, Peer(served.run / ADMIN) as peer:
        await peer.send(message(method, target))
        head = await peer.until(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {expected} ".encode())
        assert (b"Allow: " in head) == (expected == 405)


TROUBLES = [
    (InputRefused("not so"), 400, "malformed"),
    (InputRefused("who?", code=404), 404, "unknown"),
    (InputRefused("already done", code=409), 409, "conflict"),
    (InputRefused("too late", code=410), 410, "gone"),
    (InputRefused("odd", code=6214), 400, "malformed"),
    (StoreError("disk full"), 503, "store_unavailable"),
    (CloudBusy("no answer"), 503, "cloud_busy"),
    (CloudRefused(520, "no session"), 502, "cloud_refused"),
    (ConfigError("no network named x"), 409, "configuration"),
]


@pytest.mark.parametrize(("trouble", "status", "code"), TROUBLES, ids=str)
async def test_named_errors_say_who_must_act(
    tmp_path: Path, trouble: Exception, status: int, code: str
) -> None:
    async with serving(tmp_path) as served:
        served.agent.trouble = trouble
        answered = await ask(served.run / ADMIN, "PUT", "/v1/loglevel", b'{"level":"info"}')
        assert answered == (status, {"v": 1, "error": {"code": code, "sentence": str(trouble)}})


async def test_an_unexpected_exception_is_a_500_and_a_warning(tmp_path: Path) -> None:
    async with serving(tmp_path, strict=False) as served, Peer(served.run / ADMIN) as peer:
        served.agent.trouble = ZeroDivisionError("hunter2hunter2")
        status, answered = await peer.ask("PUT", "/v1/loglevel", b'{"level":"hunter2hunter2"}')
        assert (status, answered["error"]["code"]) == (500, "internal")
        assert served.health.has("parser_bug", subject="socket request")
        assert "hunter2" not in json.dumps(answered) + repr(served.health.warnings())
        assert (await peer.ask("GET", "/v1/status"))[0] == 200


async def test_an_unexpected_exception_is_raised_when_strict(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as served:
            served.agent.trouble = ZeroDivisionError("a bug")
            await ask(served.run / ADMIN, "PUT", "/v1/loglevel", b'{"level":"info"}')

    with pytest.raises(ExceptionGroup) as caught:
        await scenario()
    assert caught.group_contains(ZeroDivisionError)


async def test_a_body_of_64_kib_passes_and_one_byte_more_does_not(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        body = b'{"time":60}'.ljust(64 * 1024)
        assert (await ask(served.run / ADMIN, "POST", "/v1/permits", body))[0] == 200
        async with Peer(served.run / ADMIN) as peer:
            status, answered = await peer.ask("POST", "/v1/permits", body + b" ")
            assert (status, answered["error"]["code"]) == (413, "too_large")
            peer.socket.shutdown(socket.SHUT_WR)
            assert await peer.ended()


async def test_a_large_body_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, Peer(served.run / ADMIN) as peer:
        head = (
            b"POST /v1/permits HTTP/1.1\r\nHost: e\r\nExpect: 100-continue\r\nContent-Length: 900000\r\n\r\n"
        )
        await peer.send(head)
        status, headers, _ = await peer.response()
        assert (status, headers["connection"]) == (413, "close")


async def test_who_sends_a_large_body_all_the_same_still_reads_the_answer(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, Peer(served.run / ADMIN) as peer:
        await peer.send(message("POST", "/v1/permits", bytes(900_000)))  # more than the kernel buffers
        assert (await peer.response())[0] == 413


async def test_an_expected_continue_is_given(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, Peer(served.run / ADMIN) as peer:
        head = b"POST /v1/permits HTTP/1.1\r\nHost: e\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"
        await peer.send(head)
        assert (await peer.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        await peer.send(b'{"time":5}')
        assert (await peer.response())[0] == 200


def chunked(*pieces: bytes) -> bytes:
    head = b"POST /v1/permits HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def test_chunked_bodies_have_the_same_limits(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, Peer(served.run / ADMIN) as peer:
        await peer.send(chunked(b'{"ti', b'me":6', b"0}"))
        assert (await peer.response())[0] == 200
        assert served.agent.told == [("permit", None, 60, "cli")]
        await peer.send(chunked(*[b" " * 1024] * 65))
        assert (await peer.response())[0] == 413


GARBAGE = [
    b"\r\n\r\nnonsense\r\n\r\n",
    b"GET /v1/status HTTP/1.1\r\n\r\n",  # no Host
    b"GET /v1/status HTTP/one\r\nHost: e\r\n\r\n",
    b"GET /v1/status HTTP/1.1\r\nHost: e\r\nContent-Length: -1\r\n\r\n",
    b"GET /v1/status HTTP/1.1\r\nHost: e\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    b"POST /v1/permits HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
async def test_what_is_not_http_is_answered_400_and_closed(tmp_path: Path, data: bytes) -> None:
    async with serving(tmp_path) as served, Peer(served.run / READ) as peer:
        await peer.send(data)
        status, headers, _ = await peer.response()
        assert (status, headers["connection"]) == (400, "close")
        assert (await ask(served.run / READ, "GET", "/v1/status"))[0] == 200


async def test_endless_headers_are_cut_off(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, Peer(served.run / READ) as peer:
        await peer.send(b"GET /v1/status HTTP/1.1\r\nHost: e\r\nX: " + b"x" * 20_000)
        assert (await peer.response())[0] == 431


async def test_requests_arrive_in_any_slicing(tmp_path: Path) -> None:
    data = message("POST", "/v1/permits", b'{"time":60}')
    async with serving(tmp_path) as served, Peer(served.run / ADMIN) as peer:
        for cut in range(1, len(data)):
            await peer.send(data[:cut])
            await asyncio.sleep(0)  # not a pause: the server gets its turn with half a request
            await peer.send(data[cut:])
            assert (await peer.response())[0] == 200
        assert len(served.agent.told) == len(data) - 1


async def test_pipelined_requests_are_answered_in_their_order(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, Peer(served.run / ADMIN) as peer:
        await peer.send(
            message("PUT", "/v1/loglevel", b'{"level":"a"}')
            + message("GET", "/v1/nothing")
            + message("PUT", "/v1/loglevel", b'{"level":"b"}')
        )
        assert [(await peer.response())[0] for _ in range(3)] == [200, 404, 200]
        assert served.agent.told == [("loglevel", "a"), ("loglevel", "b")]


async def test_old_http_and_connection_close_end_the_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        requests = [
            b"GET /v1/status HTTP/1.0\r\n\r\n",
            b"GET /v1/status HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n",
        ]
        for data in requests:
            async with Peer(served.run / READ) as peer:
                await peer.send(data)
                assert (await peer.response())[0] == 200
                assert await peer.ended()


@pytest.mark.parametrize(
    "part", [b"G", b"GET /v1/status HTTP/1.1\r\nHost:", message("POST", "/v1/x", b"{}")[:-1]]
)
def test_half_a_request_is_given_up_after_ten_seconds(tmp_path: Path, part: bytes) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as served, Peer(served.run / READ) as peer:
            loop = asyncio.get_running_loop()
            await peer.send(part)
            start = loop.time()
            assert (await peer.response())[0] == 408
            assert 10 <= loop.time() - start < 11
            assert await peer.ended()

    run_jumping(scenario())


def test_dripping_bytes_does_not_buy_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as served, Peer(served.run / READ) as peer:
            for octet in b"GET /":
                await peer.send(bytes([octet]))
                await JumpingClock().sleep(1.9)
            assert (await peer.response())[0] == 408

    run_jumping(scenario())


def test_an_idle_connection_is_closed_after_a_minute(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as served, Peer(served.run / READ) as peer:
            loop = asyncio.get_running_loop()
            assert (await peer.ask("GET", "/v1/status"))[0] == 200
            start = loop.time()
            assert await peer.ended()
            assert 60 <= loop.time() - start < 61

    run_jumping(scenario())


async def test_the_sixty_fifth_connection_is_turned_away(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        peers = [Peer(served.run / READ) for _ in range(100)]
        statuses = []
        for peer in peers:
            await peer.__aenter__()
            await peer.send(message("GET", "/v1/status"))
            statuses.append((await peer.response())[0])
        assert statuses == [200] * 64 + [503] * 36
        assert (await ask(served.run / ADMIN, "GET", "/v1/status"))[0] == 200  # the other socket has its own
        for peer in peers:
            await peer.__aexit__()
        async with asyncio.timeout(5):
            while (await ask(served.run / READ, "GET", "/v1/status"))[0] != 200:
                continue


async def test_a_change_is_carried_out_even_when_its_caller_left(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        async with Peer(served.run / ADMIN) as peer:
            await peer.send(message("PUT", "/v1/loglevel", b'{"level":"debug"}'))
        async with asyncio.timeout(5):
            while not served.agent.told:
                assert (await ask(served.run / READ, "GET", "/v1/status"))[0] == 200
        assert served.agent.told == [("loglevel", "debug")]


def read_stream(data: bytes) -> list[tuple[str | None, Any]]:
    """What an EventSource would hand on: (id, data) of each block that has data."""
    found = []
    for block in data.decode("utf-8").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if "data" in lines:
            found.append((lines.get("id"), json.loads(lines["data"])))
    return found


async def test_kept_events_end_when_nobody_follows(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, Peer(served.run / READ) as peer:
        served.agent.log.emit("enrollee_found", id="wifi:a/b", text="line\nbreak\r\n\u2028end")
        served.agent.log.emit("permit_opened", product_key=None)
        await peer.send(message("GET", "/v1/events"))
        status, headers, body = await peer.response()
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        (first, event), (second, _) = read_stream(body)
        assert (first, second) == ("1", "2")
        assert event == {
            "v": 1,
            "seq": 1,
            "at": event["at"],
            "kind": "enrollee_found",
            "id": "wifi:a/b",
            "text": "line\nbreak\r\n\u2028end",
        }
        assert event["at"].endswith("Z")
        await peer.send(message("GET", "/v1/events?after=1"))
        assert [seq for seq, _ in read_stream((await peer.response())[2])] == ["2"]


async def test_a_number_of_an_earlier_daemon_starts_over(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, Peer(served.run / READ) as peer:
        served.agent.log.emit("daemon_started")
        await peer.send(message("GET", "/v1/events?after=500"))
        assert [seq for seq, _ in read_stream((await peer.response())[2])] == ["1"]


class Follower(Peer):
    """A reader of the stream, which comes in HTTP chunks."""

    async def follow(self, after: int = 0) -> None:
        await self.send(message("GET", f"/v1/events?follow=1&after={after}"))
        head = await self.until(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head

    async def chunk(self) -> bytes:
        length = int(await self.until(b"\r\n"), 16)
        while len(self.buffer) < length + 2:
            assert await self.more()
        data, self.buffer = self.buffer[:length], self.buffer[length + 2 :]
        return data


def test_a_follower_gets_events_as_they_happen_and_heartbeats(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as served, Follower(served.run / READ) as reader:
            loop = asyncio.get_running_loop()
            served.agent.log.emit("daemon_started")
            await reader.follow()
            assert read_stream(await reader.chunk())[0][0] == "1"
            start = loop.time()
            assert (await reader.chunk()).startswith(b":")
            assert 15 <= loop.time() - start < 16
            served.agent.log.emit("permit_opened")
            assert read_stream(await reader.chunk())[0][1]["kind"] == "permit_opened"

    run_jumping(scenario())


async def test_a_follower_that_sleeps_is_told_what_it_missed(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, Follower(served.run / READ) as reader:
        await reader.follow()
        await reader.chunk()  # the first sign of life
        for burst in range(30):  # far more than kernel and log keep together
            for number in range(500):
                served.agent.log.emit("enrollee_found", id=f"wifi:a/{burst}-{number}", pad="x" * 100)
            await asyncio.sleep(0)  # not a pause: the server gets its turn while nobody reads
        served.agent.log.emit("daemon_stopping")
        seen: list[tuple[str | None, Any]] = []
        async with asyncio.timeout(10):
            while not seen or seen[-1][1].get("kind") != "daemon_stopping":
                seen += read_stream(await reader.chunk())
    told = sum(data["missed"] for _, data in seen if "missed" in data)
    numbers = [int(seq) for seq, _ in seen if seq]
    assert told > 0
    assert told + len(numbers) == 15_001
    assert numbers == sorted(set(numbers))


async def test_a_follower_that_vanishes_frees_its_place(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        for _ in range(70):
            async with Follower(served.run / READ) as reader:
                await reader.follow()
                await reader.chunk()
            async with asyncio.timeout(5):
                while (await ask(served.run / READ, "GET", "/v1/status"))[0] != 200:
                    continue


async def test_cancelling_leaves_no_file_and_no_task(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with serving(tmp_path) as served:
        idle, half, following = Peer(tmp_path / READ), Peer(tmp_path / ADMIN), Follower(tmp_path / READ)
        async with idle, half, following:
            assert (await idle.ask("GET", "/v1/status"))[0] == 200
            await half.send(b"POST /v1/per")
            await following.follow()
            await following.chunk()
            served.task.cancel()
            async with asyncio.timeout(1):
                await asyncio.wait([served.task])
            assert list(tmp_path.iterdir()) == []
            assert asyncio.all_tasks() == before
            assert await idle.ended()


async def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / READ))
    async with serving(tmp_path) as served:
        with pytest.raises(ConfigError, match="another enrolld runs here"):
            bind_all(tmp_path)
        assert (await ask(served.run / READ, "GET", "/v1/status"))[0] == 200


@pytest.mark.parametrize(
    ("where", "said"), [("x" * 100, "too long"), ("file", "cannot listen on"), (".", "not a socket")]
)
def test_what_cannot_be_bound_is_a_sentence_and_leaves_nothing(tmp_path: Path, where: str, said: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / ADMIN).write_text("precious")
    with pytest.raises(ConfigError, match=said):
        bind_all(tmp_path / where)
    assert sorted(path.name for path in tmp_path.iterdir()) == [ADMIN, "file"]


async def test_a_socket_of_systemd_is_served_and_its_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / READ
    clock = JumpingClock()
    agent = RecordingAgent(clock)
    with closing(socket.socket(socket.AF_UNIX)) as handed:
        handed.bind(str(path))
        handed.listen()
        listener = Listener(Right.READ, handed)
        ingress = Ingress(Health(clock.utc, agent.log.emit), strict=True)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(SocketServer(agent, ingress, clock, [listener]).serve())
            assert (await ask(path, "GET", "/v1/status"))[0] == 200
            serving.cancel()
    assert path.exists()


async def test_a_file_that_somebody_put_in_our_place_is_left_alone(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        (served.run / READ).unlink()
        (served.run / READ).write_text("theirs")
    assert [path.name for path in tmp_path.iterdir()] == [READ]
