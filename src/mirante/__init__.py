"""Observability for Python: metrics, logs, traces and health, and one server that keeps and shows them.

Example:
    >>> import mirante
    >>> from mirante import metrics
    >>> orders = metrics.counter("orders_total", "Orders placed.", labels=("shop",))
    >>> orders.labels("paris").inc()
    DONE
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mirante import (
        alerts,
        collectors,
        config,
        correlation,
        errors,
        exporters,
        health,
        integrations,
        logging,
        metrics,
        tracing,
    )
    from mirante.configure import configure, disable, flush, shutdown
    from mirante.integrations.report import report

    __version__: str

__all__ = [
    "__version__", "alerts", "collectors", "config", "configure", "correlation", "disable", "errors", "exporters",
    "flush", "health", "integrations", "logging", "metrics", "report", "shutdown", "tracing",
]  # fmt: skip

_FUNCTIONS = {
    **dict.fromkeys(("configure", "disable", "flush", "shutdown"), "mirante.configure"),
    "report": "mirante.integrations.report",
}


def __getattr__(name: str) -> object:
    """Import a part when it is first used, which keeps ``import mirante`` fast."""
    if name not in __all__:
        raise AttributeError(f"module 'mirante' has no attribute {name!r}")
    if name == "__version__":
        found: object = import_module("mirante._core.version").version()
    elif name in _FUNCTIONS:
        found = getattr(import_module(_FUNCTIONS[name]), name)
    else:
        found = import_module(f"mirante.{name}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
