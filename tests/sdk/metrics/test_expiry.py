"""Label sets that expire, and nothing that is lost by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mirante.errors import DeclarationError
from mirante.metrics import Counter, Gauge, Histogram, Summary, cells
from mirante.metrics.cells import LOCKED
from mirante.testing.clock import FakeClock

KINDS: dict[str, tuple[Callable[..., Any], Callable[[Any], object]]] = {
    "counter": (Counter, lambda child: child.inc()),
    "gauge": (Gauge, lambda child: child.set(1)),
    "gauge inc": (Gauge, lambda child: child.inc(0)),
    "gauge dec": (Gauge, lambda child: child.dec(0)),
    "histogram": (Histogram, lambda child: child.observe(1)),
    "summary": (Summary, lambda child: child.observe(1)),
}


def labels(instrument: Any) -> set[str]:
    """The label values that an exposition shows."""
    return {child.label_values[0] for child in instrument.children()}


@pytest.mark.parametrize("kind", KINDS)
def test_an_idle_label_set_goes_and_an_active_one_stays(kind: str) -> None:
    """Recording the same number again is activity too."""
    clock = FakeClock()
    make, record = KINDS[kind]
    instrument = make("m", labels=["a"], ttl=60, clock=clock)
    record(instrument.labels("idle"))
    record(instrument.labels("busy"))
    assert labels(instrument) == {"idle", "busy"}
    for _ in range(2):
        clock.advance(40)
        record(instrument.labels("busy"))
        seen = labels(instrument)
    assert seen == {"busy"}
    assert labels(instrument) == {"busy"}


@pytest.mark.parametrize("keep", ["child", "function"])
def test_what_a_kept_child_counts_is_never_lost(keep: str) -> None:
    """It is hidden while idle, and comes back with its whole count."""
    clock = FakeClock()
    counter = Counter("c", labels=["a"], ttl=60, clock=clock)
    held: Any = counter.labels("x") if keep == "child" else counter.labels("x").inc
    inc = held.inc if keep == "child" else held
    inc(5)
    labels(counter)
    clock.advance(60)
    assert labels(counter) == set()
    clock.advance(1000)
    assert labels(counter) == set()
    inc()
    assert labels(counter) == {"x"}
    assert counter.value == 6


def test_one_that_nobody_holds_starts_again() -> None:
    """As a new series would."""
    clock = FakeClock()
    counter = Counter("c", labels=["a"], ttl=60, clock=clock)
    counter.labels("x").inc(5)
    labels(counter)
    clock.advance(60)
    labels(counter)  # hidden
    labels(counter)  # forgotten
    counter.labels("x").inc()
    assert counter.value == 1


def test_a_hidden_one_is_found_by_its_labels() -> None:
    """So there are never two children with the same labels."""
    clock = FakeClock()
    counter = Counter("c", labels=["a"], ttl=60, clock=clock)
    kept = counter.labels("x")
    labels(counter)
    clock.advance(60)
    labels(counter)
    assert counter.labels("x") is kept
    assert labels(counter) == {"x"}


@pytest.mark.parametrize("forget", [lambda c: c.remove("x"), lambda c: c.clear()])
def test_a_removed_one_does_not_come_back(forget: Callable[[Counter], None]) -> None:
    """Hidden or not."""
    clock = FakeClock()
    counter = Counter("c", labels=["a"], ttl=60, clock=clock)
    kept = counter.labels("x")
    labels(counter)
    clock.advance(60)
    labels(counter)
    forget(counter)
    kept.inc()
    assert labels(counter) == set()


def test_a_gauge_with_a_function_is_never_idle() -> None:
    """Nobody needs to set it."""
    clock = FakeClock()
    gauge = Gauge("g", labels=["a"], ttl=60, clock=clock)
    gauge.labels("x").set_function(lambda: 1)
    labels(gauge)
    clock.advance(600)
    assert labels(gauge) == {"x"}


def test_on_a_free_threaded_build_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock-based gauge says when it was set as well."""
    monkeypatch.setattr(cells, "CELLS", LOCKED)
    test_an_idle_label_set_goes_and_an_active_one_stays("gauge")
    test_what_a_kept_child_counts_is_never_lost("function")


def test_a_full_metric_makes_room_by_itself() -> None:
    """Expired label sets go before a new one is refused, without any collection."""
    clock = FakeClock()
    counter = Counter("c", labels=["a"], ttl=60, clock=clock, max_label_sets=2)
    counter.labels("1").inc()
    counter.labels("2").inc()
    counter.children()
    clock.advance(60)
    counter.labels("3").inc()
    assert counter.refused == 0
    assert labels(counter) == {"3"}


def test_a_time_must_be_positive() -> None:
    """A mistake shows where it is made."""
    with pytest.raises(DeclarationError, match="ttl"):
        Counter("c", labels=["a"], ttl=0)
