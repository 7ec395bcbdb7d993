"""Functions that need more than the values of one series: presence, order, time, scalars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mirante.server.promql.annotations import SORT_IN_RANGE
from mirante.server.promql.functions.context import Context
from mirante.server.promql.functions.labels import natural_key
from mirante.server.promql.matrix import NAME, Bools, Floats, Ints, Matrix, empty, single, without_names
from mirante.server.promql.plan import Call, Node, RangeSelector, Selector
from mirante.server.store.api import Labels


def absent(context: Context, call: Call) -> Matrix:
    """1 at the steps where the vector is empty."""
    matrix = context.vector(call.args[0])
    return _absence(context, call.args[0], np.asarray(~matrix.present.any(axis=0)))


def absent_over_time(context: Context, call: Call) -> Matrix:
    """1 at the steps whose windows are all empty."""
    filled = context.windows(call.args[0]).windows.filled
    return _absence(context, call.args[0], np.asarray(~filled.any(axis=0)))


def _absence(context: Context, node: Node, missing: Bools) -> Matrix:
    if not missing.any():
        return empty(context.steps.count)
    return single(_labels_of(node), np.ones(context.steps.count), missing)


def _labels_of(node: Node) -> Labels:
    """The labels that a selector pins to one value."""
    selector = node.selector if isinstance(node, RangeSelector) else node
    if not isinstance(selector, Selector):
        return {}
    names = [matcher.name for matcher in selector.matchers]
    return {
        matcher.name: matcher.value
        for matcher in selector.matchers
        if matcher.op == "=" and matcher.name != NAME and names.count(matcher.name) == 1 and matcher.value
    }


def scalar(context: Context, call: Call) -> Floats:
    """The value of the only series, NaN at steps with none or several."""
    matrix = context.vector(call.args[0])
    alone = matrix.present.sum(axis=0) == 1
    values = np.where(matrix.present, matrix.values, 0.0).sum(axis=0)
    return np.where(alone, values, np.nan)


def vector(context: Context, call: Call) -> Matrix:
    """A scalar as a series without labels."""
    return single({}, context.scalar(call.args[0]))


def time(context: Context, _: Call) -> Floats:
    """The evaluation time in seconds."""
    return context.steps.times / 1000


def timestamp(context: Context, call: Call) -> Matrix:
    """The times of the samples in seconds; those of a computed vector are the evaluation's."""
    (node,) = call.args
    if isinstance(node, Selector):
        matrix = context.leaves.instant_times(node, context.steps)
    else:
        inner = context.vector(node)
        matrix = inner.with_points(np.broadcast_to(context.steps.times / 1000, inner.values.shape))
    return without_names(matrix, delayed=context.query.delayed_names)


def sort(context: Context, call: Call) -> Matrix:
    """Series by ascending value, NaN last."""
    return _sorted(context, call, lambda values: np.argsort(values, kind="stable"))


def sort_desc(context: Context, call: Call) -> Matrix:
    """Series by descending value, NaN last."""
    return _sorted(context, call, lambda values: np.argsort(-values, kind="stable"))


def _sorted(context: Context, call: Call, order: Callable[[Floats], Ints]) -> Matrix:
    matrix = context.vector(call.args[0])
    if context.query.many:
        context.notes.warn(SORT_IN_RANGE, call.position)
        return matrix
    return matrix.rows(order(matrix.values[:, 0]))


def sort_by_label(context: Context, call: Call) -> Matrix:
    """Series by their labels in natural order, ties by the whole label set."""
    return _sorted_by_label(context, call, descending=False)


def sort_by_label_desc(context: Context, call: Call) -> Matrix:
    """The same, backwards."""
    return _sorted_by_label(context, call, descending=True)


def _sorted_by_label(context: Context, call: Call, *, descending: bool) -> Matrix:
    matrix = context.vector(call.args[0])
    if context.query.many:
        context.notes.warn(SORT_IN_RANGE, call.position)
        return matrix
    names = [context.text(arg) for arg in call.args[1:]]
    keys = [([natural_key(labels.get(name, "")) for name in names], sorted(labels.items())) for labels in matrix.labels]
    order = sorted(range(len(keys)), key=keys.__getitem__, reverse=descending)
    return matrix.rows(np.asarray(order, dtype=np.int64))


def bound(read: Callable[[Context], int]) -> Callable[[Context, Call], Floats]:
    """A function that gives one of the query's bounds in seconds."""

    def function(context: Context, _: Call) -> Floats:
        return np.full(context.steps.count, read(context) / 1000)

    return function


def without_floats(context: Context, call: Call) -> Matrix:
    """Functions of native histograms ignore floats, the only samples there are."""
    matrix = context.vector(call.args[-1])
    return replace(empty(context.steps.count), unnamed=None) if len(matrix) else matrix
