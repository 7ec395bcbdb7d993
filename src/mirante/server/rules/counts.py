"""How the evaluation of rules goes, as metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from mirante._core.model import MetricFamily, Sample
from mirante.server.rules.group import Group

_METRICS: tuple[tuple[str, str, str, Callable[[Group], float]], ...] = (
    ("rule_evaluations", "counter", "Evaluations of rules.", lambda x: x.counts.evaluations),
    ("rule_evaluation_failures", "counter", "Evaluations of rules that failed.", lambda x: x.counts.failures),
    (
        "rule_group_iterations",
        "counter",
        "Evaluations of groups that were due, those that were missed included.",
        lambda x: x.counts.iterations,
    ),
    (
        "rule_group_iterations_missed",
        "counter",
        "Evaluations of groups that were missed because the one before took too long.",
        lambda x: x.counts.missed,
    ),
    ("rule_group_interval_seconds", "gauge", "Time between two evaluations.", lambda x: x.interval / 1000),
    ("rule_group_rules", "gauge", "Rules of the group.", lambda x: len(x.rules)),
    ("rule_group_last_duration_seconds", "gauge", "How long the last evaluation took.", lambda x: x.counts.seconds),
    (
        "rule_group_last_evaluation_timestamp_seconds",
        "gauge",
        "When the group was evaluated last.",
        lambda x: x.counts.at / 1000,
    ),
    (
        "rule_group_last_evaluation_samples",
        "gauge",
        "Samples that the last evaluation wrote.",
        lambda x: x.counts.samples,
    ),
)


def families(groups: Sequence[Group]) -> Iterator[MetricFamily]:
    """The metrics of all groups, under our own and under Prometheus's names, as rules and dashboards ask for those."""
    for prefix in ("mirante", "prometheus"):
        for name, kind, text, read in _METRICS:
            full = f"{prefix}_{name}"
            line = f"{full}_total" if kind == "counter" else full
            yield MetricFamily(full, kind, text, samples=tuple(_samples(line, groups, read)))


def _samples(line: str, groups: Iterable[Group], read: Callable[[Group], float]) -> Iterator[Sample]:
    for group in groups:
        yield Sample(line, {"rule_group": f"{group.spec.file};{group.spec.name}"}, float(read(group)))
