"""What becomes of attributes on their way into a span: checked, copied, bounded.

Source: OpenTelemetry specification, "Common / Attribute" and "Attribute Limits". A name or value of a wrong type is
turned into text where that is possible: nothing here raises into the host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mirante._core.guard import REPORTER

_DEPTH = 16
_PLAIN = frozenset((bool, int, float, bytes, type(None)))


@dataclass(frozen=True, slots=True)
class SpanLimits:
    """How much one span may hold; None is no limit.

    Attributes:
        attributes: number of a span's attributes.
        events: number of its events.
        links: number of its links.
        event_attributes: number of attributes of each event.
        link_attributes: number of attributes of each link.
        value_length: characters of a text, or bytes of a bytes value; what is longer is cut.
        plain: the types of value that need no look, derived from the others.
    """

    attributes: int | None = 128
    events: int | None = 128
    links: int | None = 128
    event_attributes: int | None = 128
    link_attributes: int | None = 128
    value_length: int | None = None
    plain: frozenset[type] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        plain = _PLAIN | {str} if self.value_length is None else _PLAIN - {bytes}
        object.__setattr__(self, "plain", plain)


def clean(value: object, length: int | None, depth: int = 0) -> object:
    """A value that can be kept: immutable, of a type that OTLP knows, texts cut to ``length``.

    Example:
        >>> clean(["abc", 1, {"k": {2}}], 2)
        ('ab', 1, {'k': '{2'})
    """
    if isinstance(value, str | bytes):
        return value if length is None else value[:length]
    if isinstance(value, bytearray | memoryview):
        return bytes(value[:length])
    if isinstance(value, bool | int | float | None):
        return value
    if depth < _DEPTH and isinstance(value, Mapping):
        return {text(key): clean(item, length, depth + 1) for key, item in value.items() if key}
    if depth < _DEPTH and isinstance(value, Sequence):
        return tuple(clean(item, length, depth + 1) for item in value)
    return text(value)[:length]


def text(value: object) -> str:
    """``str(value)``, or the name of its type where that raises.

    Example:
        >>> text(1.5)
        '1.5'
    """
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - the host's __str__ may do anything
        return f"<{type(value).__name__} that cannot be printed>"


def put(into: dict[str, object], attributes: Mapping[str, object], count: int | None, limits: SpanLimits) -> int:
    """Add attributes as far as the limit on their number allows, and return how many were left out.

    A name that is there already gets the new value; a new one beyond the limit is left out, the ones before it stay.
    """
    dropped = 0
    for key, value in attributes.items():
        if not key:
            dropped += 1
            continue
        name = key if type(key) is str else text(key)
        if count is not None and len(into) >= count and name not in into:
            dropped += 1
            continue
        into[name] = value if type(value) in limits.plain else clean(value, limits.value_length)
    if dropped:
        REPORTER.warn(
            "tracing attributes",
            f"{dropped} left out: a name was empty or there were more than {count}; see span_attribute_count_limit",
        )
    return dropped
