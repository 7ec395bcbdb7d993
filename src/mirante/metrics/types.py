"""Counter and gauge.

Every recording function returns a constant that may be awaited, so that ``c.inc()`` and ``await c.inc()`` are both
right. A metric without labels records by itself; one with labels records through the children that ``labels()`` gives.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import CellType
from typing import ClassVar, Unpack, get_args

from mirante._core.clock import SYSTEM_CLOCK
from mirante._core.done import DONE, Done
from mirante._core.guard import REPORTER
from mirante._core.model import Sample
from mirante.errors import DeclarationError
from mirante.metrics import cells
from mirante.metrics.callbacks import AwaitedCallback, Callback, callback
from mirante.metrics.cells import Increment
from mirante.metrics.exemplars import CURRENT
from mirante.metrics.family import Child, Instrument
from mirante.metrics.options import Mode, Options
from mirante.metrics.timer import CountExceptions, Exceptions, InProgress, Timer


class BoundCounter(Child):
    """One series of a counter.

    Attributes:
        inc: adds an amount of zero or more (1 when not given); see Increment.

    Example:
        >>> web = Counter("orders_total", "Orders.", labels=("channel",)).labels("web")
        >>> web.inc(2)
        DONE
        >>> web.value
        2.0
    """

    __slots__ = ("example", "inc", "total")
    functions: ClassVar[tuple[str, ...]] = ("inc",)

    def __init__(self) -> None:
        self.inc: Increment
        self.total: CellType
        self.example: CellType
        self.inc, self.total, self.example = cells.CELLS.counter()

    @property
    def increment(self) -> Increment:
        """The same as ``inc``."""
        return self.inc

    def mark(self) -> object:
        """The total."""
        return self.total.cell_contents

    def arm(self) -> None:
        """See Child.arm."""
        self.inc.__defaults__ = (1.0, CURRENT)  # type: ignore[attr-defined] # it is a function, as cells makes it

    def has_exemplar(self) -> bool:
        """See Child.has_exemplar."""
        return self.example.cell_contents is not None

    @property
    def value(self) -> float:
        """The present total."""
        return float(self.total.cell_contents)

    def count_exceptions(self, kinds: Exceptions = Exception) -> CountExceptions:
        """A context manager and decorator that counts the exceptions leaving it.

        Example:
            >>> from mirante.metrics import Counter
            >>> failures = Counter("failures", "Failed attempts.")
            >>> with failures.count_exceptions():
            ...     pass
            >>> failures.value
            0.0
        """
        return CountExceptions(self.inc, kinds)


class Counter(Instrument[BoundCounter]):
    """A number that only rises: requests, bytes sent, errors. Its samples end in ``_total``, written or not.

    Args:
        name: ``[a-zA-Z_:][a-zA-Z0-9_:]*``, with or without ``_total``.
        help: one sentence for people.
        labels: label names.
        options: ``unit``, ``ttl``, ``max_label_sets`` and others; see Options.

    Raises:
        DeclarationError: a name breaks the data model's rules.

    Example:
        >>> from mirante.metrics import Counter
        >>> jobs = Counter("jobs_total", "Jobs done.", ["kind"])
        >>> jobs.labels("mail").inc(2)
        DONE
        >>> jobs.labels("mail").value
        2.0
    """

    __slots__ = ("inc", "increment")
    type = "counter"
    suffixes: ClassVar[tuple[str, ...]] = ("", "_total", "_created")

    def __init__(self, name: str, help: str = "", labels: Iterable[str] = (), **options: Unpack[Options]) -> None:
        super().__init__(name.removesuffix("_total"), help, labels, **options)
        sole = self._ready()
        self.inc: Increment = sole.inc if sole else self._needs_labels
        self.increment = self.inc

    @property
    def value(self) -> float:
        """The present total of all series."""
        return math.fsum(child.value for child in self.children())

    def count_exceptions(self, kinds: Exceptions = Exception) -> CountExceptions:
        """As BoundCounter.count_exceptions."""
        return CountExceptions(self.inc, kinds)

    def _new(self) -> BoundCounter:
        return BoundCounter()

    def _zero(self, child: BoundCounter) -> None:
        child.total.cell_contents = 0.0
        child.example.cell_contents = None

    def _samples(self, child: BoundCounter, labels: dict[str, str]) -> Iterator[Sample]:
        yield Sample(f"{self.name}_total", labels, child.value, None, child.example.cell_contents)

    def _text(self, children: Sequence[BoundCounter], keys: Sequence[tuple[str, ...]]) -> str:
        line = self._template("_total")
        pairs = zip(children, keys, strict=True)
        return "".join([f"{line % key}{child.total.cell_contents}\n" for child, key in pairs])


class BoundGauge(Child):
    """One series of a gauge.

    Example:
        >>> depth = Gauge("queue_depth", "Waiting jobs.", labels=("queue",)).labels("mail")
        >>> depth.set(7)
        DONE
        >>> depth.value
        7.0
    """

    __slots__ = ("function", "number")

    def __init__(self) -> None:
        self.number = 0.0
        self.function: Callable[[], float] | None = None

    @property
    def value(self) -> float:
        """The present number, or what the function gives; NaN where that raises."""
        if self.function is None:
            return float(self.number)
        try:
            return float(self.function())
        except Exception as error:  # noqa: BLE001 - one callback's fault must not cost the whole exposition
            REPORTER.fault(f"gauge callback {getattr(self.function, '__qualname__', self.function)}", error)
            return math.nan

    def inc(self, amount: float = 1.0) -> Done:
        """Add ``amount``; the result may be awaited or ignored."""
        self.number += amount
        return DONE

    def dec(self, amount: float = 1.0) -> Done:
        """Subtract ``amount``; the result may be awaited or ignored."""
        self.number -= amount
        return DONE

    def set(self, value: float) -> Done:
        """Replace the number; the result may be awaited or ignored.

        Raises:
            ValueError: it is not a number.
            TypeError: it is not a number.
        """
        self.number = float(value)
        return DONE

    def set_to_current_time(self) -> Done:
        """Replace the number by the present time, in seconds since the Unix epoch."""
        return self.set(SYSTEM_CLOCK.time_ns() / 1e9)

    def set_function(self, function: Callback) -> None:
        """Ask ``function`` for the number at each collection.

        A plain function is called from the collecting thread. A coroutine function runs on the event loop that is
        running now, or on one of its own; see AwaitedCallback.
        """
        self.function = callback(function)

    def track_inprogress(self) -> InProgress:
        """A context manager and decorator that counts what is inside at the moment."""
        return InProgress(self.inc, self.dec)

    def time(self) -> Timer:
        """A context manager and decorator that sets the gauge to the seconds that the last run took."""
        return Timer(self.set)


class StampedBoundGauge(BoundGauge):
    """One series of a gauge that knows when it was set, also to the number that it had before."""

    __slots__ = ("stamp",)

    def __init__(self) -> None:
        super().__init__()
        self.stamp = time.time()

    def mark(self) -> object:
        """When it was set; None while a function gives the number."""
        return None if self.function else self.stamp

    def inc(self, amount: float = 1.0) -> Done:
        """As BoundGauge.inc."""
        self.stamp = time.time()
        return super().inc(amount)

    def dec(self, amount: float = 1.0) -> Done:
        """As BoundGauge.dec."""
        self.stamp = time.time()
        return super().dec(amount)

    def set(self, value: float) -> Done:
        """As BoundGauge.set."""
        self.stamp = time.time()
        return super().set(value)


class LockedBoundGauge(StampedBoundGauge):
    """One series of a gauge, where threads run at the same time."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def inc(self, amount: float = 1.0) -> Done:
        """As BoundGauge.inc."""
        with self._lock:
            return super().inc(amount)

    def dec(self, amount: float = 1.0) -> Done:
        """As BoundGauge.dec."""
        with self._lock:
            return super().dec(amount)


class Gauge(Instrument[BoundGauge]):
    """A number that goes up and down: a temperature, a queue's length, requests in flight.

    Args:
        multiprocess_mode: how the gauges of several processes become one; see Mode.

    Other arguments and errors as for Counter. Without labels it has the methods of BoundGauge.

    Example:
        >>> from mirante.metrics import Gauge
        >>> depth = Gauge("queue_depth", "Waiting jobs.")
        >>> depth.set(7)
        DONE
        >>> depth.dec()
        DONE
        >>> depth.value
        6.0
    """

    __slots__ = (
        "_stamped",
        "dec",
        "inc",
        "increment",
        "multiprocess_mode",
        "set",
        "set_function",
        "set_to_current_time",
        "time",
        "track_inprogress",
    )
    type = "gauge"

    def __init__(
        self,
        name: str,
        help: str = "",
        labels: Iterable[str] = (),
        *,
        multiprocess_mode: Mode = "livesum",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(name, help, labels, **options)
        if multiprocess_mode == "all" and "pid" in self.label_names:
            raise DeclarationError(f"{self.name}: multiprocess_mode 'all' needs the label 'pid' for itself")
        if multiprocess_mode not in get_args(Mode):
            raise DeclarationError(f"{self.name}: multiprocess_mode must be one of {get_args(Mode)}")
        self.multiprocess_mode: Mode = multiprocess_mode
        self._stamped = options.get("ttl") is not None or multiprocess_mode in ("last", "livelast")
        sole = self._ready()
        self.inc: Callable[..., Done] = sole.inc if sole else self._needs_labels
        self.increment = self.inc
        self.dec: Callable[..., Done] = sole.dec if sole else self._needs_labels
        self.set: Callable[[float], Done] = sole.set if sole else self._needs_labels
        self.set_to_current_time: Callable[[], Done] = sole.set_to_current_time if sole else self._needs_labels
        self.set_function: Callable[[Callback], None] = sole.set_function if sole else self._needs_labels
        self.track_inprogress: Callable[[], InProgress] = sole.track_inprogress if sole else self._needs_labels
        self.time: Callable[[], Timer] = sole.time if sole else self._needs_labels

    @property
    def value(self) -> float:
        """The present number, summed over all series."""
        return math.fsum(child.value for child in self.children())

    def zero(self) -> None:
        """Set all numbers to zero and forget the functions' results, as a forked child does that shares its metrics."""
        for child in self.children():
            child.number = 0.0

    def awaited(self) -> list[AwaitedCallback]:
        """The coroutine functions that give some of its numbers."""
        return [child.function for child in self.children() if isinstance(child.function, AwaitedCallback)]

    def _new(self) -> BoundGauge:
        if cells.CELLS is cells.LOCKED:
            return LockedBoundGauge()
        return StampedBoundGauge() if self._stamped else BoundGauge()

    def _samples(self, child: BoundGauge, labels: dict[str, str]) -> Iterator[Sample]:
        yield Sample(self.name, labels, child.value)

    def _text(self, children: Sequence[BoundGauge], keys: Sequence[tuple[str, ...]]) -> str:
        line = self._template()
        pairs = zip(children, keys, strict=True)
        return "".join([f"{line % key}{child.value if child.function else child.number}\n" for child, key in pairs])
