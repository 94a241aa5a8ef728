"""The session of the HTTP API, and which calls are repeated when (cloud-http-api.md 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.cloud import api_calls
from agent.cloud.api_calls import Call, Endpoint
from agent.cloud.api_line import ApiLine, Unanswered, Undone
from agent.cloud.api_values import Grant, read_grant
from agent.codec.apigw_envelope import SUCCESS, Response
from agent.errors import CloudBusy, CloudRefused, FrameError
from agent.ports import Clock

RENEWED_AT = 0.75  # of its life, as the live client: 5 hours before the end of 20
# 460 is an expired session or a parameter error, and nothing tells which (section 3).
SESSION_GONE = frozenset((401, 460, 2401, 2459, 29003))
TOO_MANY = 429
BUSY = frozenset((TOO_MANY, 500, 503, 20004, 20056))  # time heals these (section 5)
UNREADABLE = 22000  # "response could not be parsed", the client's own code


@dataclass(frozen=True, slots=True)
class Session:
    """A session that is open; times are boot seconds."""

    grant: Grant
    renewed_at: float
    ends: float

    @property
    def token(self) -> str:
        """The iotToken."""
        return self.grant.iot_token


class ApiSession:
    """Sends calls with a valid session: opened at the first, refreshed before it ends, opened anew when gone.

    ``delays`` are the pauses before repeats; ``ids`` makes the id of each call.
    """

    def __init__(
        self,
        line: ApiLine,
        clock: Clock,
        ids: Callable[[], str],
        delays: Sequence[float],
    ) -> None:
        self._line = line
        self._clock = clock
        self._ids = ids
        self._delays = delays
        self._session: Session | None = None
        self._turn = asyncio.Lock()

    def prepare(self, endpoint: Endpoint, params: Mapping[str, object]) -> Call:
        """A call with an id of its own; sending it twice sends the same body."""
        return Call(endpoint, params, self._ids())

    async def ask(self, call: Call) -> object:
        """The data of a call that succeeds; else CloudRefused with the API's code, or CloudBusy."""
        return _data_of(call, await self.exchange(call))

    async def exchange(self, call: Call) -> Response:
        """The answer to a call, whatever its code.

        A code that says the session is gone counts for one that this call did not open itself: then it is
        opened anew and the call, which was not carried out, is sent once more.
        """
        if not call.endpoint.needs_session:
            return await self._send(call, None)
        known = self._session
        session = await self._open()
        response = await self._send(call, session.token)
        if response.code in SESSION_GONE and session is known:
            session = await self._reopen(session)
            response = await self._send(call, session.token)
        return response

    async def close(self) -> None:
        """Log out, when there is a session."""
        async with self._turn:
            session, self._session = self._session, None
        if session is not None:
            grant = session.grant
            request = {"iotToken": grant.iot_token, "identityId": grant.identity}
            params = {"request": request | {"refreshToken": grant.refresh_token}}
            call = self.prepare(api_calls.LOGOUT, params)
            _data_of(call, await self._send(call, session.token))

    async def _send(self, call: Call, token: str | None) -> Response:
        """Send, and again after each delay while the trouble may pass and a repeat does no harm."""
        for delay in self._delays:
            try:
                response = await self._line.exchange(call, token)
            except CloudBusy as trouble:
                if not (call.endpoint.repeatable or isinstance(trouble, Undone)):
                    raise
            else:
                harmless = call.endpoint.repeatable or response.code == TOO_MANY
                if response.code not in BUSY or not harmless:
                    return response
            await self._clock.sleep(delay)
        return await self._line.exchange(call, token)

    async def _open(self) -> Session:
        """The session that is valid now."""
        async with self._turn:
            if self._session is None:
                self._session = await self._log_in()
            elif self._clock.boot() >= self._session.renewed_at:
                self._session = await self._refresh(self._session)
            return self._session

    async def _reopen(self, gone: Session) -> Session:
        """A session after that one, unless another call has opened it meanwhile."""
        async with self._turn:
            if self._session is None or self._session is gone:
                self._session = await self._log_in()
            return self._session

    async def _log_in(self) -> Session:
        installer = self._line.installer
        request = {"authCode": installer.auth_code, "accountType": "OA_SESSION", "appKey": installer.app_key}
        return await self._obtain(self.prepare(api_calls.LOGIN, {"request": request}))

    async def _refresh(self, old: Session) -> Session:
        """A new session by the refresh token, else by logging in; the old one while nobody answers."""
        request = {"refreshToken": old.grant.refresh_token, "identityId": old.grant.identity}
        call = self.prepare(api_calls.REFRESH, {"request": request})
        try:
            return await self._obtain(call, old.grant)
        except CloudRefused:
            return await self._log_in()
        except CloudBusy:
            if self._clock.boot() < old.ends:
                return old
            raise

    async def _obtain(self, call: Call, old: Grant | None = None) -> Session:
        asked_at = self._clock.boot()
        data = _data_of(call, await self._send(call, None))
        try:
            grant = read_grant(data, old.identity, old.refresh_token) if old else read_grant(data)
        except FrameError as error:
            raise CloudRefused(UNREADABLE, f"{call.endpoint.path}: {error}") from error
        return Session(grant, asked_at + grant.life * RENEWED_AT, asked_at + grant.life)


def _data_of(call: Call, response: Response) -> object:
    if response.code == SUCCESS:
        return response.data
    sentence = f"{call.endpoint.path}: {response.message or 'refused'} (code {response.code})"
    if response.code == TOO_MANY:
        raise Undone(sentence)
    if response.code in BUSY:
        raise Unanswered(sentence)
    raise CloudRefused(response.code, sentence)
