"""What every node of a query evaluates to: one row a series, one column a step.

"No sample" is a boolean array beside the values and not a special NaN. A NaN payload survives addition, but not every
operation (``fmax``, ``power``, comparisons), and an operation on two NaN keeps whichever it likes; the mask costs one
byte beside eight, and every operation says in the open what it does to it. Values under a false mask mean nothing.
A column of another sample type (native histograms) can stand beside ``values`` under a mask of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mirante.errors import QueryError
from mirante.server.store.api import Labels

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

NAME = "__name__"
SAME_LABELS = "vector cannot contain metrics with the same labelset"


@dataclass(frozen=True, slots=True)
class Matrix:
    """The value of a vector at every step; a node's value has no row without any sample (see ``compact``).

    Attributes:
        labels: label sets of the N rows.
        values: float64 of shape (N, steps).
        present: where there is a sample; of the same shape.
        unnamed: rows whose ``__name__`` only goes when the whole answer is ready (delayed name removal), or None.
    """

    labels: Sequence[Labels]
    values: Floats
    present: Bools
    unnamed: Bools | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def steps(self) -> int:
        """How many columns there are."""
        return int(self.values.shape[1])

    def rows(self, index: Ints | Bools) -> Matrix:
        """The rows that a mask or an array of row numbers chooses."""
        chosen = np.flatnonzero(index) if index.dtype == np.bool_ else index
        labels = [self.labels[row] for row in chosen.tolist()]
        unnamed = None if self.unnamed is None else self.unnamed[chosen]
        return Matrix(labels, self.values[chosen], self.present[chosen], unnamed)

    def compact(self) -> Matrix:
        """Without the rows that have no sample at all."""
        used: Bools = np.asarray(self.present.any(axis=1))
        return self if used.all() else self.rows(used)

    def with_points(self, values: Floats, present: Bools | None = None) -> Matrix:
        """The same series with other values."""
        return replace(self, values=values, present=self.present if present is None else present)


def empty(steps: int) -> Matrix:
    """No series at all."""
    return Matrix([], np.empty((0, steps)), np.empty((0, steps), dtype=np.bool_))


def single(labels: Labels, values: Floats, present: Bools | None = None) -> Matrix:
    """One series; without ``present`` it has a sample at every step."""
    mask = np.ones(values.shape, dtype=np.bool_) if present is None else present
    return Matrix([labels], values.reshape(1, -1), mask.reshape(1, -1))


def stack(first: Matrix, second: Matrix) -> Matrix:
    """The rows of both, the second's below."""
    unnamed = None
    if first.unnamed is not None or second.unnamed is not None:
        unnamed = np.concatenate([pending_names(first), pending_names(second)])
    return Matrix(
        [*first.labels, *second.labels],
        np.concatenate([first.values, second.values]),
        np.concatenate([first.present, second.present]),
        unnamed,
    )


def pending_names(matrix: Matrix) -> Bools:
    """``unnamed`` as an array even where there is none."""
    return np.zeros(len(matrix), dtype=np.bool_) if matrix.unnamed is None else matrix.unnamed


def without_names(matrix: Matrix, *, delayed: bool) -> Matrix:
    """Drops ``__name__`` now, or, delayed, notes that it is to be dropped.

    Raises:
        QueryError: when two rows then have the same labels and a sample at the same step.
    """
    if delayed:
        return replace(matrix, unnamed=np.ones(len(matrix), dtype=np.bool_))
    names = {labels.get(NAME) for labels in matrix.labels}
    bare = replace(matrix, labels=[_nameless(labels) for labels in matrix.labels], unnamed=None)
    # Label sets that differ still differ without a name that they all share.
    return bare if len(names) <= 1 else merged(bare)


def names_settled(matrix: Matrix) -> Matrix:
    """Carries out the delayed removals."""
    if matrix.unnamed is None or not matrix.unnamed.any():
        return replace(matrix, unnamed=None)
    labels = [_nameless(row) if gone else row for row, gone in zip(matrix.labels, matrix.unnamed.tolist(), strict=True)]
    return merged(replace(matrix, labels=labels, unnamed=None))


def _nameless(labels: Labels) -> Labels:
    if NAME not in labels:
        return labels
    bare = dict(labels)
    del bare[NAME]
    return bare


def merged(matrix: Matrix, error: str = SAME_LABELS) -> Matrix:
    """Joins rows of the same labels into one, the first's place.

    Raises:
        QueryError: with ``error`` when two of them have a sample at the same step.
    """
    places: dict[frozenset[tuple[str, str]], int] = {}
    target = np.array([places.setdefault(frozenset(row.items()), len(places)) for row in matrix.labels], dtype=np.int64)
    if len(places) == len(matrix):
        return matrix
    first = np.unique(target, return_index=True)[1]
    values, present = matrix.values[first], matrix.present[first]
    unnamed = None if matrix.unnamed is None else matrix.unnamed[first]
    rest = np.ones(len(matrix), dtype=np.bool_)
    rest[first] = False
    for row in np.flatnonzero(rest).tolist():
        place = target[row]
        if (present[place] & matrix.present[row]).any():
            raise QueryError(error)
        values[place] = np.where(matrix.present[row], matrix.values[row], values[place])
        present[place] |= matrix.present[row]
        if unnamed is not None and matrix.unnamed is not None:
            unnamed[place] |= matrix.unnamed[row]
    return Matrix([matrix.labels[row] for row in first.tolist()], values, present, unnamed)
