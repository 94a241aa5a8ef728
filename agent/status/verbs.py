"""What may be asked on each socket: one table per right from (method, path) to a handler.

A handler only reads its request, calls one function of the agent, and shapes the answer; the cloud
and the control tool reach the same functions.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from agent.errors import InputRefused
from agent.events import EventLog
from agent.status import body
from agent.status.body import LogLevel, NewAccount, Permit, Provision, read_body, read_object
from agent.status.message import Answer, Json, Stream, document
from agent.status.metrics import METRICS_TEXT, render_metrics
from agent.status.sockets import Right
from agent.status.stream import EVENT_STREAM, follow, read_kept

BY = "cli"  # who opened a window, started a run, removed a device: whoever may open admin.sock


class Agent(Protocol):
    """What the sockets ask of the gateway; every document is complete (``"v": 1``).

    All raise InputRefused with code 400 or 460 (malformed), 404, 409 or 410; the ones that change
    something also StoreError, CloudBusy and CloudRefused.
    """

    @property
    def log(self) -> EventLog: ...
    def status(self) -> Json: ...
    def enrollees(self) -> Json: ...
    def permits(self) -> Json: ...
    def subdevices(self) -> Json: ...
    def tokens(self) -> Json: ...
    def adapters(self) -> Json: ...
    def health(self) -> Json: ...
    def why(self, name: str) -> Json: ...
    async def permit(self, product_key: str | None, time: object, by: str) -> Json: ...
    async def join(self, body: Json) -> Json: ...
    async def complete_join(self, ticket: str, body: Json) -> Json: ...
    def join_state(self, ticket: str) -> Json: ...
    async def provision(
        self, enrollee: str, network: str | None, passphrase: str | None, overwrite: bool, by: str
    ) -> Json: ...
    async def forget(self, name: str, by: str) -> Json: ...
    async def create_account(self, name: str) -> Json: ...
    def set_log_level(self, level: str) -> Json: ...


@dataclass(frozen=True, slots=True)
class Call:
    """One request that found its handler: the names in its path, the members of its query."""

    agent: Agent
    body: bytes
    names: Mapping[str, str]
    query: Mapping[str, str]


Handler = Callable[[Call], Awaitable[Answer | Stream]]
Verbs = dict[tuple[str, str], Handler]


def read_number(name: str, query: Mapping[str, str]) -> int | None:
    """That member of the query as a number of 1 to 18 digits; None when it is absent."""
    text = query.get(name)
    if text is not None and not re.fullmatch(r"[0-9]{1,18}", text):
        raise InputRefused(f"{name} is a number of at most 18 digits", code=400)
    return None if text is None else int(text)


def reading(read: Callable[[Agent], Json]) -> Handler:
    """A handler for a document that needs no arguments."""

    async def show(call: Call) -> Answer:
        return document(read(call.agent))

    return show


async def show_why(call: Call) -> Answer:
    return document(call.agent.why(call.names["name"]))


async def show_metrics(call: Call) -> Answer:
    text = render_metrics(call.agent.status(), call.agent.tokens())
    return Answer(200, text.encode("utf-8", "backslashreplace"), METRICS_TEXT)


async def show_events(call: Call) -> Answer | Stream:
    after = read_number("after", call.query)
    following = read_number("follow", call.query) or 0
    if following > 1:
        raise InputRefused("follow is 0 or 1", code=400)
    if following:
        return Stream(partial(follow, call.agent.log, after), EVENT_STREAM)
    return Answer(200, read_kept(call.agent.log, after)[1], EVENT_STREAM)


async def ask_to_join(call: Call) -> Answer:
    return document(await call.agent.join(read_object(call.body, body.JOIN)))


async def complete_join(call: Call) -> Answer:
    done = read_object(call.body, body.JOIN_DONE)
    return document(await call.agent.complete_join(call.names["ticket"], done), 202)


async def show_join(call: Call) -> Answer:
    return document(call.agent.join_state(call.names["ticket"]))


async def permit(call: Call) -> Answer:
    asked = read_body(call.body, Permit)
    return document(await call.agent.permit(asked.product_key, asked.time, BY))


async def provision(call: Call) -> Answer:
    asked = read_body(call.body, Provision)
    return document(
        await call.agent.provision(asked.enrollee, asked.network, asked.passphrase, asked.overwrite, BY)
    )


async def forget(call: Call) -> Answer:
    return document(await call.agent.forget(call.names["name"], BY))


async def create_account(call: Call) -> Answer:
    return document(await call.agent.create_account(read_body(call.body, NewAccount).name))


async def set_log_level(call: Call) -> Answer:
    return document(call.agent.set_log_level(read_body(call.body, LogLevel).level))


READ: Verbs = {
    ("GET", "/v1/status"): reading(lambda agent: agent.status()),
    ("GET", "/v1/enrollees"): reading(lambda agent: agent.enrollees()),
    ("GET", "/v1/permits"): reading(lambda agent: agent.permits()),
    ("GET", "/v1/subdevices"): reading(lambda agent: agent.subdevices()),
    ("GET", "/v1/tokens"): reading(lambda agent: agent.tokens()),
    ("GET", "/v1/adapters"): reading(lambda agent: agent.adapters()),
    ("GET", "/v1/health"): reading(lambda agent: agent.health()),
    ("GET", "/v1/why/{name...}"): show_why,
    ("GET", "/v1/events"): show_events,
    ("GET", "/metrics"): show_metrics,
}
JOIN: Verbs = {
    ("POST", "/v1/joins"): ask_to_join,
    ("POST", "/v1/joins/{ticket}/done"): complete_join,
    ("GET", "/v1/joins/{ticket}"): show_join,
}
CHANGE: Verbs = {
    ("POST", "/v1/permits"): permit,
    ("POST", "/v1/provision"): provision,
    ("DELETE", "/v1/subdevices/{name...}"): forget,
    ("POST", "/v1/accounts"): create_account,
    ("PUT", "/v1/loglevel"): set_log_level,
}
# Whoever may change may also read; whoever may ask to join sees nothing else.
VERBS: dict[Right, Verbs] = {Right.READ: READ, Right.JOIN: JOIN, Right.CHANGE: READ | CHANGE}
QUERIES = {"/v1/events": {"after", "follow"}}
