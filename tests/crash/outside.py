"""The world around a daemon that keeps dying: it asks until it is answered, and keeps it alive."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.cli.client import read_events
from agent.status.sockets import Right, socket_path
from tests.crash.nursery import Nursery

PATIENCE = 60.0  # seconds for one answer, deaths included
GLANCE = 0.004  # seconds between two looks at somebody who is busy
KILLED = "-9"

SHOWN = ("permits", "subdevices", "events")

Document = dict[str, Any]


def boot() -> float:
    """The clock that windows and tokens count by."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Death:
    """How one daemon ends: at which event, or how many seconds after its start; both None: it lives."""

    at_event: int | None = None
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; ``sent`` and ``answered`` are boot times of the try that was answered."""

    status: int
    document: Document
    sent: float
    answered: float
    tries: int


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket file."""

    def __init__(self, path: Path) -> None:
        super().__init__("enrolld", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


class Outside:
    """Keeps one daemon alive and asks it; every new life is looked at before anything else is asked.

    ``deaths`` are handed out to its lives in order; when they are used up the daemon lives on.
    ``reborn`` is called while the old one is dead, ``look`` with what the new one shows (`SHOWN`).
    """

    def __init__(
        self,
        place: Path,
        nursery: Nursery,
        deaths: Iterator[Death],
        *,
        reborn: Callable[[], str],
        look: Callable[[Mapping[str, Answer]], None],
    ) -> None:
        self._place = place
        self._nursery = nursery
        self._deaths = deaths
        self._reborn = reborn
        self._look = look
        self._alive = False
        self._looked = False
        self._timer: threading.Timer | None = None
        self.kills: Counter[str] = Counter()
        self.lives = 0

    def ask(self, right: Right, method: str, path: str, body: Document | None = None) -> Answer:
        """The answer to one request, asked again of the next life while this one dies."""
        tries, deadline = 0, boot() + PATIENCE
        while boot() < deadline:
            self._be_alive()
            tries += 1
            answer = self._try(right, method, path, body, tries)
            if answer is not None:
                return answer
            self.wait()
        raise AssertionError(f"{method} {path} was not answered in {PATIENCE:.0f} s")

    def wait(self) -> None:
        """Give it a moment, and hear whether it died."""
        line = self._nursery.news(GLANCE)
        while line is not None:
            self._hear(line)
            line = self._nursery.news(0)

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds that is asked of the daemon."""
        deadline = boot() + PATIENCE
        while not holds():
            if boot() > deadline:
                raise AssertionError(f"after {PATIENCE:.0f} s: not {what}")
            self.wait()

    def end(self) -> None:
        """Kill the daemon, however it feels, and see it dead."""
        if self._alive:
            self._nursery.kill()
            self._timer_off()
            while self._is_alive():
                self.wait()
            self.kills["end"] += 1

    def _is_alive(self) -> bool:
        return self._alive

    def _be_alive(self) -> None:
        if not self._alive:
            boot_id = self._reborn()
            death = next(self._deaths, Death())
            self._nursery.start(self._place, boot_id, death.at_event)
            self._alive, self._looked = True, False
            self.lives += 1
            if death.after is not None:
                self._timer = threading.Timer(death.after, self._kill_by_clock)
                self._timer.start()
        if not self._looked:
            tried = {name: self._try(Right.CHANGE, "GET", f"/v1/{name}", None, 1) for name in SHOWN}
            shown = {name: answer for name, answer in tried.items() if answer is not None}
            if len(shown) == len(SHOWN):
                self._looked = True
                self._look(shown)

    def _kill_by_clock(self) -> None:
        self.kills["clock"] += 1
        self._nursery.kill()

    def _try(self, right: Right, method: str, path: str, body: Document | None, tries: int) -> Answer | None:
        connection = UnixConnection(socket_path(self._place / "run", right))
        sent = boot()
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            document = _read(response)
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return Answer(response.status, document, sent, boot(), tries)

    def _hear(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "killed":
            self.kills[rest] += 1
        elif rest == KILLED:
            self._alive = False
            self._timer_off()
        else:
            told = self._nursery.log.read_text("utf-8")[-4000:]
            raise AssertionError(f"the daemon ended by itself with {rest}:\n{told}")

    def _timer_off(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
            self._timer = None


def _read(response: http.client.HTTPResponse) -> Document:
    body = response.read()
    if response.headers.get_content_type() == "text/event-stream":
        return {"events": list(read_events([body]))}
    document = json.loads(body)
    assert isinstance(document, dict), document
    return document
