"""Reads what stands in files of objectives, value by value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from mirante.errors import BadQueryError
from mirante.formats.names import LABEL_NAME
from mirante.server.slo.model import DAY
from mirante.server.yaml_reader import Section, Value

T = TypeVar("T")

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.:/-]*", re.ASCII)
_OWN = frozenset({"service", "slo", "severity", "alertname", "__name__", "le"})
_FINEST = 6
"""Decimal places of an objective in percent: beyond them, ratios lose exactness."""


def needed(section: Section, key: str, read: Callable[[Value], T]) -> T:
    """The value of a key that must be there."""
    value = section.take(key, read, None)
    if value is None:
        section.value.fail(f'"{key}" is missing')
    return value


def name(value: Value) -> str:
    """A name of a service or an objective, which becomes the value of a label."""
    text = value.text()
    if not _NAME.fullmatch(text):
        value.fail(f'expected letters, digits and "_.:/-", beginning with a letter or digit, got "{text}"')
    return text


def percent(value: Value) -> float:
    """An objective: ``99.9%`` or ``99.9``."""
    return _percent(value, value.text().strip().removesuffix("%"), 1)


def ratio(value: Value) -> float:
    """An objective as a ratio, ``0.999``, in percent."""
    return _percent(value, value.text(), 100)


def _percent(value: Value, text: str, factor: int) -> float:
    try:
        number = Decimal(text.strip()) * factor
    except InvalidOperation:
        number = Decimal("NaN")
    if not (number.is_finite() and 0 < number < 100):
        value.fail(f'expected an objective above 0 % and below 100 %, such as 99.9, got "{value.text()}"')
    if round(number, _FINEST) != number:
        value.fail(f"expected at most {_FINEST} decimal places")
    return float(number)


def period(value: Value) -> int:
    """A rolling window, in milliseconds."""
    length = value.duration()
    if length % DAY or not DAY <= length <= 366 * DAY:
        value.fail(f'expected a rolling window of whole days, 1d to 366d, such as 30d or 4w, got "{value.text()}"')
    return length


def number(value: Value) -> float:
    """A limit: any number."""
    try:
        found = float(value.text())
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        value.fail(f'expected a number, got "{value.text()}"')
    return found


def labels(value: Value) -> Mapping[str, str]:
    """Labels for the series of an objective."""
    found = texts(value)
    for label in found:
        if label in _OWN or not LABEL_NAME.fullmatch(label):
            value.fail(f'"{label}" cannot be a label here: it is no name, or is given by the objective itself')
    return found


def texts(value: Value) -> Mapping[str, str]:
    """A mapping of texts."""
    return {key: inner.text() for key, inner in value.section().rest()}


def checked(value: Value, make: Callable[[], T]) -> T:
    """What is made of expressions there; one that is wrong is told with its place."""
    try:
        return make()
    except BadQueryError as error:
        value.fail(str(error))
