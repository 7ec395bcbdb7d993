"""How many label sets a metric may have, and what becomes of those beyond."""

from __future__ import annotations

from collections.abc import Collection

from mirante._core.guard import REPORTER
from mirante.errors import DeclarationError

OVERFLOW = "_overflow"
"""Every label's value in the one series that all further label sets share."""


class Limit:
    """Guards one metric against label values without end.

    Attributes:
        most: label sets that it may have.
        refused: how often ``labels()`` gave the overflow series instead.
    """

    __slots__ = ("most", "refused")

    def __init__(self, metric: str, most: int) -> None:
        if most < 1:
            raise DeclarationError(f"{metric}: max_label_sets must be at least 1, and is {most}")
        self.most = most
        self.refused = 0

    def refuse(self, metric: str, declared_at: str, labels: tuple[str, ...], sets: Collection[tuple[str, ...]]) -> None:
        """Count one, and the first time tell people which label it is.

        Args:
            metric: its name.
            declared_at: ``file:line`` of its declaration.
            labels: its label names.
            sets: the label sets that it has.
        """
        self.refused += 1
        if self.refused > 1:
            return
        distinct = [len(set(column)) for column in zip(*list(sets), strict=True)]
        worst = max(range(len(labels)), key=distinct.__getitem__)
        REPORTER.warn(
            f"metric {metric}",
            f"declared at {declared_at}, has reached its {self.most} label sets: the label {labels[worst]!r} has "
            f"{distinct[worst]} values. Further ones share a series with the value {OVERFLOW!r}. Leave out what is "
            "different each time (ids, addresses, raw paths), or declare the metric with a greater max_label_sets",
        )
