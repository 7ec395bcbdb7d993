"""The second of the two tables of functions: what each does. ``signatures.py`` holds what each takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mirante.errors import QueryError
from mirante.server.promql.annotations import (
    bad_bucket_label,
    forced_monotonicity,
    invalid_quantile,
    possible_non_counter,
)
from mirante.server.promql.functions import labels as of_labels
from mirante.server.promql.functions import over_time, rate, vectors
from mirante.server.promql.functions.context import Context
from mirante.server.promql.functions.histogram import Histogram, fractions, histograms, quantiles
from mirante.server.promql.functions.info import info
from mirante.server.promql.functions.math import VALUE_FUNCTIONS, ValueFunction
from mirante.server.promql.functions.time import TIME_FUNCTIONS
from mirante.server.promql.gofloat import go_float
from mirante.server.promql.matrix import (
    NAME,
    Bools,
    Floats,
    Matrix,
    empty,
    merged,
    single,
    without_names,
)
from mirante.server.promql.plan import Call, RangeSelector, type_of
from mirante.server.promql.windows import Points, Windows
from mirante.server.store.api import Labels

VectorFunction = Callable[[Context, Call], Matrix]
ScalarFunction = Callable[[Context, Call], Floats]
RangeFunction = Callable[[Windows, tuple[Floats, ...]], Points]

_KEEPS_NAME = frozenset({"first_over_time", "last_over_time"})
_COUNTERS = frozenset({"rate", "increase"})
_COUNTER_SUFFIXES = ("_total", "_sum", "_count", "_bucket")


def _of_range(function: RangeFunction) -> VectorFunction:
    """A function of windows; the engine computes it where it can."""

    def implementation(context: Context, call: Call) -> Matrix:
        scalars = tuple(context.scalar(arg) for arg in call.args if type_of(arg) == "scalar")
        _check_arguments(context, call, scalars)
        matrix = _computed(context, call, scalars, function)
        if matrix is None:
            (node,) = (arg for arg in call.args if type_of(arg) == "matrix")
            ranges = context.windows(node)
            matrix = Matrix(ranges.labels, *function(ranges.windows, scalars), ranges.unnamed)
        matrix = matrix.compact()
        if call.function in _COUNTERS:
            _note_non_counters(context, call, matrix)
        if call.function in _KEEPS_NAME:
            return matrix
        return without_names(matrix, delayed=context.query.delayed_names)

    return implementation


def _computed(context: Context, call: Call, scalars: tuple[Floats, ...], function: RangeFunction) -> Matrix | None:
    """The engine's answer; it takes constant arguments only, and windows that move with the steps."""
    (node,) = (arg for arg in call.args if type_of(arg) == "matrix")
    if not isinstance(node, RangeSelector) or (call.function == "predict_linear" and node.selector.at is not None):
        return None
    if node.selector.offset and call.function == "predict_linear":
        return None
    if any((scalar != scalar[:1]).any() for scalar in scalars) or not context.steps.count:
        return None
    args = tuple(float(scalar[0]) for scalar in scalars)
    answer = context.leaves.computed(call.function, node, context.steps, args)
    if answer is None:
        return None
    matrix, unsure = answer
    if not len(unsure):
        return matrix
    points = function(context.leaves.windows(node, context.steps, unsure).windows, scalars)
    values, present = matrix.values.copy(), matrix.present.copy()
    values[unsure], present[unsure] = points
    return matrix.with_points(values, present)


def _check_arguments(context: Context, call: Call, scalars: tuple[Floats, ...]) -> None:
    if call.function == "quantile_over_time":
        _note_quantiles(context, scalars[0], call.args[0].position)
    if call.function == "double_exponential_smoothing":
        for name, values in zip(("smoothing", "trend"), scalars, strict=True):
            bad = ~((values > 0) & (values < 1))
            if bad.any():
                short = f"{name[0]}f"
                got = go_float(float(values[bad][0]))
                raise QueryError(f"invalid {name} factor. Expected: 0 < {short} < 1, got: {got}")


def _note_quantiles(context: Context, values: Floats, position: int) -> None:
    for value in np.unique(values[~((values >= 0) & (values <= 1))]).tolist():
        context.notes.warn(invalid_quantile(value), position)


def _note_non_counters(context: Context, call: Call, matrix: Matrix) -> None:
    names = {row.get(NAME, "") for row in matrix.labels}
    for name in sorted(names):
        if name and not name.endswith(_COUNTER_SUFFIXES):
            context.notes.info(possible_non_counter(name), call.args[0].position)


def _of_values(function: ValueFunction) -> VectorFunction:
    """A function of one value at a time, which drops the name."""

    def implementation(context: Context, call: Call) -> Matrix:
        matrix = context.vector(call.args[0])
        scalars = [context.scalar(arg) for arg in call.args[1:]]
        with np.errstate(all="ignore"):
            matrix = matrix.with_points(function(matrix.values, *scalars))
        if call.function == "clamp":
            low, high = scalars
            matrix = matrix.with_points(matrix.values, matrix.present & ~(low > high)).compact()
        return without_names(matrix, delayed=context.query.delayed_names)

    return implementation


def _of_time(function: ValueFunction) -> VectorFunction:
    """A function of a date; without an argument that of the evaluation."""

    def implementation(context: Context, call: Call) -> Matrix:
        if not call.args:
            return single({}, function(context.steps.times / 1000))
        matrix = context.vector(call.args[0])
        return without_names(matrix.with_points(function(matrix.values)), delayed=context.query.delayed_names)

    return implementation


def _of_scalars(function: np.ufunc) -> ScalarFunction:
    def implementation(context: Context, call: Call) -> Floats:
        left, right = (context.scalar(arg) for arg in call.args)
        return np.asarray(function(left, right), dtype=np.float64)

    return implementation


def _label_replace(context: Context, call: Call) -> Matrix:
    target, template, source, pattern = (context.text(arg) for arg in call.args[1:])
    return of_labels.label_replace(context.vector(call.args[0]), target, template, source, pattern)


def _label_join(context: Context, call: Call) -> Matrix:
    target, separator, *sources = (context.text(arg) for arg in call.args[1:])
    return of_labels.label_join(context.vector(call.args[0]), target, separator, sources)


def _histogram_quantile(context: Context, call: Call) -> Matrix:
    q = context.scalar(call.args[0])
    _note_quantiles(context, q, call.args[0].position)
    found = _histograms(context, call, 1)
    return _assemble(context, [(one.labels, one, _quantile_row(context, call, one, q, 1)) for one in found])


def _histogram_quantiles(context: Context, call: Call) -> Matrix:
    label = context.text(call.args[1])
    of_labels.check_label_name(label, "invalid label name")
    found = _histograms(context, call, 0)
    rows: list[tuple[Labels, Histogram, Points]] = []
    for arg in call.args[2:]:
        q = context.scalar(arg)
        _note_quantiles(context, q, arg.position)
        for value in np.unique(q).tolist():
            asked = (q == value) | (np.isnan(q) & np.isnan(value))
            for one in found:
                points = _quantile_row(context, call, one, q, 0)
                rows.append(
                    ({**one.labels, label: _open_metrics(value)}, one, Points(points.values, points.present & asked))
                )
    return _assemble(context, rows)


def _open_metrics(value: float) -> str:
    """A number as OpenMetrics writes it in labels: whole ones with ``.0``."""
    text = go_float(value)
    return f"{text}.0" if text.lstrip("-").isdigit() else text


def _histogram_fraction(context: Context, call: Call) -> Matrix:
    lower, upper = context.scalar(call.args[0]), context.scalar(call.args[1])
    found = _histograms(context, call, 2)
    return _assemble(context, [(one.labels, one, Points(*fractions(one, lower, upper))) for one in found])


def _histograms(context: Context, call: Call, argument: int) -> list[Histogram]:
    found, bad = histograms(context.vector(call.args[argument]))
    for metric, bound in bad:
        context.notes.warn(bad_bucket_label(metric, bound), call.args[argument].position)
    return found


def _quantile_row(context: Context, call: Call, one: Histogram, q: Floats, argument: int) -> Points:
    values, present, forced = quantiles(one, q)
    if forced.any():
        context.notes.info(forced_monotonicity(one.labels.get(NAME, "")), call.args[argument].position)
    return Points(values, present)


def _assemble(context: Context, rows: list[tuple[Labels, Histogram, Points]]) -> Matrix:
    if not rows:
        return empty(context.steps.count)
    unnamed: Bools = np.array([one.unnamed for _, one, _ in rows], dtype=np.bool_)
    matrix = Matrix(
        [row for row, _, _ in rows],
        np.stack([points.values for _, _, points in rows]),
        np.stack([points.present for _, _, points in rows]),
        unnamed if context.query.delayed_names else None,
    )
    return merged(without_names(matrix, delayed=context.query.delayed_names))


_RANGE: Mapping[str, RangeFunction] = {
    "avg_over_time": over_time.avg_over_time,
    "changes": rate.changes,
    "count_over_time": over_time.count_over_time,
    "delta": rate.delta,
    "deriv": rate.deriv,
    "double_exponential_smoothing": rate.double_exponential_smoothing,
    "first_over_time": over_time.first_over_time,
    "idelta": rate.idelta,
    "increase": rate.increase,
    "irate": rate.irate,
    "last_over_time": over_time.last_over_time,
    "mad_over_time": over_time.mad_over_time,
    "max_over_time": over_time.max_over_time,
    "min_over_time": over_time.min_over_time,
    "predict_linear": rate.predict_linear,
    "present_over_time": over_time.present_over_time,
    "quantile_over_time": over_time.quantile_over_time,
    "rate": rate.rate,
    "resets": rate.resets,
    "stddev_over_time": over_time.stddev_over_time,
    "stdvar_over_time": over_time.stdvar_over_time,
    "sum_over_time": over_time.sum_over_time,
    "ts_of_first_over_time": over_time.ts_of_first_over_time,
    "ts_of_last_over_time": over_time.ts_of_last_over_time,
    "ts_of_max_over_time": over_time.ts_of_max_over_time,
    "ts_of_min_over_time": over_time.ts_of_min_over_time,
}

VECTOR_FUNCTIONS: Mapping[str, VectorFunction] = {
    **{name: _of_range(function) for name, function in _RANGE.items()},
    **{name: _of_values(function) for name, function in VALUE_FUNCTIONS.items()},
    **{name: _of_time(function) for name, function in TIME_FUNCTIONS.items()},
    **dict.fromkeys(
        ["histogram_avg", "histogram_count", "histogram_stddev", "histogram_stdvar", "histogram_sum"],
        vectors.without_floats,
    ),
    "absent": vectors.absent,
    "absent_over_time": vectors.absent_over_time,
    "histogram_fraction": _histogram_fraction,
    "histogram_quantile": _histogram_quantile,
    "histogram_quantiles": _histogram_quantiles,
    "info": info,
    "label_join": _label_join,
    "label_replace": _label_replace,
    "sort": vectors.sort,
    "sort_by_label": vectors.sort_by_label,
    "sort_by_label_desc": vectors.sort_by_label_desc,
    "sort_desc": vectors.sort_desc,
    "timestamp": vectors.timestamp,
    "vector": vectors.vector,
}
"""Functions that give a vector."""

SCALAR_FUNCTIONS: Mapping[str, ScalarFunction] = {
    "end": vectors.bound(lambda context: context.query.end),
    "max_of": _of_scalars(np.maximum),
    "min_of": _of_scalars(np.minimum),
    "pi": lambda context, _: np.full(context.steps.count, np.pi),
    "range": vectors.bound(lambda context: context.query.end - context.query.start),
    "scalar": vectors.scalar,
    "start": vectors.bound(lambda context: context.query.start),
    "step": vectors.bound(lambda context: context.query.step),
    "time": vectors.time,
}
"""Functions that give a scalar: one value a step."""
