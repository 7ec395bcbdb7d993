"""FastAPI in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirante.integrations.asgi import MetricsEndpoint, MiranteMiddleware
from mirante.metrics.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from fastapi import FastAPI


def instrument(app: FastAPI, *, registry: Registry = REGISTRY, metrics_path: str | None = "/metrics") -> None:
    """Measure all requests of the application, and expose the metrics.

    Args:
        app: the application, before it serves its first request.
        registry: where the metrics live; the process's own when not given.
        metrics_path: where they are exposed; None for nowhere, when they are pushed only.

    Example:
        >>> from fastapi import FastAPI
        >>> app = FastAPI()
        >>> instrument(app)
    """
    app.add_middleware(MiranteMiddleware, registry=registry)
    if metrics_path is not None:
        app.add_route(metrics_path, MetricsEndpoint(registry), include_in_schema=False)  # type: ignore[arg-type] # an ASGI application is a route's endpoint too
