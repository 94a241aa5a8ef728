"""The algebra of permit windows, case by case; histories are in test_door_properties."""

from __future__ import annotations

import pytest

from agent.errors import InputRefused
from agent.permits import (
    Closed,
    End,
    Permits,
    Window,
    apply,
    cap,
    expire,
    next_end,
    open_window,
    read_product,
    read_time,
    restore,
)

NEVER = 65535
Command = tuple[str | None, int]


def after(*commands: Command, now: float = 100.0, ceiling: int | None = None) -> Permits:
    permits = Permits()
    for product_key, seconds in commands:
        permits, _ = apply(permits, product_key, seconds, now=now, by="cloud", ceiling=ceiling)
    return permits


def is_open(permits: Permits, product_key: str, now: float = 100.0) -> bool:
    return open_window(permits, product_key, now) is not None


def reasons(closed: list[Closed]) -> list[tuple[str | None, str]]:
    return [(c.window.product_key, str(c.reason)) for c in closed]


@pytest.mark.parametrize("value", [0, 1, 60, 65534, 65535])
def test_a_whole_number_of_seconds_is_a_time(value: int) -> None:
    assert read_time(value) == value


@pytest.mark.parametrize(
    "value", [None, -1, 65536, 10**30, 12.5, 60.0, float("nan"), "60", "", True, False, [], {}, [60]]
)
def test_anything_else_is_refused_with_460(value: object) -> None:
    with pytest.raises(InputRefused, match="permit time") as caught:
        read_time(value)
    assert caught.value.code == 460


@pytest.mark.parametrize(
    ("value", "meant"), [(None, None), ("", None), ("a1B2c3", "a1B2c3"), ("x" * 20, "x" * 20)]
)
def test_an_absent_or_empty_product_is_any(value: object, meant: str | None) -> None:
    assert read_product(value) == meant


@pytest.mark.parametrize("value", [0, False, [], "x" * 21, "a b", "a/b", "é", "a\n"])
def test_other_products_are_refused_with_460(value: object) -> None:
    with pytest.raises(InputRefused, match="productKey") as caught:
        read_product(value)
    assert caught.value.code == 460


@pytest.mark.parametrize(
    ("commands", "open_products"),
    [
        ((), ""),
        ((("P", 60),), "P"),
        ((("P", 0),), "P"),
        ((("", 60),), "PQ"),
        (((None, 0),), "PQ"),
        ((("P", 60), ("P", NEVER)), ""),
        (((None, 60), ("P", NEVER)), "Q"),  # denied by name, any or not
        (((None, 60), ("P", NEVER), ("P", 60)), "PQ"),  # its own command takes it off the list
        (((None, 60), ("P", NEVER), ("Q", 60)), "Q"),
        (((None, 60), ("P", NEVER), (None, 60)), "PQ"),  # any empties the list
        ((("P", NEVER), (None, 60)), "PQ"),
        ((("P", 60), ("Q", 60), (None, NEVER)), ""),  # any never deletes all windows
        ((("P", NEVER), (None, NEVER), (None, 5)), "PQ"),
        ((("P", 60), (None, 60), ("P", NEVER)), "Q"),
        ((("P", 60), (None, 60), (None, NEVER)), ""),
    ],
)
def test_what_is_open_after_commands(commands: tuple[Command, ...], open_products: str) -> None:
    permits = after(*commands)
    assert "".join(p for p in "PQ" if is_open(permits, p)) == open_products


def test_a_window_is_open_until_its_last_second_is_over() -> None:
    permits = after(("P", 1), now=100.0)
    assert is_open(permits, "P", 100.0)
    assert is_open(permits, "P", 100.999)
    assert not is_open(permits, "P", 101.0)


def test_zero_is_open_until_the_next_command() -> None:
    permits = after(("P", 0))
    assert is_open(permits, "P", 1e9)
    permits, closed = apply(permits, "P", 1, now=1e9, by="cli", ceiling=None)
    assert reasons(closed) == [("P", "replaced")]
    assert not is_open(permits, "P", 1e9 + 1)


def test_a_shorter_command_shortens() -> None:
    permits = after(("P", 600), ("P", 1))
    assert not is_open(permits, "P", 101.0)


def test_the_window_that_opens_a_product_is_the_one_that_ends_last() -> None:
    for own, common, winner in [(10, 20, None), (20, 10, "P"), (0, 10, "P"), (10, 0, None), (10, 10, "P")]:
        window = open_window(after((None, common), ("P", own)), "P", 100.0)
        assert window is not None
        assert window.product_key == winner


def test_a_command_says_which_windows_it_ended() -> None:
    permits = after(("P", 60), ("Q", 5), (None, 60))
    _, closed = apply(permits, None, NEVER, now=110.0, by="cloud", ceiling=None)
    assert sorted(reasons(closed), key=str) == [("P", "closed"), ("Q", "expired"), (None, "closed")]
    _, closed = apply(permits, "Q", 60, now=102.0, by="cloud", ceiling=None)
    assert reasons(closed) == [("Q", "replaced")]
    _, closed = apply(permits, "R", NEVER, now=102.0, by="cloud", ceiling=None)
    assert closed == []


@pytest.mark.parametrize(
    ("seconds", "ceiling", "ends", "capped"),
    [
        (0, None, None, False),
        (0, 300, 400.0, True),
        (299, 300, 399.0, False),
        (300, 300, 400.0, False),
        (301, 300, 400.0, True),
        (65534, 300, 400.0, True),
    ],
)
def test_a_ceiling_caps_what_is_asked(
    seconds: int, ceiling: int | None, ends: float | None, capped: bool
) -> None:
    window = after(("P", seconds), ceiling=ceiling).windows["P"]
    assert window == Window("P", 100.0, ends, capped, "cloud")


def test_lowering_the_ceiling_cuts_from_the_opening() -> None:
    permits, closed = cap(after(("P", 600), ("Q", 40), (None, 0)), 60, now=130.0)
    assert closed == []
    assert {k: (w.ends, w.capped) for k, w in permits.windows.items()} == {
        "P": (160.0, True),
        "Q": (140.0, False),
        None: (160.0, True),
    }


def test_lowering_the_ceiling_below_the_age_closes() -> None:
    permits, closed = cap(after(("P", 600)), 20, now=130.0)
    assert reasons(closed) == [("P", "capped")]
    assert closed[0].window.ends == 700.0  # as it was
    assert permits == Permits()


def test_raising_or_lifting_the_ceiling_never_lengthens() -> None:
    permits = after(("P", 600), ceiling=60)
    for ceiling in (3600, None):
        assert cap(permits, ceiling, now=110.0) == (permits, [])


def test_denials_outlive_ceilings_ends_and_boots() -> None:
    permits = after((None, 0), ("P", NEVER))
    for later, _ in (
        cap(permits, 10, now=101.0),
        expire(permits, 1e6),
        restore(permits, "a", "b", 3.0),
        restore(permits, "a", "a", 200.0),
    ):
        assert later.denied == {"P"}
        assert not is_open(later, "P", 200.0)


def test_expiry_keeps_what_is_open() -> None:
    permits, closed = expire(after(("P", 10), ("Q", 20), (None, 0)), 110.0)
    assert reasons(closed) == [("P", "expired")]
    assert set(permits.windows) == {"Q", None}


def test_the_next_end() -> None:
    assert next_end(Permits()) is None
    assert next_end(after(("P", 0))) is None
    assert next_end(after(("P", 30), ("Q", 20), (None, 0))) == 120.0


def test_in_the_same_boot_what_is_left_is_left() -> None:
    permits = after(("P", 60), ("Q", 10), (None, 0))
    kept, closed = restore(permits, "a", "a", 130.0)
    assert reasons(closed) == [("Q", "expired")]
    assert kept.windows == {k: w for k, w in permits.windows.items() if k != "Q"}


@pytest.mark.parametrize(("saved", "now_is"), [("a", "b"), ("a", ""), ("", "a"), ("", "")])
def test_after_another_or_unknown_boot_only_always_stays(saved: str, now_is: str) -> None:
    kept, closed = restore(after(("P", 60), ("Q", 65534), (None, 0)), saved, now_is, 110.0)
    assert reasons(closed) == [("P", "rebooted"), ("Q", "rebooted")]
    assert kept.windows == {None: Window(None, 0.0, None, capped=False, by="cloud", carried=True)}


def test_a_window_from_the_future_is_of_another_boot_whatever_its_id_says() -> None:
    kept, closed = restore(after(("P", 60), (None, 0)), "a", "a", 50.0)
    assert reasons(closed) == [("P", "rebooted")]
    assert kept.windows[None].carried


def test_a_ceiling_closes_what_was_always_open_since_an_earlier_boot() -> None:
    kept, _ = restore(after((None, 0)), "a", "b", 5.0)
    assert cap(kept, None, 6.0) == (kept, [])
    shut, closed = cap(kept, 3600, 6.0)
    assert reasons(closed) == [(None, "capped")]
    assert shut.windows == {}


def test_a_command_leaves_the_permits_it_was_given_alone() -> None:
    permits = after(("P", 60))
    apply(permits, None, NEVER, now=101.0, by="cli", ceiling=None)
    assert permits == after(("P", 60))
    assert {str(end) for end in End} == {"expired", "closed", "rebooted", "capped", "replaced"}
