"""What the store promises to the rest of the server: small Protocols, their docstrings are the contract.

Times are integer milliseconds since the Unix epoch unless a name says otherwise. ``promql`` and ``store`` meet only
here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from mirante.server.trace import Trace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mirante.formats.native_histogram import NativeHistogram

STALE_NAN_BITS = 0x7FF0000000000002
"""Bit pattern of the staleness marker (Prometheus ``model/value``): it ends a series and is never a value."""

Labels = Mapping[str, str]
"""Label names to values, ``__name__`` included."""

MatchOp = Literal["=", "!=", "=~", "!~"]


class Matcher(NamedTuple):
    """One label condition of a selector.

    Regular expressions are RE2 and anchored at both ends; a missing label is ''.
    """

    name: str
    op: MatchOp
    value: str


@dataclass(frozen=True, slots=True)
class SeriesSet:
    """The series that a selector found.

    Attributes:
        ids: uint64 array of N series ids, strictly ascending.
        labels: N label sets, in the order of ``ids``.
    """

    ids: npt.NDArray[np.uint64]
    labels: Sequence[Labels]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """Raw samples of many series, column by column.

    Series i of the SeriesSet that was asked for owns the rows ``offsets[i]:offsets[i + 1]``; within a series times are
    strictly ascending (of two samples at one time the greatest value was kept). Staleness markers are included,
    bit for bit.

    Attributes:
        offsets: int64 array of N + 1 row numbers.
        timestamps: int64 array of milliseconds.
        values: float64 array.
    """

    offsets: npt.NDArray[np.int64]
    timestamps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HistogramBlock:
    """Native histograms of many series, in the order of a SampleBlock.

    Within a series times are strictly ascending: of several histograms at one time the one with the greatest count was
    kept, of those the one with the greatest sum; a staleness marker (its sum has the marker's bits) is less than any.

    Attributes:
        offsets: int64 array of N + 1 row numbers.
        timestamps: int64 array of milliseconds.
        histograms: one for each row.
    """

    offsets: npt.NDArray[np.int64]
    timestamps: npt.NDArray[np.int64]
    histograms: Sequence[NativeHistogram]


@dataclass(frozen=True, slots=True)
class Grid:
    """The steps of a range query and the window that looks back from each: step k covers (t_k - window, t_k].

    Attributes:
        start: time of the first step.
        end: time of the last possible step, inclusive.
        step: distance between steps, at least 1; an instant query has one step and ``start == end``.
        window: length of the window, at least 1.
    """

    start: int
    end: int
    step: int
    window: int

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return (self.end - self.start) // self.step + 1


@dataclass(slots=True)
class QueryBudget:
    """What one query may still use; shared by all its reads, checked before each.

    Attributes:
        deadline: ``time.monotonic()`` value after which the query ends with QueryTimeoutError.
        max_samples: samples and points that it may hold at once (Prometheus: ``--query.max-samples``).
        max_series: series that one selector may match.
        max_memory_bytes: what the engine may use for one read.
        query_id: names the query in the engine, so that it can be cancelled there.
        canceled: set by whoever gave up; the next read raises QueryCanceledError.
        trace: where to note how the query is answered, or None.
        held: samples and points that were held, for statistics.
    """

    deadline: float
    max_samples: int = 50_000_000
    max_series: int = 1_000_000
    max_memory_bytes: int = 1 << 30
    query_id: str = ""
    canceled: bool = False
    trace: Trace | None = None
    held: int = 0


class MetricReader(Protocol):
    """Reads metrics. Every method may be called from any thread, and blocks until the answer is there.

    All raise QueryTimeoutError, QueryCanceledError and QueryLimitError as the budget says, StoreError when the engine
    fails.
    """

    def series(self, matchers: Sequence[Matcher], start: int, end: int, budget: QueryBudget) -> SeriesSet:
        """Series that match and may have samples in [start, end] (it may return too many, never too few)."""
        ...

    def samples(self, found: SeriesSet, after: int, until: int, budget: QueryBudget) -> SampleBlock:
        """All samples of those series with after < t <= until, staleness markers included."""
        ...

    def grid(
        self, function: str, found: SeriesSet, grid: Grid, budget: QueryBudget, args: Sequence[float] = ()
    ) -> npt.NDArray[np.float64] | None:
        """One value per series and step, computed in the engine.

        None where it cannot give Prometheus's answer, or where reading the samples costs less.

        ``function`` is PromQL's name (``rate``, ``sum_over_time``; ``last`` is the instant selector's look-back, which
        a staleness marker ends). The array has shape (N, steps); a quiet NaN (``float('nan')``) of the bit pattern
        0x7ff8000000000000 says "no sample". A row whose first cell is a staleness marker could not be computed there:
        its values come from its samples.
        """
        ...

    def label_names(
        self, matcher_sets: Sequence[Sequence[Matcher]], start: int, end: int, budget: QueryBudget
    ) -> list[str]:
        """Sorted names of the labels of the series that match any of the sets (all series when there is none)."""
        ...

    def label_values(
        self, name: str, matcher_sets: Sequence[Sequence[Matcher]], start: int, end: int, budget: QueryBudget
    ) -> list[str]:
        """Sorted values of that label, as in label_names."""
        ...

    def metadata(self, metric: str | None, limit: int | None) -> dict[str, list[dict[str, str]]]:
        """Type, help and unit by metric family name, as Prometheus's ``/api/v1/metadata`` gives them."""
        ...


class ExemplarPoint(NamedTuple):
    """One exemplar: what it points to (a trace), the value that was observed, and when in milliseconds."""

    labels: Labels
    value: float
    timestamp: int


class ExemplarReader(Protocol):
    """Reads exemplars. Raises what a MetricReader raises, and may be called from any thread as well."""

    def exemplars(
        self, found: SeriesSet, start: int, end: int, budget: QueryBudget
    ) -> Sequence[Sequence[ExemplarPoint]]:
        """For each of those series its exemplars with start <= t <= end by ascending time, repeated ones once."""
        ...


class HistogramReader(Protocol):
    """Reads native histograms. Raises what a MetricReader raises, and may be called from any thread as well."""

    def histograms(self, found: SeriesSet, after: int, until: int, budget: QueryBudget) -> HistogramBlock:
        """All native histograms of those series with after < t <= until, staleness markers included."""
        ...


Stream = Literal["remote_write", "otlp_logs", "otlp_traces"]
"""The kinds of bodies that the store loads; each has its own segment log."""


class BodyLog(Protocol):
    """Takes checked protobuf bodies in. What returned without an error survives SIGKILL and will count exactly once."""

    def append(self, stream: Stream, bodies: Sequence[bytes]) -> None:
        """Append the bodies in order; raises StoreFullError when there is no room, StoreError after close()."""
        ...
