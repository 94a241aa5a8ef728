"""Server-sent events: kept, followed, missed; readers that sleep or vanish."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.jumping import run_jumping
from tests.peers import READ, Follower, Peer, ask, message, read_stream, serving


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
