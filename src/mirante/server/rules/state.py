"""What alerts were before a restart, from the series that say since when they are active.

Source: Prometheus 3, ``Group.RestoreForState``. Times are milliseconds. Beyond Prometheus, an alert that was firing
fires at once when its expression still holds, however short its ``for``: whoever was told is not told that it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mirante.server.rules.alerting import ActiveAlert
from mirante.server.rules.evaluation import NAME, LabelKey, key_of
from mirante.server.rules.model import AlertingRule
from mirante.server.store.api import STALE_NAN_BITS, Matcher, MetricReader, QueryBudget

FOR_STATE = "ALERTS_FOR_STATE"


class StoredState(NamedTuple):
    """The last that was written of an alert: when, and since when it was active then."""

    written_at: int
    active_at: int


States = Mapping[LabelKey, StoredState]
"""States by the alerts' labels."""


def read_states(reader: MetricReader, now: int, tolerance: int, budget: QueryBudget) -> States:
    """The states of all alerts that were active when they were last written, at most ``tolerance`` ago.

    Raises:
        QueryError: one of the budget's limits was met.
        StoreError: the store failed.
    """
    found = reader.series([Matcher(NAME, "=", FOR_STATE)], now - tolerance, now, budget)
    block = reader.samples(found, now - tolerance, now, budget)
    stale = block.values.view(np.uint64) == STALE_NAN_BITS
    states: dict[LabelKey, StoredState] = {}
    for labels, start, end in zip(found.labels, block.offsets[:-1].tolist(), block.offsets[1:].tolist(), strict=True):
        if end > start and not stale[end - 1]:
            bare = {name: value for name, value in labels.items() if name != NAME}
            state = StoredState(int(block.timestamps[end - 1]), round(float(block.values[end - 1])) * 1000)
            states[key_of(bare)] = state
    return states


def restored(alert: ActiveAlert, stored: StoredState, rule: AlertingRule, now: int, grace_period: int) -> ActiveAlert:
    """An alert that is new to this process, with the state that it had when the last one ended.

    Example:
        >>> from mirante.server.rules.model import Expression
        >>> rule = AlertingRule("Down", Expression("up == 0"), hold=1_200_000)
        >>> before, alert = StoredState(written_at=1_300_000, active_at=1_000_000), ActiveAlert({}, {}, 1.0, 2_000_000)
        >>> restored(alert, before, rule, 2_000_000, grace_period=600_000).active_at
        1700000
    """
    remaining = rule.hold - (stored.written_at - stored.active_at)
    if remaining <= 0:
        return replace(alert, active_at=stored.active_at, fired_at=stored.active_at + rule.hold)
    if rule.hold < grace_period:
        return alert
    if remaining < grace_period:
        return replace(alert, active_at=now + grace_period - rule.hold)
    return replace(alert, active_at=stored.active_at + now - stored.written_at)
