"""Aggregations: many series of a group into one, or into the chosen few.

Groups of equal size form a cube (member, group, step), so that all of them are computed at once.
Source of every rule: Prometheus 3, ``promql/engine.go``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mirante.errors import QueryError
from mirante.server.promql.annotations import invalid_quantile, invalid_ratio
from mirante.server.promql.functions.context import Context
from mirante.server.promql.functions.labels import check_label_name
from mirante.server.promql.gofloat import go_decimal
from mirante.server.promql.matrix import NAME, Bools, Floats, Ints, Matrix, empty, merged, pending_names
from mirante.server.promql.numeric import compensated, quantile, sum_rows, variance
from mirante.server.promql.plan import Aggregate
from mirante.server.store.api import Labels


@dataclass(frozen=True, slots=True)
class Groups:
    """Which rows belong together.

    Attributes:
        labels: label set of each group.
        members: row numbers of each group, in order.
    """

    labels: Sequence[Labels]
    members: Sequence[Ints]

    def cubes(self, matrix: Matrix) -> Iterator[tuple[Ints, Cube]]:
        """For each size: the groups that have it, and their cells."""
        sizes = np.array([len(rows) for rows in self.members])
        for size in np.unique(sizes).tolist():
            groups = np.flatnonzero(sizes == size)
            yield groups, Cube(matrix, np.stack([self.members[group] for group in groups.tolist()], axis=1))


_CELLS = 1 << 16
"""What is folded at a time, half a megabyte: more would go through main memory again and again."""


@dataclass(frozen=True, slots=True)
class Cube:
    """The cells of groups of one size: axes are member, group and step.

    Attributes:
        matrix: where they are.
        rows: row numbers, of shape (members, groups).
    """

    matrix: Matrix
    rows: Ints

    @property
    def whole(self) -> tuple[Floats, Bools]:
        """All values, and which of them are samples."""
        return self._members(0, len(self.rows))

    @property
    def inside(self) -> Bools:
        """Which values are samples."""
        return self.matrix.present[:, None, :] if self._in_order else self.matrix.present[self.rows]

    def parts(self) -> Iterator[tuple[Floats, Bools]]:
        """The same by some members at a time."""
        size = max(2, _CELLS // max(1, self.rows.shape[1] * self.matrix.steps))
        for low in range(0, len(self.rows), size):
            yield self._members(low, low + size)

    @property
    def _in_order(self) -> bool:
        """Whether it is one group of all rows."""
        return self.rows.size == len(self.matrix) and self.rows.shape[1] == 1

    def _members(self, low: int, high: int) -> tuple[Floats, Bools]:
        rows = self.rows[low:high]
        values, present = self.matrix.values, self.matrix.present
        if self._in_order:  # no copy
            return values[low:high, None, :], present[low:high, None, :]
        return values[rows], present[rows]


def aggregate(context: Context, node: Aggregate) -> Matrix:
    """The value of an aggregation."""
    if node.op == "count_values":
        return _count_values(context, node)
    if node.op in _SELECTIONS or node.op == "limit_ratio":
        return _select(context, node)
    param = None if node.param is None else context.scalar(node.param)
    matrix = context.vector(node.expr)
    if param is not None:
        for value in np.unique(param[~((param >= 0) & (param <= 1))]).tolist():
            context.notes.warn(invalid_quantile(value), _param_position(node))
    if not len(matrix):
        return empty(matrix.steps)
    groups = group_rows(matrix.labels, node.labels, without=node.without)
    values = np.zeros((len(groups.labels), matrix.steps))
    present = np.zeros(values.shape, dtype=np.bool_)
    for which, cube in groups.cubes(matrix):
        present[which] = cube.inside.any(axis=0)
        with np.errstate(all="ignore"):
            values[which] = quantile_cube(*cube.whole, param) if param is not None else _FOLDS[node.op](cube)
    unnamed = None
    if matrix.unnamed is not None:
        pending = matrix.unnamed
        unnamed = np.array([bool(pending[rows].any()) for rows in groups.members])
    return Matrix(groups.labels, values, present, unnamed)


def _param_position(node: Aggregate) -> int:
    return node.position if node.param is None else node.param.position


def group_rows(labels: Sequence[Labels], names: tuple[str, ...], *, without: bool) -> Groups:
    """Rows by the values of ``names`` or, ``without``, by all labels but those and the metric name."""
    if not names and not without:
        return Groups([{}], [np.arange(len(labels))])
    members: dict[object, list[int]] = {}
    sets: list[Labels] = []
    dropped = {*names, NAME}
    for row, all_labels in enumerate(labels):
        key: object
        if without:
            kept: Labels = {name: value for name, value in all_labels.items() if name not in dropped}
            key = frozenset(kept.items())
        else:
            key = tuple([all_labels.get(name, "") for name in names])
        rows = members.get(key)
        if rows is None:
            rows = members[key] = []
            sets.append(kept if without else {name: all_labels[name] for name in names if all_labels.get(name)})
        rows.append(row)
    return Groups(sets, [np.asarray(rows) for rows in members.values()])


def _sum(cube: Cube) -> Floats:
    return compensated(*sum_rows(_terms(cube, 0.0)))


def _avg(cube: Cube) -> Floats:
    count = _count(cube)
    total, lost = sum_rows(_terms(cube, 0.0))
    mean = compensated(total / count, lost / count)
    overflown = ~np.isfinite(mean)
    if overflown.any():
        # The sum does not fit a float; that of the parts does.
        parts = (values / count for values in _terms(cube, 0.0))
        mean = np.where(overflown, compensated(*sum_rows(parts)), mean)
    return mean


def _count(cube: Cube) -> Floats:
    return np.asarray(cube.inside.sum(axis=0), dtype=np.float64)


def _terms(cube: Cube, value: float) -> Iterator[Floats]:
    """The parts, with that value where no sample is."""
    return (_filled(values, inside, value) for values, inside in cube.parts())


def _filled(values: Floats, inside: Bools, value: float) -> Floats:
    return values if inside.all() else np.where(inside, values, value)


def _extreme(function: np.ufunc) -> Callable[[Cube], Floats]:
    def fold(cube: Cube) -> Floats:
        parts = [function.reduce(values, axis=0) for values in _terms(cube, np.nan)]
        return np.asarray(function.reduce(np.stack(parts), axis=0))

    return fold


def _stdvar(cube: Cube) -> Floats:
    return variance(*cube.whole, axis=0)


_FOLDS: Mapping[str, Callable[[Cube], Floats]] = {
    "sum": _sum,
    "avg": _avg,
    "min": _extreme(np.fmin),
    "max": _extreme(np.fmax),
    "count": _count,
    "group": lambda cube: np.ones((cube.rows.shape[1], cube.matrix.steps)),
    "stdvar": _stdvar,
    "stddev": lambda cube: np.sqrt(_stdvar(cube)),
}


def quantile_cube(cube: Floats, inside: Bools, q: Floats) -> Floats:
    """The quantile of each group at each step."""
    size, groups, steps = cube.shape
    asked = np.broadcast_to(q, (groups, steps)).ravel()
    flat = cube.reshape(size, -1).T, inside.reshape(size, -1).T
    return quantile(asked, *flat).reshape(groups, steps)


def _count_values(context: Context, node: Aggregate) -> Matrix:
    label = "" if node.param is None else context.text(node.param)
    check_label_name(label, "invalid label name")
    matrix = context.vector(node.expr)
    rows: list[Labels] = []
    counts: list[Floats] = []
    unnamed: list[bool] = []
    groups = group_rows(matrix.labels, node.labels, without=node.without)
    for labels, members in zip(groups.labels, groups.members, strict=True):
        values, present = matrix.values[members], matrix.present[members]
        pending = bool(pending_names(matrix)[members].any())
        for value in np.unique(values[present]).tolist():
            same = present & ((values == value) | (np.isnan(values) & np.isnan(value)))
            rows.append({**labels, label: go_decimal(value)})
            counts.append(same.sum(axis=0).astype(np.float64))
            unnamed.append(pending)
    if not rows:
        return empty(matrix.steps)
    table = np.stack(counts)
    return _added(Matrix(rows, table, table > 0, np.array(unnamed) if matrix.unnamed is not None else None))


def _added(matrix: Matrix) -> Matrix:
    """Rows of the same labels (a grouping label was overwritten by the value's) are counted together."""
    groups = group_rows(matrix.labels, (), without=True)
    if len(groups.labels) == len(matrix) or any(NAME in labels for labels in matrix.labels):
        return merged(matrix)
    values = np.stack([np.where(matrix.present[rows], matrix.values[rows], 0.0).sum(axis=0) for rows in groups.members])
    return Matrix(groups.labels, values, values > 0, None)


Selection = Callable[[Floats, Bools, Floats], Bools]
"""Cube, its mask, and the parameter at every step: which cells are chosen."""


def _select(context: Context, node: Aggregate) -> Matrix:
    param = np.zeros(context.steps.count) if node.param is None else context.scalar(node.param)
    _check_param(node.op, param)
    matrix = context.vector(node.expr)
    if not len(matrix):
        return matrix
    groups = group_rows(matrix.labels, node.labels, without=node.without)
    if node.op == "limit_ratio":
        keep = matrix.present & _sampled(context, node, matrix.labels, param)
        return matrix.with_points(matrix.values, keep).compact()
    keep = np.zeros(matrix.present.shape, dtype=np.bool_)
    with np.errstate(all="ignore"):
        wanted = np.clip(np.trunc(param), 0, len(matrix))
    for _, cube in groups.cubes(matrix):
        keep[cube.rows] = _SELECTIONS[node.op](*cube.whole, wanted)
    chosen = matrix.with_points(matrix.values, keep)
    if context.query.many or node.op == "limitk":
        return chosen.compact()
    return _ranked(chosen, groups, largest_first=node.op == "topk")


def _check_param(op: str, param: Floats) -> None:
    if np.isnan(param).any():
        raise QueryError("Ratio value is NaN" if op == "limit_ratio" else "Parameter value is NaN")
    if op != "limit_ratio" and (np.abs(param) >= 2.0**63).any():
        raise QueryError("Scalar value overflows int64")


def _ranked(matrix: Matrix, groups: Groups, *, largest_first: bool) -> Matrix:
    """An instant answer by group and, inside it, by value, NaN last."""
    order: list[Ints] = []
    for rows in groups.members:
        values = matrix.values[rows, 0]
        rank = np.argsort(-values if largest_first else values, kind="stable")
        order.append(rows[rank][matrix.present[rows[rank], 0]])
    return matrix.rows(np.concatenate(order))


def _largest(cube: Floats, inside: Bools, wanted: Floats) -> Bools:
    """The ``wanted`` largest cells of each column; of equal ones the first; NaN only when there is nothing else."""
    numbers = inside & ~np.isnan(cube)
    counts = np.unique(wanted).tolist()
    if len(counts) == 1 and (inside == numbers).all():
        members = _promising(cube, numbers, int(counts[0]))
        if len(members) < len(cube):
            keep = np.zeros(cube.shape, dtype=np.bool_)
            keep[members] = _chosen(cube[members], inside[members], numbers[members], wanted)
            return keep
    return _chosen(cube, inside, numbers, wanted)


_MEMBERS = 64


def _promising(cube: Floats, numbers: Bools, count: int) -> Ints:
    """The only members that can be among the ``count`` largest numbers of a column, of equal ones the first.

    They are judged by 64: with ``count`` greatest values of such parts at least so great, only parts whose own is
    greater matter, and of those where it is equal the first ones.
    """
    parts = [slice(low, low + _MEMBERS) for low in range(0, len(cube), _MEMBERS)]
    if not 0 < count < len(parts) // 4:
        return np.arange(len(cube))
    some = np.stack([numbers[part].any(axis=0) for part in parts])
    best = np.stack([_filled(cube[part], numbers[part], -np.inf).max(axis=0) for part in parts])
    bound = np.partition(best, len(best) - count, axis=0)[len(best) - count]
    equal = some & (best == bound)
    # A bound of minus infinity is a value or stands for none at all: then every part with a number may matter.
    matter = some & ((best > bound) | (bound == -np.inf) | (equal & (np.cumsum(equal, axis=0) <= count)))
    return np.flatnonzero(np.repeat(matter.any(axis=(1, 2)), _MEMBERS)[: len(cube)])


def _chosen(cube: Floats, inside: Bools, numbers: Bools, wanted: Floats) -> Bools:
    ranked = _filled(cube, numbers, -np.inf)
    keep = numbers.copy()
    total = numbers.sum(axis=0)
    counts = np.unique(wanted).tolist()
    for count in counts:
        # A parameter that never changes needs no copy of the columns where it has that value.
        at = slice(None) if len(counts) == 1 else wanted == count
        if 0 < count < len(cube):
            keep[:, :, at] = _above_bound(ranked[:, :, at], numbers[:, :, at], int(count))
        elif count <= 0:
            keep[:, :, at] = False
    missing = inside & ~numbers
    if missing.any():
        keep |= missing & (np.cumsum(missing, axis=0) <= wanted - np.minimum(total, wanted))
    return keep


def _above_bound(ranked: Floats, numbers: Bools, count: int) -> Bools:
    """The ``count`` largest of each column, of equal ones the first."""
    bound = np.partition(ranked, len(ranked) - count, axis=0)[len(ranked) - count]
    keep: Bools = numbers & (ranked >= bound)
    crowded = keep.sum(axis=0) > count
    if crowded.any():
        tops, limit = ranked[:, crowded], bound[crowded]
        above = numbers[:, crowded] & (tops > limit)
        equal = numbers[:, crowded] & (tops == limit)
        room = count - above.sum(axis=0)
        keep[:, crowded] = above | (equal & (np.cumsum(equal, axis=0, dtype=np.int32) <= room))
    return keep


def _first(cube: Floats, inside: Bools, wanted: Floats) -> Bools:
    return inside & (np.cumsum(inside, axis=0) <= wanted)


def _sampled(context: Context, node: Aggregate, labels: Sequence[Labels], ratio: Floats) -> Bools:
    """A share of the series, the same ones every time: a negative ratio chooses those that its complement leaves."""
    for value in np.unique(ratio[np.abs(ratio) > 1]).tolist():
        context.notes.warn(invalid_ratio(value, float(np.sign(value))), _param_position(node))
    ratio = np.clip(ratio, -1, 1)
    place = np.array([_place(row) for row in labels])[:, None]
    return np.where(ratio >= 0, place < ratio, place >= 1 + ratio)


def _place(labels: Labels) -> float:
    """A number in [0, 1) that depends on the labels alone."""
    text = "\xff".join(f"{name}\xff{value}" for name, value in sorted(labels.items()))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8, person=b"limit_ratio").digest()
    return int.from_bytes(digest, "big") / 2**64


_SELECTIONS: Mapping[str, Selection] = {
    "topk": _largest,
    "bottomk": lambda cube, inside, wanted: _largest(-cube, inside, wanted),
    "limitk": _first,
}
