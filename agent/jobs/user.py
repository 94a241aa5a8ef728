"""The person with the app, in a simulated home: calls the embedded service as the app would.

Only ``--simulate`` has one. It sees what an app sees: the API's answers, and tokens that a phone on the
same network would be told by the devices themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable

from agent import records
from agent.errors import CloudRefused, InputRefused
from agent.events import EventLog
from agent.gateway.ledger import Effect, Ledger
from agent.jobs.user_calls import Calls
from agent.model import DeviceId
from agent.ports import Clock, Reply
from agent.service.service import Service
from agent.service.values import Caller

ACCOUNT = "simulated home"
AUTH_CODE = "simulation.auth_code"
PATIENCE = 20.0
LOOK_EVERY = 0.2

TokenOf = Callable[[DeviceId], bytes | None]
Connect = Callable[[Caller, str], Awaitable[Calls]]  # the calls of an account, which has that authCode


class ScriptedUser:
    """Acts out the steps of a scenario; CloudRefused when the service says no to one."""

    def __init__(
        self,
        service: Service,
        gateway: DeviceId,
        ledger: Ledger,
        log: EventLog,
        clock: Clock,
        token_of: TokenOf,
        connect: Connect,
    ) -> None:
        self._service = service
        self._gateway = gateway
        self._ledger = ledger
        self._log = log
        self._clock = clock
        self._token_of = token_of
        self._connect = connect
        self._account: tuple[Caller, Calls] | None = None
        self._iot_ids: dict[DeviceId, str] = {}

    async def act(
        self, do: str, *, product_key: str | None, device: DeviceId | None, time: int | None
    ) -> None:
        """Do one step and tell what came of it."""
        match do, device:
            case "bind_gateway", _:
                await self._bind(self._gateway)
            case "permit", _:
                params = {"iotId": self._iot_id(self._gateway), "productKey": product_key, "time": time}
                await self._call("/thing/gateway/permit", {k: v for k, v in params.items() if v is not None})
                self._tell("permit", product_key=product_key, time=time)
            case "list", _:
                data = await self._call("/awss/enrollee/list/get", {"pageSize": 99, "pageNum": 1})
                self._tell("list", total=_member(data, "totalNum"))
            case "filter", _:
                await self._filter()
            case "checkin", DeviceId() as named:
                await self._call("/awss/enrollee/checkin", _names(named))
                self._tell("checkin", device=str(named))
            case "check", DeviceId() as named:
                await self._check(named)
                self._tell("check", device=str(named))
            case "bind", DeviceId() as named:
                await self._bind(named)
            case "remove", DeviceId() as named:
                await self._remove(named)
            case _:
                raise InputRefused(f"a user step {do} without what it needs")

    async def _bind(self, device: DeviceId) -> None:
        token = await self._check(device)
        caller, _ = await self._who()
        params = {**_names(device), "token": token, "homeId": caller.home}
        self._iot_ids[device] = str(await self._call("/awss/token/user/bind", params))
        self._tell("bind", device=str(device))

    async def _check(self, device: DeviceId) -> str:
        """A token of the device that the service knows; devices report in their time, so it is waited for."""
        deadline = self._clock.boot() + PATIENCE
        while True:
            token = self._token_of(device)
            if token is not None:
                text = token.hex().upper()
                answer = await self._ask("/awss/token/check", {"token": text, **_names(device)})
                if answer.code == 200:
                    return text
                if answer.code != 6608:  # token not found: not reported yet
                    raise CloudRefused(answer.code, f"/awss/token/check: {answer.message}")
            if self._clock.boot() >= deadline:
                raise CloudRefused(6608, f"no token of {device} was reported within {PATIENCE:.0f} s")
            await self._clock.sleep(LOOK_EVERY)

    async def _filter(self) -> None:
        listed = await self._call("/awss/enrollee/list/get", {"pageSize": 99, "pageNum": 1})
        items = _member(listed, "items")
        rows = [row for row in items if isinstance(row, dict)] if isinstance(items, list) else []
        devices = [
            {"productKey": row["enrolleeProductKey"], "deviceName": row["enrolleeDeviceName"]} for row in rows
        ]
        data = await self._call("/awss/enrollee/product/filter", {"iotDevices": devices[:50]})
        self._tell("filter", total=len(data) if isinstance(data, list) else 0)

    async def _remove(self, device: DeviceId) -> None:
        params: dict[str, object] = {"iotId": self._iot_id(self._gateway), "subIotId": self._iot_id(device)}
        await self._call("/thing/topo/remove", params)
        self._tell("remove", device=str(device))

    def _iot_id(self, device: DeviceId) -> str:
        if device not in self._iot_ids:
            raise InputRefused(f"the user has not bound {device} yet")
        return self._iot_ids[device]

    async def _call(self, path: str, params: dict[str, object]) -> object:
        answer = await self._ask(path, params)
        if answer.code != 200:
            raise CloudRefused(answer.code, f"{path}: {answer.code} {answer.message}")
        return answer.data

    async def _ask(self, path: str, params: dict[str, object]) -> Reply:
        _, calls = await self._who()
        return await calls.call(path, params)

    async def _who(self) -> tuple[Caller, Calls]:
        if self._account is None:
            caller, auth_code = await self._known_account() or await self._new_account()
            self._account = caller, await self._connect(caller, auth_code)
        return self._account

    async def _known_account(self) -> tuple[Caller, str] | None:
        found: list[str] = []

        def look(db: sqlite3.Connection) -> Effect:
            found.append(records.get_meta(db, AUTH_CODE) or "")
            return Effect()

        await self._ledger.write(look)
        caller = await self._service.find_account(found[0]) if found[0] else None
        return None if caller is None else (caller, found[0])

    async def _new_account(self) -> tuple[Caller, str]:
        account = await self._service.create_account(f"{ACCOUNT} {self._clock.utc():.0f}")

        def keep(db: sqlite3.Connection) -> Effect:
            records.set_meta(db, AUTH_CODE, account.auth_code)
            return Effect()

        await self._ledger.write(keep)
        return account.caller, account.auth_code

    def _tell(self, did: str, **fields: object) -> None:
        self._log.emit("user_acted", did=did, **fields)


def _names(device: DeviceId) -> dict[str, object]:
    return {"productKey": device.product_key, "deviceName": device.device_name}


def _member(data: object, name: str) -> object:
    return data.get(name) if isinstance(data, dict) else None
