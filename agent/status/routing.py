"""From a request to the verb that answers it, and from an error to the answer that explains it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

from agent.errors import (
    AgentError,
    CloudBusy,
    CloudRefused,
    ConfigError,
    HardwareError,
    InputRefused,
    StoreError,
)
from agent.status.message import Answer, Request, Stream, refusal
from agent.status.sockets import Right
from agent.status.verbs import QUERIES, VERBS, Agent, Call

# What an InputRefused says about itself, by the code of the answer; 460 is the cloud's own word
# for a malformed parameter (cloud-device-channel.md, section 7).
REFUSED = {404: (404, "unknown"), 409: (409, "conflict"), 410: (410, "gone")}
MALFORMED = (400, "malformed")
# Errors by who must act; the first that fits.
TROUBLES: list[tuple[type[AgentError], int, str]] = [
    (StoreError, 503, "store_unavailable"),
    (CloudBusy, 503, "cloud_busy"),
    (HardwareError, 503, "hardware"),
    (CloudRefused, 502, "cloud_refused"),
    (ConfigError, 409, "configuration"),
    (AgentError, *MALFORMED),
]


def compile_path(path: str) -> re.Pattern[str]:
    """``{name}`` stands for one segment, ``{name...}`` for the rest; elsewhere a slash comes as ``%2F``."""
    one = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
    return re.compile(re.sub(r"\{(\w+)\.\.\.\}", r"(?P<\1>.+)", one))


PATHS = {path: compile_path(path) for verbs in VERBS.values() for _, path in verbs}


async def answer(agent: Agent, right: Right, request: Request) -> Answer | Stream:
    """What the verb answers, or a refusal when there is no such verb on that socket.

    Raises what the agent raises; `explain` makes an answer of every AgentError.
    """
    path, _, query = request.target.partition("?")
    matches = ((known, pattern.fullmatch(path)) for known, pattern in PATHS.items())
    known, found = next((pair for pair in matches if pair[1]), ("", None))
    if found is None:
        return refusal(404, "unknown", "there is nothing at that path")
    handler = VERBS[right].get((request.method, known))
    if handler is None:
        return refuse_verb(right, request.method, known)
    names = {name: read_name(text) for name, text in found.groupdict().items()}
    return await handler(Call(agent, request.body, names, read_query(query, known)))


def refuse_verb(right: Right, method: str, path: str) -> Answer:
    """403 when another socket answers that verb, else 405 with the methods that this path knows."""
    for other, verbs in VERBS.items():
        if (method, path) in verbs:
            return refusal(403, "wrong_socket", f"{right.value} does not answer that: ask on {other.value}")
    known = sorted({m for verbs in VERBS.values() for m, p in verbs if p == path})
    return refusal(405, "method", f"this path knows {', '.join(known)}", Allow=", ".join(known))


def read_name(text: str) -> str:
    """One percent-encoded segment of a path as text; InputRefused when it is not UTF-8."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise InputRefused("the path is not UTF-8", code=400) from error


def read_query(query: str, path: str) -> Mapping[str, str]:
    """The members of a query, of one that comes twice the last; InputRefused when one is unknown."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError as error:
        raise InputRefused("the query is malformed", code=400) from error
    unknown = {name for name, _ in pairs} - QUERIES.get(path, set())
    if unknown:
        named = ", ".join(sorted(map(ascii, unknown)))
        raise InputRefused(f"the query has unknown members: {named}", code=400)
    return dict(pairs)


def explain(error: AgentError) -> Answer:
    """The answer that tells who must act: 400, 404, 409, 410 the caller, 502 and 503 somebody else."""
    if isinstance(error, InputRefused):
        status, code = REFUSED.get(error.code, MALFORMED)
    else:
        status, code = next((s, c) for kind, s, c in TROUBLES if isinstance(error, kind))
    return refusal(status, code, str(error))
