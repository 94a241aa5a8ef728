"""Requests to the daemon over its sockets, and what its refusals mean to a shell."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import h11

from agent.cli import exits
from agent.cli.exits import CommandFailed
from agent.status.sockets import Right, socket_path

Json = dict[str, Any]

READERS = (Right.READ, Right.CHANGE)  # whoever may change may read there too
CHANGERS = (Right.CHANGE,)
SILENCE_SECONDS = 60.0  # a stream has a heartbeat four times as often
READ_OCTETS = 64 * 1024
# By the code in the error document, else by the HTTP status; every other refusal is an answer of no.
CODES = {"configuration": exits.CONFIGURATION}
STATUSES = {
    400: exits.BAD_DATA,
    403: exits.NOT_PERMITTED,
    404: exits.NO_INPUT,
    408: exits.TRY_AGAIN,
    413: exits.BAD_DATA,
    503: exits.TRY_AGAIN,
}


def segment(name: str) -> str:
    """A name as one segment of a path; bytes of the command line that are not UTF-8 go as they are."""
    return quote(name, safe="", errors="surrogateescape")


def read(run: Path, path: str) -> Json:
    """The document at that path; CommandFailed with the sentence when there is none."""
    return _document(read_text(run, path))


def read_text(run: Path, path: str) -> str:
    """The whole body at that path, whatever it is."""
    with closing(connect(run, READERS)) as peer:
        return b"".join(ask(peer, "GET", path)).decode()


def change(run: Path, method: str, path: str, content: Json | None = None) -> Json:
    """The daemon's answer to a request that changes something."""
    body = b"" if content is None else json.dumps(content).encode()
    with closing(connect(run, CHANGERS)) as peer:
        return _document(b"".join(ask(peer, method, path, body)).decode())


def follow(run: Path, path: str) -> Iterator[Json]:
    """The events at that path, one document each, until the daemon ends the stream."""
    with closing(connect(run, READERS)) as peer:
        yield from read_events(ask(peer, "GET", path))


def read_events(pieces: Iterable[bytes]) -> Iterator[Json]:
    """The ``data`` of each server-sent event in the pieces of a stream; heartbeats have none."""
    waiting = b""
    for piece in pieces:
        *blocks, waiting = (waiting + piece).split(b"\n\n")
        for line in (line for block in blocks for line in block.split(b"\n")):
            if line.startswith(b"data: "):
                yield _document(line[6:].decode())


def connect(run: Path, rights: Sequence[Right]) -> socket.socket:
    """A connection that gives the first of the rights that can be had; else CommandFailed 69 or 77."""
    tried, denied = [], False
    for right in rights:
        path = socket_path(run, right)
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            peer.connect(os.fspath(path))
            peer.settimeout(SILENCE_SECONDS)
            return peer
        except OSError as error:
            peer.close()
            denied = denied or isinstance(error, PermissionError)
            tried.append(f"{path}: {error.strerror}")
    if denied:
        sentence = "this takes membership in the socket's group, or sudo"
        raise CommandFailed(exits.NOT_PERMITTED, f"not permitted ({'; '.join(tried)}); {sentence}")
    sentence = "start it with `systemctl start enrolld`, or name its directory with --run DIR"
    raise CommandFailed(exits.UNREACHABLE, f"enrolld is not running ({'; '.join(tried)}); {sentence}")


def ask(peer: socket.socket, method: str, path: str, body: bytes = b"") -> Iterator[bytes]:
    """The pieces of the body that answers one request, as they come.

    CommandFailed with the daemon's own sentence when it refuses, 69 when it falls silent or goes away.
    """
    http = h11.Connection(h11.CLIENT)
    try:
        _send(peer, http, method, path, body)
        head = _next_event(peer, http)
        pieces = _pieces(peer, http)
        if isinstance(head, h11.Response) and head.status_code >= 400:
            raise _refused(head.status_code, b"".join(pieces))
        yield from pieces
    except TimeoutError as error:
        sentence = f"enrolld has not answered for {SILENCE_SECONDS:.0f} s"
        raise CommandFailed(exits.UNREACHABLE, sentence) from error
    except (OSError, h11.RemoteProtocolError) as error:
        raise CommandFailed(exits.UNREACHABLE, "enrolld went away before its answer was complete") from error


def _send(peer: socket.socket, http: h11.Connection, method: str, path: str, body: bytes) -> None:
    headers = [("Host", "enrolld"), ("Content-Length", str(len(body))), ("Connection", "close")]
    events = [h11.Request(method=method, target=path, headers=headers), h11.Data(body), h11.EndOfMessage()]
    with suppress(BrokenPipeError):  # refused before all was read: the answer says why
        peer.sendall(b"".join(http.send(event) or b"" for event in events))


def _pieces(peer: socket.socket, http: h11.Connection) -> Iterator[bytes]:
    while isinstance(event := _next_event(peer, http), h11.Data):
        yield bytes(event.data)


def _next_event(peer: socket.socket, http: h11.Connection) -> object:
    while (event := http.next_event()) is h11.NEED_DATA or isinstance(event, h11.InformationalResponse):
        if event is h11.NEED_DATA:
            http.receive_data(peer.recv(READ_OCTETS))
    return event


def _refused(status: int, body: bytes) -> CommandFailed:
    error = _document(body.decode(errors="replace")).get("error", {})
    code = CODES.get(error.get("code"), STATUSES.get(status, exits.NO))
    return CommandFailed(code, str(error.get("sentence", f"enrolld answered {status}")))


def _document(text: str) -> Json:
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise CommandFailed(exits.UNREACHABLE, "what answers there is not enrolld: no JSON document came")
    return content
