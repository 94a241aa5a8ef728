"""The cloud job: keeps the link, delivers what waits (joins, removals, tokens), logs sub-devices in.

What is delivered is on the disk first and leaves it when the cloud has answered. One request at a time:
the order is the order of need, tokens first, because they die.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from agent import tokens
from agent.credentials import Credentials, device_secret_name
from agent.errors import CloudBusy, CloudRefused, StoreError
from agent.events import EventLog
from agent.gateway.bindings import Bindings
from agent.gateway.ledger import Ledger
from agent.gateway.login import Proof, login_params, read_params_text, topo_add_params
from agent.gateway.roster import Roster
from agent.health import Health
from agent.jobs.keeping import Retry, keep_running, recovered
from agent.model import DeviceId
from agent.ports import Clock, CloudLink, Downlink, Reply
from agent.records import OutboxItem
from agent.tokens import Token
from agent.topology import State, SubDevice

MATCH = "thing/awss/enrollee/match"
LONGEST_NAP = 5.0
QUEUED_DOWNLINKS = 256
# cloud-device-channel.md 7: what may pass by itself; everything else is a no that stays one.
PASSING = {429: 60.0, 428: 60.0, 500: 5.0, 503: 5.0, 6205: 10.0, 6760: 10.0, 100000: 5.0}
GONE = {404, 521, 6100, 6401}  # a delete of what is not there has done its work

log = logging.getLogger("enrolld.uplink")

Obey = Callable[[CloudLink, Downlink], Awaitable[None]]


class Refusal(Exception):
    """The cloud's no to a step of a join; ``again`` seconds when it may be asked again."""

    def __init__(self, reply: Reply, step: str) -> None:
        super().__init__(f"{step}: the cloud answered {reply.code} {reply.message}".rstrip())
        self.code = reply.code
        self.again = PASSING.get(reply.code)


@dataclass(slots=True)
class Session:
    """How the link stands: connected or not, since when (UTC)."""

    connected: bool = False
    since: float = 0.0


class Uplink:
    """Everything that this gateway tells the cloud of its sub-devices and of itself."""

    def __init__(
        self,
        link: CloudLink,
        gateway: DeviceId,
        ledger: Ledger,
        roster: Roster,
        bindings: Bindings,
        credentials: Credentials,
        obey: Obey,
        *,
        clock: Clock,
        health: Health,
        events: EventLog,
    ) -> None:
        self.session = Session()
        self.retry = Retry()
        self.reached = asyncio.Event()  # set once the cloud was connected for the first time
        self._link = link
        self._gateway = gateway
        self._ledger = ledger
        self._roster = roster
        self._bindings = bindings
        self._credentials = credentials
        self._obey = obey
        self._clock = clock
        self._health = health
        self._events = events
        self._not_before: dict[object, float] = {}
        self._downlinks: asyncio.Queue[Downlink] = asyncio.Queue(QUEUED_DOWNLINKS)

    async def run(self) -> None:
        """Be connected for ever."""
        await keep_running("cloud", self._once, self.retry, health=self._health, clock=self._clock)

    async def _once(self) -> None:
        connected = asyncio.Event()

        def opened() -> None:
            self.session = Session(connected=True, since=self._clock.utc())
            self._events.emit("cloud_connected")
            recovered("cloud", self.retry, self._health)
            self.reached.set()
            connected.set()

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._link.hold(self._arrived, opened), name="cloud link")
                await connected.wait()
                group.create_task(self._take_downlinks(), name="downlinks")
                group.create_task(self._deliver(), name="deliveries")
        finally:
            self._health.turns.rest("downlinks")
            self._health.turns.rest("deliveries")
            self._roster.online.clear()
            if self.session.connected:
                self.session = Session(connected=False, since=self._clock.utc())
                self._events.emit("cloud_lost")

    # Down

    def _arrived(self, downlink: Downlink) -> None:
        try:
            self._downlinks.put_nowait(downlink)
        except asyncio.QueueFull:  # the cloud repeats what was not answered
            log.warning("a downlink %s was dropped: %d wait already", downlink.name, QUEUED_DOWNLINKS)

    async def _take_downlinks(self) -> NoReturn:
        turns = self._health.turns
        while True:
            turns.rest("downlinks")
            downlink = await self._downlinks.get()
            turns.turned("downlinks", self._clock.boot())
            await self._obey(self._link, downlink)

    # Up

    async def _deliver(self) -> NoReturn:
        self._not_before.clear()
        while True:
            self._health.turns.turned("deliveries", self._clock.boot())
            try:
                did_something = self._ledger.writable and await self._step()
            except StoreError as error:  # health says so already; the link is kept for what only reads
                log.warning("deliveries wait: %s", error)
                did_something = False
            if not did_something:
                await self._nap()

    async def _nap(self) -> None:
        now = self._clock.boot()
        self._not_before = {what: at for what, at in self._not_before.items() if at > now}
        naps = [LONGEST_NAP, *(at - now for at in self._not_before.values())]
        try:
            async with asyncio.timeout(max(0.05, min(naps))):
                await self._ledger.wait()
        except TimeoutError:
            return

    async def _step(self) -> bool:
        """Do the one thing that is needed most; False when there is nothing to do now."""
        return (
            await self._drop_dead()
            or await self._report()
            or await self._serve_outbox()
            or await self._log_in_members()
            or await self._renew()
        )

    async def _drop_dead(self) -> bool:
        _, dead = tokens.sendable(self._ledger.tokens.values(), self._clock.boot_id, self._clock.boot())
        for token, reason in dead:
            await self._bindings.dropped(token, str(reason))
        return bool(dead)

    async def _report(self) -> bool:
        alive, _ = tokens.sendable(self._ledger.tokens.values(), self._clock.boot_id, self._clock.boot())
        for token in alive:
            if self._may_speak(token.device) and self._is_due(("token", token.id)):
                await self._match(token)
                return True
        return False

    async def _match(self, token: Token) -> None:
        # The token of a device goes on that device's topic, never on another's.
        await self._bindings.tried(token)
        reply = await self._ask(token.device, MATCH, {"token": token.value.hex().upper()})
        if reply is not None and reply.code == 200:
            self._not_before.pop(("token", token.id), None)
            await self._bindings.reported(token)
            return
        self._wait(("token", token.id), tokens.pause(token.attempts + 1))
        if reply is not None and reply.code in {520, 521, 522, 6401}:
            self._roster.logged_out(token.device)

    async def _serve_outbox(self) -> bool:
        for item in self._ledger.outbox.values():
            if self._is_due(("item", item.id)):
                await self._serve(item)
                return True
        return False

    async def _serve(self, item: OutboxItem) -> None:
        device = DeviceId(*item.body["device"])
        try:
            if item.body["op"] == "add":
                await self._join(device)
                await self._roster.joined(item, device)
            else:
                await self._leave(device)
                await self._roster.removed(device, by="gateway")
        except CloudBusy:
            self._wait(("item", item.id), tokens.pause(1))
        except Refusal as error:
            if error.again is not None:
                self._wait(("item", item.id), error.again)
                return
            log.warning("%s: %s", device, error)
            await self._roster.failed(item, device, error.code, str(error))

    async def _join(self, device: DeviceId) -> None:
        """Register, topology, login, in the order that works (cloud-device-channel.md 5.4)."""
        proof = await self._proof(device) or await self._register(device)
        await self._must(
            "topo/add", self._gateway, "thing/topo/add", topo_add_params(device, proof, self._clock.utc())
        )
        await self._log_in(device, proof)

    async def _proof(self, device: DeviceId) -> Proof | None:
        """The operator's secret first, then the cloud's, then the device's own signature."""
        secret = self._credentials.get(
            device_secret_name(device.product_key, device.device_name)
        ) or await self._ledger.secret_of(device)
        if secret is not None:
            return Proof(secret=secret)
        text = await self._ledger.login_of(device)
        return None if text is None else Proof(params=read_params_text(text))

    async def _register(self, device: DeviceId) -> Proof:
        params = [{"productKey": device.product_key, "deviceName": device.device_name}]
        reply = await self._must("sub/register", self._gateway, "thing/sub/register", params)
        secret = read_secret(reply.data, device)
        if secret is None:
            raise Refusal(Reply(reply.code, None, "without a deviceSecret for it"), "sub/register")
        await self._roster.keep_secret(device, secret)
        return Proof(secret=secret)

    async def _log_in(self, device: DeviceId, proof: Proof) -> None:
        params = login_params(device, proof, self._clock.utc())
        await self._must("login", self._gateway, "combine/login", params)

    async def _leave(self, device: DeviceId) -> None:
        params = [{"productKey": device.product_key, "deviceName": device.device_name}]
        reply = await self._link.ask(self._gateway, "thing/topo/delete", params)
        if reply.code != 200 and reply.code not in GONE:
            raise Refusal(reply, "topo/delete")

    async def _log_in_members(self) -> bool:
        for sub in self._ledger.topology:
            if self._needs_login(sub):
                await self._log_in_again(sub.device)
                return True
        return False

    def _needs_login(self, sub: SubDevice) -> bool:
        is_away = sub.state is State.MEMBER and sub.device not in self._roster.online
        return is_away and self._is_due(("login", sub.device))

    async def _log_in_again(self, device: DeviceId) -> None:
        proof = await self._proof(device)
        try:
            if proof is None:
                proof = await self._register(device)
            await self._log_in(device, proof)
        except CloudBusy:
            self._wait(("login", device), tokens.pause(1))
        except Refusal as error:
            log.warning("%s: %s", device, error)
            self._wait(("login", device), error.again or 60.0)
            self._health.set("subdevice_login_refused", str(error), subject=str(device))
        else:
            self._health.clear("subdevice_login_refused", subject=str(device))
            await self._roster.logged_in(device)

    async def _renew(self) -> bool:
        """Make a fresh token that is due: the gateway's until it is bound, a sub-device's for 600 s."""
        latest: dict[DeviceId, Token] = {}
        for token in self._ledger.tokens.values():
            latest[token.device] = token
        now, boot_id = self._clock.boot(), self._clock.boot_id
        for device, is_bound, login, window in self._token_owners():
            due = tokens.renewal_at(
                latest.get(device), bound=is_bound, login=login, boot_id=boot_id, window=window
            )
            over = window is not None and login is not None and now >= login + window
            if due is None or over:  # the last token of a window may be forgotten already
                self._not_before.pop(("renew", device), None)
            elif due <= now:
                await self._bindings.mint(device)
                return True
            else:
                self._wait(("renew", device), due - now)
        return False

    def _token_owners(self) -> list[tuple[DeviceId, bool, float | None, float | None]]:
        """Each device that gets tokens from us: bound or not, login of this boot, for how long after it."""
        owners: list[tuple[DeviceId, bool, float | None, float | None]] = [
            (self._gateway, self._ledger.gateway_bound, 0.0, None)
        ]
        for sub in self._ledger.topology:
            if sub.state is State.MEMBER and sub.device in self._roster.online:
                owners.append((sub.device, sub.bound, sub.first_login, tokens.LOGIN_WINDOW))
        return owners

    # The link

    async def _ask(self, device: DeviceId, name: str, params: object) -> Reply | None:
        try:
            return await self._link.ask(device, name, params)
        except CloudBusy:
            return None
        except CloudRefused as error:
            return Reply(error.code, None, str(error))

    async def _must(self, step: str, device: DeviceId, name: str, params: object) -> Reply:
        reply = await self._link.ask(device, name, params)
        if reply.code != 200:
            raise Refusal(reply, step)
        return reply

    def _may_speak(self, device: DeviceId) -> bool:
        return device == self._gateway or device in self._roster.online

    def _is_due(self, what: object) -> bool:
        return self._not_before.get(what, 0.0) <= self._clock.boot()

    def _wait(self, what: object, seconds: float) -> None:
        self._not_before[what] = self._clock.boot() + seconds


def read_secret(data: object, device: DeviceId) -> str | None:
    """The deviceSecret for a device in the data of a ``sub/register`` reply; None when it is not there."""
    rows = data if isinstance(data, list) else []
    for row in rows:
        if isinstance(row, dict) and (row.get("productKey"), row.get("deviceName")) == (
            device.product_key,
            device.device_name,
        ):
            secret = row.get("deviceSecret")
            return secret if isinstance(secret, str) and secret else None
    return None
