"""OTLP values as text: what the store's views do in the engine, done here for values that lie deeper than they reach.

Plain values are written as they are, arrays and maps as JSON, bytes in base64.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue


def text(value: AnyValue) -> str:
    """The value as the text of an attribute; a value that is not set is the empty string.

    Example:
        >>> from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue
        >>> text(AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue(string_value="a")])))
        '[1,"a"]'
    """
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode("ascii")
    return "" if kind is None else as_json(value)


def as_json(value: AnyValue) -> str:
    """The value as JSON."""
    kind = value.WhichOneof("value")
    return _JSON[kind](value) if kind in _JSON else "null"


def number(value: float) -> str:
    """The shortest decimal text, without a point where there is nothing behind it."""
    return repr(value).removesuffix(".0").replace("e+", "e")


def depth(value: AnyValue) -> int:
    """How many arrays and maps lie within one another: 0 for a plain value."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return 1 + max(map(depth, value.array_value.values), default=0)
    if kind == "kvlist_value":
        return 1 + max((depth(pair.value) for pair in value.kvlist_value.values), default=0)
    return 0


def flatten(value: AnyValue, deepest: int) -> None:
    """Turn a value that is deeper than that into its text, in place."""
    if depth(value) > deepest:
        value.string_value = text(value)


def _quoted(string: str) -> str:
    return json.dumps(string, ensure_ascii=False)


def _members(value: AnyValue) -> Iterator[str]:
    return (f"{_quoted(pair.key)}:{as_json(pair.value)}" for pair in value.kvlist_value.values)


_JSON: dict[str | None, Callable[[AnyValue], str]] = {
    "string_value": lambda value: _quoted(value.string_value),
    "bool_value": lambda value: "true" if value.bool_value else "false",
    "int_value": lambda value: str(value.int_value),
    "double_value": lambda value: number(value.double_value),
    "bytes_value": lambda value: _quoted(base64.b64encode(value.bytes_value).decode("ascii")),
    "array_value": lambda value: f"[{','.join(map(as_json, value.array_value.values))}]",
    "kvlist_value": lambda value: f"{{{','.join(_members(value))}}}",
}
