"""What happens in a simulated home: joins, tokens, the steps of the person with the app, radio faults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import asdict
from random import Random
from secrets import token_bytes
from typing import Any, NoReturn

from agent.errors import AgentError, CloudBusy, CloudRefused
from agent.model import DeviceId
from agent.ports import Clock, DeviceConnection, DeviceUplink
from hw.sim.air import Air
from hw.sim.factory import Factory
from hw.sim.joiner import Joiner, JoinOutcome, JoinWish
from hw.sim.plans import Ble, Join, Token, UserStep
from hw.sim.scenario import Scenario, device_id
from hw.sim.signing import sign_login

TOKEN_LENGTH = 16
TOKEN_RENEWAL = 90.0  # seconds (wifi-awss.md 5)
CLOUD_PAUSE = 5.0  # seconds before a busy cloud is asked again


class Timeline:
    """Seconds since the start of a home, which is the moment of the making."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._start = clock.boot()

    async def until(self, at: float) -> None:
        """Return at that time, at once when it has passed."""
        left = self._start + at - self.clock.boot()
        if left > 0:
            await self.clock.sleep(left)


class Story:
    """The script of one scenario; ``settle`` is told of each device that was let in.

    ``surprises`` has one sentence for each expectation that was not met; ``tokens_told`` the last bind
    token of each direct device, as it tells phones on its network (wifi-awss.md 4).
    """

    def __init__(
        self,
        scenario: Scenario,
        factory: Factory,
        joiner: Joiner,
        *,
        settle: Callable[[DeviceId], None],
        happened: Callable[..., object],
    ) -> None:
        self._scenario = scenario
        self._factory = factory
        self._joiner = joiner
        self._settle = settle
        self._happened = happened
        self.surprises: list[str] = []
        self.tokens_told: dict[DeviceId, bytes] = {}

    def joins(self, timeline: Timeline) -> Iterator[Coroutine[Any, Any, None]]:
        """Each scripted join, those of crowds too."""
        return (self._join(step, timeline) for step in self._scenario.all_joins())

    def tokens(self, timeline: Timeline, uplink: DeviceUplink) -> Iterator[Coroutine[Any, Any, None]]:
        """Each direct device that connects to the cloud and reports its own token, again every 90 s."""
        return (self._report_token(step, timeline, uplink) for step in self._scenario.tokens)

    async def act(self, timeline: Timeline, user: Callable[[UserStep], Awaitable[None]]) -> None:
        """One person has two hands: a step waits for the one before it."""
        for step in sorted(self._scenario.user, key=lambda step: step.at):
            await timeline.until(step.at)
            self._happened("home_user_acted", do=step.do, device=step.device, product_key=step.product_key)
            try:
                await user(step)
            except AgentError as error:
                self._be_surprised(f"the user could not {step.do}: {error}")

    async def touch_radios(self, timeline: Timeline, air: Air) -> None:
        """The faults of the gateway's radios, in order."""
        faults = {"unplug": air.unplug, "plug": air.plug, "deafen": air.deafen, "cure": air.cure}
        for fault in sorted(self._scenario.radios, key=lambda fault: fault.at):
            await timeline.until(fault.at)
            faults[fault.do](fault.name, fault.medium)
            self._happened("home_radio_touched", do=fault.do, name=fault.name, medium=fault.medium)

    async def _join(self, step: Join, timeline: Timeline) -> None:
        await timeline.until(step.at)
        wish = self._wish(step)
        self._happened("home_join_asked", device=step.device, medium=wish.medium)
        outcome = await self._joiner.join(wish)
        self._happened("home_join_ended", device=step.device, **asdict(outcome))
        if outcome.state == "online":
            self._settle(wish.device)
        if step.expect and not meets(outcome, step.expect):
            told = outcome.sentence or outcome.reason
            self._be_surprised(
                f"{step.device} was to be {step.expect}: {outcome.decision}, {outcome.state}. {told}"
            )

    def _wish(self, step: Join) -> JoinWish:
        device, plans = device_id(step.device), (*self._scenario.ble, *self._scenario.wifi)
        plan = next((plan for plan in plans if plan.device == device), None)
        is_ble = isinstance(plan, Ble)
        return JoinWish(
            device,
            step.medium or ("ble" if is_ble else "wifi"),
            step.address or (plan.mac if plan else ""),
            self._sign(plan) if step.signed and isinstance(plan, Ble) else None,
            step.patience,
            step.retry,
        )

    def _sign(self, plan: Ble) -> dict[str, str]:
        random = Random(f"{self._scenario.seed}/login {plan.device}").randbytes(16)
        identity = self._factory.identity(plan.device, plan.product_id)
        return sign_login(identity, plan.generation, random, keyed=plan.keyed)

    async def _report_token(self, step: Token, timeline: Timeline, uplink: DeviceUplink) -> None:
        await timeline.until(step.at)
        device = device_id(step.device)
        self._settle(device)
        while True:
            try:
                async with uplink.connect(device, self._factory.device_secret(device)) as connection:
                    await self._renew_token(device, connection, timeline.clock)
            except CloudBusy:
                await timeline.clock.sleep(CLOUD_PAUSE)
            except CloudRefused as error:
                self._be_surprised(f"the cloud refused {device}: {error}")
                return

    async def _renew_token(self, device: DeviceId, connection: DeviceConnection, clock: Clock) -> NoReturn:
        while True:
            token = token_bytes(TOKEN_LENGTH)
            reply = await connection.match(token)
            self.tokens_told[device] = token
            self._happened("home_token_reported", device=str(device), code=reply.code)
            await clock.sleep(TOKEN_RENEWAL)

    def _be_surprised(self, sentence: str) -> None:
        self.surprises.append(sentence)
        self._happened("home_surprised", sentence=sentence)


def meets(outcome: JoinOutcome, expected: str) -> bool:
    """Whether the door decided as expected and, if it admitted, the login behind it did not fail."""
    return outcome.decision == expected and outcome.state != "failed"
