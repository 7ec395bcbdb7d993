"""Metric families that custom collectors fill, and their way to and from mirante's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

from mirante._core.model import Exemplar, MetricFamily, Sample
from mirante.compat.prometheus_client.samples import Timestamp
from mirante.metrics.names import metric_name

METRIC_TYPES = ("counter", "gauge", "summary", "histogram", "gaugehistogram", "unknown", "info", "stateset")

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "counter": ("_total", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "info": ("_info",),
}
"""What a family's samples may have behind its name, by type."""

Time = float | Timestamp | None
Bucket = tuple[str, float] | tuple[str, float, Exemplar | None]


class Metric:
    """A family with its samples.

    Args:
        name: of the family, a counter's without ``_total``; the unit is appended where it is missing.
        documentation: one sentence for people.
        typ: one of METRIC_TYPES; ``untyped`` means ``unknown``.
        unit: base unit.

    Raises:
        ValueError: there is no such type, or the name is none.

    Example:
        >>> metric = Metric("temperature", "How warm it is.", "gauge", unit="celsius")
        >>> metric.add_sample("temperature_celsius", {"room": "kitchen"}, 21.5)
        >>> metric.samples[0].value
        21.5
    """

    def __init__(self, name: str, documentation: str, typ: str, unit: str = "") -> None:
        self.name = metric_name(name, unit, utf8=True)
        self.documentation = documentation
        self.unit = unit
        self.type = "unknown" if typ == "untyped" else typ
        if self.type not in METRIC_TYPES:
            raise ValueError(f"{name}: {typ!r} is no type of metric; use one of {METRIC_TYPES}")
        self.samples: list[Sample] = []

    def add_sample(
        self,
        name: str,
        labels: Mapping[str, str],
        value: float,
        timestamp: Time = None,
        exemplar: Exemplar | None = None,
    ) -> None:
        """Append a sample with its full name."""
        at = None if timestamp is None else float(timestamp)
        self.samples.append(Sample(name, dict(labels), value, at, exemplar))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Metric) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment] # it changes

    def __repr__(self) -> str:
        return f"Metric({self.name}, {self.documentation}, {self.type}, {self.unit}, {self.samples})"


class _Labelled(Metric):
    """A family whose samples have the same label names.

    Raises:
        ValueError: a value and label names are given, but a value is for a family without labels.
    """

    _typ: str

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str] | None, unit: str, *, has_value: bool
    ) -> None:
        super().__init__(name, documentation, self._typ, unit)
        if labels is not None and has_value:
            raise ValueError(f"{name}: give either a value or labels; with labels, add_metric() takes the values")
        self._labelnames = tuple(labels or ())

    def _add(
        self,
        suffix: str,
        labels: Sequence[str],
        value: float,
        timestamp: Time = None,
        exemplar: Exemplar | None = None,
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        # As prometheus_client has it: a missing label value leaves the label out.
        named = dict(zip(self._labelnames, labels, strict=False))
        self.add_sample(self.name + suffix, {**named, **more}, value, timestamp, exemplar)


class _Single(_Labelled):
    """A family with one number for each label set."""

    def __init__(
        self,
        name: str,
        documentation: str,
        value: float | None = None,
        labels: Sequence[str] | None = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, labels, unit, has_value=value is not None)
        if value is not None:
            self.add_metric([], value)

    def add_metric(self, labels: Sequence[str], value: float, timestamp: Time = None) -> None:
        """Add the sample with those label values."""
        self._add("", labels, value, timestamp)


class GaugeMetricFamily(_Single):
    """A gauge.

    Example:
        >>> depth = GaugeMetricFamily("queue_depth", "Waiting jobs.", labels=["queue"])
        >>> depth.add_metric(["mail"], 3)
    """

    _typ = "gauge"


class UnknownMetricFamily(_Single):
    """A number of which nobody knows whether it may fall.

    Example:
        >>> UnknownMetricFamily("legacy_value", "Nobody knows.", value=3).type
        'unknown'
    """

    _typ = "unknown"


UntypedMetricFamily = UnknownMetricFamily


class CounterMetricFamily(_Labelled):
    """A counter; its samples end in ``_total``, and ``_created`` says since when it counts.

    Example:
        >>> CounterMetricFamily("jobs_total", "Jobs done.", value=7).samples[0].name
        'jobs_total'
    """

    _typ = "counter"

    def __init__(
        self,
        name: str,
        documentation: str,
        value: float | None = None,
        labels: Sequence[str] | None = None,
        created: float | None = None,
        unit: str = "",
        exemplar: Exemplar | None = None,
    ) -> None:
        super().__init__(name.removesuffix("_total"), documentation, labels, unit, has_value=value is not None)
        if value is not None:
            self.add_metric([], value, created, exemplar=exemplar)

    def add_metric(
        self,
        labels: Sequence[str],
        value: float,
        created: float | None = None,
        timestamp: Time = None,
        exemplar: Exemplar | None = None,
    ) -> None:
        """Add the samples with those label values; ``created`` in seconds since the Unix epoch."""
        self._add("_total", labels, value, timestamp, exemplar)
        if created is not None:
            self._add("_created", labels, created, timestamp)


class SummaryMetricFamily(_Labelled):
    """Count and sum of values.

    Example:
        >>> SummaryMetricFamily("rpc_seconds", "Calls.", count_value=10, sum_value=2.5).samples[1].value
        2.5
    """

    _typ = "summary"

    def __init__(
        self,
        name: str,
        documentation: str,
        count_value: int | None = None,
        sum_value: float | None = None,
        labels: Sequence[str] | None = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, labels, unit, has_value=count_value is not None)
        if (count_value is None) != (sum_value is None):
            raise ValueError(f"{name}: give both count_value and sum_value, or neither")
        if count_value is not None and sum_value is not None:
            self.add_metric([], count_value, sum_value)

    def add_metric(self, labels: Sequence[str], count_value: int, sum_value: float, timestamp: Time = None) -> None:
        """Add the samples with those label values."""
        self._add("_count", labels, count_value, timestamp)
        self._add("_sum", labels, sum_value, timestamp)


class HistogramMetricFamily(_Labelled):
    """Values counted in buckets, given as pairs of upper bound and cumulative count, ``+Inf`` the last.

    Example:
        >>> sizes = HistogramMetricFamily("size_bytes", "Sizes.", buckets=[("100", 5), ("+Inf", 6)], sum_value=700)
        >>> [sample.value for sample in sizes.samples]
        [5, 6, 6, 700]
    """

    _typ = "histogram"

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: Sequence[Bucket] | None = None,
        sum_value: float | None = None,
        labels: Sequence[str] | None = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, labels, unit, has_value=buckets is not None)
        if buckets is not None:
            self.add_metric([], buckets, sum_value)
        elif sum_value is not None:
            raise ValueError(f"{name}: sum_value needs buckets")

    def add_metric(
        self, labels: Sequence[str], buckets: Sequence[Bucket], sum_value: float | None, timestamp: Time = None
    ) -> None:
        """Add the samples with those label values; count and sum are left out where values may be negative."""
        for le, value, *exemplar in buckets:
            self._add("_bucket", labels, value, timestamp, exemplar[0] if exemplar else None, {"le": le})
        if float(buckets[0][0]) >= 0 and sum_value is not None:
            self._add("_count", labels, buckets[-1][1], timestamp)
            self._add("_sum", labels, sum_value, timestamp)


class GaugeHistogramMetricFamily(_Labelled):
    """A histogram of what is there now, whose counts may fall. It is exposed as gauges of the same names.

    Example:
        >>> GaugeHistogramMetricFamily("waiting", "By age.", buckets=[("+Inf", 6)], gsum_value=7).samples[1].name
        'waiting_gcount'
    """

    _typ = "gaugehistogram"

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: Sequence[tuple[str, float]] | None = None,
        gsum_value: float = 0.0,
        labels: Sequence[str] | None = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, labels, unit, has_value=buckets is not None)
        if buckets is not None:
            self.add_metric([], buckets, gsum_value)

    def add_metric(
        self, labels: Sequence[str], buckets: Sequence[tuple[str, float]], gsum_value: float, timestamp: Time = None
    ) -> None:
        """Add the samples with those label values."""
        for le, value in buckets:
            self._add("_bucket", labels, value, timestamp, None, {"le": le})
        self._add("_gcount", labels, buckets[-1][1], timestamp)
        self._add("_gsum", labels, gsum_value, timestamp)


class InfoMetricFamily(_Labelled):
    """Facts, as labels of a 1.

    Example:
        >>> InfoMetricFamily("build", "How it was built.", value={"version": "1.2"}).samples[0].labels
        {'version': '1.2'}
    """

    _typ = "info"

    def __init__(
        self,
        name: str,
        documentation: str,
        value: Mapping[str, str] | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        super().__init__(name, documentation, labels, "", has_value=value is not None)
        if value is not None:
            self.add_metric([], value)

    def add_metric(self, labels: Sequence[str], value: Mapping[str, str], timestamp: Time = None) -> None:
        """Add the sample with those label values and facts."""
        self._add("_info", labels, 1, timestamp, None, value)


class StateSetMetricFamily(_Labelled):
    """Which states hold, one series for each.

    Example:
        >>> StateSetMetricFamily("flags", "What is on.", value={"b": False, "a": True}).samples[0].labels
        {'flags': 'a'}
    """

    _typ = "stateset"

    def __init__(
        self,
        name: str,
        documentation: str,
        value: Mapping[str, bool] | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        super().__init__(name, documentation, labels, "", has_value=value is not None)
        if value is not None:
            self.add_metric([], value)

    def add_metric(self, labels: Sequence[str], value: Mapping[str, bool], timestamp: Time = None) -> None:
        """Add the samples with those label values, sorted by state."""
        for state, holds in sorted(value.items()):
            self._add("", labels, int(holds), timestamp, None, {self.name: state})


class Collector(Protocol):
    """Anything that gives families when asked; it may have ``describe()`` too, which gives them without samples."""

    def collect(self) -> Iterable[Any]:
        """The present families: of this module, of prometheus_client, or mirante's own."""
        ...


class Adapted:
    """A custom collector as mirante's registry takes it; families that it gives in parts are put together."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def collect(self) -> Iterator[MetricFamily]:
        """As a collector does."""
        found: dict[str, MetricFamily] = {}
        for metric in self._collector.collect():
            for family in to_families(metric):
                first = found.get(family.name)
                samples = family.samples if first is None else first.samples + family.samples
                found[family.name] = replace(first or family, samples=samples)
        yield from found.values()


def adapt(collector: Collector) -> Adapted:
    """The adapted collector under its own class's name, by which its faults are reported."""
    kind: type[Adapted] = type(type(collector).__name__, (Adapted,), {})
    return kind(collector)


def to_families(metric: Any) -> Iterator[MetricFamily]:  # noqa: ANN401 - a Metric of this module or prometheus_client
    """Mirante's own families for one of prometheus_client's."""
    if isinstance(metric, MetricFamily):
        yield metric
        return
    samples = [Sample(s.name, s.labels, s.value, _seconds(s.timestamp), s.exemplar) for s in metric.samples]
    if metric.type != "gaugehistogram":
        yield MetricFamily(metric.name, metric.type, metric.documentation, metric.unit, tuple(samples))
        return
    for suffix in SUFFIXES["gaugehistogram"]:
        name = metric.name + suffix
        own = tuple(sample for sample in samples if sample.name == name)
        yield MetricFamily(name, "gauge", metric.documentation, "", own)


def _seconds(timestamp: Any) -> float | None:  # noqa: ANN401 - a number or anybody's Timestamp
    return None if timestamp is None else float(timestamp)


def from_family(family: MetricFamily) -> Metric:
    """One of mirante's own families as prometheus_client has it."""
    metric = Metric(family.name, family.help, family.type)
    metric.unit = family.unit
    metric.samples = list(family.samples)
    return metric
