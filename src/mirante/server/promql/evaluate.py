"""Walks a plan and gives the value of each node at all steps at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from mirante.server.promql.aggregate import aggregate
from mirante.server.promql.annotations import Annotations
from mirante.server.promql.describe import described
from mirante.server.promql.functions.table import SCALAR_FUNCTIONS, VECTOR_FUNCTIONS
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
        trace = self.budget.trace
        if trace is None:
            return self._vector(node)
        with trace.step(described(node)) as step:
            found = self._vector(node)
            step.series, step.points = found.values.shape[0], int(found.present.sum())
        return found

    def _vector(self, node: Node) -> Matrix:
        check(self.budget)
        if isinstance(node, Selector):
            return self.leaves.instant(node, self.steps)
        if isinstance(node, Aggregate):
            return aggregate(self, node)
        if isinstance(node, Binary):
            return self._binary(node)
        if isinstance(node, Negate):
            matrix = self.vector(node.expr)
            return without_names(matrix.with_points(-matrix.values), delayed=self.query.delayed_names)
        call = cast("Call", node)  # the parser has checked all types
        return VECTOR_FUNCTIONS[call.function](self, call)

    def scalar(self, node: Node) -> Floats:
        """Evaluates a node of type scalar: one value a step."""
        if isinstance(node, Number):
            return np.full(self.steps.count, node.value)
        if isinstance(node, Negate):
            return -self.scalar(node.expr)
        if isinstance(node, Binary):
            return calculate(node.op, self.scalar(node.left), self.scalar(node.right), as_bool=node.bool)[0]
        call = cast("Call", node)
        return SCALAR_FUNCTIONS[call.function](self, call)

    def text(self, node: Node) -> str:
        """The value of a node of type string."""
        return cast("String", node).value

    def windows(self, node: Node) -> Ranges:
        """The windows of a node of type matrix."""
        if isinstance(node, RangeSelector):
            return self.leaves.windows(node, self.steps)
        subquery = cast("Subquery", node)
        inner = replace(self, steps=self.leaves.subquery(subquery, self.steps))
        matrix = inner.vector(subquery.expr)
        ends = self.leaves.ends(subquery.at, subquery.offset, self.steps)
        windows = make_windows(_as_samples(matrix, inner.steps), ends, subquery.range, self.steps.times)
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
