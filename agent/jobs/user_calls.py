"""How the person with the app reaches the API: in this process, or over HTTP as any app does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from agent.cloud.api import ApiClient
from agent.ports import Reply
from agent.service.service import Service
from agent.service.values import Caller


class Calls(Protocol):
    """The API for one account."""

    async def call(self, path: str, params: Mapping[str, object]) -> Reply:
        """The answer to one call, whatever its code; CloudBusy or CloudRefused when none came."""


class InProcess:
    """The rules of the embedded service, without HTTP."""

    def __init__(self, service: Service, caller: Caller) -> None:
        self._service = service
        self._caller = caller

    async def call(self, path: str, params: Mapping[str, object]) -> Reply:
        """One call as the account."""
        answer = await self._service.call(self._caller, path, dict(params))
        return Reply(answer.code, answer.data, answer.message)


class OverHttp:
    """An app's own client."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def call(self, path: str, params: Mapping[str, object]) -> Reply:
        """One signed call in the session of the account."""
        answer = await self._client.call(path, params)
        return Reply(answer.code, answer.data, answer.message)
