"""Permit windows by the words of DESIGN 5, once more: what crash tests compare the daemon with.

It knows when a command was sent and answered, not when it was received, so an end is a span of boot time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

ALWAYS, NEVER = 0, 65535
ANY = ""


@dataclass(frozen=True, slots=True)
class End:
    """A window ends between these two boot times, or (None) never."""

    first: float | None
    last: float | None


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows by product key, '' for any, and the products that are denied by name."""

    ends: Mapping[str, End]
    denied: frozenset[str] = frozenset()

    def command(self, key: str, time: int, sent: float, answered: float) -> Windows:
        """The windows after one command that was received somewhere between sent and answered."""
        if time == NEVER and key == ANY:
            return Windows({})
        ends = {name: end for name, end in self.ends.items() if name != key}
        if time == NEVER:
            return Windows(ends, self.denied | {key})
        ends[key] = End(None, None) if time == ALWAYS else End(sent + time, answered + time)
        return Windows(ends, frozenset() if key == ANY else self.denied - {key})

    def reboot(self) -> Windows:
        """What is left in the next boot: only what has no end."""
        return replace(self, ends={key: end for key, end in self.ends.items() if end.last is None})

    def timed(self, now: float) -> set[str]:
        """The keys whose windows are certainly open at ``now`` and will end."""
        return {key for key, end in self.ends.items() if end.first is not None and now < end.first}

    def allows(self, product: str, since: float, until: float) -> bool | None:
        """Whether that product may join all the time between two moments; None when that is on the edge."""
        if product in self.denied:
            return False
        views = [_is_open(self.ends[key], since, until) for key in (product, ANY) if key in self.ends]
        if True in views:
            return True
        return None if None in views else False

    def find_fault(self, document: dict[str, object], since: float, until: float) -> str | None:
        """What is wrong with ``GET /v1/permits`` as it was answered between two moments; None: nothing."""
        rows = document["windows"]
        if not isinstance(rows, list):
            return "windows is no array"
        shown = {row["product_key"] or ANY: row for row in rows}
        if document["denied"] != sorted(self.denied):
            return f"denied is {document['denied']}, not {sorted(self.denied)}"
        faults = [self._fault_of(key, shown.get(key), since, until) for key in {*shown, *self.ends}]
        return next((fault for fault in faults if fault), None)

    def _fault_of(self, key: str, row: dict[str, object] | None, since: float, until: float) -> str | None:
        end = self.ends.get(key)
        state = False if end is None else _is_open(end, since, until)
        if row is None:
            return f"the window of {key or 'any'} is lost" if state else None
        if state is False or end is None:
            return f"a window of {key or 'any'} is open that nobody opened, or past its end: {row}"
        if end.first is None or end.last is None:
            return None if row["always"] else f"{row} is not always open"
        left = row["ends_in"]
        if not isinstance(left, float) or not end.first - until - 0.01 <= left <= end.last - since + 0.01:
            return f"{row} should end in {end.first - until:.3f} to {end.last - since:.3f} s"
        return None


def _is_open(end: End, since: float, until: float) -> bool | None:
    if end.first is None or end.last is None or until < end.first:
        return True
    return None if since < end.last else False
