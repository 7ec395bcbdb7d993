"""Chooses series of one metric by their labels, in memory, and remembers what it chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mirante.server.promql.matchers import matches
from mirante.server.rules.evaluation import NAME
from mirante.server.store.api import Labels, Matcher, SeriesSet

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chosen(SeriesSet):
    """Some series of a metric.

    Attributes:
        metric: its name.
        family: all its series.
        rows: which of them these are.
    """

    metric: str
    family: SeriesSet
    rows: Rows


class LabelIndex:
    """The series of one metric by the values of their labels.

    Args:
        metric: its name.
        family: its series.
    """

    def __init__(self, metric: str, family: SeriesSet) -> None:
        self.family = family
        self._metric = metric
        self._columns: dict[str, Mapping[str, Rows]] = {}
        self._chosen: dict[tuple[Matcher, ...], Chosen] = {}

    def choose(self, matchers: Sequence[Matcher]) -> Chosen:
        """The series that fulfil all matchers; the same object for the same matchers.

        Raises:
            BadQueryError: a regular expression is wrong.
        """
        key = tuple(matchers)
        chosen = self._chosen.get(key)
        if chosen is None:
            rows = np.arange(len(self.family))
            for matcher in key:
                if matcher.name != NAME or matcher.op != "=":
                    rows = np.intersect1d(rows, self._matching(matcher), assume_unique=True)
            labels: Sequence[Labels] = [self.family.labels[row] for row in rows.tolist()]
            chosen = self._chosen[key] = Chosen(self.family.ids[rows], labels, self._metric, self.family, rows)
        return chosen

    def _matching(self, matcher: Matcher) -> Rows:
        column = self._columns.get(matcher.name)
        if column is None:
            values: dict[str, list[int]] = {}
            for row, labels in enumerate(self.family.labels):
                values.setdefault(labels.get(matcher.name, ""), []).append(row)
            column = self._columns[matcher.name] = {value: np.array(rows) for value, rows in values.items()}
        if matcher.op == "=":
            return column.get(matcher.value, _NONE)
        found = [rows for value, rows in column.items() if matches({matcher.name: value}, [matcher])]
        return np.sort(np.concatenate(found)) if found else _NONE


_NONE: Rows = np.empty(0, dtype=np.int64)
