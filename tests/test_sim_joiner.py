"""A scripted join: what it asks, and how it bears a gateway that is away, busy, forgetful or broken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from agent.model import DeviceId
from hw.sim.joiner import Joiner, JoinOutcome, JoinWish
from tests.jumping import JumpingClock, run_jumping
from tests.sim_door import ADMITTED, JOINING, REFUSED, Answer, Document, Door, error, state

WISH = JoinWish(DeviceId("a1DemoPlug1", "plug-01"), "zigbee", "00:12:4B:00:14:B5:D1:01", {"sign": "ab"})
ASKING = ("POST", "/v1/joins")
DONE = ("POST", "/v1/joins/t-1/done")
POLLING = ("GET", "/v1/joins/t-1")


class Script:
    """Answers by place, each list in order; the last answer stays."""

    def __init__(self, **answers: list[Answer]) -> None:
        self._answers = answers

    def __call__(self, method: str, target: str, body: Document | None) -> Answer:
        place = {ASKING: "asking", DONE: "done", POLLING: "polling"}[method, target]
        answers = self._answers[place]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def join(socket: Path, script: Script, wish: JoinWish = WISH) -> tuple[JoinOutcome, list[tuple[str, str]]]:
    """The outcome, and the requests that the door saw."""

    async def scene() -> tuple[JoinOutcome, list[tuple[str, str]]]:
        async with Door(script).open(socket) as door:
            outcome = await Joiner(socket, JumpingClock()).join(wish)
            return outcome, [asked[:2] for asked in door.asked]

    return run_jumping(scene())


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "join.sock"


def test_a_join_goes_from_the_question_to_online(socket: Path) -> None:
    script = Script(asking=[ADMITTED], done=[JOINING], polling=[state("joining"), state("online")])

    async def scene() -> None:
        async with Door(script).open(socket) as door:
            outcome = await Joiner(socket, JumpingClock()).join(WISH)
        assert outcome == JoinOutcome("admitted", "online")
        question = {"medium": "zigbee", "address": "00:12:4B:00:14:B5:D1:01"}
        question |= {"product_key": "a1DemoPlug1", "device_name": "plug-01"}
        assert door.asked == [
            (*ASKING, {"v": 1, **question}),
            (*DONE, {"v": 1, "sign_params": {"sign": "ab"}}),
            (*POLLING, None),
            (*POLLING, None),
        ]

    run_jumping(scene())


def test_a_refusal_is_told_with_its_reason_and_not_argued_with(socket: Path) -> None:
    outcome, asked = join(socket, Script(asking=[REFUSED]))
    assert outcome == JoinOutcome("refused", "refused", "window_closed", "No window is open.")
    assert asked == [ASKING]


def test_with_a_retry_it_asks_again_until_the_window_opens(socket: Path) -> None:
    wish = JoinWish(WISH.device, "zigbee", WISH.address, retry=2.0)
    script = Script(asking=[REFUSED, REFUSED, ADMITTED], done=[JOINING], polling=[state("online")])
    outcome, asked = join(socket, script, wish)
    assert outcome.state == "online"
    assert asked == [ASKING, ASKING, ASKING, DONE, POLLING]


def test_with_a_retry_patience_still_ends(socket: Path) -> None:
    wish = JoinWish(WISH.device, "zigbee", WISH.address, patience=7.0, retry=2.0)
    outcome, asked = join(socket, Script(asking=[REFUSED]), wish)
    assert outcome.state == "refused"
    assert asked == [ASKING] * 4


def test_a_failed_login_comes_with_its_code(socket: Path) -> None:
    failed = state("failed", code=6287, sentence="invalid sign")
    outcome, _ = join(socket, Script(asking=[ADMITTED], done=[JOINING], polling=[failed]))
    assert outcome == JoinOutcome("admitted", "failed", sentence="invalid sign", code=6287)


def test_a_join_that_never_ends_is_left_when_patience_does(socket: Path) -> None:
    outcome, asked = join(socket, Script(asking=[ADMITTED], done=[JOINING], polling=[state("joining")]))
    assert outcome == JoinOutcome("admitted", "joining")
    assert 50 < len(asked) < 70


@pytest.mark.parametrize("lost", [error(404, "unknown"), error(410, "voided")])
@pytest.mark.parametrize("where", ["done", "polling"])
def test_a_lost_ticket_is_asked_for_anew(socket: Path, where: str, lost: Answer) -> None:
    answers: dict[str, list[Answer]] = {"done": [JOINING], "polling": [state("online")]}
    answers[where].insert(0, lost)
    outcome, asked = join(socket, Script(asking=[ADMITTED], **answers))
    assert outcome.state == "online"
    assert asked.count(ASKING) == 2


def test_a_completion_whose_answer_was_lost_counts_as_done(socket: Path) -> None:
    script = Script(asking=[ADMITTED], done=[None, error(409, "already done")], polling=[state("online")])
    outcome, asked = join(socket, script)
    assert outcome.state == "online"
    assert asked == [ASKING, DONE, DONE, POLLING]


@pytest.mark.parametrize(
    "trouble",
    [
        None,
        b"I speak no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + bytes(99_999),
        error(503, "store unavailable"),
    ],
    ids=["hangs up", "no http", "cut short", "no object", "too long", "busy"],
)
def test_it_tries_again_when_what_comes_is_no_answer(socket: Path, trouble: Answer) -> None:
    script = Script(asking=[trouble, trouble, ADMITTED], done=[JOINING], polling=[state("online")])
    outcome, asked = join(socket, script)
    assert outcome.state == "online"
    assert asked.count(ASKING) == 3


def test_a_malformed_question_fails_at_once(socket: Path) -> None:
    outcome, asked = join(socket, Script(asking=[error(400, "malformed")]))
    assert outcome == JoinOutcome("none", "failed", "malformed", "It was malformed.", 400)
    assert asked == [ASKING]


def test_it_waits_for_a_socket_that_is_not_there_yet(socket: Path) -> None:
    script = Script(asking=[ADMITTED], done=[JOINING], polling=[state("online")])

    async def scene() -> None:
        asking = asyncio.create_task(Joiner(socket, JumpingClock()).join(WISH))
        await asyncio.sleep(20)
        async with Door(script).open(socket):
            assert (await asking).state == "online"

    run_jumping(scene())


def test_nobody_there_is_unanswered_once_patience_ends(socket: Path) -> None:
    async def scene() -> None:
        clock = JumpingClock()
        begun = clock.boot()
        outcome = await Joiner(socket, clock).join(WISH)
        assert (outcome.decision, outcome.state) == ("none", "unanswered")
        assert 29 <= clock.boot() - begun <= 30

    run_jumping(scene())


def test_a_daemon_that_restarts_in_the_middle_loses_nobody(socket: Path) -> None:
    def before(method: str, target: str, body: Document | None) -> Answer:
        return {ASKING: ADMITTED, DONE: JOINING, POLLING: state("joining")}[method, target]

    forgetful = Script(asking=[ADMITTED], done=[JOINING], polling=[error(404, "unknown"), state("online")])

    async def scene() -> None:
        async with Door(before).open(socket):
            asking = asyncio.create_task(Joiner(socket, JumpingClock()).join(WISH))
            await asyncio.sleep(5)
        await asyncio.sleep(5)
        async with Door(forgetful).open(socket):
            assert (await asking).state == "online"

    run_jumping(scene())


def cancelled_while(
    socket: Path, answer: Callable[[str, str, Document | None], Answer]
) -> Coroutine[None, None, None]:
    async def scene() -> None:
        async with Door(answer).open(socket):
            asking = asyncio.create_task(Joiner(socket, JumpingClock()).join(WISH))
            await asyncio.sleep(3)
            asking.cancel()
            async with asyncio.timeout(1):
                await asyncio.wait({asking})
            assert asking.cancelled()

    return scene()


def test_it_can_be_cancelled_while_it_polls(socket: Path) -> None:
    script = Script(asking=[ADMITTED], done=[JOINING], polling=[state("joining")])
    run_jumping(cancelled_while(socket, script))


def test_it_can_be_cancelled_while_it_tries_again(socket: Path) -> None:
    run_jumping(cancelled_while(socket, Script(asking=[None])))


def test_a_gateway_that_never_answers_is_left_and_asked_again(socket: Path) -> None:
    calls = 0

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await reader.read()  # until the joiner hangs up
        writer.close()

    async def scene() -> None:
        server = await asyncio.start_unix_server(mute, socket)
        outcome = await Joiner(socket, JumpingClock()).join(WISH)
        server.close()
        assert outcome.state == "unanswered"
        assert calls >= 2

    run_jumping(scene())


def test_the_proof_is_not_in_what_a_wish_shows() -> None:
    assert "hunter" not in repr(JoinWish(WISH.device, "ble", "", {"sign": "hunter"}))
