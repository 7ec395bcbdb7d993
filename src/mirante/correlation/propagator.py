"""How a trace goes on in the next process: headers to context and back.

Sources: W3C Trace Context level 1 and 2, W3C Baggage, the B3 propagation specification, and OpenTelemetry's
"Propagators API". What is malformed is ignored as these say; nothing here raises into the host.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote, unquote

from opentelemetry import baggage
from opentelemetry.context import Context, create_key, get_value, set_value
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)

from mirante._core.guard import REPORTER

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MEMBER = re.compile(
    r"((?:[a-z][a-z0-9_\-*/]{0,255})|(?:[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}))"
    r"=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])"
)
_MAX_MEMBERS = 32
_KNOWN_FLAGS = 0x03


def _remote(
    context: Context | None, trace_id: str, span_id: str, flags: int, state: TraceState | None = None
) -> Context | None:
    """The context with that remote parent, or None where the ids are not valid."""
    span = SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(flags), state)
    return set_span_in_context(NonRecordingSpan(span), context) if span.is_valid else None


class TraceContextPropagator(TextMapPropagator):
    """``traceparent`` and ``tracestate``.

    Example:
        >>> header = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        >>> span = get_current_span(TraceContextPropagator().extract(header))
        >>> format(span.get_span_context().span_id, "x")
        'b7ad6b7169203331'
    """

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """The context with the remote parent; as it was where the header is missing or malformed."""
        unchanged = Context() if context is None else context
        parents = getter.get(carrier, "traceparent") or ()
        match = _TRACEPARENT.fullmatch(parents[0].strip(" \t")) if len(parents) == 1 else None
        if match is None:
            return unchanged
        version, trace_id, span_id, flags, more = match.groups()
        if version == "ff" or (version == "00" and more is not None):
            return unchanged
        state = _trace_state(getter.get(carrier, "tracestate") or ())
        return _remote(unchanged, trace_id, span_id, int(flags, 16), state) or unchanged

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Write the current span's identity, if there is one."""
        span = get_current_span(context).get_span_context()
        if not span.is_valid:
            return
        flags = span.trace_flags & _KNOWN_FLAGS  # whatever else came in, nobody here has acted on it
        setter.set(carrier, "traceparent", f"00-{span.trace_id:032x}-{span.span_id:016x}-{flags:02x}")
        if span.trace_state:
            setter.set(carrier, "tracestate", span.trace_state.to_header())

    @property
    def fields(self) -> set[str]:
        """The headers that it writes."""
        return {"traceparent", "tracestate"}


def _trace_state(headers: Iterable[str]) -> TraceState | None:
    """Several headers are one list; a malformed member, or too many, voids the whole; of two alike the first counts."""
    found: dict[str, str] = {}
    members = [member.strip(" \t") for member in ",".join(headers).split(",")]
    members = [member for member in members if member]
    if len(members) > _MAX_MEMBERS:
        return None
    for member in members:
        match = _MEMBER.fullmatch(member)
        if match is None:
            return None
        found.setdefault(match[1], match[2])
    return TraceState(list(found.items())) if found else None


_BAGGAGE_KEY = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAGGAGE_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_KEY_SAFE = "!#$&'*+-.^_`|~"
_VALUE_SAFE = "!#$&'()*+-./:<=>?@[]^_`{|}~"
_MAX_BAGGAGE_BYTES = 8192
_MAX_BAGGAGE_MEMBERS = 180


class BaggagePropagator(TextMapPropagator):
    """``baggage``: names and values that travel with the request; the properties of a member are not kept.

    Example:
        >>> baggage.get_all(BaggagePropagator().extract({"baggage": "tenant=a%20b;ttl=3, user=u"}))
        mappingproxy({'tenant': 'a b', 'user': 'u'})
    """

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """The context with the members that are well formed; a header beyond the limits is ignored as a whole."""
        context = Context() if context is None else context
        header = ",".join(getter.get(carrier, "baggage") or ())
        members = header.split(",")
        if len(header) > _MAX_BAGGAGE_BYTES or len(members) > _MAX_BAGGAGE_MEMBERS:
            return context
        for member in members:
            key, equals, value = (part.strip(" \t") for part in member.partition(";")[0].partition("="))
            if equals and _BAGGAGE_KEY.fullmatch(key) and _BAGGAGE_VALUE.fullmatch(value):
                context = baggage.set_baggage(unquote(key), unquote(value), context)
        return context

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Write as many members as the limits allow."""
        members = list(_fitting(baggage.get_all(context).items()))
        if members:
            setter.set(carrier, "baggage", ",".join(members))

    @property
    def fields(self) -> set[str]:
        """The header that it writes."""
        return {"baggage"}


def _fitting(entries: Iterable[tuple[str, object]]) -> Iterator[str]:
    room = _MAX_BAGGAGE_BYTES
    for number, (key, value) in enumerate(entries):
        member = f"{quote(str(key), _KEY_SAFE)}={quote(str(value), _VALUE_SAFE)}"
        if number >= _MAX_BAGGAGE_MEMBERS or len(member) > room:
            REPORTER.warn("correlation baggage", "there is more baggage than a header may carry; the rest stays here")
            return
        room -= len(member) + 1
        yield member


_B3_SINGLE = re.compile(r"([0-9a-f]{32}|[0-9a-f]{16})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?", re.IGNORECASE)
_B3_TRACE = re.compile(r"[0-9a-f]{32}|[0-9a-f]{16}", re.IGNORECASE)
_B3_SPAN = re.compile(r"[0-9a-f]{16}", re.IGNORECASE)
_B3_YES = ("1", "d", "true")
_B3_DEBUG = create_key("b3-debug")


class B3Propagator(TextMapPropagator):
    """Zipkin's B3 headers: reads both kinds, the single one first, and writes one.

    A missing sampling decision counts as "not sampled", as in OpenTelemetry's other implementations; the debug flag
    counts as sampled and is passed on.

    Args:
        multi: write the ``X-B3-*`` headers instead of ``b3``.
    """

    def __init__(self, *, multi: bool = False) -> None:
        self._multi = multi

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """The context with the remote parent; as it was where the headers are missing or malformed."""
        unchanged = Context() if context is None else context

        def first(name: str) -> str:
            return next(iter(getter.get(carrier, name) or ()), "").strip(" \t")

        single = _B3_SINGLE.fullmatch(first("b3"))
        if single is not None:
            trace_id, span_id, sampled = single[1], single[2], (single[3] or "").lower()
        else:
            trace_id, span_id = first("x-b3-traceid"), first("x-b3-spanid")
            sampled = "d" if first("x-b3-flags") == "1" else first("x-b3-sampled").lower()
            if not (_B3_TRACE.fullmatch(trace_id) and _B3_SPAN.fullmatch(span_id)):
                return unchanged
        found = _remote(unchanged, trace_id, span_id, int(sampled in _B3_YES))
        if found is not None and sampled == "d":
            found = set_value(_B3_DEBUG, True, found)
        return unchanged if found is None else found

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Write the current span's identity, if there is one."""
        span = get_current_span(context).get_span_context()
        if not span.is_valid:
            return
        debug = bool(get_value(_B3_DEBUG, context))
        trace_id, span_id, sampled = f"{span.trace_id:032x}", f"{span.span_id:016x}", f"{span.trace_flags & 1}"
        if not self._multi:
            setter.set(carrier, "b3", f"{trace_id}-{span_id}-{'d' if debug else sampled}")
            return
        setter.set(carrier, "x-b3-traceid", trace_id)
        setter.set(carrier, "x-b3-spanid", span_id)
        setter.set(carrier, *(("x-b3-flags", "1") if debug else ("x-b3-sampled", sampled)))

    @property
    def fields(self) -> set[str]:
        """The headers that it writes."""
        return {"x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"} if self._multi else {"b3"}


_KNOWN: dict[str, Callable[[], TextMapPropagator]] = {
    "tracecontext": TraceContextPropagator,
    "baggage": BaggagePropagator,
    "b3": B3Propagator,
    "b3multi": lambda: B3Propagator(multi=True),
}


def propagator(names: str) -> TextMapPropagator:
    """The propagators of a comma-separated list, as ``OTEL_PROPAGATORS`` has it.

    A name that is not one of ours is looked for among the installed OpenTelemetry propagators; one that nobody knows is
    told and left out, as OpenTelemetry's specification asks.

    Args:
        names: such as ``tracecontext,baggage``; ``none`` for none at all.

    Example:
        >>> sorted(propagator("b3,baggage").fields)
        ['b3', 'baggage']
    """
    wanted = dict.fromkeys(filter(None, (name.strip().lower() for name in names.split(","))))
    if "none" in wanted:
        return CompositePropagator([])
    made = [(_KNOWN.get(name) or _installed(name)) for name in wanted]
    return CompositePropagator([make() for make in made if make is not None])


def _installed(name: str) -> Callable[[], Any] | None:
    from importlib.metadata import entry_points

    for entry in entry_points(group="opentelemetry_propagator", name=name):
        try:
            return entry.load()  # type: ignore[no-any-return] # whatever the package says it is
        except Exception as error:  # noqa: BLE001 - somebody else's package may fail in any way
            REPORTER.warn("propagators", f"the propagator {name!r} cannot be loaded and is left out: {error!r}")
            return None
    REPORTER.warn("propagators", f"no propagator is called {name!r}; it is left out. Known: {', '.join(_KNOWN)}")
    return None
