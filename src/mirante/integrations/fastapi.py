"""FastAPI: every application of the process, or one of them.

Newer versions of FastAPI make spans and metrics themselves as soon as there is a global provider of OpenTelemetry's,
and mirante is one. Where mirante looks after a request, FastAPI's own are off, or each would be there twice.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import FastAPI

from mirante._core.patch import Patches
from mirante.integrations import starlette
from mirante.integrations.asgi import observed
from mirante.metrics.registry import REGISTRY, Registry

_patches = Patches()


def instrument(
    app: FastAPI,
    *,
    registry: Registry = REGISTRY,
    metrics_path: str | None = "/metrics",
    excluded: str | Iterable[str] | None = None,
) -> None:
    """Trace and measure all requests of one application, and expose the metrics.

    Calling it again for the same application does nothing.

    Args:
        app: the application, before or after it has served its first request.
        registry: where the metrics live; the process's own when not given.
        metrics_path: where they are exposed; None for nowhere, when they are pushed only.
        excluded: paths that are left alone, as the setting ``web_excluded_urls``, which holds when it is not given.

    Raises:
        ConfigError: a pattern in ``excluded`` is no regular expression.

    Example:
        >>> from fastapi import FastAPI
        >>> app = FastAPI()
        >>> instrument(app)
    """
    starlette.instrument(app, registry=registry, metrics_path=metrics_path, excluded=excluded)
    getattr(app, "_telemetry", {}).update(tracing=False, metrics=False, logs=False)


def install() -> None:
    """Trace and measure the requests of all applications of this process, made before or after; again does nothing."""
    _patches.wrap(FastAPI, "__call__", lambda call: observed(call, claim=starlette.claim))


def uninstall() -> None:
    """Put back what ``install`` has replaced."""
    _patches.undo()
