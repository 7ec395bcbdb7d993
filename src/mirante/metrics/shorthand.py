"""One call to declare a metric or to find the one declared before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Unpack

from mirante.metrics.distributions import Histogram, Summary
from mirante.metrics.names import DEFAULT_BUCKETS
from mirante.metrics.options import Mode, Options
from mirante.metrics.registry import REGISTRY, Registry
from mirante.metrics.states import Info, StateSet
from mirante.metrics.types import Counter, Gauge


def counter(
    name: str,
    help: str = "",
    labels: Iterable[str] = (),
    *,
    registry: Registry = REGISTRY,
    **options: Unpack[Options],
) -> Counter:
    """Declare a counter; the same name and shape give the same object again, with the options of the first declaration.

    Raises:
        DeclarationError: a name breaks the data model's rules.
        DuplicateMetricError: the name is used with another shape.

    Example:
        >>> orders = counter("orders_total", "Orders placed.", labels=("shop",), registry=Registry())
        >>> orders.labels("paris").inc()
        DONE
    """
    return registry.add(Counter(name, help, labels, **options))


def gauge(
    name: str,
    help: str = "",
    labels: Iterable[str] = (),
    *,
    registry: Registry = REGISTRY,
    multiprocess_mode: Mode = "livesum",
    **options: Unpack[Options],
) -> Gauge:
    """Declare a gauge; as counter().

    Example:
        >>> gauge("queue_depth", "Waiting jobs.", registry=Registry()).set(7)
        DONE
    """
    return registry.add(Gauge(name, help, labels, multiprocess_mode=multiprocess_mode, **options))


def histogram(
    name: str,
    help: str = "",
    labels: Iterable[str] = (),
    *,
    registry: Registry = REGISTRY,
    buckets: Iterable[float] = DEFAULT_BUCKETS,
    native_factor: float | None = None,
    native_buckets: int = 160,
    **options: Unpack[Options],
) -> Histogram:
    """Declare a histogram with those upper bounds of its buckets, and a native one beside it if wanted; as counter().

    Example:
        >>> histogram("latency_seconds", "Time to answer.", registry=Registry(), buckets=[0.1, 1]).observe(0.2)
        DONE
    """
    return registry.add(
        Histogram(
            name,
            help,
            labels,
            buckets=buckets,
            native_factor=native_factor,
            native_buckets=native_buckets,
            **options,
        )
    )


def summary(
    name: str,
    help: str = "",
    labels: Iterable[str] = (),
    *,
    registry: Registry = REGISTRY,
    quantiles: Iterable[float] = (0.5, 0.9, 0.99),
    max_age: float = 600.0,
    **options: Unpack[Options],
) -> Summary:
    """Declare a summary with quantiles over the last ``max_age`` seconds; as counter().

    Example:
        >>> summary("response_bytes", "Size of an answer.", registry=Registry()).observe(512)
        DONE
    """
    return registry.add(Summary(name, help, labels, quantiles=quantiles, max_age=max_age, **options))


def info(
    name: str,
    help: str = "",
    labels: Iterable[str] = (),
    *,
    registry: Registry = REGISTRY,
    **options: Unpack[Options],
) -> Info:
    """Declare an info; as counter().

    Example:
        >>> info("build", "How this program was built.", registry=Registry()).info({"version": "1.2"})
        DONE
    """
    return registry.add(Info(name, help, labels, **options))


def stateset(
    name: str,
    help: str = "",
    labels: Iterable[str] = (),
    *,
    states: Iterable[str],
    registry: Registry = REGISTRY,
    **options: Unpack[Options],
) -> StateSet:
    """Declare a state set; as counter().

    Example:
        >>> stateset("job_state", "What the job does.", registry=Registry(), states=["idle", "busy"]).state("busy")
        DONE
    """
    return registry.add(StateSet(name, help, labels, states=states, **options))
