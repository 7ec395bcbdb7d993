"""The tree of a checked query: what the evaluator walks. Frozen, typed, every node knows its place in the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mirante.server.store.api import Matcher

ValueType = Literal["scalar", "vector", "matrix", "string"]

At = int | Literal["start", "end"] | None
"""The ``@`` modifier: a time in milliseconds, a bound of the query, or none."""


@dataclass(frozen=True, slots=True)
class Number:
    """A literal number, or a literal duration in seconds."""

    position: int
    value: float


@dataclass(frozen=True, slots=True)
class String:
    """A literal string."""

    position: int
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """An instant selector; ``offset`` in milliseconds looks back."""

    position: int
    matchers: tuple[Matcher, ...]
    offset: int = 0
    at: At = None


@dataclass(frozen=True, slots=True)
class RangeSelector:
    """A range selector: the samples of ``selector`` in the last ``range`` milliseconds, left-open."""

    position: int
    selector: Selector
    range: int


@dataclass(frozen=True, slots=True)
class Subquery:
    """``expr`` evaluated every ``step`` milliseconds (None: the engine's default) over the last ``range``."""

    position: int
    expr: Node
    range: int
    step: int | None
    offset: int = 0
    at: At = None


@dataclass(frozen=True, slots=True)
class Call:
    """A function call."""

    position: int
    function: str
    args: tuple[Node, ...]
    type: ValueType


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregation; ``without`` inverts the meaning of ``labels``."""

    position: int
    op: str
    expr: Node
    param: Node | None
    labels: tuple[str, ...]
    without: bool


Card = Literal["one-to-one", "many-to-one", "one-to-many", "many-to-many"]


@dataclass(frozen=True, slots=True)
class Matching:
    """How a binary operation pairs the series of two vectors.

    Attributes:
        card: which side may have many series to one of the other.
        on: true when ``labels`` are the only ones that count, false when they are the ones that do not.
        labels: of ``on`` or ``ignoring``.
        include: labels that ``group_left`` or ``group_right`` copies from the one side.
        fill_left: value of a left-hand series that is missing, or None.
        fill_right: the same of the right-hand side.
    """

    card: Card = "one-to-one"
    on: bool = False
    labels: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    fill_left: float | None = None
    fill_right: float | None = None


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary operation; ``bool`` asks a comparison for 0 and 1 instead of filtering."""

    position: int
    op: str
    left: Node
    right: Node
    bool: bool
    matching: Matching


@dataclass(frozen=True, slots=True)
class Negate:
    """Unary minus."""

    position: int
    expr: Node


Node = Number | String | Selector | RangeSelector | Subquery | Call | Aggregate | Binary | Negate


def type_of(node: Node) -> ValueType:
    """The type of value that a node gives."""
    if isinstance(node, Call):
        return node.type
    if isinstance(node, Binary):
        return "scalar" if type_of(node.left) == type_of(node.right) == "scalar" else "vector"
    if isinstance(node, Negate):
        return type_of(node.expr)
    return _TYPES[type(node)]


_TYPES: Mapping[type, ValueType] = {
    Aggregate: "vector",
    Number: "scalar",
    RangeSelector: "matrix",
    Selector: "vector",
    String: "string",
    Subquery: "matrix",
}
