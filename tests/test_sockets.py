"""The local sockets as HTTP servers: limits, slow and broken peers, how they begin and end."""

from __future__ import annotations

import asyncio
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from agent.errors import ConfigError
from agent.health import Health
from agent.ingress import Ingress
from agent.status.server import SocketServer
from agent.status.sockets import Listener, Right, bind_all
from tests.jumping import JumpingClock, run_jumping
from tests.peers import ADMIN, JOIN, READ, Follower, Peer, ask, message, serving
from tests.recording import RecordingAgent


async def test_sockets_are_0600_whatever_the_umask(tmp_path: Path) -> None:
    async with serving(tmp_path / "run"):
        for name in (READ, JOIN, ADMIN):
            mode = (tmp_path / "run" / name).stat().st_mode
            assert stat.S_ISSOCK(mode)
            assert stat.S_IMODE(mode) == 0o600


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
