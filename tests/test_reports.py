"""Which enrollee is reported when."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from agent.entries import Entry
from agent.registry import Registry
from agent.reports import ReportPace, is_reportable
from tests.enrollees import STRANGE_ID, address, advert, beacon, fresh, hear, lamp_id, probe, record


def pace_of(registry: Registry) -> ReportPace:
    return ReportPace(registry.entries)


def run(pace: ReportPace, begin: float, end: float, step: float = 0.25) -> list[tuple[float, str]]:
    """Ask every ``step`` seconds and report what comes: (time, id)."""
    reports = []
    for tick in range(math.ceil((end - begin) / step)):
        now = begin + tick * step
        entry = pace.next(now)
        if entry is not None:
            pace.reported(entry, now)
            reports.append((now, entry.id))
    return reports


def keep_hearing(registry: Registry, numbers: range, now: float, product_id: int | None = None) -> None:
    for number in numbers:
        if product_id is None:
            hear(registry, number, now)
        else:
            hear(registry, number, now, product_id)


def test_nobody_to_report() -> None:
    pace = pace_of(fresh())
    assert pace.next(5.0) is None
    assert pace.deadline(5.0) is None
    assert pace.on_report == 0


def test_one_report_per_minute_and_enrollee() -> None:
    registry = fresh()
    pace = pace_of(registry)
    hear(registry, 1, 0.0)
    times = []
    for second in range(300):
        hear(registry, 1, float(second))
        times += [now for now, _ in run(pace, second, second + 1)]
    assert times == [0.0, 60.0, 120.0, 180.0, 240.0]


def test_at_most_one_report_a_second_the_longest_waiting_first() -> None:
    registry = fresh()
    for number in range(10):
        hear(registry, number, number / 10)
        hear(registry, number, number / 10)
    reports = run(pace_of(registry), 5.0, 30.0)
    assert [now for now, _ in reports] == [5.0 + n for n in range(10)]
    assert [name for _, name in reports] == [lamp_id(n) for n in range(10)]


def test_configured_before_other_and_heard_again_before_heard_once() -> None:
    registry = fresh()
    hear(registry, 1, 0.0, STRANGE_ID)
    hear(registry, 2, 1.0, STRANGE_ID)
    hear(registry, 2, 1.0, STRANGE_ID)
    hear(registry, 3, 2.0)
    hear(registry, 4, 3.0)
    hear(registry, 4, 3.0)
    names = [name for _, name in run(pace_of(registry), 5.0, 30.0)]
    assert names == [lamp_id(4), lamp_id(3), lamp_id(2, STRANGE_ID), lamp_id(1, STRANGE_ID)]


def test_a_first_report_comes_before_repeats() -> None:
    registry = fresh()
    pace = pace_of(registry)
    keep_hearing(registry, range(60), 0.0)
    keep_hearing(registry, range(60), 0.0)
    run(pace, 0.0, 60.0)
    keep_hearing(registry, range(60), 61.0)
    hear(registry, 99, 66.0)
    hear(registry, 99, 66.5)
    assert run(pace, 67.0, 68.0) == [(67.0, lamp_id(99))]


def test_the_cloud_sets_the_interval_of_one_enrollee() -> None:
    registry = fresh()
    pace = pace_of(registry)
    keep_hearing(registry, range(2), 0.0)
    run(pace, 0.0, 3.0)
    pace.interval(lamp_id(0), 20)
    pace.interval(lamp_id(7), 1)
    counts: Counter[str] = Counter()
    for second in range(3, 121):
        keep_hearing(registry, range(2), float(second))
        counts.update(name for _, name in run(pace, second, second + 1))
    assert counts == {lamp_id(0): 6, lamp_id(1): 1}


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (0, 60),
        (-5, 60),
        (math.nan, 60),
        (0.5, 0.5),
        (30, 30),
        (86_400, 86_400),
        (math.inf, 86_400),
        (10**15, 86_400),
    ],
)
def test_intervals_out_of_range(asked: float, kept: float) -> None:
    registry = fresh()
    pace = pace_of(registry)
    hear(registry, 1, 0.0)
    run(pace, 0.0, 1.0)
    pace.interval(lamp_id(1), asked)
    assert registry.find(lamp_id(1)).due == kept


def test_a_report_that_failed_is_tried_again_after_the_others() -> None:
    registry = fresh()
    pace = pace_of(registry)
    keep_hearing(registry, range(2), 0.0)
    first = pace.next(0.0)
    assert first is not None
    pace.postponed(first, 0.0)
    assert first.reported is None
    assert run(pace, 0.0, 20.0) == [(1.0, lamp_id(1)), (10.0, lamp_id(0))]


@pytest.mark.parametrize("kind", ["stranger", "bound", "lost", "session", "access point"])
def test_who_is_never_reported(kind: str) -> None:
    registry = fresh()
    if kind == "stranger":
        registry.see_station(probe(record("x", genuine=False)), -40, 0, 0.0)
    elif kind == "access point":
        registry.see_station(beacon(1), -40, 0, 0.0)
    else:
        registry.see_advert(address(1), -40, advert(1, fmsk=0x59 if kind == "bound" else 0x19), 0.0)
    if kind == "session":
        registry.protect(lamp_id(1))
    if kind == "lost":
        registry.sweep(60.0)
    entries = registry.entries() + registry.access_points()
    assert not any(is_reportable(entry) for entry in entries)
    assert ReportPace(lambda: entries).next(60.0) is None


def test_a_bound_device_that_wants_wifi_is_reported() -> None:
    registry = fresh()
    registry.see_advert(address(1), -40, advert(1, fmsk=0x59, sub_type=3), 0.0)
    assert run(pace_of(registry), 0.0, 2.0) == [(0.0, lamp_id(1))]


def test_at_most_64_on_report_and_all_come_round() -> None:
    registry = fresh()
    pace = pace_of(registry)
    counts: Counter[str] = Counter()
    for second in range(400):
        keep_hearing(registry, range(100), float(second))
        counts.update(name for _, name in run(pace, second, second + 1))
        assert pace.on_report <= 64
    assert len(counts) == 100
    assert min(counts.values()) == 4
    assert max(counts.values()) == 4


def test_a_better_one_takes_the_slot_of_the_lowest_class() -> None:
    registry = fresh()
    pace = pace_of(registry)
    for second in range(64):
        keep_hearing(registry, range(64), float(second), STRANGE_ID)
        run(pace, second, second + 1)
        for name in (lamp_id(n, STRANGE_ID) for n in range(64)):
            pace.interval(name, 10_000)
    assert pace.on_report == 64
    hear(registry, 900, 64.0, STRANGE_ID)
    hear(registry, 900, 64.0, STRANGE_ID)
    assert run(pace, 64.0, 70.0) == []
    hear(registry, 901, 70.0)
    assert run(pace, 70.0, 71.0) == [(70.0, lamp_id(901))]
    assert pace.on_report == 64


def test_an_evicted_slot_does_not_shorten_the_interval() -> None:
    registry = fresh()
    pace = pace_of(registry)
    last: dict[str, float] = {}
    for second in range(300):
        keep_hearing(registry, range(40), float(second), STRANGE_ID)
        keep_hearing(registry, range(1000, 1000 + second // 4), float(second))
        for now, name in run(pace, second, second + 1):
            assert now - last.get(name, -60.0) >= 60.0
            last[name] = now


def test_one_that_was_evicted_and_came_back_keeps_its_interval() -> None:
    registry = fresh(capacity=1)
    pace = pace_of(registry)
    hear(registry, 1, 0.0)
    run(pace, 0.0, 1.0)
    hear(registry, 2, 1.0)
    hear(registry, 1, 2.0)
    assert run(pace, 2.0, 50.0) == []
    assert registry.find(lamp_id(1)).state == "reported"
    hear(registry, 1, 59.0)
    assert run(pace, 59.0, 62.0) == [(60.0, lamp_id(1))]


def test_the_deadline_is_when_something_may_come() -> None:
    registry = fresh()
    pace = pace_of(registry)
    keep_hearing(registry, range(2), 0.0)
    run(pace, 0.0, 0.1)
    assert pace.deadline(0.1) == 1.0
    assert run(pace, 1.0, 1.1) == [(1.0, lamp_id(1))]
    assert pace.next(2.0) is None
    assert pace.deadline(2.0) == 60.0
    assert pace.deadline(70.0) == 70.0


def test_entries_are_read_at_most_once_a_second() -> None:
    registry = fresh()
    keep_hearing(registry, range(5), 0.0)
    reads = 0

    def entries() -> list[Entry]:
        nonlocal reads
        reads += 1
        return registry.entries()

    run(ReportPace(entries), 0.0, 5.0, step=0.05)
    assert reads <= 6
