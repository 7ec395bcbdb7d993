"""Functions that templates may call, and the types that they take: their annotations say so."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import GenericAlias
from typing import Any, NamedTuple, get_args, get_type_hints

from mirante.server.gotemplate.values import NAMES, type_name

Function = Callable[..., object]
Kind = type[Any] | GenericAlias
"""Type of an argument; ``object`` takes any, ``Sequence[...]`` a list."""


class Signature(NamedTuple):
    """What a function takes.

    Attributes:
        fixed: types of its arguments.
        rest: type of those that follow, or None when there may be no more.
    """

    fixed: tuple[Kind, ...]
    rest: Kind | None

    def at(self, index: int) -> Kind:
        """Type of one argument."""
        return self.fixed[index] if index < len(self.fixed) else self.rest or object

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
    hints: Mapping[str, Kind] = get_type_hints(function)
    fixed, rest = [], None
    for parameter in inspect.signature(function).parameters.values():
        kind = hints.get(parameter.name, object)
        if parameter.kind is parameter.VAR_POSITIONAL:
            rest = kind
        else:
            fixed.append(kind)
    return Signature(tuple(fixed), rest)


def expected(kind: Kind) -> str:
    """Go's name for the type of an argument."""
    if isinstance(kind, GenericAlias):
        return "[]" + expected(get_args(kind)[0])
    return str(getattr(kind, "go_type", None) or NAMES.get(kind, "interface {}"))


def check(value: object, kind: Kind) -> object:
    """The value, if a function may be given it.

    Raises:
        ValueError: it is of another type.
    """
    if kind is object or _fits(value, kind):
        return value
    if value is None:
        raise ValueError(f"invalid value; expected {expected(kind)}")
    raise ValueError(f"wrong type for value; expected {expected(kind)}; got {type_name(value)}")


def _fits(value: object, kind: Kind) -> bool:
    if isinstance(kind, GenericAlias):
        item = get_args(kind)[0]
        listed = isinstance(value, (list, tuple)) and all(_fits(one, item) for one in value)
        return listed or value is None
    if kind is int or kind is float:
        return type(value) is kind
    return isinstance(value, kind)
