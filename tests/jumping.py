"""A loop whose clock jumps: when every task waits, time moves on to the next timer at once.

Sockets inside the process work as ever. Executor calls run in line, for a thread at work looks like idleness.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

T = TypeVar("T")


class InlineExecutor(Executor):
    """Runs each call at once, in the caller's thread."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  it goes into the future, as in any executor
            future.set_exception(error)
        return future


class JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type,unused-ignore]
    """Instead of waiting, tells the loop how long it would have waited."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return super().select(1)  # nothing is timed: a real peer may still speak
        self._jump(max(timeout, 1e-6))
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop on jumping time; `time` starts at 1000 seconds."""

    def __init__(self) -> None:
        self._now = 1000.0
        super().__init__(JumpingSelector(self.jump))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override,unused-ignore]
        return super().run_in_executor(InlineExecutor(), func, *args)


class JumpingClock:
    """A Clock on the running JumpingLoop; tests may step UTC and suspend or reboot the machine."""

    def __init__(self, *, boot_id: str = "boot-1", utc: float = 1_700_000_000.0) -> None:
        self.boot_id = boot_id
        self._utc_offset = utc - 1000.0
        self._boot_offset = 0.0

    def boot(self) -> float:
        return asyncio.get_running_loop().time() + self._boot_offset

    def utc(self) -> float:
        return asyncio.get_running_loop().time() + self._utc_offset

    def step_utc(self, seconds: float) -> None:
        self._utc_offset += seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_jumping(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a fresh jumping loop."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main)
