"""Flask: every application of the process, or one of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import Flask, Response, got_request_exception, request

from mirante._core.patch import Patches
from mirante.integrations.wsgi import SEEN, Environ, MiranteMiddleware, WsgiMetricsEndpoint, observed
from mirante.metrics.registry import REGISTRY, Registry

_BY_HAND = "_mirante_by_hand"
_patches = Patches()


def instrument(
    app: Flask,
    *,
    registry: Registry = REGISTRY,
    metrics_path: str | None = "/metrics",
    excluded: str | Iterable[str] | None = None,
) -> None:
    """Trace and measure all requests of one application, and expose the metrics.

    Calling it again for the same application does nothing.

    Args:
        app: the application, before it serves its first request.
        registry: where the metrics live; the process's own when not given.
        metrics_path: where they are exposed; None for nowhere, when they are pushed only.
        excluded: paths that are left alone, as the setting ``web_excluded_urls``, which holds when it is not given.

    Raises:
        ConfigError: a pattern in ``excluded`` is no regular expression.

    Example:
        >>> from flask import Flask
        >>> app = Flask("shop")
        >>> instrument(app)
    """
    if vars(app).get(_BY_HAND):
        return
    middleware = MiranteMiddleware(app.wsgi_app, registry=registry, excluded=excluded, route=_route)
    app.wsgi_app = middleware  # type: ignore[method-assign] # as Flask's documentation says to do it
    setattr(app, _BY_HAND, True)
    got_request_exception.connect(_note, app)
    if metrics_path is not None:
        endpoint = WsgiMetricsEndpoint(registry)
        app.add_url_rule(
            metrics_path, "mirante_metrics", lambda: Response.from_app(endpoint, request.environ), methods=["GET"]
        )


def install() -> None:
    """Trace and measure the requests of all applications of this process, made before or after; again does nothing."""
    _patches.wrap(Flask, "__call__", lambda call: observed(call, claim=_claim, route=_route))
    got_request_exception.connect(_note_of_any)


def uninstall() -> None:
    """Put back what ``install`` has replaced."""
    got_request_exception.disconnect(_note_of_any)
    _patches.undo()


def _claim(app: Flask) -> bool:
    return _BY_HAND not in vars(app)


def _note(_sender: Flask, exception: BaseException, **_more: Any) -> None:  # noqa: ANN401 - as signals are sent
    """Flask turns exceptions into answers before any middleware sees them."""
    exchange = request.environ.get(SEEN)
    if exchange is not None:
        exchange.fail(exception)
        exchange.locate(request.environ)


def _note_of_any(sender: Flask, exception: BaseException, **_more: Any) -> None:  # noqa: ANN401 - as signals are sent
    """The same; another function, because to disconnect one disconnects it from every single application as well."""
    _note(sender, exception)


def _route(environ: Environ) -> str:
    rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
    return "" if rule is None else environ.get("SCRIPT_NAME", "") + rule.rule
