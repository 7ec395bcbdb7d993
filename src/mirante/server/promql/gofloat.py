"""Numbers as Go prints them: slow, exact, one at a time."""

from __future__ import annotations

import math
from decimal import Decimal


def go_float(value: float) -> str:
    """``strconv.FormatFloat(value, 'f' or 'e', -1, 64)`` as Prometheus's API chooses: 'e' below 1e-6 and from 1e21 on.

    Example:
        >>> go_float(1e20), go_float(1e21), go_float(1.5e-7), go_float(float("inf"))
        ('100000000000000000000', '1e+21', '1.5e-07', '+Inf')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    size = abs(value)
    if size != 0 and not 1e-6 <= size < 1e21:
        mantissa, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
        sign, digits = exponent[0], exponent[1:]
        return f"{mantissa}e{sign}{digits:0>2}"
    return go_decimal(value)


def go_decimal(value: float) -> str:
    """``strconv.FormatFloat(value, 'f', -1, 64)``: never an exponent.

    Example:
        >>> go_decimal(1e21), go_decimal(2.0), go_decimal(-0.0)
        ('1000000000000000000000', '2', '-0')
    """
    if math.isnan(value) or math.isinf(value):
        return go_float(value)
    text = repr(value)
    if "e" in text:
        text = f"{Decimal(text):f}"
    return text.removesuffix(".0")
