"""What there is in an application, an engine or a client that could be monitored: for the report of what is not.

While an integration is installed, the objects that it is about are noted when they are made. What they hold is looked
up when somebody asks for the report, and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from mirante._core.patch import Patches
from mirante._core.seen import Describe, Sighting, has_check, see
from mirante.integrations.incoming import exclusion

_EXCLUDED = "left out by web_excluded_urls"
_METHODS = ("HEAD", "OPTIONS")  # which frameworks add by themselves


def watch(integration: str, patches: Patches) -> None:
    """Note the objects that an integration is about, from now on until the patches are undone.

    Args:
        integration: its name in the catalog.
        patches: what is replaced for it.
    """
    for module, name, describe in _CLASSES.get(integration, ()):
        patches.wrap(getattr(import_module(module), name), "__init__", _noting(describe))


def _noting(describe: Describe) -> Callable[[Any], Any]:
    def around(original: Callable[..., None]) -> Callable[..., None]:
        def __init__(self: object, *args: Any, **kwargs: Any) -> None:  # noqa: N807, ANN401 - stands in for any class's own
            original(self, *args, **kwargs)
            see(self, describe)

        return __init__

    return around


def asgi_routes(app: Any) -> Iterator[Sighting]:  # noqa: ANN401 - a Starlette or FastAPI application
    """The routes of a Starlette or FastAPI application, those of mounts and included routers with it."""
    yield from _routes(app.routes, "")


def _routes(routes: Iterable[Any], prefix: str) -> Iterator[Sighting]:
    for route in routes:
        included = getattr(route, "effective_candidates", None)
        if included is not None:  # what newer versions of FastAPI make of include_router
            yield from _routes(included(), prefix)
            continue
        effective = getattr(route, "starlette_route", None) or route
        path = prefix + getattr(effective, "path", "")
        kind = type(getattr(route, "original_route", route)).__name__
        if getattr(effective, "routes", None):
            yield from _routes(effective.routes, path)
        elif kind.endswith("WebSocketRoute"):
            hint = "count its messages with a metric of your own"
            yield _excluded("websocket", f"WS {path}", path) or Sighting("websocket", f"WS {path}", ("metric",), hint)
        else:
            yield _route(getattr(effective, "methods", None), path)


def flask_routes(app: Any) -> Iterator[Sighting]:  # noqa: ANN401 - a Flask application
    """The rules of a Flask application."""
    for rule in app.url_map.iter_rules():
        yield _route(rule.methods, rule.rule)


def django_routes(_: object) -> Iterator[Sighting]:
    """The patterns of Django's root URL configuration, included ones with it."""
    yield from _django(import_module("django.urls").get_resolver().url_patterns, "/")


def _django(patterns: Iterable[Any], prefix: str) -> Iterator[Sighting]:
    for one in patterns:
        path = prefix + str(one.pattern).removeprefix("^").removesuffix("$").removesuffix("\\Z")
        if hasattr(one, "url_patterns"):
            yield from _django(one.url_patterns, path)
        else:
            yield _route(None, path)


def _route(methods: Iterable[str] | None, path: str) -> Sighting:
    name = f"{','.join(sorted(set(methods or ()).difference(_METHODS))) or '*'} {path}"
    return _excluded("route", name, path) or Sighting("route", name)


def _excluded(kind: str, name: str, path: str) -> Sighting | None:
    left_out = exclusion(None)
    return Sighting(kind, name, ("metric", "span"), _EXCLUDED) if left_out is not None and left_out(path) else None


def engine(engine: Any) -> Iterator[Sighting]:  # noqa: ANN401 - an SQLAlchemy Engine
    """A database."""
    yield _checked(engine, "database", engine.url.render_as_string(hide_password=True), "checks.sqlalchemy(engine)")


def redis(client: Any) -> Iterator[Sighting]:  # noqa: ANN401 - a redis client, synchronous or not
    """A redis server."""
    told = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {})
    address = told.get("path") or f"{told.get('host', 'localhost')}:{told.get('port', 6379)}"
    yield _checked(client, "redis", f"{address}/{told.get('db') or 0}", "checks.redis(client)")


def _checked(owner: object, kind: str, name: str, check: str) -> Sighting:
    if has_check(owner) or has_check(name):
        return Sighting(kind, name)
    return Sighting(kind, name, ("check",), f'health.check("{kind}")({check})')


def httpx_client(client: Any) -> Iterator[Sighting]:  # noqa: ANN401 - an httpx client, synchronous or not
    """An HTTP client with transports of its own, which are not recorded unless somebody asked for it."""
    import httpx

    from mirante.integrations.httpx import instrumented

    known = (httpx.HTTPTransport, httpx.AsyncHTTPTransport, httpx.WSGITransport, httpx.ASGITransport)
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - httpx has no public way to them
        if transport is None or isinstance(transport, known) or instrumented(client):
            continue
        if type(transport).__module__ == "starlette.testclient":
            continue  # a test that asks its application directly
        hint = "mirante.integrations.httpx.instrument(client)"
        yield Sighting("http client", f"httpx with {type(transport).__name__}", ("metric", "span"), hint)


def requests_session(session: Any) -> Iterator[Sighting]:  # noqa: ANN401 - a requests Session
    """A session with adapters of its own, which are not recorded."""
    from requests.adapters import HTTPAdapter

    for adapter in session.adapters.values():
        if not isinstance(adapter, HTTPAdapter):
            name = type(adapter).__name__
            hint = f"derive {name} from HTTPAdapter, or begin a span of your own in its send"
            yield Sighting("http client", f"requests with {name}", ("metric", "span"), hint)


def celery_tasks(app: Any) -> Iterator[Sighting]:  # noqa: ANN401 - a Celery application
    """The tasks of a Celery application, and those that its schedule runs, which nobody misses when they stop."""
    for name in app.tasks if app.finalized else ():  # asking one that is not finished would finish it
        if not name.startswith("celery."):
            yield Sighting("task", name)
    for name in app.conf.beat_schedule or () if app.configured else ():
        if has_check(name):
            yield Sighting("scheduled task", name)
        else:
            hint = f'health.check("{name}")(job := checks.JobRanWithin(seconds)), and job.ran() in the task'
            yield Sighting("scheduled task", name, ("check",), hint)


_CLASSES: Mapping[str, tuple[tuple[str, str, Describe], ...]] = {
    "starlette": (("starlette.applications", "Starlette", asgi_routes),),
    "fastapi": (("fastapi", "FastAPI", asgi_routes),),
    "flask": (("flask", "Flask", flask_routes),),
    "django": (
        ("django.core.handlers.wsgi", "WSGIHandler", django_routes),
        ("django.core.handlers.asgi", "ASGIHandler", django_routes),
    ),
    "sqlalchemy": (("sqlalchemy", "Engine", engine),),
    "redis": (("redis", "Redis", redis), ("redis.asyncio", "Redis", redis)),
    "httpx": (("httpx", "Client", httpx_client), ("httpx", "AsyncClient", httpx_client)),
    "requests": (("requests", "Session", requests_session),),
    "celery": (("celery", "Celery", celery_tasks),),
}
"""What each integration is about."""
