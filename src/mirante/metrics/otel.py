"""OpenTelemetry's metrics API over mirante's instruments: its instrumentations fill the same registry.

Attributes need no declaration there, so a metric here is one instrument for each set of label names that was seen, and
they are put together when they are collected. Nothing in this module raises into the code that records.

Source: OpenTelemetry specification, "Metrics API" and "Prometheus and OpenMetrics Compatibility".
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from opentelemetry import metrics as api
from opentelemetry.metrics import _internal
from opentelemetry.util._once import Once
from opentelemetry.util.types import Attributes

from mirante._core.guard import REPORTER
from mirante._core.model import MetricFamily
from mirante.errors import DeclarationError
from mirante.formats.otlp_names import label_name, metric_name
from mirante.metrics.distributions import Histogram
from mirante.metrics.family import Instrument
from mirante.metrics.names import DEFAULT_BUCKETS, bucket_bounds
from mirante.metrics.otel_families import Callback, Family, Labels, Observer, Recorder, text
from mirante.metrics.registry import REGISTRY, Registry
from mirante.metrics.types import Counter, Gauge

API_BUCKETS = (0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0)
"""Bounds of a histogram for which nobody chose any, as OpenTelemetry has them; for seconds it is DEFAULT_BUCKETS."""


_DECLARING = threading.Lock()
if hasattr(os, "register_at_fork"):  # pragma: no branch - absent on Windows, where nothing forks
    # Held across fork, so that no child inherits it from a thread that it does not have.
    os.register_at_fork(
        before=_DECLARING.acquire, after_in_parent=_DECLARING.release, after_in_child=_DECLARING.release
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """What is decided here about metrics that other people's code declares. The first one that matches counts.

    Attributes:
        instrument: OpenTelemetry's name of the instrument; ``*`` and ``?`` stand for any letters and any letter.
        meter: name of the instrumentation, the same way.
        buckets: upper bounds of a histogram's buckets.
        native_factor: makes it an exponential histogram too; see Histogram.
        attributes: the only ones that are kept; all of them when not given.
        drop: do not keep the metric at all.

    Example:
        >>> View(instrument="http.*.duration", buckets=(0.1, 0.5, 1.0)).matches("any", "http.server.duration")
        True
    """

    instrument: str = "*"
    meter: str = "*"
    buckets: Sequence[float] | None = None
    native_factor: float | None = None
    attributes: Collection[str] | None = None
    drop: bool = False

    def matches(self, meter: str, instrument: str) -> bool:
        """Whether it is about that instrument."""
        return fnmatchcase(meter, self.meter) and fnmatchcase(instrument, self.instrument)


class _Synchronous:
    """What the four synchronous instruments share."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder


class _Counter(_Synchronous, api.Counter):
    def add(self, amount: float, attributes: Attributes = None, context: object = None) -> None:
        self._recorder.record("inc", amount, attributes)


class _UpDownCounter(_Synchronous, api.UpDownCounter):
    def add(self, amount: float, attributes: Attributes = None, context: object = None) -> None:
        self._recorder.record("inc", amount, attributes)


class _Histogram(_Synchronous, api.Histogram):
    def record(self, amount: float, attributes: Attributes = None, context: object = None) -> None:
        self._recorder.record("observe", amount, attributes)


class _Gauge(_Synchronous, api._Gauge):  # noqa: SLF001 - the API's name for it
    def set(self, amount: float, attributes: Attributes = None, context: object = None) -> None:
        self._recorder.record("set", amount, attributes)


class _Observable:
    """What the three observable instruments share: nothing to be called."""

    def __init__(self) -> None:
        """Nothing to keep: the provider asks the callbacks."""


class _ObservableCounter(_Observable, api.ObservableCounter):
    pass


class _ObservableUpDownCounter(_Observable, api.ObservableUpDownCounter):
    pass


class _ObservableGauge(_Observable, api.ObservableGauge):
    pass


class _Meter(api.Meter):
    """Makes the instruments of one instrumentation."""

    def __init__(
        self, provider: MeterProvider, name: str, version: str | None, schema_url: str | None, scope: dict[str, str]
    ) -> None:
        super().__init__(name, version, schema_url)
        self._provider, self._scope = provider, scope

    def _recorder(self, kind: str, name: str, unit: str, description: str, buckets: Any = None) -> Recorder:  # noqa: ANN401
        return Recorder(*self._declare(kind, name, unit, description, buckets))

    def _declare(self, kind: str, name: str, unit: str, description: str, buckets: Any) -> tuple[Family, Labels]:  # noqa: ANN401
        view = self._provider.view(self.name, name)
        family = self._provider.family(kind, name, unit, description, buckets, view)
        return family, Labels(self._scope, view.attributes, ("le",) if kind == "histogram" else ())

    def _observe(self, kind: str, name: str, callbacks: Sequence[Callback] | None, unit: str, description: str) -> None:
        family, labels = self._declare(kind, name, unit, description, None)
        family.observers.append(Observer(name, tuple(callbacks or ()), labels))

    def create_counter(self, name: str, unit: str = "", description: str = "") -> api.Counter:
        return _Counter(self._recorder("counter", name, unit, description))

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> api.UpDownCounter:
        return _UpDownCounter(self._recorder("sum", name, unit, description))

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> api.Histogram:
        return _Histogram(self._recorder("histogram", name, unit, description, explicit_bucket_boundaries_advisory))

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> api._Gauge:
        return _Gauge(self._recorder("gauge", name, unit, description))

    def create_observable_counter(
        self, name: str, callbacks: Sequence[Callback] | None = None, unit: str = "", description: str = ""
    ) -> api.ObservableCounter:
        self._observe("counter", name, callbacks, unit, description)
        return _ObservableCounter()

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[Callback] | None = None, unit: str = "", description: str = ""
    ) -> api.ObservableUpDownCounter:
        self._observe("sum", name, callbacks, unit, description)
        return _ObservableUpDownCounter()

    def create_observable_gauge(
        self, name: str, callbacks: Sequence[Callback] | None = None, unit: str = "", description: str = ""
    ) -> api.ObservableGauge:
        self._observe("gauge", name, callbacks, unit, description)
        return _ObservableGauge()


class MeterProvider(api.MeterProvider):
    """Gives OpenTelemetry's instrumentations meters whose metrics appear in a registry under their Prometheus names.

    ``http.server.request.duration`` in ``s`` becomes ``http_server_request_duration_seconds``; each series says by
    ``otel_scope_name`` and ``otel_scope_version`` which instrumentation it comes from.

    Args:
        views: what to do with metrics that others declare.
        scope_labels: false leaves out the labels that begin with ``otel_scope_``.

    Example:
        >>> registry = Registry()
        >>> provider = registry.register(MeterProvider(scope_labels=False))
        >>> provider.get_meter("shop").create_counter("orders.placed").add(2, {"shop.city": "Paris"})
        >>> print(registry.expose().decode(), end="")
        # HELP orders_placed_total
        # TYPE orders_placed_total counter
        orders_placed_total{shop_city="Paris"} 2.0
    """

    per_process = True
    """Several processes that share their metrics are added up."""

    def __init__(self, views: Sequence[View] = (), *, scope_labels: bool = True) -> None:
        self.views = tuple(views)
        self._scope_labels = scope_labels
        self._families: dict[str, Family] = {}

    def get_meter(
        self, name: str, version: str | None = None, schema_url: str | None = None, attributes: Attributes = None
    ) -> api.Meter:
        """A meter for the instrumentation of that name."""
        scope: dict[str, str] = {}
        if self._scope_labels:
            named = {"name": name, "version": version, "schema_url": schema_url}
            told = {**(attributes or {}), **{key: value for key, value in named.items() if value}}
            scope = {f"otel_scope_{label_name(key)}": text(value) for key, value in told.items()}
        return _Meter(self, name, version, schema_url, scope)

    def collect(self) -> Iterator[MetricFamily]:
        """The families that have series, as every collector gives them."""
        for family in list(self._families.values()):
            collected = family.collect()
            if collected is not None:
                yield collected

    def reset(self) -> None:
        """Set all counts back to zero and keep gauges, as a forked child does, whose own history begins there."""
        for family in list(self._families.values()):
            family.reset()

    def view(self, meter: str, instrument: str) -> View:
        """The first view that is about that instrument; one that changes nothing when there is none."""
        return next((view for view in self.views if view.matches(meter, instrument)), View())

    def family(self, kind: str, name: str, unit: str, help: str, advice: Any, view: View) -> Family:  # noqa: ANN401
        """The family to record in: one that is never shown where the name is taken by another type, or dropped.

        Args:
            kind: ``counter``, ``sum``, ``gauge`` or ``histogram``.
            name: OpenTelemetry's.
            unit: OpenTelemetry's.
            help: one sentence for people.
            advice: the instrumentation's own bucket bounds, or None.
            view: what is decided here.
        """
        full = metric_name(name, unit, kind).removesuffix("_total" if kind == "counter" else "")
        kind = "gauge" if kind == "sum" else kind
        word = metric_name("x", unit, "histogram").partition("_")[2]
        head = MetricFamily(full, kind, help, word if word and full.endswith(f"_{word}") else "")
        fresh = Family(head, _maker(head, _bounds(full, unit, advice, view), view))
        if view.drop:
            return fresh
        if not metric_name(name, "", "histogram"):
            REPORTER.warn(f"OpenTelemetry metric {name!r}", "left out: this is no name")
            return fresh
        with _DECLARING:
            found = self._families.setdefault(full, fresh)
        if found.head.type != kind:
            REPORTER.warn(f"OpenTelemetry metric {name}", f"left out: {full} is a {found.head.type} already")
            return fresh
        return found


def _maker(head: MetricFamily, bounds: Sequence[float], view: View) -> Callable[[tuple[str, ...]], Instrument[Any]]:
    if head.type == "counter":
        return lambda names: Counter(head.name, head.help, names)
    if head.type == "gauge":
        return lambda names: Gauge(head.name, head.help, names)
    return lambda names: Histogram(head.name, head.help, names, buckets=bounds, native_factor=view.native_factor)


def _bounds(name: str, unit: str, advice: Any, view: View) -> Sequence[float]:  # noqa: ANN401 - whatever is advised
    """A view's bounds before the instrumentation's advice, before the defaults."""
    default = DEFAULT_BUCKETS if unit == "s" else API_BUCKETS
    try:
        return next((bucket_bounds(name, given) for given in (view.buckets, advice) if given is not None), default)
    except (DeclarationError, TypeError, ValueError) as error:
        REPORTER.warn(f"OpenTelemetry metric {name}", f"its bucket bounds are not used: {error}")
        return default


PROVIDER = MeterProvider()
"""The process's one, to which meters that libraries keep go on belonging."""


class _State:
    """Where PROVIDER stands."""

    registry: Registry | None = None
    installs = 0


def install(registry: Registry = REGISTRY, views: Sequence[View] = ()) -> None:
    """Stand in for OpenTelemetry's global meter provider, and show what it records in the registry.

    A global provider that somebody else has set stays. Installing again changes the registry, and the views of metrics
    that are declared from now on.

    Example:
        >>> install()
        >>> uninstall()
    """
    if _State.registry is not None:
        _State.registry.unregister(PROVIDER)
    _State.registry = registry
    _State.installs += 1
    PROVIDER.views = tuple(views)
    registry.register(PROVIDER)
    if _internal._METER_PROVIDER is None:  # noqa: SLF001 - the getter would set it
        api.set_meter_provider(PROVIDER)
    elif _internal._METER_PROVIDER is not PROVIDER:  # noqa: SLF001 - as above
        REPORTER.warn(
            "metrics",
            "another OpenTelemetry meter provider is set already: the metrics of OpenTelemetry's instrumentations go "
            "there; call mirante.configure() before whatever sets it",
        )


def uninstall() -> None:
    """Put back what ``install`` found; meters that libraries keep go on counting, unseen.

    Example:
        >>> install()
        >>> uninstall()
    """
    if _State.registry is not None:
        _State.registry.unregister(PROVIDER)
        _State.registry = None
    if _internal._METER_PROVIDER is PROVIDER:  # noqa: SLF001 - the API can set its provider once only
        _internal._METER_PROVIDER = None  # noqa: SLF001
        _internal._METER_PROVIDER_SET_ONCE = Once()  # noqa: SLF001
        _internal._PROXY_METER_PROVIDER = _internal._ProxyMeterProvider()  # noqa: SLF001 - the old one knows PROVIDER


@contextmanager
def captured(registry: Registry) -> Iterator[None]:
    """Stand in for a block where nobody else does, before or from the middle of it on: for tests."""
    if _internal._METER_PROVIDER is not None:  # noqa: SLF001 - as above
        yield
        return
    install(registry)
    ours = _State.installs
    try:
        yield
    finally:
        if _State.installs == ours:
            uninstall()
