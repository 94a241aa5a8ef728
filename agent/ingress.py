"""The one boundary between untrusted bytes and an unexpected exception (DESIGN 4).

Broken input is a `FrameError` and is counted where it is met. Anything else that escapes a parser is
a bug of ours: it must not let a beacon stop a fleet, and it must not be hidden either.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from dataclasses import dataclass, field

from agent.health import Health

KEPT = 16
KEPT_BYTES = 2048

log = logging.getLogger("enrolld.ingress")


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Input on which a parser of ours failed: where it came in, what was raised, its first 2048 bytes."""

    where: str
    error: str
    data: bytes = field(repr=False)  # a request body may hold a passphrase


class Ingress:
    """Where the callbacks of radios, sockets and the cloud hand what they did not expect."""

    def __init__(self, health: Health, *, strict: bool) -> None:
        self._health = health
        self._strict = strict
        self.count = 0
        self.quarantine: deque[Quarantined] = deque(maxlen=KEPT)

    def caught(self, where: str, data: bytes, error: Exception) -> None:
        """Count, keep and warn; raise the error again when strict (``ENROLLD_STRICT=1``, all tests)."""
        if self._strict:
            raise error
        self.count += 1
        kind = type(error).__name__
        self.quarantine.append(Quarantined(where, kind, bytes(data[:KEPT_BYTES])))
        digest = hashlib.sha256(data).hexdigest()[:16]
        log.error("%s: %s on %d bytes (sha256 %s..), input dropped", where, kind, len(data), digest)
        self._health.set(
            "parser_bug",
            f"{where}: {kind} on {len(data)} bytes (sha256 {digest}..); the input was dropped. "
            "This is a bug in enrolld: please report it",
            subject=where,
            severity="error",
        )
