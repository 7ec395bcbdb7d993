"""Spans, log lines and metrics of a test, kept in memory."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, TypeAlias, TypeVar

from mirante._core.model import MetricFamily, Sample
from mirante.correlation.propagator import propagator
from mirante.integrations.incoming import request_ids
from mirante.logging.line import LogLine, flat
from mirante.logging.pipeline import captured as captured_lines
from mirante.metrics import otel
from mirante.metrics.registry import REGISTRY, Registry
from mirante.testing.ids import FakeIds
from mirante.testing.loggers import taken
from mirante.tracing.process import captured as captured_spans
from mirante.tracing.provider import Pipeline
from mirante.tracing.sampling import AlwaysOn
from mirante.tracing.spans import Span

T = TypeVar("T")
_Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
_GROWING = frozenset({"counter", "histogram", "summary"})


class _Value(NamedTuple):
    """Of one series; ``grows`` tells whether what matters is how much was added."""

    grows: bool
    number: float


class Capture:
    """What was recorded; made by ``capture``.

    Args:
        registry: whose metrics are looked at.

    Attributes:
        spans: those that have ended, in that order.
        logs: the lines, each as one dict with ``event``, ``level``, ``logger``, ``timestamp`` and its other fields.
    """

    def __init__(self, registry: Registry) -> None:
        self.spans: list[Span] = []
        self.logs: list[dict[str, Any]] = []
        self._registry = registry
        self._start = _values(registry.collect())
        self._end: dict[_Key, _Value] | None = None

    def add_line(self, line: LogLine) -> None:
        """Keep a log line."""
        self.logs.append(flat(line))

    def finish(self) -> None:
        """Metrics that change from now on are none of ours."""
        self._end = _values(self._registry.collect())

    def clear(self) -> None:
        """Forget what was recorded until now, such as by what a test sets up."""
        self.spans.clear()
        self.logs.clear()
        self._start = _values(self._registry.collect())

    @property
    def metrics(self) -> list[Sample]:
        """The samples that have changed: of a gauge its value, of all others what was added to it since the start."""
        return [Sample(name, dict(labels), value) for (name, labels), value, changed in self._since_start() if changed]

    def _now(self) -> dict[_Key, _Value]:
        return _values(self._registry.collect()) if self._end is None else self._end

    def _since_start(self) -> Iterator[tuple[_Key, float, bool]]:
        """What every series shows, and whether it has changed."""
        for key, now in self._now().items():
            before = self._start.get(key, _Value(now.grows, 0.0)).number
            # One that is smaller than before began anew.
            grown = now.number - before if now.grows and now.number >= before else now.number
            yield key, grown, now.number != before

    def span(self, name: str) -> Span:
        """The one span of that name.

        Raises:
            AssertionError: there is none, or several; says which there are.
        """
        return _only(
            [one for one in self.spans if one.name == name], f"span {name!r}", [one.name for one in self.spans]
        )

    def log(self, event: str, **fields: object) -> dict[str, Any]:
        """The one line with that event and these fields.

        Raises:
            AssertionError: there is none, or several; says which there are.
        """
        wanted = {"event": event, **fields}
        found = [line for line in self.logs if all(line.get(name) == value for name, value in wanted.items())]
        return _only(found, f"line {wanted}", self.logs)

    def metric(self, name: str, **labels: str) -> float:
        """How much a metric has grown since the start, or where a gauge stands; the sum over all labels not given.

        Args:
            name: a sample's, such as ``orders_total`` or ``request_duration_seconds_count``.
            labels: those that the samples must have.

        Raises:
            AssertionError: nothing of that name is declared, or it has no such labels.
        """
        self._check(name, labels)
        found = [
            value
            for (sample, pairs), value, _ in self._since_start()
            if sample == name and labels.items() <= dict(pairs).items()
        ]
        return float(sum(found))

    def _check(self, name: str, labels: dict[str, str]) -> None:
        """A name or label that is mistyped must not look like a metric that was not touched."""
        known = {sample for sample, _ in self._now()}
        declared = self._registry.get(name)
        # A counter's or histogram's samples have other names than itself; they are there once it was touched.
        nameless = declared is None or (declared.type in _GROWING and name == declared.name)
        if name not in known and nameless:
            near = difflib.get_close_matches(name, sorted(known), n=3)
            raise AssertionError(f"no metric {name!r}; there are {', '.join(near or sorted(known)) or 'none'}")
        unknown = labels.keys() - {"le", "quantile"} - set(declared.label_names if declared is not None else labels)
        if declared is not None and unknown:
            raise AssertionError(f"{name} has no label {min(unknown)!r}; it has {', '.join(declared.label_names)}")


def _only(found: list[T], what: str, all_of_them: Iterable[object]) -> T:
    if len(found) != 1:
        there = "".join(f"\n  {one}" for one in all_of_them) or " nothing"
        raise AssertionError(f"{len(found) or 'no'} {what}; recorded was:{there}")
    return found[0]


def _values(families: Iterable[MetricFamily]) -> dict[_Key, _Value]:
    """Every series; of native histograms count and sum."""
    found: dict[_Key, _Value] = {}
    for family in families:
        samples = list(family.samples)
        for point in family.native:
            samples.append(Sample(f"{family.name}_count", point.labels, float(point.observations)))
            samples.append(Sample(f"{family.name}_sum", point.labels, point.sum))
        for sample in samples:
            grows = family.type in _GROWING and "quantile" not in sample.labels
            found.setdefault((sample.name, tuple(sorted(sample.labels.items()))), _Value(grows, sample.value))
    return found


@contextmanager
def capture(*, level: str = "info", registry: Registry = REGISTRY, ids: FakeIds | None = None) -> Iterator[Capture]:
    """Collect the spans, log lines and metrics of a block in memory, and nowhere else.

    It sees what code records through ``mirante``, the OpenTelemetry API, the standard library's logging and structlog,
    whether ``mirante.configure()`` was called before, is called in the block, or never. Every span is sampled.
    Afterwards everything is as it was; metrics keep their values, because they belong to the modules that declare them,
    and what counts here is how they change.

    Args:
        level: from which on log lines get through.
        registry: the metrics to look at; the process's own when not given.
        ids: of traces, spans and requests; new ones when not given.

    Example:
        >>> from mirante import metrics, tracing
        >>> from mirante.logging import get_logger
        >>> with capture() as seen, tracing.Tracer("shop").start_span("sell"):
        ...     metrics.counter("sold_total").inc(3)
        ...     get_logger("shop").info("sold", items=3)
        DONE
        >>> seen.span("sell").trace_id, seen.log("sold")["items"], seen.metric("sold_total")
        (1, 3, 3.0)
    """
    with ExitStack() as stack:
        stack.enter_context(otel.captured(registry))
        seen = Capture(registry)
        ids = ids or FakeIds()
        stack.enter_context(request_ids(ids.request_id))
        pipeline = Pipeline(seen.spans.append, AlwaysOn(), ids=ids)
        stack.enter_context(captured_spans(pipeline, propagator("tracecontext,baggage")))
        stack.enter_context(captured_lines(seen.add_line))
        stack.enter_context(taken(level))
        try:
            yield seen
        finally:
            seen.finish()
