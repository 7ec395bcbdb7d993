"""News of an alert is merged as Alertmanager merges it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.server.alert import Alert
from mirante.server.notify.known import Known, completed, merged, order

NOW = 1000
LABELS = st.dictionaries(st.sampled_from(["job", "instance", "a", "b", "c"]), st.sampled_from(["1", "2"]))


def alert(starts_at: int, ends_at: int, updated_at: int = NOW) -> Alert:
    """An alert with these times."""
    return Alert({"alertname": "Down"}, {}, starts_at, ends_at, updated_at)


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "found"),
    [
        (0, 0, (NOW, NOW + 300, True)),
        (5, 0, (5, NOW + 300, True)),
        (0, NOW - 5, (NOW - 5, NOW - 5, False)),
        (0, NOW + 5, (NOW, NOW + 5, False)),
        (5, NOW + 5, (5, NOW + 5, False)),
    ],
)
def test_times_that_are_not_told_are_completed(starts_at: int, ends_at: int, found: tuple[int, int, bool]) -> None:
    """It began now, or when it ended; it ends with the resolve timeout."""
    whole, timeout = completed(alert(starts_at, ends_at, 0), NOW, 300)
    assert (whole.starts_at, whole.ends_at, timeout) == found
    assert whole.updated_at == NOW


@pytest.mark.parametrize(
    ("old", "old_timeout", "new", "expected"),
    [
        # Both fire: the earliest beginning, and the latest end that somebody meant.
        ((100, 2000), False, (200, 1500), (100, 2000)),
        ((100, 2000), True, (200, 1500), (100, 1500)),
        ((100, 1500), False, (200, 2000), (100, 2000)),
        # Heard of again without overlap: as it is told now.
        ((100, 900), False, (950, 2000), (950, 2000)),
        ((100, 2000), False, (100, 2000), (100, 2000)),
        # It ends now, though a later end was told; of two ends the later counts.
        ((100, 2000), False, (100, 900), (100, 900)),
        ((100, 950), False, (100, 900), (100, 950)),
        ((100, 900), False, (200, 950), (100, 950)),
    ],
)
def test_news_is_merged_with_what_is_known(
    old: tuple[int, int], old_timeout: bool, new: tuple[int, int], expected: tuple[int, int]
) -> None:
    """By whether they overlap, whether they have ended, and whether an end was only a timeout."""
    known = Known("id", alert(*old, updated_at=NOW - 1), old_timeout)
    found, _ = merged(known, alert(*new), timeout=False, now=NOW)
    assert (found.starts_at, found.ends_at) == expected


@given(st.lists(LABELS.map(lambda labels: Alert(labels, {}, 0, 0, 0)), max_size=6), st.randoms())
def test_the_order_of_alerts_does_not_depend_on_how_they_came(alerts: list[Alert], random: object) -> None:
    """And equal labels are equal in it."""
    shuffled = list(alerts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert [one.labels for one in sorted(alerts, key=order)] == [one.labels for one in sorted(shuffled, key=order)]
    assert all((order(a) == order(b)) is (a.labels == b.labels) for a in alerts for b in alerts)
