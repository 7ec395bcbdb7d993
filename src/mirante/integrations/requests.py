"""requests: a client span and its duration for every request over the wire, and the headers by which a trace goes on.

A redirect is a request of its own; retries of urllib3 below are within one. The span ends when the head of the response
is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import urlsplit

from mirante._core.patch import Patches
from mirante.integrations._http import HttpRequest
from mirante.integrations._operation import SUPPRESS_HTTP, http_suppressed, tracer

if TYPE_CHECKING:
    import requests

    from mirante.tracing.provider import ProviderTracer

_patches = Patches()


def install() -> None:
    """Record the requests of all sessions, made before and after.

    Example:
        >>> install()
        >>> uninstall()
    """
    import requests.adapters

    _patches.wrap(requests.adapters.HTTPAdapter, "send", _send)


def uninstall() -> None:
    """Put requests' own function back."""
    _patches.undo()


class _Request(HttpRequest):
    __slots__ = ()
    within: ClassVar[Mapping[str, object]] = {SUPPRESS_HTTP: True}  # urllib3 below may be instrumented by others


@cache
def _tracer() -> ProviderTracer:
    return tracer("requests")


def _send(original: Callable[..., requests.Response]) -> Callable[..., requests.Response]:
    def send(
        adapter: requests.adapters.HTTPAdapter,
        request: requests.PreparedRequest,
        *args: Any,  # noqa: ANN401 - as the original takes them
        **kwargs: Any,  # noqa: ANN401
    ) -> requests.Response:
        if http_suppressed():
            return original(adapter, request, *args, **kwargs)
        url = request.url or ""
        scheme, host, port = _address(url)
        with _Request(_tracer(), request.method or "", url, scheme, host, port) as operation:
            operation.inject(cast("MutableMapping[str, str]", request.headers))
            response = original(adapter, request, *args, **kwargs)
            operation.answered(response.status_code)
            return response

    return send


def _address(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # requests will say itself what is wrong with it
        return "", None, None
    return parts.scheme, parts.hostname, port
