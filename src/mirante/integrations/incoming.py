"""What a request brings with it: its id, the trace that it belongs to, the address that it was sent to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, NamedTuple

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.trace import SpanKind

from mirante.errors import ConfigError
from mirante.integrations.settings import excluded_urls
from mirante.tracing.context import SPAN_KEY
from mirante.tracing.spans import Span

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
"""Those that OpenTelemetry's semantic conventions know; any other one is ``_OTHER``."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
_LITERAL = re.compile(r"\^(/[\w/-]*)\$")
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_W3C = frozenset({"traceparent", "tracestate", "baggage"})
_B3 = frozenset({"b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"})

_bits = Random().getrandbits  # noqa: S311 - an id must be unique, not secret; not the host's generator, which it may seed


def new_request_id() -> str:
    """A request id: 32 hexadecimal digits.

    Example:
        >>> len(new_request_id())
        32
    """
    return _Ids.new()


def _random_id() -> str:
    return _bits(128).to_bytes(16).hex()  # a third of the price of a format


class _Ids:
    """Where new ids come from."""

    new: Callable[[], str] = staticmethod(_random_id)


@contextmanager
def request_ids(source: Callable[[], str]) -> Iterator[None]:
    """Take the ids of requests that bring none from somewhere else for a block: for tests.

    Example:
        >>> with request_ids(lambda: "r-1"):
        ...     new_request_id()
        'r-1'
    """
    before, _Ids.new = _Ids.new, source
    try:
        yield
    finally:
        _Ids.new = before


def usable_request_id(given: str) -> str:
    r"""The id that a request came with, where it can be put into a header and a log line, or a new one.

    Example:
        >>> usable_request_id("r-1"), len(usable_request_id("two lines\n"))
        ('r-1', 32)
    """
    return given if _REQUEST_ID.fullmatch(given) else new_request_id()


class Address(NamedTuple):
    """Where a request was sent to."""

    host: str
    port: int | None


def address(authority: str, scheme: str) -> Address | None:
    """Host and port of a ``Host`` header; None where it is malformed.

    Example:
        >>> address("example.com", "https"), address("[::1]:8000", "http")
        (Address(host='example.com', port=443), Address(host='::1', port=8000))
    """
    host, colon, digits = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, digits = authority, ""
    if not host or (digits and not digits.isdecimal()):
        return None
    return Address(host.removeprefix("[").removesuffix("]"), int(digits) if digits else _PORTS.get(scheme))


def described(
    method: str, scheme: str, version: str, to: tuple[str, int | None] | None, client: str | None, agent: str | None
) -> dict[str, Any]:
    """The attributes of a request's span, but for its path.

    Args:
        method: as it came.
        scheme: such as ``http``.
        version: of the protocol, such as ``1.1``.
        to: host and port that were asked.
        client: the address of whoever asks.
        agent: what it calls itself.

    Example:
        >>> described("BREW", "http", "1.1", None, None, None)["http.request.method"]
        '_OTHER'
    """
    found: dict[str, Any] = {
        "http.request.method": method if method in METHODS else "_OTHER",
        "url.path": "",
        "url.scheme": scheme,
        "network.protocol.version": version,
    }
    if to is not None:
        found["server.address"] = to[0]
        if to[1] is not None:
            found["server.port"] = to[1]
    if client:
        found["client.address"] = client
    if agent is not None:
        found["user_agent.original"] = agent
    if method not in METHODS:
        found["http.request.method_original"] = method
    return found


def is_server(span: object) -> bool:
    """Whether it is a request's span that this process has open: then another instrumentation is at work."""
    return type(span) is Span and span.kind is SpanKind.SERVER


Exclude = Callable[[str], bool]
"""Whether a path is left out."""


def exclusion(patterns: str | Iterable[str] | None) -> Exclude | None:
    """What tells the paths that are neither traced nor measured; None where there are none.

    Args:
        patterns: regular expressions, searched for in the path; in a text they are separated by commas. When not given,
            the setting ``web_excluded_urls``.

    Raises:
        ConfigError: one of them is no regular expression.

    Example:
        >>> excluded = exclusion("^/healthz$,internal")
        >>> excluded("/healthz"), excluded("/healthz/more"), excluded("/v1/internal/x")
        (True, False, True)
    """
    if patterns is None:
        patterns = excluded_urls()
    found = [text.strip() for text in (patterns.split(",") if isinstance(patterns, str) else patterns)]
    found = [text for text in found if text and text != "none"]
    if not found:
        return None
    # To look up a path that a pattern such as ^/livez$ stands for costs next to nothing.
    paths = {match[1] for text in found if (match := _LITERAL.fullmatch(text))}
    others = [text for text in found if not _LITERAL.fullmatch(text)]
    if not others:
        return paths.__contains__
    try:
        search = re.compile("|".join(f"(?:{text})" for text in others)).search
    except re.error as error:
        raise ConfigError(f"web_excluded_urls = {others} cannot be used: {error}", key="web_excluded_urls") from None
    return lambda path: path in paths or search(path) is not None


class Parents:
    """Finds the trace that a request belongs to, by the process's propagator.

    Without a header that the propagator could read, which is the rule at the edge, that costs next to nothing.

    Args:
        getter: reads a carrier.
        spell: how headers are spelt in it.

    Example:
        >>> from opentelemetry.propagators.textmap import default_getter
        >>> Parents(default_getter, str).context({}, {}, Context())
        {}
    """

    def __init__(self, getter: Getter[Any], spell: Callable[[str], Any]) -> None:
        self._getter = getter
        self._spell = spell
        self._textmap: TextMapPropagator | None = None
        self._names: frozenset[Any] | None = None

    def context(self, present: Iterable[Any], carrier: Any, around: Context) -> Context:  # noqa: ANN401 - what the getter reads
        """The context with the remote parent and the baggage; ``around`` where the request has none.

        Args:
            present: the names of the headers that there are, as they are spelt in the carrier.
            carrier: for the getter.
            around: the context to start from.
        """
        if around and is_server(around.get(SPAN_KEY)):
            return around  # another instrumentation has read the headers
        textmap = propagate.get_global_textmap()
        if textmap is not self._textmap:
            self._look(textmap)
        if self._names is not None and self._names.isdisjoint(present):
            return around
        return textmap.extract(carrier, around, self._getter)

    def _look(self, textmap: TextMapPropagator) -> None:
        """What headers the propagator reads: for those that are not well known, that cannot be told."""
        fields = textmap.fields | (_B3 if textmap.fields & _B3 else set())
        self._names = frozenset(map(self._spell, fields)) if fields <= _W3C | _B3 else None
        self._textmap = textmap
