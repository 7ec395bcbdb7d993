"""Mappings, lists and scalars as YAML that every reader understands in one way.

All text is quoted: what stands there without quotes means a truth value, a number or a date to one reader or the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Keys that YAML 1.1 takes for something else."""

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def write_yaml(document: Mapping[str, Any] | Sequence[Any]) -> str:
    r"""The text of a document of mappings with text keys, lists, texts, numbers, truth values and None.

    Raises:
        TypeError: there is something else in it.

    Example:
        >>> print(write_yaml({"on": ["a\nb", 1, {}], "x": {"y": True}}), end="")
        "on":
          - "a\nb"
          - 1
          - {}
        x:
          "y": true
    """
    return "".join(line + "\n" for line in _block(document))


def _block(value: Any) -> Iterator[str]:  # noqa: ANN401 - whatever a document holds
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _entry(f"{_key(key)}:", inner)
    elif isinstance(value, list | tuple) and value:
        for inner in value:
            if _is_block(inner):
                first, *rest = _block(inner)
                yield f"- {first}"
                yield from (f"  {line}" for line in rest)
            else:
                yield f"- {_scalar(inner)}"
    else:
        yield _scalar(value)


def _entry(head: str, inner: Any) -> Iterator[str]:  # noqa: ANN401 - the same
    if _is_block(inner):
        yield head
        yield from (f"  {line}" for line in _block(inner))
    else:
        yield f"{head} {_scalar(inner)}"


def _is_block(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key must be text, not {key!r}")
    return key if _PLAIN.fullmatch(key) and key.lower() not in _WORDS else _quoted(key)


def _scalar(value: object) -> str:
    match value:
        case str():
            return _quoted(value)
        case None | bool():
            return "null" if value is None else str(value).lower()
        case int() | float():
            return _number(value)
        case Mapping():
            return "{}"
        case list() | tuple():
            return "[]"
    raise TypeError(f"{type(value).__name__} cannot be written as YAML")


def _number(value: float) -> str:
    text = repr(value)
    if text in {"inf", "-inf", "nan"}:
        return text.replace("inf", ".inf").replace("nan", ".nan")
    mantissa, e, exponent = text.partition("e")
    if e and "." not in mantissa:  # YAML 1.1 wants the point; Python writes the sign, which it wants too
        mantissa += ".0"
    return mantissa + e + exponent


def _quoted(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(one) or (one if one.isprintable() else _escape(ord(one))) for one in text) + '"'


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
