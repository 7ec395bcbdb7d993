"""A span while it is being recorded, and one that is not.

Source: OpenTelemetry specification, "Trace API" and "Trace SDK". What every span has is in slots; what few have
(events, links, a status, anything dropped) has its default on the class. No method raises into the host.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias, cast

from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)
from opentelemetry.trace import Span as ApiSpan

from mirante._core.guard import REPORTER
from mirante.correlation.context import stamp
from mirante.correlation.errors import remember
from mirante.tracing.attributes import SpanLimits, put, text

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes, AttributeValue

    from mirante.formats.otlp_common import Scope
    from mirante.tracing.ids import IdSource

NO_STATE = TraceState()
FLAGS = tuple(TraceFlags(bits) for bits in range(4))
"""The trace flags that we set ourselves: bit 0 is sampled, bit 1 says that the trace id is random."""

SpanSink: TypeAlias = Callable[["Span"], None]
"""Takes a span that has ended; must not block."""


class Event:
    """Something that happened during a span.

    Attributes:
        name: what.
        timestamp: when, in nanoseconds since the Unix epoch.
        attributes: more about it.
        dropped_attributes: how many did not fit the limit.
    """

    __slots__ = ("attributes", "dropped_attributes", "name", "timestamp")

    def __init__(self, name: str, timestamp: int, attributes: Mapping[str, object], dropped_attributes: int) -> None:
        self.name = name
        self.timestamp = timestamp
        self.attributes = attributes
        self.dropped_attributes = dropped_attributes


class SpanLink:
    """A reference to another span, such as the one that put the message into the queue.

    Attributes:
        context: the other span's.
        attributes: more about the relation.
        dropped_attributes: how many did not fit the limit.
    """

    __slots__ = ("attributes", "context", "dropped_attributes")

    def __init__(self, context: SpanContext, attributes: Mapping[str, object], dropped_attributes: int) -> None:
        self.context = context
        self.attributes = attributes
        self.dropped_attributes = dropped_attributes


class UnsampledSpan(NonRecordingSpan):
    """A span that records nothing and is there to be a parent; its context is made when someone asks for it.

    Attributes:
        trace_id, ids: set by whoever makes it; without an ``__init__`` that takes them this costs half, and in a
            sampled-out request it is most of what tracing costs.
        flags, trace_state: the same, where they are not those of a root.
        span_id: made when someone asks for it.
    """

    __slots__ = ("ids", "trace_id")
    is_remote = False
    flags = 2
    trace_state = NO_STATE
    __init__ = object.__init__  # see above
    trace_id: int
    ids: IdSource

    @property
    def span_id(self) -> int:
        """64 bits, the same whenever and from whatever thread one asks: setdefault is atomic."""
        return cast("int", self.__dict__.get("span_id") or self.__dict__.setdefault("span_id", self.ids.span_id()))

    def get_span_context(self) -> SpanContext:
        """The identity of this span, which is what its children inherit."""
        return SpanContext(self.trace_id, self.span_id, self.is_remote, TraceFlags(self.flags), self.trace_state)

    def __repr__(self) -> str:
        return f"UnsampledSpan({self.get_span_context()!r})"


class RemoteParent(UnsampledSpan):
    """The identity of a span that is not ours: in another process, or another implementation's."""

    __slots__ = ("is_remote",)

    def __init__(self, context: SpanContext) -> None:
        self.trace_id = context.trace_id
        self.__dict__["span_id"] = context.span_id
        self.flags = context.trace_flags
        self.trace_state = context.trace_state
        self.is_remote = context.is_remote


class Span(ApiSpan):
    """A recorded span; made by a tracer.

    Attributes:
        name: what the operation is, such as ``GET /orders/{id}``.
        kind: its role towards the spans around it.
        trace_id: 128 bits, the same in all spans of the trace.
        span_id: 64 bits.
        parent_id: the parent's span id; 0 for a root.
        parent_is_remote: whether the parent is in another process.
        flags: trace flags as W3C Trace Context has them.
        start_time: nanoseconds since the Unix epoch.
        end_time: the same, or None as long as it is open.
        attributes: names to cleaned values.
        scope: the library that made it.
        events, links, status_code, status_message: as recorded so far; 0 is unset, 1 is OK, 2 is an error.
        dropped_attributes, dropped_events, dropped_links: how many did not fit the limits.
    """

    __slots__ = (
        "_limits", "_sink", "attributes", "end_time", "flags", "kind", "name", "parent_id", "scope", "span_id",
        "start_time", "trace_id",
    )  # fmt: skip

    is_remote = False
    parent_is_remote = False
    trace_state = NO_STATE
    events: Sequence[Event] = ()
    links: Sequence[SpanLink] = ()
    status_code = 0
    status_message = ""
    dropped_attributes = 0
    dropped_events = 0
    dropped_links = 0
    tell_exceptions = (True, True)  # as events, as status, when used as a context manager

    def __init__(
        self,
        name: str,
        kind: SpanKind,
        trace_id: int,
        span_id: int,
        parent_id: int,
        flags: int,
        scope: Scope,
        limits: SpanLimits,
        sink: SpanSink,
        start_time: int,
    ) -> None:
        self.name = name
        self.kind = kind
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.flags = flags
        self.scope = scope
        self._limits = limits
        self._sink = sink
        self.start_time = start_time
        self.end_time: int | None = None
        self.attributes: dict[str, object] = {}

    def get_span_context(self) -> SpanContext:
        """The identity of this span, which is what its children inherit."""
        return SpanContext(self.trace_id, self.span_id, False, TraceFlags(self.flags), self.trace_state)

    def is_recording(self) -> bool:
        """Whether it is still open."""
        return self.end_time is None

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set one attribute; a name that is there already gets the new value."""
        limits, attributes = self._limits, self.attributes
        if self.end_time is not None:
            self._late("set_attribute")
        elif (
            type(value) in limits.plain
            and type(key) is str
            and key
            and (limits.attributes is None or len(attributes) < limits.attributes)
        ):
            attributes[key] = value
        else:
            self.dropped_attributes += put(attributes, {key: value}, limits.attributes, limits)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set several attributes."""
        if self.end_time is not None:
            self._late("set_attributes")
        elif dropped := put(self.attributes, attributes, self._limits.attributes, self._limits):
            self.dropped_attributes += dropped

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Record that something happened.

        Args:
            name: what.
            attributes: more about it.
            timestamp: nanoseconds since the Unix epoch; now when not given.
        """
        limits = self._limits
        if self.end_time is not None:
            self._late("add_event")
        elif limits.events is not None and len(self.events) >= limits.events:
            self.dropped_events += 1
        else:
            kept: dict[str, object] = {}
            dropped = put(kept, attributes, limits.event_attributes, limits) if attributes else 0
            event = Event(text(name), time.time_ns() if timestamp is None else timestamp, kept, dropped)
            # setdefault: two threads that record their first event at once must share one list
            cast("list[Event]", self.__dict__.setdefault("events", [])).append(event)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Refer to another span; one without valid ids is taken only if it says anything else."""
        limits = self._limits
        if self.end_time is not None:
            self._late("add_link")
        elif not (context.is_valid or attributes or context.trace_state):
            return
        elif limits.links is not None and len(self.links) >= limits.links:
            self.dropped_links += 1
        else:
            kept: dict[str, object] = {}
            dropped = put(kept, attributes, limits.link_attributes, limits) if attributes else 0
            cast("list[SpanLink]", self.__dict__.setdefault("links", [])).append(SpanLink(context, kept, dropped))

    def update_name(self, name: str) -> None:
        """Give it another name; a sampler that went by the first one is not asked again."""
        if self.end_time is not None:
            self._late("update_name")
        else:
            self.name = text(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Say how the operation ended.

        Args:
            status: OK is final; UNSET changes nothing.
            description: for people; kept only with ERROR.
        """
        code = status.status_code if isinstance(status, Status) else status
        message = status.description if isinstance(status, Status) else description
        if self.end_time is not None:
            self._late("set_status")
        elif self.status_code != StatusCode.OK.value and code is not StatusCode.UNSET:
            self.status_code = code.value
            self.status_message = text(message) if message and code is StatusCode.ERROR else ""

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Record an exception as an event named ``exception``, by the semantic conventions.

        Args:
            exception: whatever was raised.
            attributes: further ones, which win.
            timestamp: nanoseconds since the Unix epoch; now when not given.
            escaped: whether it leaves the span's scope.
        """
        kind = type(exception)
        described: dict[str, AttributeValue] = {
            "exception.type": kind.__qualname__
            if kind.__module__ == "builtins"
            else f"{kind.__module__}.{kind.__qualname__}",
            "exception.message": text(exception),
            "exception.stacktrace": _stacktrace(exception),
            "exception.escaped": str(bool(escaped)),
        }
        self.add_event("exception", {**described, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """Close it and hand it on; only the first call counts.

        Args:
            end_time: nanoseconds since the Unix epoch; now when not given.
        """
        try:
            sink = self._sink
            del self._sink  # of two threads that end it at once, one fails here: the deletion is atomic
        except AttributeError:
            self._late("end")
            return
        now = time.time_ns() if end_time is None else end_time
        self.end_time = max(now, self.start_time)  # the system's clock may have been set back
        sink(self)

    def _late(self, method: str) -> None:
        REPORTER.warn(f"tracing Span.{method}", f"the span {self.name!r} has ended; the call was ignored")

    def fail(self, error: BaseException) -> None:
        """What leaving the span's block by that error records, as far as it was asked for."""
        as_event, as_status = self.tell_exceptions
        if self.end_time is not None or not isinstance(error, Exception):
            return  # what is not an Exception is control flow: GeneratorExit, CancelledError, KeyboardInterrupt
        ids = {"trace_id": f"{self.trace_id:032x}", "span_id": f"{self.span_id:016x}"}
        stamp(ids)
        remember(error, ids)
        if as_event:
            self.record_exception(error, escaped=True)
        if as_status:
            self.set_status(StatusCode.ERROR, f"{type(error).__name__}: {text(error)}")

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        """End it, and record the exception by which its block was left."""
        if exc_val is not None:
            self.fail(exc_val)
        self.end()

    def __repr__(self) -> str:
        return f"Span({self.name!r}, {self.trace_id:032x}-{self.span_id:016x})"


def _stacktrace(error: BaseException) -> str:
    import traceback

    try:
        return "".join(traceback.format_exception(error))
    except Exception as broken:  # noqa: BLE001 - formatting calls the host's own methods
        return f"the traceback could not be formatted: {text(broken)}"
