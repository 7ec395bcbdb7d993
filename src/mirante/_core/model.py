"""Values of the metrics data model: frozen, without behaviour, shared by every part that handles metrics.

Source: the Prometheus exposition formats and OpenMetrics 1.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Exemplar(NamedTuple):
    """One example behind a counter's or bucket's value.

    Attributes:
        labels: usually ``trace_id`` and ``span_id``.
        value: the observed value.
        timestamp: seconds since the Unix epoch, or None.

    Example:
        >>> Exemplar({"trace_id": "abc"}, 0.3)
        Exemplar(labels={'trace_id': 'abc'}, value=0.3, timestamp=None)
    """

    labels: Mapping[str, str]
    value: float
    timestamp: float | None = None


class Sample(NamedTuple):
    """One line of an exposition.

    Attributes:
        name: the full name with its suffix, such as ``http_requests_total`` or ``latency_seconds_bucket``.
        labels: label names to values, ``le`` and ``quantile`` included.
        value: a float64.
        timestamp: seconds since the Unix epoch, or None when it is the time of collection.
        exemplar: an example behind the value, or None.

    Example:
        >>> Sample("up", {"job": "shop"}, 1.0).value
        1.0
    """

    name: str
    labels: Mapping[str, str]
    value: float
    timestamp: float | None = None
    exemplar: Exemplar | None = None


class NativePoint(NamedTuple):
    """One series of a native histogram: buckets whose bounds grow by the factor ``2 ** 2 ** -schema``.

    Bucket ``i`` counts values in ``(base ** (i - 1), base ** i]``; negative ones are mirrored.

    Attributes:
        labels: label names to values.
        schema: resolution, from -4 to 8.
        zero_threshold: values at most this far from zero are counted in ``zero_count``.
        zero_count: how many those were.
        sum: of all values.
        positive: bucket index to count.
        negative: the same for values below zero.
        exemplars: some examples.
        created: seconds since the Unix epoch when it began at zero, or None.
    """

    labels: Mapping[str, str]
    schema: int
    zero_threshold: float
    zero_count: int
    sum: float
    positive: Mapping[int, int]
    negative: Mapping[int, int]
    exemplars: tuple[Exemplar, ...] = ()
    created: float | None = None

    @property
    def observations(self) -> int:
        """How many values were counted."""
        return self.zero_count + sum(self.positive.values()) + sum(self.negative.values())


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """All samples that belong to one declared metric.

    Attributes:
        name: the family's name as OpenMetrics has it: a counter's without ``_total``.
        type: ``counter``, ``gauge``, ``histogram``, ``summary``, ``info``, ``stateset`` or ``unknown``.
        help: one sentence for people.
        unit: the base unit, such as ``seconds``, or the empty string.
        samples: in the order in which they are exposed.
        native: series of native histograms, beside or instead of classic ones in ``samples``.

    Example:
        >>> MetricFamily("up", "gauge", samples=(Sample("up", {}, 1.0),)).samples[0].name
        'up'
    """

    name: str
    type: str
    help: str = ""
    unit: str = ""
    samples: tuple[Sample, ...] = ()
    native: tuple[NativePoint, ...] = ()


class Collector(Protocol):
    """Anything that yields metric families when asked: an instrument, a registry, the host's metrics."""

    def collect(self) -> Iterable[MetricFamily]:
        """The current families; called from any thread."""
        ...
