"""Binary operations between two vectors: which series of one side meets which of the other.

A pair of series is found once, by labels; where both have a sample is a mask. The rules about unique matches hold at
each step, so series that only ever replaced one another are no conflict.
Source of every rule: Prometheus 3, ``promql/engine.go``.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

import numpy as np

from mirante.errors import QueryError
from mirante.server.promql.annotations import quoted
from mirante.server.promql.matrix import (
    NAME,
    Bools,
    Floats,
    Ints,
    Matrix,
    empty,
    merged,
    pending_names,
    stack,
    without_names,
)
from mirante.server.promql.operators import COMPARISONS, calculate
from mirante.server.promql.plan import Binary, Matching
from mirante.server.store.api import Labels

NOT_UNIQUE = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
NOT_UNIQUE_GROUPED = "multiple matches for labels: grouping labels must ensure unique matches"


def signature_of(matching: Matching) -> Callable[[Labels], Hashable]:
    """The function that maps a label set to what has to be equal on both sides."""
    names = matching.labels
    if matching.on:
        return lambda labels: tuple([labels.get(name, "") for name in names])
    ignored = {*names, NAME}
    return lambda labels: frozenset([item for item in labels.items() if item[0] not in ignored])


def set_operation(op: str, left: Matrix, right: Matrix, matching: Matching) -> Matrix:
    """``and``, ``or`` and ``unless``."""
    signature = signature_of(matching)
    numbers: dict[Hashable, int] = {}
    ours = np.array([numbers.setdefault(signature(row), len(numbers)) for row in left.labels], dtype=np.int64)
    theirs = np.array([numbers.setdefault(signature(row), len(numbers)) for row in right.labels], dtype=np.int64)
    if op == "or":
        taken = _any_by(ours, left.present, len(numbers))
        added = right.with_points(right.values, right.present & ~taken[theirs])
        return merged(stack(left, added.compact()))
    met = _any_by(theirs, right.present, len(numbers))[ours]
    return left.with_points(left.values, left.present & (met if op == "and" else ~met)).compact()


def _any_by(number: Ints, present: Bools, count: int) -> Bools:
    """For each number and step whether one of its rows has a sample."""
    result = np.zeros((count, present.shape[1]), dtype=np.bool_)
    np.logical_or.at(result, number, present)
    return result


@dataclass(frozen=True, slots=True)
class _Sides:
    """Both vectors, the one that may have many series to one of the other first."""

    many: Matrix
    one: Matrix
    swapped: bool
    many_numbers: Ints
    one_numbers: Ints


def vector_operation(node: Binary, left: Matrix, right: Matrix, *, delayed: bool) -> Matrix:
    """Arithmetic and comparison between vectors.

    Raises:
        QueryError: when matches are not unique where they have to be.
    """
    matching = node.matching
    if matching.fill_left is not None or matching.fill_right is not None:
        left, right = _filled(matching, left, right)
    if not len(left) or not len(right):
        return empty(left.steps)
    sides = _sides(matching, left, right)
    _check_one_side(sides, matching)
    many_rows, one_rows = _pairs(sides)
    both = sides.many.present[many_rows] & sides.one.present[one_rows]
    if matching.card == "one-to-one":
        _check_many_side(sides, many_rows, both)
    rows = (one_rows, many_rows) if sides.swapped else (many_rows, one_rows)
    values, holds = calculate(node.op, left.values[rows[0]], right.values[rows[1]], as_bool=node.bool)
    keeps_name = node.op in COMPARISONS and not node.bool
    label = _labeller(matching, sides, keeps_name=keeps_name or delayed)
    result = Matrix(
        [label(*pair) for pair in zip(many_rows.tolist(), one_rows.tolist(), strict=True)],
        values,
        both if holds is None else both & holds,
        pending_names(sides.many)[many_rows] if delayed else None,
    )
    if not keeps_name:
        # The labels are bare already; this only notes it where removal is delayed.
        result = without_names(result, delayed=True) if delayed else result
    error = NOT_UNIQUE if matching.card == "one-to-one" else NOT_UNIQUE_GROUPED
    return merged(result, error).compact()


def _sides(matching: Matching, left: Matrix, right: Matrix) -> _Sides:
    swapped = matching.card == "one-to-many"
    many, one = (right, left) if swapped else (left, right)
    signature = signature_of(matching)
    numbers: dict[Hashable, int] = {}
    many_numbers = [numbers.setdefault(signature(row), len(numbers)) for row in many.labels]
    one_numbers = [numbers.setdefault(signature(row), len(numbers)) for row in one.labels]
    return _Sides(many, one, swapped, np.asarray(many_numbers), np.asarray(one_numbers))


def _pairs(sides: _Sides) -> tuple[Ints, Ints]:
    """Row numbers of all pairs of series that match."""
    order = np.argsort(sides.one_numbers, kind="stable")
    ordered = sides.one_numbers[order]
    first = np.searchsorted(ordered, sides.many_numbers, side="left")
    count = np.searchsorted(ordered, sides.many_numbers, side="right") - first
    many_rows = np.repeat(np.arange(len(sides.many)), count)
    nth = np.arange(len(many_rows)) - np.repeat(np.cumsum(count) - count, count)
    return many_rows, order[np.repeat(first, count) + nth]


def _check_one_side(sides: _Sides, matching: Matching) -> None:
    """No two series of the one side may match alike at a step where the other side has any sample."""
    asked = sides.many.present.any(axis=0)
    for rows in _sharing(sides.one_numbers):
        together = (sides.one.present[rows].sum(axis=0) > 1) & asked
        if together.any():
            step = int(np.argmax(together))
            found = [sides.one.labels[row] for row in rows.tolist() if sides.one.present[row, step]]
            texts = sorted(_text(labels) for labels in found)[:2]
            side = "left" if sides.swapped else "right"
            raise QueryError(
                f"found duplicate series for the match group {_text(_group(matching, found[0]))}"
                f" on the {side} hand-side of the operation: [{', '.join(texts)}];many-to-many matching not allowed:"
                " matching labels must be unique on one side"
            )


def _check_many_side(sides: _Sides, many_rows: Ints, both: Bools) -> None:
    """One to one: no two series may meet the same one at a step, even where a comparison then drops them."""
    for rows in _sharing(sides.many_numbers):
        mine = np.flatnonzero(np.isin(many_rows, rows))
        if (both[mine].sum(axis=0) > 1).any():
            raise QueryError(NOT_UNIQUE)


def _sharing(numbers: Ints) -> list[Ints]:
    """The rows of each number that has several."""
    values, count = np.unique(numbers, return_counts=True)
    return [np.flatnonzero(numbers == value) for value in values[count > 1]]


def _group(matching: Matching, labels: Labels) -> Labels:
    if matching.on:
        return {name: labels[name] for name in matching.labels if name in labels}
    return {name: value for name, value in labels.items() if name != NAME and name not in matching.labels}


def _text(labels: Labels) -> str:
    return "{" + ", ".join(f"{name}={quoted(value)}" for name, value in sorted(labels.items())) + "}"


def _labeller(matching: Matching, sides: _Sides, *, keeps_name: bool) -> Callable[[int, int], Labels]:
    """The function that gives the labels of a pair's result."""
    dropped: set[str] = set() if keeps_name else {NAME}
    if matching.card == "one-to-one":
        if matching.on:
            kept = set(matching.labels) - dropped
            return lambda many, _: {n: v for n, v in sides.many.labels[many].items() if n in kept}
        dropped |= set(matching.labels)
        return lambda many, _: {n: v for n, v in sides.many.labels[many].items() if n not in dropped}

    def grouped(many: int, one: int) -> Labels:
        labels = {n: v for n, v in sides.many.labels[many].items() if n not in dropped}
        for name in matching.include:
            value = sides.one.labels[one].get(name, "")
            if value:
                labels[name] = value
            else:
                labels.pop(name, None)
        return labels

    return grouped


def _filled(matching: Matching, left: Matrix, right: Matrix) -> tuple[Matrix, Matrix]:
    """Both vectors with the samples that ``fill`` puts where the other side has one and this side none."""
    signature = signature_of(matching)
    fill_left, fill_right = matching.fill_left, matching.fill_right
    if matching.card == "one-to-many":  # Prometheus has turned the sides round by then, but not the values
        fill_left, fill_right = fill_right, fill_left
    more_left, more_right = left, right
    if fill_left is not None:
        more_left = _fill(matching, left, right, signature, fill_left)
    if fill_right is not None:
        more_right = _fill(matching, right, left, signature, fill_right)
    return more_left, more_right


def _fill(
    matching: Matching, side: Matrix, other: Matrix, signature: Callable[[Labels], Hashable], value: float
) -> Matrix:
    numbers: dict[Hashable, int] = {}
    groups: list[Labels] = []
    theirs = []
    for labels in other.labels:
        key = signature(labels)
        if key not in numbers:
            numbers[key] = len(numbers)
            groups.append(_group(matching, labels))
        theirs.append(numbers[key])
    wanted = _any_by(np.asarray(theirs, dtype=np.int64), other.present, len(numbers))
    mine = [(numbers[key], row) for row, key in enumerate(map(signature, side.labels)) if key in numbers]
    for number, row in mine:
        wanted[number] &= ~side.present[row]
    values: Floats = np.full(wanted.shape, value)
    pending = None if side.unnamed is None else np.zeros(len(groups), dtype=np.bool_)
    return stack(side, Matrix(groups, values, wanted, pending)).compact()


def scalar_operation(node: Binary, matrix: Matrix, scalar: Floats, *, vector_left: bool, delayed: bool) -> Matrix:
    """Arithmetic and comparison between a vector and a scalar; a comparison that filters keeps the vector's values."""
    left, right = (matrix.values, scalar) if vector_left else (scalar, matrix.values)
    values, holds = calculate(node.op, left, right, as_bool=node.bool)
    if holds is not None:
        return replace(matrix, present=matrix.present & holds).compact()
    return without_names(matrix.with_points(values), delayed=delayed)
