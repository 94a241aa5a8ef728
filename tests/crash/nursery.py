"""Where crash tests get daemons quickly: a process that has imported everything and forks one at a time.

One JSON line on its standard input starts one (``place``, ``boot_id``, ``kill_at``); it answers with the
lines ``born PID``, perhaps ``killed WHAT MOMENT``, and ``died EXIT``.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from types import TracebackType

from tests.crash.child import STDOUT, live

CHECKOUT = Path(__file__).resolve().parents[2]


class Nursery:
    """The parent's side: starts daemons, hears of their deaths; use it as a context."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.pid: int | None = None
        self._pending = b""

    def __enter__(self) -> Nursery:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.nursery"],
                cwd=CHECKOUT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()  # whoever lives is tethered to this end of the pipe

    def start(self, place: Path, boot_id: str, kill_at: int | None) -> int:
        """Start the daemon of a place; its process id."""
        order = {"place": str(place), "boot_id": boot_id, "kill_at": kill_at}
        if self._process.stdin is None:
            raise AssertionError("the nursery has a standard input")
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        word, _, pid = self._line().partition(" ")
        if word != "born":
            raise AssertionError(f"the nursery says {word}")
        self.pid = int(pid)
        return self.pid

    def news(self, seconds: float) -> str | None:
        """The next line of the nursery, waited for that long; None when there is none."""
        if b"\n" not in self._pending:
            ready, _, _ = select.select([self._out()], [], [], seconds)
            if not ready:
                return None
        return self._line()

    def kill(self) -> None:
        """Kill the daemon now, wherever it is."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)

    def _out(self) -> int:
        if self._process.stdout is None:
            raise AssertionError("the nursery has a standard output")
        return self._process.stdout.fileno()

    def _line(self) -> str:
        while b"\n" not in self._pending:
            more = os.read(self._out(), 4096)
            if not more:
                raise AssertionError(f"the nursery died: {self.log.read_text('utf-8')[-2000:]}")
            self._pending += more
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode()


def serve() -> None:
    """The process itself; it ends with its standard input."""
    while line := sys.stdin.readline():
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be_born(order)
        os.write(STDOUT, f"born {pid}\n".encode())
        _, status = os.waitpid(pid, 0)
        os.write(STDOUT, f"died {os.waitstatus_to_exitcode(status)}\n".encode())


def _be_born(order: dict[str, str | int | None]) -> None:
    os.environ["ENROLLD_BOOT_ID"] = str(order["boot_id"])
    kill_at = order["kill_at"]
    status = 1
    try:
        live(Path(str(order["place"])), kill_at if isinstance(kill_at, int) else None, tethered=True)
        status = 0
    except BaseException:  # noqa: BLE001  the fork must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
