"""What binary operators do to numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mirante.server.promql.matrix import Bools, Floats

Arithmetic = Callable[[Floats, Floats], Floats]
Comparison = Callable[[Floats, Floats], Bools]

ARITHMETIC: Mapping[str, Arithmetic] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}

COMPARISONS: Mapping[str, Comparison] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}

SETS = frozenset({"and", "or", "unless"})


def calculate(op: str, left: Floats, right: Floats, *, as_bool: bool) -> tuple[Floats, Bools | None]:
    """Values and, for a comparison that filters, where it holds; the values are then those of the left."""
    with np.errstate(all="ignore"):
        if op in ARITHMETIC:
            return ARITHMETIC[op](left, right), None
        holds = COMPARISONS[op](left, right)
    if as_bool:
        return holds.astype(np.float64), None
    return np.broadcast_to(left, holds.shape), holds
