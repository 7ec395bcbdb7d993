"""Functions that templates may call, and the types that they take: their annotations say so."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from mirante.server.gotemplate.values import NAMES, type_name

Function = Callable[..., object]


class Signature(NamedTuple):
    """What a function takes.

    Attributes:
        fixed: types of its arguments.
        rest: type of those that follow, or None when there may be no more.
    """

    fixed: tuple[Any, ...]
    rest: Any | None

    def at(self, index: int) -> Any:
        """Type of one argument."""
        return self.fixed[index] if index < len(self.fixed) else self.rest

    def check_count(self, name: str, count: int) -> None:
        """Refuse a wrong number of arguments.

        Raises:
            ValueError: with both numbers.
        """
        few = count < len(self.fixed)
        if few or (self.rest is None and count > len(self.fixed)):
            least = "" if self.rest is None else "at least "
            raise ValueError(f"wrong number of args for {name}: want {least}{len(self.fixed)} got {count}")


def signature(function: Function) -> Signature:
    """What a function takes, without the object of a bound method."""
    plain = getattr(function, "__func__", function)
    fixed, rest = _signature(plain)
    return Signature(fixed[1:] if plain is not function else fixed, rest)


@lru_cache(maxsize=1024)
def _signature(function: Function) -> Signature:
    hints: Mapping[str, Any] = get_type_hints(function)
    fixed, rest = [], None
    for parameter in inspect.signature(function).parameters.values():
        kind = hints.get(parameter.name, object)
        if parameter.kind is parameter.VAR_POSITIONAL:
            rest = kind
        else:
            fixed.append(kind)
    return Signature(tuple(fixed), rest)


def expected(kind: Any) -> str:
    """Go's name for the type of an argument."""
    if get_origin(kind) is not None:
        return "[]" + expected(get_args(kind)[0])
    return str(getattr(kind, "go_type", None) or NAMES.get(kind, "interface {}"))


def check(value: object, kind: Any) -> object:
    """The value, if a function may be given it.

    Raises:
        ValueError: it is of another type.
    """
    if kind is object or _fits(value, kind):
        return value
    if value is None:
        raise ValueError(f"invalid value; expected {expected(kind)}")
    raise ValueError(f"wrong type for value; expected {expected(kind)}; got {type_name(value)}")


def _fits(value: object, kind: Any) -> bool:
    if get_origin(kind) is not None:
        item = get_args(kind)[0]
        return value is None or (isinstance(value, Sequence) and not isinstance(value, str) and all(_fits(one, item) for one in value))  # fmt: skip
    if kind is int or kind is float:
        return type(value) is kind
    return isinstance(value, kind)
