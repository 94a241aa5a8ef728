"""Permit windows: who may join, until when, by whose word (DESIGN 5, Windows and Clock rule).

Everything here is a function from values to values. Times are boot seconds; UTC never decides. A command
changes the windows as a whole, so that a caller can write first and remember afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from agent.errors import InputRefused
from agent.model import PRODUCT_KEY_TEXT

ANY = None  # the key of the window that is for every product
ALWAYS = 0  # cloud-device-channel.md 5.1: open until the next command
NEVER = 65535  # the same: close now


class End(StrEnum):
    """Why a window is no longer open."""

    EXPIRED = "expired"
    CLOSED = "closed"
    REBOOTED = "rebooted"
    CAPPED = "capped"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Window:
    """One open window: ``product_key`` None is *any*, ``ends`` None is always.

    ``opened`` and ``ends`` are seconds of this boot; the window is open while now is before ``ends``.
    ``capped`` says that the ceiling made it shorter than asked. ``carried``: always-open since an earlier
    boot; its age is then unknown and ``opened`` is 0, the start of this boot.
    """

    product_key: str | None
    opened: float
    ends: float | None
    capped: bool
    by: str
    carried: bool = False

    def is_open(self, now: float) -> bool:
        """True while the window has not reached its end."""
        return self.ends is None or now < self.ends


@dataclass(frozen=True, slots=True)
class Closed:
    """A window that is gone, and why."""

    window: Window
    reason: End


@dataclass(frozen=True, slots=True)
class Permits:
    """All windows by product key (None is *any*), and the products that are denied by name."""

    windows: Mapping[str | None, Window] = field(default_factory=dict)
    denied: frozenset[str] = frozenset()


def read_time(value: object) -> int:
    """The seconds of a permit command, 0..65535; anything but a whole JSON number is InputRefused 460.

    0 is until the next command and 65535 is close now (cloud-device-channel.md 5.1).
    """
    if isinstance(value, bool) or not isinstance(value, int):
        what = "missing" if value is None else "not a whole number"
        raise InputRefused(f"the permit time is {what}; it is a whole number of seconds from 0 to 65535")
    if not 0 <= value <= NEVER:
        raise InputRefused("the permit time is out of range; it is a whole number from 0 to 65535")
    return value


def read_product(value: object) -> str | None:
    """The product of a permit command; absent or empty is None, *any*; else InputRefused 460."""
    if value is None or value == "":
        return ANY
    if not isinstance(value, str) or not PRODUCT_KEY_TEXT.fullmatch(value):
        raise InputRefused("the productKey of a permit is 1 to 20 letters, digits or - _ @ . :, or absent")
    return value


def apply(
    permits: Permits, product_key: str | None, seconds: int, *, now: float, by: str, ceiling: int | None
) -> tuple[Permits, list[Closed]]:
    """The windows after one command that was received at ``now``, and the windows that it ended.

    ``product_key`` None or empty is *any*; ``seconds`` is as `read_time` gives it.
    """
    key = product_key or ANY
    permits, closed = expire(permits, now)
    gone = dict(permits.windows) if key is ANY and seconds == NEVER else _picked(permits, key)
    reason = End.CLOSED if seconds == NEVER else End.REPLACED
    closed += [Closed(window, reason) for window in gone.values()]
    windows = {k: w for k, w in permits.windows.items() if k not in gone}
    if seconds != NEVER:
        windows[key] = _opened(key, seconds, now, by, ceiling)
    return Permits(windows, _denied(permits.denied, key, seconds)), closed


def expire(permits: Permits, now: float) -> tuple[Permits, list[Closed]]:
    """The windows that are still open at ``now``, and the ones that ended by then."""
    over = [Closed(w, End.EXPIRED) for w in permits.windows.values() if not w.is_open(now)]
    return _without(permits, over), over


def cap(permits: Permits, ceiling: int | None, now: float) -> tuple[Permits, list[Closed]]:
    """The windows under a ceiling in seconds, counted from each one's opening; None leaves them alone.

    No window gets longer. One that was always open since an earlier boot closes: nobody can say how long
    it has been open, and a timed one would not have lived through the boot either.
    """
    permits, closed = expire(permits, now)
    if ceiling is None:
        return permits, closed
    cut = {key: _cut(window, ceiling) for key, window in permits.windows.items()}
    over = [Closed(permits.windows[k], End.CAPPED) for k, w in cut.items() if w.carried or not w.is_open(now)]
    return _without(Permits(cut, permits.denied), over), closed + over


def open_window(permits: Permits, product_key: str, now: float) -> Window | None:
    """The window by which that product may join at ``now``, the one that ends last; None: it may not."""
    if product_key in permits.denied:
        return None
    known = (permits.windows.get(product_key), permits.windows.get(ANY))
    return max((w for w in known if w is not None and w.is_open(now)), key=_end, default=None)


def restore(permits: Permits, saved_boot_id: str, boot_id: str, now: float) -> tuple[Permits, list[Closed]]:
    """What is left of saved windows when the process starts again (DESIGN 5, Clock rule).

    Same boot: what is left is what is left. Another or unknown (empty) boot id: timed windows are closed
    as ``rebooted``, always-open ones stay. A window that was opened in the future is of another boot,
    whatever its boot id says.
    """
    same_boot = bool(boot_id) and saved_boot_id == boot_id
    foreign = [w for w in permits.windows.values() if not (same_boot and w.opened <= now)]
    rebooted = [Closed(w, End.REBOOTED) for w in foreign if w.ends is not None]
    kept = dict(_without(permits, rebooted).windows)
    kept |= {w.product_key: replace(w, opened=0.0, carried=True) for w in foreign if w.ends is None}
    permits, expired = expire(Permits(kept, permits.denied), now)
    return permits, rebooted + expired


def next_end(permits: Permits) -> float | None:
    """The boot time at which the next window ends; None when none will."""
    return min((w.ends for w in permits.windows.values() if w.ends is not None), default=None)


def _picked(permits: Permits, key: str | None) -> dict[str | None, Window]:
    return {key: permits.windows[key]} if key in permits.windows else {}


def _opened(key: str | None, seconds: int, now: float, by: str, ceiling: int | None) -> Window:
    capped = ceiling is not None and (seconds == ALWAYS or seconds > ceiling)
    length = ceiling if capped else seconds or None
    return Window(key, now, None if length is None else now + length, capped, by)


def _denied(denied: frozenset[str], key: str | None, seconds: int) -> frozenset[str]:
    if key is ANY:
        return frozenset()
    return denied | {key} if seconds == NEVER else denied - {key}


def _cut(window: Window, ceiling: int) -> Window:
    limit = window.opened + ceiling
    return window if _end(window) <= limit else replace(window, ends=limit, capped=True)


def _end(window: Window) -> float:
    return float("inf") if window.ends is None else window.ends


def _without(permits: Permits, closed: list[Closed]) -> Permits:
    if not closed:
        return permits
    gone = {c.window.product_key for c in closed}
    return Permits({k: w for k, w in permits.windows.items() if k not in gone}, permits.denied)
