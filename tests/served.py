"""The sockets served from another thread, for the tests of the blocking control tool."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.clock import SystemClock
from agent.health import Health
from agent.ingress import Ingress
from agent.status.server import SocketServer
from agent.status.sockets import bind_all
from tests.recording import RecordingAgent


class Served:
    """A server in its own thread; ``agent`` is read by tests while no request is under way."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._listeners = bind_all(run)
        clock = SystemClock()
        self.agent = RecordingAgent(clock)
        ingress = Ingress(Health(clock.utc, self.agent.log.emit), strict=True)
        self._server = SocketServer(self.agent, ingress, clock, self._listeners)
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._server.serve())
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        self._loop.run_until_complete(asyncio.wait([self._task]))
        self._loop.close()

    def emit(self, kind: str, **fields: object) -> None:
        """An event; it is in the log when the next request is answered."""

        def emit() -> None:
            self.agent.log.emit(kind, **fields)

        self._loop.call_soon_threadsafe(emit)

    def stop(self) -> None:
        """What a daemon does that ends; twice is once."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join()
        for listener in self._listeners:
            listener.close()


@contextmanager
def served(run: Path) -> Iterator[Served]:
    """A server until the block ends."""
    server = Served(run)
    try:
        yield server
    finally:
        server.stop()
