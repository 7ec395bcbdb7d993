"""What one sender may send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.metrics import Registry
from mirante.server.access.guard import ASKING
from mirante.server.access.limits import SenderLimits
from mirante.server.access.tokens import Identity
from mirante.testing.clock import FakeClock


def by(name: str) -> None:
    """From now on this sender asks."""
    ASKING.set(Identity(name, frozenset()))


def test_who_sends_too_much_waits_until_it_is_made_up_for() -> None:
    """A request is never refused half: what is over is owed. Others are not concerned."""
    clock, registry = FakeClock(), Registry()
    limits = SenderLimits({"metrics": 100, "traces": 0}, 0, registry, clock)
    by("a")
    limits.charge("metrics", 1000)
    found = limits.check()
    assert found is not None
    assert found.sentence.startswith("More than 100 samples a second from this sender")
    limits.charge("metrics", 500)
    found = limits.check()
    assert found is not None
    assert found.wait == pytest.approx(5)
    by("b")
    assert limits.check() is None
    by("a")
    clock.advance(5.1)
    assert limits.check() is None
    limits.charge("traces", 1e9)
    assert limits.check() is None
    assert b'mirante_ingest_limited_total{limit="samples"} 2' in registry.expose()


@given(amounts=st.lists(st.integers(1, 5000), min_size=1, max_size=60))
def test_over_time_nobody_gets_more_than_the_rate(amounts: list[int]) -> None:
    """Beside the bucket that is full at the beginning, and one request."""
    clock = FakeClock()
    limits = SenderLimits({"logs": 100}, 0, Registry(), clock)
    by("a")
    taken = 0
    start = clock.monotonic()
    for amount in amounts:
        while (wait := limits.check()) is not None:
            clock.advance(wait.wait + 0.001)
        limits.charge("logs", amount)
        taken += amount
    assert taken <= 100 * (clock.monotonic() - start) + 1000 + max(amounts)


def test_series_are_counted_while_they_live() -> None:
    """Known ones always pass; what did not come for an hour or two makes room."""
    clock, registry = FakeClock(), Registry()
    limits = SenderLimits({}, 3, registry, clock)
    by("a")
    assert limits.admit([1, 2, 3]) is None
    assert limits.admit([3, 2]) is None
    refused = limits.admit([3, 4])
    assert refused is not None
    assert "More than 3 series" in refused.sentence
    clock.advance(3600)
    assert limits.admit([1]) is None
    assert limits.admit([4]) is not None
    clock.advance(3600)
    assert limits.admit([4, 5]) is None
    assert b'mirante_ingest_limited_total{limit="series"} 2' in registry.expose()
    assert SenderLimits({}, 0, registry, clock).admit(range(10)) is None


def test_senders_are_forgotten_before_they_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was silent for longest."""
    monkeypatch.setattr("mirante.server.access.limits._SENDERS", 2)
    limits = SenderLimits({"bytes": 1}, 0, Registry(), FakeClock())
    for name in ("a", "b", "a", "c"):
        by(name)
        limits.charge("bytes", 100)
    by("a")
    assert limits.check() is not None
    by("b")
    assert limits.check() is None
