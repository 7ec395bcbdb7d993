"""One call to declare a metric or to find the one declared before."""

from __future__ import annotations

from collections.abc import Iterable

from mirante.metrics.distributions import Histogram, Summary
from mirante.metrics.names import DEFAULT_BUCKETS
from mirante.metrics.registry import REGISTRY, Registry
from mirante.metrics.types import Counter, Gauge


def counter(
    name: str, help: str = "", labels: Iterable[str] = (), *, registry: Registry = REGISTRY, unit: str = ""
) -> Counter:
    """Declare a counter; the same name and shape give the same object again.

    Raises:
        DeclarationError: a name breaks the data model's rules.
        DuplicateMetricError: the name is used with another shape.

    Example:
        >>> orders = counter("orders_total", "Orders placed.", labels=("shop",), registry=Registry())
        >>> orders.labels("paris").inc()
        DONE
    """
    return registry.add(Counter(name, help, labels, unit=unit))


def gauge(
    name: str, help: str = "", labels: Iterable[str] = (), *, registry: Registry = REGISTRY, unit: str = ""
) -> Gauge:
    """Declare a gauge; as counter().

    Example:
        >>> gauge("queue_depth", "Waiting jobs.", registry=Registry()).set(7)
        DONE
    """
    return registry.add(Gauge(name, help, labels, unit=unit))


def histogram(
    name: str,
    help: str = "",
    labels: Iterable[str] = (),
    *,
    registry: Registry = REGISTRY,
    buckets: Iterable[float] = DEFAULT_BUCKETS,
    unit: str = "",
) -> Histogram:
    """Declare a histogram with those upper bounds of its buckets; as counter().

    Example:
        >>> histogram("latency_seconds", "Time to answer.", registry=Registry(), buckets=[0.1, 1]).observe(0.2)
        DONE
    """
    return registry.add(Histogram(name, help, labels, unit=unit, buckets=buckets))


def summary(
    name: str,
    help: str = "",
    labels: Iterable[str] = (),
    *,
    registry: Registry = REGISTRY,
    unit: str = "",
    quantiles: Iterable[float] = (0.5, 0.9, 0.99),
    max_age: float = 600.0,
) -> Summary:
    """Declare a summary with quantiles over the last ``max_age`` seconds; as counter().

    Example:
        >>> summary("response_bytes", "Size of an answer.", registry=Registry()).observe(512)
        DONE
    """
    return registry.add(Summary(name, help, labels, unit=unit, quantiles=quantiles, max_age=max_age))
