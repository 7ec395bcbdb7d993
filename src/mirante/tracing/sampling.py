"""Which traces are recorded: the decision at a span's start.

Source: OpenTelemetry specification, "Trace SDK / Sampling". A sampler sees the parent as the tracer has it (``flags``
with bit 0 for sampled, ``is_remote``), so that deciding for a child costs an attribute. Its parameters
are spelt out even where they are not used: calling a function with ``*args`` costs twice as much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from opentelemetry.trace import Link, SpanKind, TraceState

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante.errors import DeclarationError

if TYPE_CHECKING:
    from mirante.tracing.spans import Span, UnsampledSpan

    Parent: TypeAlias = Span | UnsampledSpan

_LOW = (1 << 64) - 1


class Sampling(NamedTuple):
    """What a sampler decided.

    Attributes:
        record: whether the span records anything.
        sample: whether it is exported, and its children elsewhere are asked to record too.
        attributes: added to the span.
        trace_state: replaces the parent's, or None to keep it.
    """

    record: bool
    sample: bool
    attributes: Mapping[str, object] | None = None
    trace_state: TraceState | None = None


SAMPLE = Sampling(record=True, sample=True)
DROP = Sampling(record=False, sample=False)


class Sampler(Protocol):
    """Decides about one span; called in the thread that starts it."""

    @property
    def description(self) -> str:
        """The sampler and its settings, as the specification writes them."""
        ...

    def decide(
        self,
        parent: Parent | None,
        trace_id: int,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, object] | None,
        links: Sequence[Link] | None,
        /,
    ) -> Sampling:
        """Decide; must not raise."""
        ...


@dataclass(frozen=True, slots=True)
class AlwaysOn:
    """Records everything."""

    description: str = "AlwaysOnSampler"

    def decide(self, _p: object, _t: object, _n: object, _k: object, _a: object, _l: object, /) -> Sampling:
        """Yes."""
        return SAMPLE


@dataclass(frozen=True, slots=True)
class AlwaysOff:
    """Records nothing."""

    description: str = "AlwaysOffSampler"

    def decide(self, _p: object, _t: object, _n: object, _k: object, _a: object, _l: object, /) -> Sampling:
        """No."""
        return DROP


@dataclass(frozen=True, slots=True)
class TraceIdRatio:
    """Records a share of all traces, decided by the trace id, so that every service that uses the same share agrees.

    Args:
        ratio: the share, from 0 to 1.

    Raises:
        DeclarationError: the ratio is not between 0 and 1.

    Example:
        >>> TraceIdRatio(0.5).decide(None, 2**63 - 1, "sell", None, None, None).sample
        True
    """

    ratio: float
    description: str = field(init=False)
    _bound: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.ratio <= 1.0:
            raise DeclarationError(f"a sampling ratio is between 0 and 1, not {self.ratio!r}")
        object.__setattr__(self, "description", f"TraceIdRatioBased{{{self.ratio:.6f}}}")
        object.__setattr__(self, "_bound", round(self.ratio * (1 << 64)))

    def decide(self, _p: object, trace_id: int, _n: object, _k: object, _a: object, _l: object, /) -> Sampling:
        """By the low 64 bits of the trace id, as the other implementations do."""
        return SAMPLE if trace_id & _LOW < self._bound else DROP


class RateLimited:
    """Records at most so many spans a second: a bucket that holds one second's worth.

    Used below :class:`ParentBased` it counts traces.

    Args:
        per_second: the rate, more than 0; a fraction is one span in several seconds.

    Raises:
        DeclarationError: the rate is not more than 0.
    """

    def __init__(self, per_second: float, clock: Clock = SYSTEM_CLOCK) -> None:
        if not per_second > 0:
            raise DeclarationError(f"a sampling rate is more than 0 a second, not {per_second!r}")
        self.description = f"RateLimitedSampler{{{per_second:g}}}"
        self._rate = per_second
        self._room = max(1.0, per_second)
        self._tokens = self._room
        self._filled = clock.monotonic()
        self._clock = clock

    def decide(self, _p: object, _t: object, _n: object, _k: object, _a: object, _l: object, /) -> Sampling:
        """Yes while there are tokens."""
        # Without a lock: two threads at the same instant may share a token, and need not wait for each other.
        now = self._clock.monotonic()
        tokens = min(self._room, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        self._tokens = tokens - 1.0 if tokens >= 1.0 else tokens
        return SAMPLE if tokens >= 1.0 else DROP


@dataclass(frozen=True, slots=True)
class ParentBased:
    """Does as the parent did, and asks another sampler where there is none.

    Args:
        root: decides about traces that begin here.
        remote_sampled: decides where the parent is in another process and was sampled; None is yes.
        remote_not_sampled: the same for a parent that was not; None is no.
        local_sampled, local_not_sampled: the same for parents in this process.
    """

    root: Sampler
    remote_sampled: Sampler | None = None
    remote_not_sampled: Sampler | None = None
    local_sampled: Sampler | None = None
    local_not_sampled: Sampler | None = None

    @property
    def description(self) -> str:
        """The sampler and those that it asks."""
        asked = {
            "root": self.root,
            "remoteParentSampled": self.remote_sampled or AlwaysOn(),
            "remoteParentNotSampled": self.remote_not_sampled or AlwaysOff(),
            "localParentSampled": self.local_sampled or AlwaysOn(),
            "localParentNotSampled": self.local_not_sampled or AlwaysOff(),
        }
        return "ParentBased{" + ",".join(f"{key}:{sampler.description}" for key, sampler in asked.items()) + "}"

    def decide(
        self,
        parent: Parent | None,
        trace_id: int,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, object] | None,
        links: Sequence[Link] | None,
        /,
    ) -> Sampling:
        """As the parent did."""
        if parent is None:
            return self.root.decide(parent, trace_id, name, kind, attributes, links)
        if parent.flags & 1:
            other = self.remote_sampled if parent.is_remote else self.local_sampled
            usual = SAMPLE
        else:
            other = self.remote_not_sampled if parent.is_remote else self.local_not_sampled
            usual = DROP
        return usual if other is None else other.decide(parent, trace_id, name, kind, attributes, links)


def unconditional(sampler: Sampler | None) -> Sampling | None:
    """What a sampler says of every span, without being asked; None where it depends."""
    return {AlwaysOn: SAMPLE, AlwaysOff: DROP}.get(type(sampler))


def of_children(sampler: Sampler) -> tuple[Sampling | None, ...]:
    """What a sampler says of every child, by its parent: a local one that was left out, or sampled; a remote one.

    Example:
        >>> [said and said.sample for said in of_children(ParentBased(AlwaysOff(), remote_sampled=TraceIdRatio(0.1)))]
        [False, True, False, None]
    """
    if not isinstance(sampler, ParentBased):
        return (unconditional(sampler),) * 4
    return (
        unconditional(sampler.local_not_sampled or AlwaysOff()),
        unconditional(sampler.local_sampled or AlwaysOn()),
        unconditional(sampler.remote_not_sampled or AlwaysOff()),
        unconditional(sampler.remote_sampled or AlwaysOn()),
    )
