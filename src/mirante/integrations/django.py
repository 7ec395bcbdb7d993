"""Django: a middleware for ``MIDDLEWARE``, or every handler of the process, synchronous and asynchronous."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.handlers.base import BaseHandler
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase, StreamingHttpResponse

from mirante._core.guard import REPORTER
from mirante._core.patch import Patches
from mirante.integrations.exchange import HEADER
from mirante.integrations.incoming import Exclude, exclusion
from mirante.integrations.wsgi import SEEN, Body, WsgiExchange
from mirante.metrics.exposition import respond
from mirante.metrics.registry import REGISTRY, Registry, gather
from mirante.metrics.service import MetricsCollector

_patches = Patches()


class _Observer:
    """What is done for every request.

    Args:
        registry: where the metrics live.
        left_out: the paths that are left alone.
    """

    def __init__(self, registry: Registry, left_out: Exclude | None) -> None:
        self._service = MetricsCollector(registry)
        self._left_out = left_out

    def begin(self, request: HttpRequest) -> WsgiExchange | None:
        """The request's exchange; None where there is nothing to do for it."""
        try:
            if SEEN in request.META or (self._left_out is not None and self._left_out(request.path)):
                return None
            scope = getattr(request, "scope", None)
            version = request.META.get("SERVER_PROTOCOL", "").removeprefix("HTTP/")
            exchange = WsgiExchange()
            exchange.open(
                self._service,
                {"wsgi.url_scheme": request.scheme, **request.META},
                request.path,
                scope.get("http_version", "") if scope else version,
            )
            exchange.route = route_template
        except Exception as error:  # noqa: BLE001 - telemetry must not cost the answer
            REPORTER.fault("MiranteMiddleware", error)
            return None
        request.META[SEEN] = exchange
        return exchange

    @staticmethod
    def answered(exchange: WsgiExchange, request: HttpRequest, response: HttpResponseBase) -> None:
        """The exchange ends with the response, or with the last part of what it streams."""
        exchange.status = response.status_code
        response[HEADER] = exchange.request_id
        if not isinstance(response, StreamingHttpResponse):
            exchange.end(request)
        elif response.is_async:
            response.streaming_content = _AsyncBody(response.streaming_content, exchange, request)
        else:
            response.streaming_content = Body(response.streaming_content, exchange, request)

    def run(self, request: HttpRequest, answer: Callable[[], HttpResponseBase]) -> HttpResponseBase:
        """Answer a request."""
        exchange = self.begin(request)
        if exchange is None:
            return answer()
        try:
            response = answer()
            self.answered(exchange, request, response)
        except BaseException as error:
            exchange.fail(error)
            exchange.end(request)
            raise
        else:
            return response
        finally:
            exchange.leave()

    async def arun(self, request: HttpRequest, answer: Callable[[], Awaitable[HttpResponseBase]]) -> HttpResponseBase:
        """The same on an event loop."""
        exchange = self.begin(request)
        if exchange is None:
            return await answer()
        try:
            response = await answer()
            self.answered(exchange, request, response)
        except BaseException as error:
            exchange.fail(error)
            exchange.end(request)
            raise
        else:
            return response
        finally:
            exchange.leave()


class _AsyncBody:
    """As Body, for the parts of an asynchronous stream."""

    def __init__(self, parts: AsyncIterator[bytes], exchange: WsgiExchange, request: HttpRequest) -> None:
        self._parts = parts
        self._exchange = exchange
        self._request = request

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._parts)
        except StopAsyncIteration:
            self.close()
            raise
        except BaseException as error:
            self._exchange.fail(error)
            self.close()
            raise

    def close(self) -> None:
        """No more of it is needed."""
        self._exchange.end(self._request)


class MiranteMiddleware:
    """Traces and measures every request; the first entry of ``MIDDLEWARE``, so that it sees what all others do.

    ``MIDDLEWARE = ["mirante.integrations.django.MiranteMiddleware", ...]``. Span, request id and metrics are those of
    the ASGI middleware; the paths that are left alone are those of the setting ``web_excluded_urls``. Where ``install``
    has been called it does nothing.

    Args:
        get_response: the next one, plain or asynchronous.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._observer = _Observer(REGISTRY, exclusion(None))
        self._async = iscoroutinefunction(get_response)
        if self._async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:  # noqa: ANN401 - a response, or what will be one
        """Answer a request."""
        run: Any = self._observer.arun if self._async else self._observer.run
        return run(request, lambda: self._get_response(request))

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Django turns exceptions into responses before any middleware sees them."""
        _note(request, exception)


def install(registry: Registry = REGISTRY) -> None:
    """Trace and measure the requests of all handlers of this process, made before or after; again does nothing.

    Args:
        registry: where the metrics live; the process's own when not given.
    """
    observer = _Observer(registry, exclusion(None))

    def plain(original: Any) -> Any:  # noqa: ANN401 - BaseHandler's own function
        def get_response(self: BaseHandler, request: HttpRequest) -> HttpResponseBase:
            return observer.run(request, lambda: original(self, request))

        return get_response

    def asynchronous(original: Any) -> Any:  # noqa: ANN401 - the same
        async def get_response_async(self: BaseHandler, request: HttpRequest) -> HttpResponseBase:
            return await observer.arun(request, lambda: original(self, request))

        return get_response_async

    _patches.wrap(BaseHandler, "get_response", plain)
    _patches.wrap(BaseHandler, "get_response_async", asynchronous)
    got_request_exception.connect(_on_exception)


def uninstall() -> None:
    """Put back what ``install`` has replaced."""
    got_request_exception.disconnect(_on_exception)
    _patches.undo()


def _on_exception(request: HttpRequest | None = None, **_more: Any) -> None:  # noqa: ANN401 - as signals are sent
    error = sys.exc_info()[1]
    if request is not None and error is not None:
        _note(request, error)


def _note(request: HttpRequest, error: BaseException) -> None:
    exchange = request.META.get(SEEN)
    if isinstance(exchange, WsgiExchange):
        exchange.fail(error)


def route_template(request: HttpRequest) -> str:
    """The route that took the request, as it is written in the URL configuration.

    Returns:
        Such as ``/items/<int:item>``; the empty string where none did.
    """
    match = request.resolver_match
    return "" if match is None else f"/{match.route}"


def metrics_endpoint(request: HttpRequest) -> HttpResponse:
    """A view of the process's own metrics: ``path("metrics", metrics_endpoint)``.

    Everybody may read it; restrict it as any other view.
    """
    headers = {name.lower(): value for name, value in request.headers.items()}
    answer = respond(REGISTRY, request.method or "GET", headers, request.META.get("REMOTE_ADDR") or None)
    return HttpResponse(gather(answer.body), status=answer.status, headers=dict(answer.headers))
