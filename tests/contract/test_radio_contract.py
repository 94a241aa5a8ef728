"""What every radio promises, whatever is behind it: one suite for simulated, replayed and real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.errors import HardwareError
from tests.contract.stages import ADDRESS, LIVE_STAGES, STAGES, Listening, Stage
from tests.jumping import run_jumping


@pytest.fixture(params=STAGES, ids=lambda make: make.name)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    make: Callable[[Path], Stage] = request.param
    return make(tmp_path)


def test_it_opens_and_hands_over_the_address_of_six_octets_and_the_strength(stage: Stage) -> None:
    async def scene() -> None:
        listening = Listening(stage)
        await listening.until(lambda: listening.opened == 1)
        stage.speak()
        await listening.until(lambda: bool(listening.heard))
        await listening.stop()
        address, rssi = listening.heard[0]
        assert address == ADDRESS
        assert rssi in {-50, None}

    run_jumping(scene())


def test_after_cancellation_it_is_silent_and_can_listen_again(stage: Stage) -> None:
    async def scene() -> None:
        first = Listening(stage)
        await first.until(lambda: first.opened == 1)
        stage.speak()
        await first.until(lambda: bool(first.heard))
        await first.stop()
        before = list(first.heard)
        stage.speak()

        second = Listening(stage)
        await second.until(lambda: second.opened == 1)
        stage.speak()
        await second.until(lambda: bool(second.heard))
        await second.stop()
        assert first.heard == before
        assert first.opened == 1

    run_jumping(scene())


def test_a_radio_that_is_not_there_raises_a_hardware_error_and_never_opens(stage: Stage) -> None:
    async def scene() -> None:
        stage.unplug()
        listening = Listening(stage)
        with pytest.raises(HardwareError) as caught:
            await listening.until(lambda: listening.opened > 0)
        assert caught.value.code
        assert listening.opened == 0

    run_jumping(scene())


@pytest.mark.parametrize("make", LIVE_STAGES, ids=lambda make: make.name)
def test_a_radio_that_goes_away_ends_its_listening_in_a_hardware_error(
    make: Callable[[Path], Stage], tmp_path: Path
) -> None:
    async def scene() -> None:
        stage = make(tmp_path)
        listening = Listening(stage)
        await listening.until(lambda: listening.opened == 1)
        stage.unplug()
        with pytest.raises(HardwareError) as caught:
            await listening.until(lambda: False)
        assert caught.value.code == "adapter_gone"
        stage.speak()
        await asyncio.sleep(1)
        assert listening.heard == []

    run_jumping(scene())
