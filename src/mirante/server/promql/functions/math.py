"""Functions of one value at a time: ``f(values, *scalars)``, the scalars one a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mirante.server.promql.matrix import Floats

ValueFunction = Callable[..., Floats]


def clamp(values: Floats, low: Floats, high: Floats) -> Floats:
    """Values held between the bounds; a NaN bound makes all NaN."""
    return np.maximum(low, np.minimum(high, values))


def clamp_min(values: Floats, low: Floats) -> Floats:
    """Values raised to ``low``."""
    return np.maximum(low, values)


def clamp_max(values: Floats, high: Floats) -> Floats:
    """Values lowered to ``high``."""
    return np.minimum(high, values)


def nearest(values: Floats, to: Floats | float = 1.0) -> Floats:
    """Rounded to the nearest multiple of ``to``, halves up."""
    # Multiplying by the inverse, as Prometheus does, lets 0.1 round to itself.
    inverse = 1.0 / to
    return np.asarray(np.floor(values * inverse + 0.5) / inverse)


VALUE_FUNCTIONS: Mapping[str, ValueFunction] = {
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "clamp": clamp,
    "clamp_max": clamp_max,
    "clamp_min": clamp_min,
    "cos": np.cos,
    "cosh": np.cosh,
    "deg": np.degrees,
    "exp": np.exp,
    "floor": np.floor,
    "ln": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "rad": np.radians,
    "round": nearest,
    "sgn": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
}
