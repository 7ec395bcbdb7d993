"""The first of the two tables of functions: what each takes and gives. ``table.py`` holds what each does.

Source: Prometheus 3, ``promql/parser/functions.go`` and its documentation of query functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mirante.server.promql.plan import ValueType


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes and gives.

    Attributes:
        takes: the types of its arguments.
        returns: the type of its value.
        variadic: how many of the last arguments may be left out or, if negative, that the last may be repeated.
        experimental: true where Prometheus hides it behind a feature flag.
    """

    takes: tuple[ValueType, ...]
    returns: ValueType = "vector"
    variadic: int = 0
    experimental: bool = False


_OF_RANGE = Signature(("matrix",))
_OF_VECTOR = Signature(("vector",))
_OF_MOMENT = Signature(("vector",), variadic=1)
_OF_NOTHING = Signature((), "scalar")
_EXPERIMENTAL_RANGE = Signature(("matrix",), experimental=True)
_BOUND = Signature((), "scalar", experimental=True)

SIGNATURES: Mapping[str, Signature] = {
    "abs": _OF_VECTOR,
    "absent": _OF_VECTOR,
    "absent_over_time": _OF_RANGE,
    "acos": _OF_VECTOR,
    "acosh": _OF_VECTOR,
    "asin": _OF_VECTOR,
    "asinh": _OF_VECTOR,
    "atan": _OF_VECTOR,
    "atanh": _OF_VECTOR,
    "avg_over_time": _OF_RANGE,
    "ceil": _OF_VECTOR,
    "changes": _OF_RANGE,
    "clamp": Signature(("vector", "scalar", "scalar")),
    "clamp_max": Signature(("vector", "scalar")),
    "clamp_min": Signature(("vector", "scalar")),
    "cos": _OF_VECTOR,
    "cosh": _OF_VECTOR,
    "count_over_time": _OF_RANGE,
    "day_of_month": _OF_MOMENT,
    "day_of_week": _OF_MOMENT,
    "day_of_year": _OF_MOMENT,
    "days_in_month": _OF_MOMENT,
    "deg": _OF_VECTOR,
    "delta": _OF_RANGE,
    "deriv": _OF_RANGE,
    "double_exponential_smoothing": Signature(("matrix", "scalar", "scalar"), experimental=True),
    "end": _BOUND,
    "exp": _OF_VECTOR,
    "first_over_time": _EXPERIMENTAL_RANGE,
    "floor": _OF_VECTOR,
    "histogram_avg": _OF_VECTOR,
    "histogram_count": _OF_VECTOR,
    "histogram_fraction": Signature(("scalar", "scalar", "vector")),
    "histogram_quantile": Signature(("scalar", "vector")),
    "histogram_quantiles": Signature(("vector", "string", "scalar"), variadic=-1, experimental=True),
    "histogram_stddev": _OF_VECTOR,
    "histogram_stdvar": _OF_VECTOR,
    "histogram_sum": _OF_VECTOR,
    "hour": _OF_MOMENT,
    "idelta": _OF_RANGE,
    "increase": _OF_RANGE,
    "info": Signature(("vector", "vector"), variadic=1, experimental=True),
    "irate": _OF_RANGE,
    "label_join": Signature(("vector", "string", "string", "string"), variadic=-1),
    "label_replace": Signature(("vector", "string", "string", "string", "string")),
    "last_over_time": _OF_RANGE,
    "ln": _OF_VECTOR,
    "log10": _OF_VECTOR,
    "log2": _OF_VECTOR,
    "mad_over_time": _EXPERIMENTAL_RANGE,
    "max_of": Signature(("scalar", "scalar"), "scalar", experimental=True),
    "max_over_time": _OF_RANGE,
    "min_of": Signature(("scalar", "scalar"), "scalar", experimental=True),
    "min_over_time": _OF_RANGE,
    "minute": _OF_MOMENT,
    "month": _OF_MOMENT,
    "pi": _OF_NOTHING,
    "predict_linear": Signature(("matrix", "scalar")),
    "present_over_time": _OF_RANGE,
    "quantile_over_time": Signature(("scalar", "matrix")),
    "rad": _OF_VECTOR,
    "range": _BOUND,
    "rate": _OF_RANGE,
    "resets": _OF_RANGE,
    "round": Signature(("vector", "scalar"), variadic=1),
    "scalar": Signature(("vector",), "scalar"),
    "sgn": _OF_VECTOR,
    "sin": _OF_VECTOR,
    "sinh": _OF_VECTOR,
    "sort": _OF_VECTOR,
    "sort_by_label": Signature(("vector", "string"), variadic=-1, experimental=True),
    "sort_by_label_desc": Signature(("vector", "string"), variadic=-1, experimental=True),
    "sort_desc": _OF_VECTOR,
    "sqrt": _OF_VECTOR,
    "start": _BOUND,
    "stddev_over_time": _OF_RANGE,
    "stdvar_over_time": _OF_RANGE,
    "step": _BOUND,
    "sum_over_time": _OF_RANGE,
    "tan": _OF_VECTOR,
    "tanh": _OF_VECTOR,
    "time": _OF_NOTHING,
    "timestamp": _OF_VECTOR,
    "ts_of_first_over_time": _EXPERIMENTAL_RANGE,
    "ts_of_last_over_time": _EXPERIMENTAL_RANGE,
    "ts_of_max_over_time": _EXPERIMENTAL_RANGE,
    "ts_of_min_over_time": _EXPERIMENTAL_RANGE,
    "vector": Signature(("scalar",)),
    "year": _OF_MOMENT,
}
