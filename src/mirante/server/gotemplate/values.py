"""Values as Go's templates see them.

Text, numbers, truth values, None (Go's nil), lists and mappings are themselves; a whole number is Go's ``int``, any
other its ``float64``. What has fields or methods says so in class attributes: ``go_fields`` and ``go_methods`` map the
name that a template uses to the attribute or method that stands behind it, ``go_type`` is the name of its type in
messages. A method ``String`` is how it is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

NAMES: Mapping[type, str] = {str: "string", bool: "bool", int: "int", float: "float64"}


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()
    go_type: ClassVar[str] = "template.HTML"


class Struct:
    """A Go struct: only what ``go_fields`` and ``go_methods`` name can be reached from a template."""

    __slots__ = ()
    go_type: ClassVar[str] = "struct"
    go_fields: ClassVar[Mapping[str, str]] = {}
    go_methods: ClassVar[Mapping[str, str]] = {}


class StringMap(dict[str, str]):
    """Go's ``map[string]string``: a key that is not there is the empty string."""

    go_type: ClassVar[str] = "map[string]string"
    go_zero: ClassVar[object] = ""


class StringList(list[str]):
    """Go's ``[]string``, also when it is empty."""

    go_type: ClassVar[str] = "[]string"


def type_name(value: object) -> str:
    """Name of a value's type in Go.

    Example:
        >>> type_name(1.5), type_name({}), type_name(None)
        ('float64', 'map[string]interface {}', '<nil>')
    """
    named = getattr(value, "go_type", None)
    if isinstance(named, str):
        return named
    if value is None:
        return "<nil>"
    if isinstance(value, Mapping):
        return "map[string]interface {}"
    if isinstance(value, (list, tuple)):
        return "[]interface {}"
    return NAMES.get(type(value), type(value).__name__)


def truth(value: object) -> bool:
    """What ``if`` makes of a value: nothing, zero and emptiness are false, a struct is true."""
    return isinstance(value, Struct) or bool(value)


def method(value: object, name: str) -> Callable[..., object] | None:
    """A method by the name that templates use."""
    attribute = getattr(type(value), "go_methods", {}).get(name)
    return getattr(value, attribute) if attribute is not None else None


def field(value: object, name: str) -> object:
    """A field of a struct or an entry of a mapping.

    Raises:
        ValueError: there is no such field.
    """
    if isinstance(value, Struct) and name in value.go_fields:
        return getattr(value, value.go_fields[name])
    if isinstance(value, Mapping):
        return entry(value, name)
    if value is None:
        return None
    known = sorted([*getattr(type(value), "go_fields", {}), *getattr(type(value), "go_methods", {})])
    hint = f"; it has {', '.join(known)}" if known else ""
    raise ValueError(f"can't evaluate field {name} in type {type_name(value)}{hint}")


def entry(value: Mapping[Any, object], key: object) -> object:
    """An entry of a mapping, or its zero value."""
    return value[key] if key in value else getattr(value, "go_zero", None)


def stringer(value: object) -> str | None:
    """How a value prints itself, or None where it leaves that to others."""
    own = method(value, "String")
    return None if own is None else str(own())
