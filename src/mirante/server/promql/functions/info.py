"""``info``: adds the labels of info series, such as ``target_info``, to the series of the same target.

Source of every rule: Prometheus 3, ``promql/info.go`` and its tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from mirante.errors import QueryError
from mirante.server.promql.functions.context import Context
from mirante.server.promql.matchers import matches
from mirante.server.promql.matrix import NAME, Bools, Floats, Ints, Matrix, empty, merged, pending_names, stack
from mirante.server.promql.plan import Call, Selector
from mirante.server.store.api import Labels

IDENTIFYING = ("instance", "job")
"""The labels that say which target a series is of."""


def info(context: Context, call: Call) -> Matrix:
    """The first argument's series with the data labels of the info series of the same target."""
    base = context.vector(call.args[0])
    selector = cast("Selector", call.args[1])  # the plan always has it
    names = [matcher for matcher in selector.matchers if matcher.name == NAME]
    wanted = [matcher for matcher in selector.matchers if matcher.name != NAME]
    infos = context.leaves.instant_times(selector, context.steps)
    by_target: dict[tuple[str, ...], list[int]] = {}
    for row, labels in enumerate(infos.labels):
        by_target.setdefault(_target(labels), []).append(row)
    bare_is_enough = matches({}, wanted)
    result = empty(base.steps)
    for row, labels in enumerate(base.labels):
        alone = base.rows(np.array([row]))
        if matches(labels, names):  # an info series itself
            result = stack(result, alone)
            continue
        rows = by_target.get(_target(labels), []) if any(_target(labels)) else []
        for mask, found in _enriched(infos, rows, {matcher.name for matcher in wanted}):
            if found is None and not bare_is_enough:
                continue
            enriched = {**(found or {}), **labels}
            part = Matrix([enriched], alone.values, alone.present & mask, pending_names(alone))
            result = stack(result, part)
    if base.unnamed is None:
        result = replace(result, unnamed=None)
    return merged(result.compact())


def _target(labels: Labels) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in IDENTIFYING)


def _enriched(infos: Matrix, rows: Sequence[int], only: set[str]) -> Iterator[tuple[Bools, Labels | None]]:
    """For each combination of info series that holds at some steps: those steps, and the labels; None for none."""
    by_name: dict[str, list[int]] = {}
    for row in rows:
        by_name.setdefault(infos.labels[row].get(NAME, ""), []).append(row)
    chosen = np.array([_newest(infos, members) for members in by_name.values()], dtype=np.int64)
    chosen = chosen.reshape(len(by_name), infos.steps)
    combinations, which = np.unique(chosen, axis=1, return_inverse=True)
    for number, combination in enumerate(combinations.T):
        present = [row for row in combination.tolist() if row >= 0]
        labels = _data_labels([infos.labels[row] for row in present], only) if present else None
        yield np.asarray(which.ravel() == number), labels


def _newest(infos: Matrix, rows: Sequence[int]) -> Ints:
    """The row with the newest sample at each step, -1 where none has one."""
    index = np.asarray(rows)
    times: Floats = np.where(infos.present[index], infos.values[index], -np.inf)
    best = np.argmax(times, axis=0)
    return np.where(infos.present[index].any(axis=0), index[best], -1)


def _data_labels(sets: Sequence[Labels], only: set[str]) -> Mapping[str, str]:
    merged_labels: dict[str, str] = {}
    for labels in sets:
        for name, value in labels.items():
            if name == NAME or name in IDENTIFYING or (only and name not in only):
                continue
            if merged_labels.setdefault(name, value) != value:
                raise QueryError(f"conflicting label: {name}")
    return merged_labels
