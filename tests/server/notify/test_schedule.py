"""A schedule gives keys when their time comes, wherever they were moved meanwhile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mirante.server.notify.schedule import Schedule

MOVES = st.lists(st.tuples(st.sampled_from("abcd"), st.none() | st.integers(0, 9)))


@given(MOVES, st.integers(0, 9))
def test_it_is_a_dictionary_of_times(moves: list[tuple[str, int | None]], now: int) -> None:
    """The earliest time is known; what is due is taken out in order, and the rest stays."""
    schedule, model = Schedule(), dict[str, int]()
    for key, at in moves:
        schedule.set(key, at)
        model.pop(key, None)
        if at is not None:
            model[key] = at
    assert schedule.next_at() == min(model.values(), default=None)
    taken = schedule.take(now)
    assert sorted(taken) == sorted(key for key, at in model.items() if at <= now)
    assert [model[key] for key in taken] == sorted(model[key] for key in taken)
    assert schedule.next_at() == min((at for at in model.values() if at > now), default=None)


def test_of_several_at_one_time_the_first_comes_first() -> None:
    """In the order in which they were set."""
    schedule = Schedule()
    for key in ("c", "a", "b"):
        schedule.set(key, 1)
    schedule.set("c", 1)
    assert schedule.take(1) == ["c", "a", "b"]
