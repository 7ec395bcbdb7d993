"""What a function may ask of the evaluation that calls it."""

from __future__ import annotations

from typing import Protocol

from mirante.server.promql.annotations import Annotations
from mirante.server.promql.leaf import Leaves
from mirante.server.promql.matrix import Floats, Matrix
from mirante.server.promql.plan import Node
from mirante.server.promql.steps import Query, Steps
from mirante.server.promql.windows import Ranges


class Context(Protocol):
    """One evaluation: the query, or a subquery of it, at its steps."""

    @property
    def steps(self) -> Steps:
        """The times."""
        ...

    @property
    def query(self) -> Query:
        """The whole query's bounds and options."""
        ...

    @property
    def notes(self) -> Annotations:
        """Where warnings and infos go."""
        ...

    @property
    def leaves(self) -> Leaves:
        """Reads selectors."""
        ...

    def vector(self, node: Node) -> Matrix:
        """Evaluates a node of type vector."""
        ...

    def scalar(self, node: Node) -> Floats:
        """Evaluates a node of type scalar: one value a step."""
        ...

    def text(self, node: Node) -> str:
        """The value of a node of type string."""
        ...

    def windows(self, node: Node) -> Ranges:
        """The windows of a node of type matrix."""
        ...
