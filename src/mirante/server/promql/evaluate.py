"""Walks a plan and gives the value of each node at all steps at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mirante.server.promql.aggregate import aggregate
from mirante.server.promql.annotations import Annotations
from mirante.server.promql.functions.table import IMPLEMENTATIONS
from mirante.server.promql.leaf import Leaves, check
from mirante.server.promql.matching import scalar_operation, set_operation, vector_operation
from mirante.server.promql.matrix import Floats, Matrix, without_names
from mirante.server.promql.operators import SETS, calculate
from mirante.server.promql.plan import (
    Aggregate,
    Binary,
    Call,
    Negate,
    Node,
    Number,
    RangeSelector,
    Selector,
    String,
    Subquery,
    type_of,
)
from mirante.server.promql.steps import Query, Steps
from mirante.server.promql.windows import Ranges, make_windows
from mirante.server.store.api import QueryBudget, SampleBlock


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One query, or a subquery of it, at its steps.

    Attributes:
        query: the whole query's bounds and options.
        steps: the times.
        leaves: reads selectors, shared by the whole query.
        notes: where warnings and infos go.
        budget: what the query may still use.
    """

    query: Query
    steps: Steps
    leaves: Leaves
    notes: Annotations
    budget: QueryBudget

    def vector(self, node: Node) -> Matrix:
        """Evaluates a node of type vector."""
        check(self.budget)
        match node:
            case Selector():
                return self.leaves.instant(node, self.steps)
            case Call():
                return self._called(node)
            case Aggregate():
                return aggregate(self, node)
            case Binary():
                return self._binary(node)
            case Negate(expr=expr):
                matrix = self.vector(expr)
                return without_names(matrix.with_points(-matrix.values), delayed=self.query.delayed_names)
        raise TypeError(f"{type(node).__name__} gives no vector")

    def _called(self, node: Call) -> Matrix:
        value = IMPLEMENTATIONS[node.function](self, node)
        if not isinstance(value, Matrix):
            raise TypeError(f"{node.function}() gives no vector")
        return value

    def scalar(self, node: Node) -> Floats:
        """Evaluates a node of type scalar: one value a step."""
        match node:
            case Number(value=number):
                return np.full(self.steps.count, number)
            case Negate(expr=expr):
                return -self.scalar(expr)
            case Binary(op=op, left=left, right=right):
                return calculate(op, self.scalar(left), self.scalar(right), as_bool=node.bool)[0]
            case Call():
                value = IMPLEMENTATIONS[node.function](self, node)
                if not isinstance(value, Matrix):
                    return value
        raise TypeError(f"{type(node).__name__} gives no scalar")

    def text(self, node: Node) -> str:
        """The value of a node of type string."""
        if not isinstance(node, String):
            raise TypeError(f"{type(node).__name__} gives no string")
        return node.value

    def windows(self, node: Node) -> Ranges:
        """The windows of a node of type matrix."""
        if isinstance(node, RangeSelector):
            return self.leaves.windows(node, self.steps)
        if not isinstance(node, Subquery):
            raise TypeError(f"{type(node).__name__} gives no windows")
        inner = replace(self, steps=self.leaves.subquery(node, self.steps))
        matrix = inner.vector_of(node.expr)
        ends = self.leaves.ends(node.at, node.offset, self.steps)
        windows = make_windows(_as_samples(matrix, inner.steps), ends, node.range, self.steps.times)
        return Ranges(matrix.labels, windows, matrix.unnamed)

    def vector_of(self, node: Node) -> Matrix:
        """A node of type vector, or a scalar as the one series without labels."""
        if type_of(node) == "scalar":
            values = self.scalar(node)
            return Matrix([{}], values[None, :], np.ones((1, self.steps.count), dtype=np.bool_))
        return self.vector(node)

    def _binary(self, node: Binary) -> Matrix:
        delayed = self.query.delayed_names
        if node.op in SETS:
            return set_operation(node.op, self.vector(node.left), self.vector(node.right), node.matching)
        if type_of(node.right) == "scalar":
            matrix, scalar = self.vector(node.left), self.scalar(node.right)
            return scalar_operation(node, matrix, scalar, vector_left=True, delayed=delayed)
        if type_of(node.left) == "scalar":
            matrix, scalar = self.vector(node.right), self.scalar(node.left)
            return scalar_operation(node, matrix, scalar, vector_left=False, delayed=delayed)
        return vector_operation(node, self.vector(node.left), self.vector(node.right), delayed=delayed)


def _as_samples(matrix: Matrix, steps: Steps) -> SampleBlock:
    """A subquery's result as samples, so that windows can look at it."""
    offsets = np.concatenate([[0], np.cumsum(matrix.present.sum(axis=1))]).astype(np.int64)
    times = np.broadcast_to(steps.times, matrix.present.shape)
    return SampleBlock(offsets, times[matrix.present], matrix.values[matrix.present])
