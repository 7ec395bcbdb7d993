"""Recording rules: what an expression yields, under another name. Source: Prometheus 3, ``rules/recording.go``."""

from __future__ import annotations

from mirante.errors import QueryError, QueryLimitError
from mirante.server.rules.evaluation import NAME, RuleQuery, RuleSample, key_of, relabeled
from mirante.server.rules.model import RecordingRule

_AMBIGUOUS = "vector contains metrics with the same labelset after applying rule labels"


class Recording:
    """A recording rule.

    Args:
        rule: the rule, with the labels of its group.
    """

    def __init__(self, rule: RecordingRule) -> None:
        self.rule = rule
        self._labels = {**rule.labels, NAME: rule.record}

    def evaluate(self, query: RuleQuery, now: int, at: int, limit: int) -> list[RuleSample]:
        """Give what the expression yields for ``at``, under the rule's name; ``now`` plays no part.

        Raises:
            QueryError: the rule cannot be evaluated, or yields more series than ``limit`` (0 for any).
            StoreError: the store failed.
        """
        points = query.vector(self.rule.expression, at)
        samples = [RuleSample(relabeled(point.labels, self._labels), at, point.value) for point in points]
        if len({key_of(sample.labels) for sample in samples}) < len(samples):
            raise QueryError(_AMBIGUOUS)
        if limit and len(samples) > limit:
            raise QueryLimitError(f"exceeded limit of {limit} with {len(samples)} series")
        return samples
