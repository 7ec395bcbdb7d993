"""Starlette: every application of the process, or one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from starlette.applications import Starlette

from mirante._core.patch import Patches
from mirante.integrations.asgi import App, MetricsEndpoint, MiranteMiddleware, Scope, observed
from mirante.metrics.registry import REGISTRY, Registry

BY_HAND = "_mirante_by_hand"
"""Attribute of an application that ``instrument`` was called for: ``install`` leaves it alone."""

_patches = Patches()


def instrument(
    app: Starlette,
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
        >>> from starlette.applications import Starlette
        >>> app = Starlette()
        >>> instrument(app)
    """
    if vars(app).get(BY_HAND):
        return

    def outermost(inside: App) -> App:
        return MiranteMiddleware(inside, registry=registry, excluded=excluded)

    # Around all that there is, also what answers with 500: that answer needs the request id most of all.
    if app.middleware_stack is not None:
        app.middleware_stack = outermost(app.middleware_stack)
    build: Callable[[], Any] = app.build_middleware_stack
    app.build_middleware_stack = lambda: outermost(build())  # type: ignore[method-assign] # of this one alone
    setattr(app, BY_HAND, True)
    if metrics_path is not None:
        app.router.add_route(metrics_path, MetricsEndpoint(registry), include_in_schema=False)  # type: ignore[arg-type] # an ASGI application is a route's endpoint too


def install() -> None:
    """Trace and measure the requests of all applications of this process, made before or after; again does nothing."""
    _patches.wrap(Starlette, "__call__", lambda call: observed(call, claim=claim))


def uninstall() -> None:
    """Put back what ``install`` has replaced."""
    _patches.undo()


def claim(app: Starlette, _scope: Scope) -> bool:
    """Whether ``install`` is to look after an application: not where ``instrument`` or OpenTelemetry's does it."""
    return BY_HAND not in app.__dict__ and not app.__dict__.get("_is_instrumented_by_opentelemetry")
