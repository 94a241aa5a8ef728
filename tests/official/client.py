"""The official Python client in an environment of its own, driven line by line from a test."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"

Document = dict[str, Any]


def find_python() -> Path:
    """The interpreter of the client's environment, which is made at the first call and kept in the cache."""
    wanted = f"{sys.version_info[:2]} {REQUIREMENTS.read_text('utf-8')}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "enrolld-tests" / hashlib.sha256(wanted.encode()).hexdigest()[:16]
    python, ready = place / "bin" / "python", place / "ready"
    if not ready.exists():
        venv.create(place, clear=True, with_pip=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([python, *install, "-r", REQUIREMENTS], check=True, timeout=300)
        ready.touch()
    return python


@dataclass(slots=True)
class Official:
    """One process with the client in it; ``token`` goes with each call unless another is given."""

    process: asyncio.subprocess.Process
    token: str | None = None

    async def call(self, path: str, params: object, version: str, **more: Any) -> Document:
        """Status, headers and body of the answer to one call."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        asked = {"path": path, "params": params, "version": version, "token": self.token} | more
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        async with asyncio.timeout(20):
            line = await self.process.stdout.readline()
        assert line, "the official client ended"
        return dict(json.loads(line))

    async def told(self, path: str, params: object, version: str, **more: Any) -> Document:
        """The envelope of an answer, which is HTTP 200."""
        answer = await self.call(path, params, version, **more)
        assert answer["status"] == 200, answer
        envelope = json.loads(answer["body"])
        assert set(envelope) == {"code", "data", "message", "localizedMsg", "id"}
        return dict(envelope)

    async def code(self, path: str, params: object, version: str, **more: Any) -> int:
        """The code of an answer that brings no data."""
        envelope = await self.told(path, params, version, **more)
        assert envelope["code"] == 200 or envelope["data"] is None
        return int(envelope["code"])

    async def data(self, path: str, params: object, version: str, **more: Any) -> Any:
        """The data of an answer that is success."""
        envelope = await self.told(path, params, version, **more)
        assert envelope["code"] == 200, envelope
        return envelope["data"]


@asynccontextmanager
async def official(account: Document) -> AsyncIterator[Official]:
    """The client for the app of an account file."""
    python = await asyncio.to_thread(find_python)
    process = await asyncio.create_subprocess_exec(
        python, HERE / "calls.py", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    domain = account["url"].removeprefix("http://")
    place = {"domain": domain, "key": account["app_key"], "secret": account["app_secret"]}
    process.stdin.write(json.dumps(place).encode() + b"\n")
    try:
        yield Official(process)
    finally:
        process.stdin.close()
        await process.wait()
