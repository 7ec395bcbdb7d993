"""Histogram and summary: instruments that take many values and keep what matters of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from types import CellType
from typing import ClassVar, Unpack

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.done import Done
from mirante._core.model import Exemplar, NativePoint, Sample
from mirante.errors import DeclarationError
from mirante.formats.exposition import bound
from mirante.metrics import cells
from mirante.metrics.cells import Observe
from mirante.metrics.exemplars import CURRENT
from mirante.metrics.family import Child, Instrument, Shape
from mirante.metrics.names import DEFAULT_BUCKETS, bucket_bounds
from mirante.metrics.native import ZERO_THRESHOLD, NativeBuckets, locked_observe, plain_observe, schema_of
from mirante.metrics.options import Options
from mirante.metrics.sketch import SlidingSketch
from mirante.metrics.timer import Timer

WINDOWS = 5
"""Parts in which a summary's past is forgotten."""


class BoundHistogram(Child):
    """The series of a histogram that share their label values.

    Attributes:
        observe: records a value; see Observe.

    Example:
        >>> latency = Histogram("latency_seconds", "Latency.", labels=("route",)).labels("/")
        >>> latency.observe(0.2)
        DONE
    """

    __slots__ = ("counts", "examples", "native", "observe", "total")
    functions: ClassVar[tuple[str, ...]] = ("observe",)

    def __init__(self, bounds: tuple[float, ...], native: NativeBuckets | None = None) -> None:
        classic = cells.CELLS.histogram(bounds)
        self.observe: Observe = classic.observe
        self.counts: list[int] = classic.counts
        self.total: CellType = classic.sum
        self.examples: dict[int, Exemplar] = classic.examples
        self.native = native
        if native:
            both = locked_observe if cells.CELLS is cells.LOCKED else plain_observe
            self.observe = both(classic, native)

    def mark(self) -> object:
        """How many values were observed."""
        return sum(self.counts)

    def arm(self) -> None:
        """See Child.arm."""
        self.observe.__defaults__ = (CURRENT,)  # type: ignore[attr-defined] # it is a function, as cells makes it

    def has_exemplar(self) -> bool:
        """See Child.has_exemplar."""
        return bool(self.examples)

    def snapshot(self) -> tuple[list[int], float]:
        """Counts by bucket (not cumulative, the last is +Inf) and the sum, of one moment."""
        return self.counts[:], self.total.cell_contents  # no call in between, so no other thread either

    def time(self) -> Timer:
        """A context manager and decorator that observes the seconds from entering to leaving."""
        return Timer(self.observe)


class Histogram(Instrument[BoundHistogram]):
    """Values counted in buckets: latencies, sizes. Quantiles are computed where it is queried, over all processes.

    Args:
        buckets: upper bounds, rising; the last bucket, ``+Inf``, is added. May be empty for a native histogram.
        native_factor: makes it a native histogram too, whose bounds grow by at most this factor, such as 1.1. It is
            exposed to whoever scrapes by protobuf, as Prometheus does when its native histograms are switched on.
        native_buckets: buckets above which the native histogram halves its resolution.

    Other arguments and errors as for Counter.

    Example:
        >>> from mirante.metrics import Histogram
        >>> latency = Histogram("latency_seconds", "Time to answer.", buckets=[0.1, 1.0])
        >>> latency.observe(0.25)
        DONE
        >>> with latency.time():
        ...     pass
        >>> latency.count
        2
    """

    __slots__ = ("_bounds", "_les", "_native_buckets", "_schema", "observe", "time")
    type = "histogram"
    reserved: ClassVar[tuple[str, ...]] = ("le",)
    suffixes: ClassVar[tuple[str, ...]] = ("", "_bucket", "_sum", "_count", "_created")

    def __init__(
        self,
        name: str,
        help: str = "",
        labels: Iterable[str] = (),
        *,
        buckets: Iterable[float] = DEFAULT_BUCKETS,
        native_factor: float | None = None,
        native_buckets: int = 160,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(name, help, labels, **options)
        bounds = tuple(buckets)
        self._bounds = bucket_bounds(self.name, bounds) if bounds or native_factor is None else ()
        self._les = [bound(upper) for upper in (*self._bounds, math.inf)]
        self._schema = None if native_factor is None else schema_of(self.name, native_factor)
        self._native_buckets = native_buckets
        sole = self._ready()
        self.observe: Observe = sole.observe if sole else self._needs_labels
        self.time: Callable[[], Timer] = sole.time if sole else self._needs_labels

    @property
    def count(self) -> int:
        """How many values were observed in all series."""
        return sum(sum(child.counts) for child in self.children())

    @property
    def sum(self) -> float:
        """The sum of the values observed in all series."""
        return math.fsum(child.snapshot()[1] for child in self.children())

    @property
    def lines_per_child(self) -> int:
        """One for each bucket, and count and sum."""
        return len(self._les) + 2

    def arguments(self) -> dict[str, object]:
        """What it takes to declare the same one again, in addition to name, labels and options."""
        factor = None if self._schema is None else 2.0 ** (2.0**-self._schema)
        return {"buckets": self._bounds, "native_factor": factor, "native_buckets": self._native_buckets}

    def shape(self) -> Shape:
        """The bounds of the buckets belong to it."""
        native = () if self._schema is None else (f"native schema {self._schema}", self._native_buckets)
        return (*super().shape(), self._bounds, *native)

    def _new(self) -> BoundHistogram:
        native = None if self._schema is None else NativeBuckets(self._schema, self._native_buckets)
        return BoundHistogram(self._bounds, native)

    def _native(self, child: BoundHistogram) -> NativePoint | None:
        if child.native is None:
            return None
        labels = dict(zip(self.label_names, child.label_values, strict=True))
        schema, zero, total, positive, negative = child.native.state()
        examples = tuple(child.examples.values())
        return NativePoint(labels, schema, ZERO_THRESHOLD, zero, total, positive, negative, examples, self.created)

    def _zero(self, child: BoundHistogram) -> None:
        child.counts[:] = [0] * len(child.counts)
        child.total.cell_contents = 0.0
        child.examples.clear()
        if child.native:
            child.native.clear()

    def _samples(self, child: BoundHistogram, labels: dict[str, str]) -> Iterator[Sample]:
        counts, total = child.snapshot()
        name = f"{self.name}_bucket"
        for at, (le, count) in enumerate(zip(self._les, accumulate(counts), strict=True)):
            yield Sample(name, {**labels, "le": le}, float(count), None, child.examples.get(at))
        yield Sample(f"{self.name}_count", labels, float(sum(counts)))
        yield Sample(f"{self.name}_sum", labels, float(total))

    def _text(self, children: Sequence[BoundHistogram], keys: Sequence[tuple[str, ...]]) -> str:
        buckets = [f'le="{le}"}} ' for le in self._les]
        inside = "".join([f'{name}="%s",' for name in self.label_names])
        count, total = self._template("_count"), self._template("_sum")
        out = []
        for child, key in zip(children, keys, strict=True):
            counts, sum_ = child.snapshot()
            head = f"{self.name}_bucket{{{inside % key}"
            out += [f"{head}{le}{n}\n" for le, n in zip(buckets, accumulate(counts), strict=True)]
            out.append(f"{count % key}{sum(counts)}\n{total % key}{sum_}\n")
        return "".join(out)


class BoundSummary(Child):
    """The series of a summary that share their label values.

    Attributes:
        observe: records a value, in the metric's base unit.

    Example:
        >>> size = Summary("body_bytes", "Size of bodies.", labels=("route",)).labels("/")
        >>> size.observe(512)
        DONE
    """

    __slots__ = ("counted", "observe", "sketch", "total")
    functions: ClassVar[tuple[str, ...]] = ("observe",)

    def __init__(self, sketch: SlidingSketch | None) -> None:
        self.sketch = sketch
        self.observe: Callable[[float], Done]
        self.counted: CellType
        self.total: CellType
        self.observe, self.counted, self.total = cells.CELLS.summary(sketch.add if sketch else None)

    def mark(self) -> object:
        """How many values were observed."""
        return self.counted.cell_contents

    def time(self) -> Timer:
        """A context manager and decorator that observes the seconds from entering to leaving."""
        return Timer(self.observe)


class Summary(Instrument[BoundSummary]):
    """Count and sum of values, and their quantiles over the recent past in this one process.

    A quantile is within 1 % of a value of that rank among those of the sliding window (see SlidingSketch); it cannot be
    combined with other processes' quantiles. Where that is wanted, use a Histogram.

    Args:
        quantiles: ranks between 0 and 1; none make ``observe`` three times faster.
        max_age: seconds after which a value no longer counts for the quantiles.

    Other arguments and errors as for Counter.

    Example:
        >>> from mirante.metrics import Summary
        >>> size = Summary("response_bytes", "Size of an answer.", quantiles=(0.5,))
        >>> for n in (100, 200, 300):
        ...     _ = size.observe(n)
        >>> 198 < size.quantile(0.5) < 202
        True
    """

    __slots__ = ("_clock", "_max_age", "_ranks", "observe", "time")
    type = "summary"
    reserved: ClassVar[tuple[str, ...]] = ("quantile",)
    suffixes: ClassVar[tuple[str, ...]] = ("", "_sum", "_count", "_created")

    def __init__(
        self,
        name: str,
        help: str = "",
        labels: Iterable[str] = (),
        *,
        quantiles: Iterable[float] = (0.5, 0.9, 0.99),
        max_age: float = 600.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(name, help, labels, **options)
        self._ranks = tuple(quantiles)
        self._max_age = max_age
        self._clock: Clock = options.get("clock", SYSTEM_CLOCK)
        if not all(0 <= rank <= 1 for rank in self._ranks) or not max_age > 0:
            raise DeclarationError(f"{self.name}: quantiles must lie between 0 and 1, and max_age must be positive")
        sole = self._ready()
        self.observe: Callable[[float], Done] = sole.observe if sole else self._needs_labels
        self.time: Callable[[], Timer] = sole.time if sole else self._needs_labels

    @property
    def count(self) -> int:
        """How many values were observed in all series."""
        return sum(child.counted.cell_contents for child in self.children())

    @property
    def sum(self) -> float:
        """The sum of the values observed in all series."""
        return math.fsum(child.total.cell_contents for child in self.children())

    def quantile(self, rank: float, *label_values: object) -> float:
        """The value at that rank within the sliding window; NaN when there is none or no quantiles are kept."""
        sketch = self.labels(*label_values).sketch
        return sketch.quantiles([rank])[0] if sketch else math.nan

    @property
    def lines_per_child(self) -> int:
        """One for each quantile, and count and sum."""
        return len(self._ranks) + 2

    def arguments(self) -> dict[str, object]:
        """What it takes to declare the same one again, in addition to name, labels and options."""
        return {"quantiles": self._ranks, "max_age": self._max_age}

    def shape(self) -> Shape:
        """The quantiles and their window belong to it."""
        return (*super().shape(), self._ranks, self._max_age)

    def _new(self) -> BoundSummary:
        return BoundSummary(SlidingSketch(self._max_age, WINDOWS, self._clock) if self._ranks else None)

    def _zero(self, child: BoundSummary) -> None:
        child.counted.cell_contents = 0
        child.total.cell_contents = 0.0
        if child.sketch:
            child.sketch.clear()

    def _samples(self, child: BoundSummary, labels: dict[str, str]) -> Iterator[Sample]:
        if child.sketch:
            for rank, value in zip(self._ranks, child.sketch.quantiles(self._ranks), strict=True):
                yield Sample(self.name, {**labels, "quantile": bound(rank)}, value)
        yield Sample(f"{self.name}_count", labels, float(child.counted.cell_contents))
        yield Sample(f"{self.name}_sum", labels, float(child.total.cell_contents))

    def _text(self, children: Sequence[BoundSummary], keys: Sequence[tuple[str, ...]]) -> str:
        ranks = [self._template("", f'quantile="{bound(rank)}"') for rank in self._ranks]
        count, total = self._template("_count"), self._template("_sum")
        out = []
        for child, key in zip(children, keys, strict=True):
            if child.sketch:
                values = child.sketch.quantiles(self._ranks)
                out += [f"{line % key}{value}\n" for line, value in zip(ranks, values, strict=True)]
            out.append(f"{count % key}{child.counted.cell_contents}\n{total % key}{child.total.cell_contents}\n")
        return "".join(out)
