"""Which metrics an expression asks for."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from mirante.server.promql.plan import Node, Selector


def metric_names(node: Node) -> set[str]:
    """The names that its selectors ask for."""
    return set(_names(node))


def _names(part: Any) -> list[str]:
    if isinstance(part, Selector):
        return [matcher.value for matcher in part.matchers if matcher.name == "__name__"]
    if isinstance(part, tuple | list):
        return [name for one in part for name in _names(one)]
    if is_dataclass(part):
        return [name for column in fields(part) for name in _names(getattr(part, column.name))]
    return []
