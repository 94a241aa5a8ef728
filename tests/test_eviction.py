"""Who is lost, forgotten, kept and evicted; at the end against a slow model of the rules."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from agent.entries import Entry, Rank
from agent.registry import Registry
from tests.enrollees import (
    LAMP,
    PRODUCTS,
    STRANGE_ID,
    fresh,
    hear,
    ids,
    lamp_id,
    probe,
    record,
    sound,
    verify,
)

# Losing, forgetting, protecting


def test_lost_is_told_once_and_forgotten_later() -> None:
    registry = fresh()
    hear(registry, 1, 0.0)
    assert registry.sweep(59.9) == []
    assert [entry.id for entry in registry.sweep(60.0)] == [lamp_id(1)]
    assert registry.sweep(61.0) == []
    assert ids(registry) == {lamp_id(1)}
    assert registry.sweep(600.0) == []
    assert ids(registry) == set()


def test_heard_again_after_it_was_lost_is_found_again() -> None:
    registry = fresh()
    hear(registry, 1, 0.0)
    registry.sweep(60.0)
    change = hear(registry, 1, 70.0)
    assert change is not None
    assert change.kind == "found"
    assert registry.sweep(71.0) == []
    assert [entry.id for entry in registry.sweep(130.0)] == [lamp_id(1)]


def test_a_told_enrollee_that_is_evicted_is_told_lost() -> None:
    registry = fresh(capacity=1)
    assert hear(registry, 1) is not None
    hear(registry, 2)
    assert [entry.id for entry in registry.sweep(1.0)] == [lamp_id(1)]


def test_a_device_in_a_session_is_neither_lost_nor_evicted() -> None:
    registry = fresh(capacity=2)
    hear(registry, 1, 0.0)
    registry.protect(lamp_id(1))
    for number in range(2, 50):
        hear(registry, number, float(number))
    assert lamp_id(1) not in {entry.id for entry in registry.sweep(700.0)}
    assert ids(registry) == {lamp_id(1)}
    registry.release(lamp_id(1))
    assert registry.sweep(701.0) == []
    assert [entry.id for entry in registry.sweep(760.0)] == [lamp_id(1)]


def test_two_sessions_need_two_releases() -> None:
    registry = fresh(capacity=1)
    hear(registry, 1)
    registry.protect(lamp_id(1))
    registry.protect(lamp_id(1))
    registry.release(lamp_id(1))
    hear(registry, 2)
    assert ids(registry) == {lamp_id(1)}
    registry.release(lamp_id(1))
    hear(registry, 2)
    assert ids(registry) == {lamp_id(2)}


# Classes


@pytest.mark.parametrize("newcomer", ["configured", "other", "access point", "stranger"])
def test_anybody_evicts_one_heard_once(newcomer: str) -> None:
    registry = fresh(capacity=1)
    hear(registry, 1)
    sound(registry, newcomer)
    assert len(ids(registry)) == 1
    assert lamp_id(1) not in ids(registry)


@pytest.mark.parametrize(
    ("held", "newcomer", "evicted"),
    [
        ("configured", "configured", False),
        ("configured", "stranger", False),
        ("other", "configured", True),
        ("other", "other", False),
        ("access point", "other", True),
        ("access point", "access point", False),
        ("stranger", "access point", True),
        ("stranger", "stranger", False),
    ],
)
def test_one_heard_twice_yields_to_a_higher_class_only(held: str, newcomer: str, evicted: bool) -> None:
    registry = fresh(capacity=1)
    sound(registry, held, 1)
    sound(registry, held, 1)
    before = ids(registry)
    sound(registry, newcomer, 2)
    assert (ids(registry) != before) is evicted


def test_one_unheard_for_a_minute_yields_to_anybody() -> None:
    registry = fresh(capacity=1)
    hear(registry, 1, 0.0)
    hear(registry, 1, 1.0)
    sound(registry, "stranger", 2, 60.9)
    assert ids(registry) == {lamp_id(1)}
    sound(registry, "stranger", 2, 62.0)
    assert ids(registry) == {"wifi:a1plug00001/s2"}


def test_unconfigured_products_share_256_places() -> None:
    registry = fresh()
    for number in range(256):
        hear(registry, number, 0.0, STRANGE_ID)
        hear(registry, number, 0.0, STRANGE_ID)
    hear(registry, 999, 1.0, STRANGE_ID)
    assert registry.totals()["other"] == 256
    assert registry.losses()["refused_other"] == 1
    hear(registry, 1000, 1.0)
    assert registry.totals()["configured"] == 1


def test_an_echo_makes_two_frames_of_two_although_the_place_was_taken() -> None:
    registry = fresh(capacity=4)
    hear(registry, 1)
    for number in range(100, 110):
        hear(registry, number)
    assert lamp_id(1) not in ids(registry)
    hear(registry, 1)
    assert registry.find(lamp_id(1)).count == 2
    for number in range(110, 120):
        hear(registry, number)
    assert lamp_id(1) in ids(registry)


def test_new_products_put_everybody_into_a_new_class() -> None:
    registry = Registry({}, verify)
    hear(registry, 1)
    registry.see_station(probe(record("plug1")), -40, 0, 1.0)
    assert registry.totals()["other"] == 2
    registry.set_products(PRODUCTS)
    assert registry.totals()["configured"] == 2
    assert registry.find(lamp_id(1)).product is LAMP
    change = hear(registry, 1, 2.0)
    assert change is not None
    assert change.fields == ("class",)


def test_products_taken_away_leave_at_most_256() -> None:
    registry = fresh()
    for number in range(1000):
        hear(registry, number)
    registry.set_products({})
    assert registry.totals() == registry.totals() | {"total": 256, "other": 256, "configured": 0}


def test_events_of_a_crowd_are_limited_and_keep_room_for_those_heard_twice() -> None:
    registry = fresh()
    once = [hear(registry, number, 10.0) for number in range(3000)]
    assert sum(change is not None for change in once) == 64
    assert hear(registry, 2999, 10.0) is not None
    twice = [hear(registry, number, 10.0) for number in range(3000)]
    assert sum(change is not None for change in twice) == 255
    assert sum(hear(registry, number, 11.0) is not None for number in range(3000)) == 16


def test_flooded_while_configured_newcomers_find_no_place() -> None:
    registry = fresh(capacity=10)
    for number in range(20):
        hear(registry, number, 5.0)
    assert not registry.flooded(5.0)
    for number in range(20, 40):
        hear(registry, number, 6.0)
        hear(registry, number, 6.0)
    assert registry.flooded(6.0)
    assert registry.flooded(65.0)
    assert not registry.flooded(66.0)


# Against a slow model of the rules


RANKS = {
    "stranger": Rank.STRANGER,
    "access point": Rank.ACCESS_POINT,
    "other": Rank.OTHER,
    "configured": Rank.CONFIGURED,
}


@dataclass
class Row:
    """What the model knows of an entry."""

    rank: Rank
    count: int
    last: float
    sessions: int = 0


class Model:
    """The rules of DESIGN 5 in the slowest words."""

    def __init__(self, capacity: int, most_others: int) -> None:
        self.capacity, self.most_others = capacity, most_others
        self.rows: dict[str, Row] = {}
        self.not_kept: set[str] = set()

    def victims(self, rank: Rank, now: float) -> set[str] | None:
        """Who may have to go for a newcomer, any one of them; None when there is room without it."""
        others = [name for name, row in self.rows.items() if row.rank is Rank.OTHER]
        crowded = rank is Rank.OTHER and len(others) >= self.most_others
        if len(self.rows) < self.capacity and not crowded:
            return None
        loose = {name for name, row in self.rows.items() if not row.sessions}
        if crowded:
            loose &= set(others)
        stale = {name for name in loose if now - self.rows[name].last >= 60}
        if stale:
            return self.lowest(stale, key=lambda row: (row.rank, 0))
        weak = {name for name in loose if self.rows[name].count == 1 or self.rows[name].rank < rank}
        return self.lowest(weak, key=lambda row: (row.rank - (row.count == 1), row.count > 1))

    def lowest(self, names: set[str], key: Callable[[Row], tuple[int, int]]) -> set[str]:
        best = min((key(self.rows[name]) for name in names), default=None)
        return {name for name in names if key(self.rows[name]) == best}

    def forgotten(self, now: float) -> set[str]:
        return {name for name, row in self.rows.items() if not row.sessions and now - row.last >= 600}


@pytest.mark.parametrize("seed", range(40))
def test_who_is_kept_follows_the_rules(seed: int) -> None:
    dice = random.Random(seed)
    registry, model, now = fresh(capacity=6, most_others=2), Model(6, 2), 1000.0
    for _ in range(500):
        verb = dice.choices(["hear", "wait", "protect", "release", "sweep"], [80, 10, 3, 4, 3])[0]
        if verb == "wait":
            now += dice.choices([1, 2, 30, 61, 700], [40, 30, 20, 9, 1])[0]
        elif verb == "sweep":
            registry.sweep(now)
            drop(model, model.forgotten(now))
        elif verb == "hear":
            check_heard(registry, model, dice.choice(sorted(RANKS)), dice.randrange(5), now)
        else:
            check_session(registry, model, verb, dice.randrange(6), now)
        assert ids(registry) == set(model.rows)
        held = [entry.rank for entry in registry.entries() + registry.access_points()]
        assert len(held) <= 6
        assert registry.totals()["other"] == held.count(Rank.OTHER) <= 2


def drop(model: Model, names: set[str]) -> None:
    model.rows = {name: row for name, row in model.rows.items() if name not in names}


def check_heard(registry: Registry, model: Model, kind: str, number: int, now: float) -> None:
    before = set(model.rows)
    name = sound(registry, kind, number, now)
    if name in before:
        row = model.rows[name]
        row.count, row.last = row.count + 1, now
        return
    after = ids(registry)
    drop(model, model.forgotten(now) - after)  # whether they are forgotten by now is the registry's affair
    victims = model.victims(RANKS[kind], now)
    gone = set(model.rows) - after
    if victims is None:
        assert not gone
    elif victims:
        assert len(gone) == 1
        assert gone <= victims
    assert (name in after) is (victims is None or bool(victims))
    model.not_kept |= {lost for lost in gone if model.rows[lost].rank >= Rank.OTHER}
    drop(model, gone)
    if name in after:
        count = entry_of(registry, name).count
        assert count == 1 or (count == 2 and name in model.not_kept)
        model.rows[name] = Row(RANKS[kind], count, now)
    elif RANKS[kind] >= Rank.OTHER:
        model.not_kept.add(name)


def entry_of(registry: Registry, name: str) -> Entry:
    return next(e for e in registry.entries() + registry.access_points() if e.id == name)


def check_session(registry: Registry, model: Model, verb: str, number: int, now: float) -> None:
    registry.sweep(now)
    drop(model, model.forgotten(now))
    present = sorted(entry.id for entry in registry.entries() if not entry.lost)
    if number >= len(present):
        return
    row = model.rows[present[number]]
    if verb == "protect":
        registry.protect(present[number])
        row.sessions += 1
    elif row.sessions:
        registry.release(present[number])
        row.sessions -= 1
        row.last = now  # nobody heard it, but a connected device does not advertise
