"""One request and its answer, as the sockets and the verbs hand them to each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.codec.strictjson import write_json

Json = dict[str, Any]
"""A whole document: it holds ``"v": 1``."""

Send = Callable[[bytes], Awaitable[None]]
"""Sends bytes of a body; returns when the kernel took them, ConnectionError when the reader left."""

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request; ``target`` is as sent, percent-encoded and with its query."""

    method: str
    target: str
    body: bytes = field(default=b"", repr=False)  # it may hold a passphrase


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response: the HTTP status, the body, what it is, and further headers."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """A response that goes on until the reader or the daemon leaves; ``run`` never returns by itself."""

    run: Callable[[Send], Awaitable[None]]
    content_type: str


def document(content: Json, status: int = 200) -> Answer:
    """One JSON document and a newline, for those who read with curl."""
    return Answer(status, write_json(content) + b"\n")


def refusal(status: int, code: str, sentence: str, **headers: str) -> Answer:
    """The error document: ``code`` for programs, ``sentence`` for people."""
    answer = document({"v": 1, "error": {"code": code, "sentence": sentence}}, status)
    return Answer(status, answer.body, JSON, headers)
