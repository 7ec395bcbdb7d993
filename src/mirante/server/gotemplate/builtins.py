"""The functions that every template has.

Source: pkg.go.dev/text/template, "Functions". ``and`` and ``or`` are the evaluator's, as they leave out arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal
from urllib.parse import quote_plus

from mirante.server.gotemplate.printf import sprintf
from mirante.server.gotemplate.printing import sprint
from mirante.server.gotemplate.signature import Function
from mirante.server.gotemplate.values import entry, truth, type_name

MOST = 1 << 20
"""Most characters of one value."""
MOST_WRITTEN = 4 * MOST
"""Most characters of all that is rendered."""
_HTML = str.maketrans({'"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;", "\0": "\ufffd"})
_JS = {"\\": r"\\", "'": r"\'", '"': r"\"", "<": r"\u003C", ">": r"\u003E", "&": r"\u0026", "=": r"\u003D"}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _len(item: object) -> int:
    if isinstance(item, str):
        return len(_bytes(item))
    if isinstance(item, (list, tuple, Mapping)):
        return len(item)
    raise ValueError("len of nil pointer" if item is None else f"len of type {type_name(item)}")


def _index(item: object, *indices: object) -> object:
    for index in indices:
        if isinstance(item, Mapping):
            if not isinstance(index, str):
                raise ValueError(f"value has type {type_name(index)}; should be string")
            item = entry(item, index)
        elif isinstance(item, (list, tuple, str)):
            sequence = _bytes(item) if isinstance(item, str) else item
            item = sequence[_position(index, len(sequence) - 1)]
        else:
            raise ValueError("index of untyped nil" if item is None else f"can't index item of type {type_name(item)}")
    return item


def _position(index: object, highest: int) -> int:
    if type(index) is not int:
        raise ValueError("cannot index slice/array with " + ("nil" if index is None else f"type {type_name(index)}"))
    if not 0 <= index <= highest:
        raise ValueError(f"index out of range: {index}")
    return index


def _slice(item: object, *indices: object) -> object:
    if not isinstance(item, (list, tuple, str)):
        raise ValueError("slice of untyped nil" if item is None else f"can't slice item of type {type_name(item)}")
    if len(indices) > (2 if isinstance(item, str) else 3):
        raise ValueError(f"too many slice indexes: {len(indices)}")
    sequence = _bytes(item) if isinstance(item, str) else item
    bounds = [_position(index, len(sequence)) for index in indices]
    if bounds != sorted(bounds):
        raise ValueError(f"invalid slice index: {bounds[0]} > {bounds[1]}")
    cut = sequence[bounds[0] if bounds else 0 : bounds[1] if len(bounds) > 1 else None]
    if isinstance(cut, bytes):
        return cut.decode("utf-8", "surrogateescape")
    return type(item)(cut)


def _not(value: object) -> bool:
    return not truth(value)


Kind = Literal["bool", "int", "float", "string", "nil", "other"]


def _kind(value: object) -> Kind:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "string"
    return "nil" if value is None else "other"


def _comparable(first: object, second: object) -> None:
    kinds = _kind(first), _kind(second)
    if "nil" in kinds:
        return
    if "other" in kinds:
        wrong = first if kinds[0] == "other" else second
        raise ValueError(f"invalid type for comparison: {type_name(wrong)}")
    if kinds[0] != kinds[1]:
        hint = "; write whole numbers as 1.0 beside a float" if set(kinds) == {"int", "float"} else ""
        raise ValueError(f"incompatible types for comparison: {type_name(first)} and {type_name(second)}{hint}")


def _eq(first: object, *others: object) -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    for other in others:
        _comparable(first, other)
        if first == other:
            return True
    return False


def _ne(first: object, second: object) -> bool:
    _comparable(first, second)
    return first != second


def _lt(first: object, second: object) -> bool:
    _comparable(first, second)
    if isinstance(first, str) and isinstance(second, str):
        return _bytes(first) < _bytes(second)
    if isinstance(first, bool) or not isinstance(first, (int, float)) or not isinstance(second, (int, float)):
        raise ValueError(f"invalid type for comparison: {type_name(first)}")
    return first < second


def _le(first: object, second: object) -> bool:
    return _lt(first, second) or _eq(first, second)


def _gt(first: object, second: object) -> bool:
    return not _le(first, second)


def _ge(first: object, second: object) -> bool:
    return not _lt(first, second)


def _print(*arguments: object) -> str:
    return sprint(arguments, MOST)


def _printf(template: str, *arguments: object) -> str:
    return sprintf(template, arguments, MOST)


def _println(*arguments: object) -> str:
    return sprintf(" ".join(["%v"] * len(arguments)) + "\n", arguments, MOST)


def _shown(arguments: tuple[object, ...]) -> str:
    return sprint(["<no value>" if argument is None else argument for argument in arguments], MOST)


def _html(*arguments: object) -> str:
    return escape_html(_shown(arguments))


def escape_html(text: str) -> str:
    """Text as HTML shows it."""
    return text.translate(_HTML)


def _js(*arguments: object) -> str:
    out = []
    for char in _shown(arguments):
        if char in _JS:
            out.append(_JS[char])
        elif char < " " or not (char.isprintable() or char < "\x80"):
            out.append(f"\\u{ord(char):04X}")
        else:
            out.append(char)
    return "".join(out)


def _urlquery(*arguments: object) -> str:
    return quote_plus(_bytes(_shown(arguments)), safe="-_.~")


BUILTINS: Mapping[str, Function] = {
    "eq": _eq, "ge": _ge, "gt": _gt, "html": _html, "index": _index, "js": _js, "le": _le, "len": _len, "lt": _lt,
    "ne": _ne, "not": _not, "print": _print, "printf": _printf, "println": _println, "slice": _slice,
    "urlquery": _urlquery,
}  # fmt: skip
