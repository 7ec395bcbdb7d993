"""An HTTP request that this process sends, as OpenTelemetry's conventions for HTTP clients describe it."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping, MutableMapping
from functools import cache
from typing import TYPE_CHECKING

from opentelemetry import propagate
from opentelemetry.trace import StatusCode

from mirante._core.guard import REPORTER
from mirante.correlation.context import bound
from mirante.integrations._operation import Operation
from mirante.metrics.distributions import Histogram
from mirante.metrics.shorthand import histogram
from mirante.tracing.attributes import text
from mirante.tracing.spans import Span

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from mirante.tracing.provider import ProviderTracer

REQUEST_ID = "x-request-id"
"""The header by which the request id goes on, unless the caller has set one."""

SENSITIVE = (
    "AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature", "X-Amz-Credential", "X-Amz-Security-Token",
    "X-Amz-Signature", "access_token", "api_key", "apikey", "client_secret", "key", "password", "secret", "token",
)  # fmt: skip
"""Query parameters whose values are not written down: those that the conventions name, and further secrets."""

_QUERY = re.compile(rf"([?&;](?i:{'|'.join(SENSITIVE)})=)[^&;#\s'\"]*")
_USER = re.compile(r"(?<=://)[^/?#@\s]*:?[^/?#\s]*@")
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_PORTS = {"http": 80, "https": 443}


def redacted(url: str) -> str:
    """A URL, or any text that quotes one, without credentials and without the values of sensitive parameters.

    Example:
        >>> redacted("https://me:secret@shop.example/a?color=blue&sig=f00#top")
        'https://REDACTED:REDACTED@shop.example/a?color=blue&sig=REDACTED#top'
    """
    if "@" in url:
        url = _USER.sub("REDACTED:REDACTED@", url)
    return _QUERY.sub(r"\1REDACTED", url) if "=" in url else url


@cache
def duration() -> Histogram:
    """``http_client_request_duration_seconds``; declared by the first request."""
    return histogram(
        "http_client_request_duration_seconds",
        "Duration of HTTP client requests.",
        ("http_request_method", "server_address", "server_port", "http_response_status_code", "error_type"),
    )


class HttpRequest(Operation):
    """One request over the wire, until the head of its response is there.

    Args:
        tracer: starts the span.
        method: as the application gave it.
        url: gives the absolute URL as text, when someone wants to know it.
        scheme, host, port: of the URL; port 0 or None is the scheme's own.
    """

    __slots__ = ("_host", "_method", "_original", "_port", "_status", "_url")

    def __init__(
        self, tracer: ProviderTracer, method: str, url: object, scheme: str, host: str | None, port: int | None
    ) -> None:
        known = method in _METHODS
        super().__init__(tracer, method if known else "HTTP")
        self._method = method if known else "_OTHER"
        self._original = method
        self._url = url
        self._host = host or ""
        self._port = port or _PORTS.get(scheme, 0)
        self._status = 0

    def describe(self, span: Span) -> None:
        """Method, address and URL."""
        span.set_attribute("http.request.method", self._method)
        if self._method != self._original:
            span.set_attribute("http.request.method_original", self._original)
        span.set_attribute("server.address", self._host)
        span.set_attribute("server.port", self._port)
        span.set_attribute("url.full", redacted(str(self._url)))

    def inject(self, headers: MutableMapping[str, str]) -> None:
        """Write the headers by which trace, baggage and request id go on."""
        try:
            propagate.inject(headers)
            if (request_id := bound().get("request_id")) and REQUEST_ID not in headers:
                headers[REQUEST_ID] = request_id
        except Exception as fault:  # noqa: BLE001 - telemetry never raises into the host
            REPORTER.fault("integrations.HttpRequest.inject", fault)

    def answered(self, status: int) -> None:
        """The response's head has come."""
        self._status = status
        if status >= 400:
            self.error_type = str(status)

    def conclude(self, span: Span) -> None:
        """The status; 4xx and 5xx are errors of a client's request."""
        if self._status:
            span.set_attribute("http.response.status_code", self._status)
            if self._status >= 400:
                span.set_status(StatusCode.ERROR)

    def hide(self, error: BaseException) -> Mapping[str, AttributeValue]:
        """Messages of HTTP libraries quote the URL."""
        return {
            "exception.message": redacted(text(error)),
            "exception.stacktrace": redacted("".join(traceback.format_exception(error))),
        }

    def measure(self, seconds: float) -> None:
        """Add to ``http_client_request_duration_seconds``."""
        status = str(self._status) if self._status else ""
        duration().labels(self._method, self._host, str(self._port), status, self.error_type).observe(seconds)
