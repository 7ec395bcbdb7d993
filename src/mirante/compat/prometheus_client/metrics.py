"""Counter, Gauge, Summary, Histogram, Info and Enum with prometheus_client's arguments: mirante's own instruments."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar

from mirante import metrics as own
from mirante.compat.prometheus_client.registry import REGISTRY, CollectorRegistry
from mirante.errors import DeclarationError
from mirante.formats.names import METRIC_NAME
from mirante.metrics import timer
from mirante.metrics.family import Child, Instrument
from mirante.metrics.options import Mode, Options

C = TypeVar("C", bound=Child)

GaugeMode = Literal[
    "all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent", "livemostrecent"
]

_MODES: dict[GaugeMode, Mode] = {
    "all": "all", "liveall": "all", "min": "min", "livemin": "livemin", "max": "max", "livemax": "livemax",
    "sum": "sum", "livesum": "livesum", "mostrecent": "last", "livemostrecent": "livelast",
}  # fmt: skip


class Timer(timer.Timer):
    """Records the seconds from entering to leaving.

    Attributes:
        duration: those seconds; None before leaving.

    Example:
        >>> from mirante.compat.prometheus_client import CollectorRegistry, Summary
        >>> latency = Summary("latency_seconds", "Time to answer.", ["code"], registry=CollectorRegistry())
        >>> with latency.time() as measured:
        ...     measured.labels("200")
        >>> measured.duration < 1.0
        True
    """

    __slots__ = ("_metric", "_operation", "duration")

    def __init__(self, metric: Any, operation: str) -> None:  # noqa: ANN401 - a metric or child of any kind
        # The method is looked up when the seconds are known, because labels() may replace the metric until then.
        self._metric = metric
        self._operation = operation
        self.duration: float | None = None

    def fresh(self) -> Self:
        """A timer of its own for each call, because calls overlap."""
        return type(self)(self._metric, self._operation)

    def labels(self, *values: object, **named: object) -> None:
        """Record into the child with those label values, which may be known only inside the block."""
        self._metric = self._metric.labels(*values, **named)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.duration = perf_counter() - self._start
        getattr(self._metric, self._operation)(self.duration)


class _Timed(Protocol):
    """What ``time`` is on every metric: a way to a timer."""

    time: Callable[[], timer.Timer]
    label_names: tuple[str, ...]


class _Face(Instrument[C]):
    """What prometheus_client's metrics have beyond mirante's."""

    __slots__ = ()

    def clear(self) -> None:
        """Forget all children; nothing happens where there are no labels."""
        if self.label_names:
            super().clear()

    def remove_by_labels(self, labels: Mapping[str, object]) -> None:
        """Forget all children that have these label values, whatever their other ones are.

        Raises:
            DeclarationError: the metric has no such label.
        """
        unknown = sorted(set(labels) - set(self.label_names))
        if unknown:
            raise DeclarationError(f"{self.name}: it has no labels {unknown}, only {self.label_names}")
        wanted = {self.label_names.index(name): str(value) for name, value in labels.items()}
        for child in self.children() if wanted else []:
            if all(child.label_values[at] == value for at, value in wanted.items()):
                self.remove(*child.label_values)


def _full_name(name: str, namespace: str, subsystem: str) -> str:
    if not name:
        raise DeclarationError("a metric's name must not be empty")
    return "_".join(filter(None, (namespace, subsystem, name)))


def _options(unit: str, *names: str) -> Options:
    """Names of the newer kind are allowed, as prometheus_client does; they cost more when exposed."""
    return {"unit": unit} if all(map(METRIC_NAME.fullmatch, names)) else {"unit": unit, "utf8": True}


def _timed(metric: _Timed, operation: str) -> None:
    """Give a metric with labels a timer that learns them later."""
    if metric.label_names:
        metric.time = lambda: Timer(metric, operation)


class BoundCounter(own.BoundCounter):
    """One series of a counter."""

    __slots__ = ()

    def reset(self) -> None:
        """Start again from zero."""
        self.total.cell_contents = 0.0
        self.example.cell_contents = None


class Counter(_Face[own.BoundCounter], own.Counter):
    """A number that only rises; its sample ends in ``_total``, written or not.

    Args:
        name: of the metric.
        documentation: one sentence for people.
        labelnames: names of its labels.
        namespace: put before the name, with ``_`` between.
        subsystem: put between namespace and name.
        unit: base unit, put behind the name where it is missing.
        registry: where it is exposed; None for nowhere.

    Raises:
        DuplicateTimeseries: its name is taken in the registry.
        DeclarationError: a name breaks the data model's rules; both are ValueErrors.

    Example:
        >>> from mirante.compat.prometheus_client import CollectorRegistry, Counter
        >>> failures = Counter("my_failures", "Description.", ["kind"], registry=CollectorRegistry())
        >>> failures.labels(kind="disk").inc(1.6)
        DONE
    """

    __slots__ = ()

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
    ) -> None:
        labels, full = _names(labelnames), _full_name(name, namespace, subsystem)
        own.Counter.__init__(self, full, documentation, labels, **_options(unit, full, *labels))
        _add(self, registry)

    def _new(self) -> own.BoundCounter:
        return BoundCounter()


class Gauge(_Face[own.BoundGauge], own.Gauge):
    """A number that goes up and down.

    Args:
        multiprocess_mode: how the gauges of several processes become one.

    Other arguments and errors as for Counter.

    Example:
        >>> from mirante.compat.prometheus_client import CollectorRegistry, Gauge
        >>> depth = Gauge("depth", "Waiting jobs.", namespace="shop", registry=CollectorRegistry())
        >>> depth.set(4.2)
        DONE
    """

    __slots__ = ()

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
        multiprocess_mode: GaugeMode = "all",
    ) -> None:
        if multiprocess_mode not in _MODES:
            raise DeclarationError(f"{name}: multiprocess_mode must be one of {(*_MODES,)}")
        labels, full = _names(labelnames), _full_name(name, namespace, subsystem)
        mode, options = _MODES[multiprocess_mode], _options(unit, full, *labels)
        own.Gauge.__init__(self, full, documentation, labels, multiprocess_mode=mode, **options)
        self.time = lambda: Timer(self, "set")
        _add(self, registry)


class BoundSummary(own.BoundSummary):
    """The series of a summary that share their label values."""

    __slots__ = ()

    def time(self) -> Timer:
        """A context manager and decorator that observes the seconds from entering to leaving."""
        return Timer(self, "observe")


class Summary(_Face[own.BoundSummary], own.Summary):
    """Count and sum of values, without quantiles; ``mirante.metrics.summary`` has them.

    Arguments and errors as for Counter.

    Example:
        >>> from mirante.compat.prometheus_client import CollectorRegistry, Summary
        >>> size = Summary("request_size_bytes", "Request size.", registry=CollectorRegistry())
        >>> size.observe(512)
        DONE
    """

    __slots__ = ()

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
    ) -> None:
        labels, full = _names(labelnames), _full_name(name, namespace, subsystem)
        own.Summary.__init__(self, full, documentation, labels, quantiles=(), **_options(unit, full, *labels))
        _timed(self, "observe")
        _add(self, registry)

    def _new(self) -> own.BoundSummary:
        return BoundSummary(None)


class BoundHistogram(own.BoundHistogram):
    """The series of a histogram that share their label values."""

    __slots__ = ()

    def time(self) -> Timer:
        """A context manager and decorator that observes the seconds from entering to leaving."""
        return Timer(self, "observe")


class Histogram(_Face[own.BoundHistogram], own.Histogram):
    """Values counted in buckets.

    Args:
        buckets: upper bounds, numbers or their text, rising; ``+Inf`` may be left out.

    Other arguments and errors as for Counter.

    Example:
        >>> from mirante.compat.prometheus_client import CollectorRegistry, Histogram
        >>> latency = Histogram("latency_seconds", "Time to answer.", registry=CollectorRegistry())
        >>> with latency.time():
        ...     pass
    """

    __slots__ = ()

    DEFAULT_BUCKETS = (*own.DEFAULT_BUCKETS, math.inf)

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
        buckets: Sequence[float | str] = DEFAULT_BUCKETS,
    ) -> None:
        labels, full = _names(labelnames), _full_name(name, namespace, subsystem)
        bounds = [float(bound) for bound in buckets]
        own.Histogram.__init__(self, full, documentation, labels, buckets=bounds, **_options(unit, full, *labels))
        _timed(self, "observe")
        _add(self, registry)

    def _new(self) -> own.BoundHistogram:
        return BoundHistogram(self._bounds)


class Info(_Face[own.BoundInfo], own.Info):
    """Facts, as labels of a 1; its sample is the name with ``_info`` behind.

    Arguments and errors as for Counter.

    Example:
        >>> from mirante.compat.prometheus_client import CollectorRegistry, Info
        >>> build = Info("my_build", "Description of info", registry=CollectorRegistry())
        >>> build.info({"version": "1.2.3", "buildhost": "foo@bar"})
        DONE
    """

    __slots__ = ()

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
    ) -> None:
        labels, full = _names(labelnames), _full_name(name, namespace, subsystem)
        # prometheus_client puts the suffix behind every name, also behind one that has it already.
        own.Info.__init__(self, f"{full}_info", documentation, labels, **_options(unit, full, *labels))
        _add(self, registry)


class Enum(_Face[own.BoundStateSet], own.StateSet):
    """Which of several states something is in; the first one at the beginning.

    Args:
        states: their names.

    Other arguments and errors as for Counter.

    Example:
        >>> from mirante.compat.prometheus_client import CollectorRegistry, Enum
        >>> task = Enum("task_state", "Description.", states=["starting", "running"], registry=CollectorRegistry())
        >>> task.state("running")
        DONE
    """

    __slots__ = ()

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        registry: CollectorRegistry | None = REGISTRY,
        states: Sequence[str] = (),
    ) -> None:
        labels, full = _names(labelnames), _full_name(name, namespace, subsystem)
        own.StateSet.__init__(self, full, documentation, labels, states=states, **_options(unit, full, *labels))
        _add(self, registry)


def _names(labelnames: Iterable[str]) -> Sequence[str]:
    # A plain text stays one, so that it is refused; prometheus_client takes its letters for names.
    return labelnames if isinstance(labelnames, str) else tuple(labelnames)


def _add(instrument: Instrument[Any], registry: CollectorRegistry | None) -> None:
    if registry is not None:
        registry.register(instrument)


def disable_created_metrics() -> None:
    """Nothing changes: instruments here expose no ``_created`` series."""


def enable_created_metrics() -> None:
    """Warns that instruments here expose no ``_created`` series."""
    warnings.warn("mirante's instruments expose no _created series", UserWarning, stacklevel=2)
