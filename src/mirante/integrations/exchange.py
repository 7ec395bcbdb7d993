"""One request as the server sees it, from its arrival to its last byte: span, ids and metrics, for every framework.

Source: OpenTelemetry's semantic conventions for HTTP, "HTTP server" of spans and of metrics. The query string is left
out, because it holds secrets and personal data.
"""

from __future__ import annotations

from time import perf_counter, time_ns
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import StatusCode

from mirante.correlation.context import bind_request_id, stamp, unbind
from mirante.correlation.errors import remember
from mirante.integrations.incoming import new_request_id, usable_request_id
from mirante.integrations.server_span import server_span
from mirante.metrics.service import MetricsCollector
from mirante.tracing.context import SPAN_KEY, attach, detach
from mirante.tracing.spans import Span

HEADER = "X-Request-ID"
STATUS: dict[int | None, str] = {code: str(code) for code in range(100, 600)}

_SWITCHED = 101  # a websocket's status is that of its handshake
_fill = dict.setdefault  # a context cannot be changed, except by whoever makes it


class Exchange:
    """A request that is being answered.

    ``begin`` starts the span, counts the request as active and makes span and request id current; ``leave`` takes them
    away again; ``finish`` ends the span and records the duration.

    Attributes:
        request_id: the request's.
        span: its own; None where another instrumentation has made one.
        over: whether it has been finished.
        error: the exception that ended it.
        status: of the answer; None as long as there is none.
    """

    __slots__ = (
        "_active", "_attributes", "_bound", "_method", "_name", "_service", "_since", "_start", "_token", "error",
        "over", "request_id", "span", "status",
    )  # fmt: skip

    def begin(
        self,
        service: MetricsCollector | None,
        method: str,
        name: str,
        given_id: str | None,
        attributes: dict[str, Any],
        context: Context,
    ) -> None:
        """The request has come; all in one piece, because every call costs each request of the process.

        Args:
            service: the metrics; None records none, as for websockets.
            method: one of the well-known ones, or ``_OTHER``.
            name: of the span; the route is added to it.
            given_id: the request id that it came with.
            attributes: of the span; the exchange's own from now on.
            context: holds the parent.
        """
        self.over = False
        self.error: BaseException | None = None
        self.status: int | None = None
        self.request_id = request_id = new_request_id() if given_id is None else usable_request_id(given_id)
        self._method = method
        self._name = name
        self._attributes = attributes  # the span's very own, where its limits leave room for more
        self._service = service
        self._since = since = time_ns()
        self._start = perf_counter()
        self.span = span = server_span(name, context, attributes, since)
        if service is not None:
            self._active = active = service.active.labels(method)
            active.inc()
        if span is not None:
            if context:
                context = Context(context | {SPAN_KEY: span})
            else:
                context = Context()
                _fill(context, SPAN_KEY, span)
        self._token = attach(context)
        self._bound = bind_request_id(request_id)

    def leave(self) -> None:
        """Put back what was current before."""
        unbind(self._bound)
        detach(self._token)

    def fail(self, error: BaseException) -> None:
        """Note what leaves the application, to be called before ``leave``: an exception makes the status 500."""
        self.error = error
        if isinstance(error, Exception):
            self.status = 500
        ids: dict[str, str] = {}
        stamp(ids)
        remember(error, ids)

    def finish(self, route: str) -> None:
        """End the span and record the duration; once, see ``over``.

        Args:
            route: template of the route that took the request, or the empty string.
        """
        self.over = True
        seconds = perf_counter() - self._start
        status, span, service = self.status, self.span, self._service
        if service is not None:
            self._active.dec()
            service.duration.labels(self._method, route, STATUS.get(status, "")).observe(seconds)
        if type(span) is not Span or span.end_time is not None:  # left out by the sampler, or ended by the application
            return
        attributes = span.attributes
        set_attribute = attributes.__setitem__ if attributes is self._attributes else span.set_attribute
        if route:
            set_attribute("http.route", route)
            if span.name is self._name:  # else the application has given it a name of its own
                span.name = f"{self._name} {route}"
        if status is not None:
            set_attribute("http.response.status_code", status)
        if self.error is not None or (status is not None and status >= 500):
            _tell(span, status, self.error)
        span.end(self._since + int(seconds * 1e9))


def _tell(span: Span, status: int | None, error: BaseException | None) -> None:
    """What went wrong; an exception of which the framework has made an answer below 500 is what the client did."""
    if error is not None and not isinstance(error, Exception):
        span.add_event("request canceled")
    elif error is not None and status is not None and not _SWITCHED < status < 500:
        kind = type(error)
        span.set_attribute("error.type", f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))
        span.fail(error)
    elif error is None:
        span.set_attribute("error.type", str(status))
        span.set_status(StatusCode.ERROR)
