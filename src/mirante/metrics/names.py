"""The data model's rules for names, labels and buckets; what breaks them raises where it is written.

Source: Prometheus documentation, "Data model"; OpenMetrics 1.0, "ABNF".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from mirante.errors import DeclarationError
from mirante.formats.names import LABEL_NAME, METRIC_NAME

DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds of an ordinary request; the same as prometheus_client's and OpenTelemetry's HTTP conventions."""


def metric_name(name: str, unit: str = "", *, utf8: bool = False) -> str:
    """The name, with ``_unit`` appended where it does not end so already.

    Raises:
        DeclarationError: it is not ``[a-zA-Z_:][a-zA-Z0-9_:]*``, or with ``utf8``, not text that UTF-8 can hold.

    Example:
        >>> metric_name("latency", "seconds")
        'latency_seconds'
    """
    if not (_is_utf8(name) if utf8 else METRIC_NAME.fullmatch(name)):
        raise DeclarationError(
            f"{name!r} cannot name a metric: use letters, digits, '_' and ':', and do not start with a digit, "
            "or declare it with utf8=True"
        )
    if not unit or name.endswith(f"_{unit}"):
        return name
    if not LABEL_NAME.fullmatch(unit):
        raise DeclarationError(f"{unit!r} cannot be the unit of {name}: use letters, digits and '_', such as 'seconds'")
    return f"{name}_{unit}"


def _is_utf8(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def label_names(
    metric: str, names: Iterable[str], reserved: Sequence[str] = (), *, utf8: bool = False
) -> tuple[str, ...]:
    """The label names as a tuple.

    Raises:
        DeclarationError: one is malformed, reserved or given twice.

    Example:
        >>> label_names("http_requests_total", ["method", "code"])
        ('method', 'code')
    """
    if isinstance(names, str):
        raise DeclarationError(f"{metric}: labels must be a sequence of names; write labels=({names!r},)")
    found = tuple(names)
    for name in found:
        if not (_is_utf8(name) if utf8 else LABEL_NAME.fullmatch(name)):
            raise DeclarationError(
                f"{metric}: {name!r} cannot name a label: use letters, digits and '_', and do not start with a digit, "
                "or declare the metric with utf8=True"
            )
        if name.startswith("__") or name in reserved:
            raise DeclarationError(f"{metric}: the label name {name!r} is reserved; choose another")
    if len(set(found)) != len(found):
        raise DeclarationError(f"{metric}: a label name is given twice in {found}")
    return found


def bucket_bounds(metric: str, buckets: Iterable[float]) -> tuple[float, ...]:
    """Upper bounds of a histogram's buckets without the last one, ``+Inf``, which every histogram has.

    Raises:
        DeclarationError: there is none, or they do not rise strictly.

    Example:
        >>> bucket_bounds("latency_seconds", [0.1, 1, float("inf")])
        (0.1, 1.0)
    """
    bounds = tuple(float(bound) for bound in buckets)
    if bounds and bounds[-1] == math.inf:
        bounds = bounds[:-1]
    if not bounds:
        raise DeclarationError(f"{metric}: a histogram needs at least one finite bucket bound")
    rising = all(low < high for low, high in pairwise(bounds))
    if not rising or not all(map(math.isfinite, bounds)):
        raise DeclarationError(f"{metric}: bucket bounds must be finite and rise strictly, but are {bounds}")
    return bounds
