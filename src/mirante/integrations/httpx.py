"""httpx: a client span and its duration for every request over the wire, and the headers by which a trace goes on.

A redirect or a retry is a request of its own. The span ends when the head of the response is there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from mirante._core.patch import Patches
from mirante.integrations._http import HttpRequest
from mirante.integrations._operation import http_suppressed, tracer

if TYPE_CHECKING:
    import httpx

    from mirante.tracing.provider import ProviderTracer

_MARK = "mirante"

_patches = Patches()
_clients: WeakKeyDictionary[httpx.Client | httpx.AsyncClient, Patches] = WeakKeyDictionary()


def install() -> None:
    """Record the requests of all clients, made before and after, by httpx's own transports.

    Example:
        >>> install()
        >>> uninstall()
    """
    import httpx

    _patches.wrap(httpx.HTTPTransport, "handle_request", _sync)
    _patches.wrap(httpx.WSGITransport, "handle_request", _sync)
    _patches.wrap(httpx.AsyncHTTPTransport, "handle_async_request", _async)
    _patches.wrap(httpx.ASGITransport, "handle_async_request", _async)


def uninstall() -> None:
    """Put httpx's own functions back."""
    _patches.undo()


def instrument(client: httpx.Client | httpx.AsyncClient) -> None:
    """Record the requests of one client, whatever its transports are.

    Args:
        client: at any time of its life; together with ``install`` its requests still have one span each.

    Example:
        >>> import httpx
        >>> client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(204)))
        >>> instrument(client)
        >>> client.get("http://shop.example/").status_code
        204
        >>> uninstrument(client)
    """
    import httpx

    patches = _clients.setdefault(client, Patches())
    name, wrapper = ("handle_request", _sync) if isinstance(client, httpx.Client) else ("handle_async_request", _async)
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - httpx has no public way to them
        if transport is not None:
            patches.wrap(transport, name, wrapper)


def uninstrument(client: httpx.Client | httpx.AsyncClient) -> None:
    """Put that client's transports back as they were."""
    if (patches := _clients.pop(client, None)) is not None:
        patches.undo()


def instrumented(client: httpx.Client | httpx.AsyncClient) -> bool:
    """Whether ``instrument`` was called for that client."""
    return client in _clients


@cache
def _tracer() -> ProviderTracer:
    return tracer("httpx")


def _untold(request: httpx.Request) -> bool:
    return _MARK not in request.extensions and not http_suppressed()


def _operation(request: httpx.Request) -> HttpRequest:
    url = request.url
    return HttpRequest(_tracer(), request.method, url, url.scheme, url.host, url.port)


# A transport may hand the request to another one: it is marked, so that it has one span. The mark goes afterwards,
# because a redirected request shares the dictionary.


def _sync(original: Callable[..., httpx.Response]) -> Callable[..., httpx.Response]:
    def handle_request(*args: Any, **kwargs: Any) -> httpx.Response:  # noqa: ANN401 - as the original takes them
        request: httpx.Request = kwargs.get("request") or args[-1]
        if not _untold(request):
            return original(*args, **kwargs)
        request.extensions[_MARK] = True
        try:
            with _operation(request) as operation:
                operation.inject(request.headers)
                response = original(*args, **kwargs)
                operation.answered(response.status_code)
                return response
        finally:
            del request.extensions[_MARK]

    return handle_request


def _async(original: Callable[..., Awaitable[httpx.Response]]) -> Callable[..., Awaitable[httpx.Response]]:
    async def handle_async_request(*args: Any, **kwargs: Any) -> httpx.Response:  # noqa: ANN401 - see above
        request: httpx.Request = kwargs.get("request") or args[-1]
        if not _untold(request):
            return await original(*args, **kwargs)
        request.extensions[_MARK] = True
        try:
            with _operation(request) as operation:
                operation.inject(request.headers)
                response = await original(*args, **kwargs)
                operation.answered(response.status_code)
                return response
        finally:
            del request.extensions[_MARK]

    return handle_async_request
