"""The buffered collector: takes measurements from any thread or event loop and sees to their delivery."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent import futures
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeAlias

from mirante._core import destinations
from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.done import DONE
from mirante._core.guard import REPORTER
from mirante._core.model import MetricFamily, Sample
from mirante._core.protocols import Exportable, Exporter
from mirante._core.record import Metric
from mirante.errors import DeclarationError, StoreError
from mirante.telemetry import live
from mirante.telemetry.backlog import Backlog
from mirante.telemetry.config import TelemetryConfig
from mirante.telemetry.delivery import Delivery
from mirante.telemetry.stages.aggregate import Aggregate
from mirante.telemetry.stages.base import DeliveryStage, Emit, RecordContext, RecordStage
from mirante.telemetry.stages.batch import Batch
from mirante.telemetry.stages.sample import Sample as SampleStage

Stage: TypeAlias = RecordStage | DeliveryStage | Batch

BATCH = 1_000
"""Records in a batch where no ``Batch`` stage says otherwise."""


class MetricsCollector:
    """Buffers measurements, puts them through its stages and delivers them to one or more exporters.

    ``record`` may be called from any thread, event loop or signal handler, with or without ``await``; it never waits.
    Delivery happens on a thread for each exporter, so that neither a slow destination nor a failing one is felt
    anywhere else. A forked child has a pipeline of its own that begins empty.

    Args:
        config: sizes and times; the defaults under the name ``default`` when not given.
        stages: what happens on the way, in this order: stages that see each record first, then ``Batch`` and ``Retry``.
        exporter: where to; several may be given. Without any, the exporters set by ``mirante.configure`` when the
            collector starts, and where there are none ``history`` keeps the most recent records in memory.
            Those given here are closed at the end.
        clock: the source of time.

    Attributes:
        config: what it was told.
        history: the most recent records where there is no exporter, oldest first.

    Raises:
        DeclarationError: the stages cannot work in this order.

    Example:
        >>> import asyncio
        >>> async def main() -> None:
        ...     async with MetricsCollector(stages=[Aggregate()]) as collector:
        ...         for seconds in (0.1, 0.3):
        ...             await collector.record("response_time", seconds, tags={"route": "/users"})
        ...     print([(metric.name, metric.count) for metric in collector.history])
        >>> asyncio.run(main())
        [('response_time', 2.0)]
    """

    def __init__(
        self,
        config: TelemetryConfig | None = None,
        stages: Sequence[Stage] = (),
        exporter: Exporter | Sequence[Exporter] | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.config = config or TelemetryConfig(name="default")
        self.history: deque[Exportable] = deque(maxlen=self.config.history_size)
        self._exporters = _several(exporter)
        self._clock = clock
        self._record_stages = [stage for stage in stages if isinstance(stage, RecordStage)]
        self._delivery_stages = [stage for stage in stages if isinstance(stage, DeliveryStage)]
        self._batch_size = min([stage.size for stage in stages if isinstance(stage, Batch)], default=BATCH)
        _check(stages)
        self._off = not self.config.enabled
        self._reset()

    def _reset(self) -> None:
        """Empty, not started: what a new collector is, and one in a forked child."""
        # One lock for the whole way from record to buffer, so that stages need none; reentrant, because a signal
        # handler may record too.
        self._lock = threading.RLock()
        self._buffer: list[Metric] = []
        self._recorded = 0
        self._dropped: dict[str, int] = {}
        self._deliveries: list[Delivery] = []
        self._due = 0.0
        self._entry: Emit = self._into_buffer
        self._drains: list[Callable[[], None]] = []
        for stage in reversed(self._record_stages):
            bound = stage.bind(RecordContext(self._entry, self._drop, self._clock))
            self._entry = bound.record
            self._drains.insert(0, bound.drain)
        self._emit: Emit = self._start_and_emit

    # Recording.

    def record(
        self,
        name: str,
        value: float,
        tags: Mapping[str, object] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Awaitable[None]:
        """Record one measurement, now.

        Args:
            name: what was measured.
            value: a finite number, in base units by preference: seconds, bytes.
            tags: dimensions by which to tell measurements apart; few values each.
            metadata: anything else worth keeping beside it.

        Raises:
            DeclarationError: the name is empty or the value no finite number.

        Example:
            >>> collector = MetricsCollector()
            >>> collector.record("jobs", 1)
            DONE
            >>> collector.shutdown()
        """
        if self._off:
            return DONE
        with self._lock:
            # Under the lock, so that records stand in the order of their timestamps.
            now = datetime.fromtimestamp(self._clock.time_ns() / 1e9, UTC)
            metric = Metric(name, value, now, tags, metadata)
            self._recorded += 1
            try:
                self._emit(metric)
            except Exception as error:  # noqa: BLE001 - a stage's fault must not become the host's
                self._stage_failed(error)
        return DONE

    def _start_and_emit(self, metric: Metric) -> None:
        self._start(strict=False)
        self._emit(metric)

    def _into_buffer(self, metric: Metric) -> None:
        self._buffer.append(metric)
        if len(self._buffer) >= self.config.buffer_size:
            self._hand_over()

    def _drop(self, reason: str, count: int) -> None:
        self._dropped[reason] = self._dropped.get(reason, 0) + count

    def _drop_late(self, _metric: Metric) -> None:
        self._drop("closed", 1)

    def _stage_failed(self, error: Exception) -> None:
        self._drop("stage_failed", 1)
        REPORTER.fault(f"telemetry {self.config.name}, stage", error)

    def _hand_over(self) -> None:
        batch, self._buffer = self._buffer, []
        for delivery in self._deliveries:
            delivery.submit(batch)

    def _drain(self) -> None:
        self._due = self._clock.monotonic() + self.config.flush_interval
        for drain in self._drains:
            try:
                drain()
            except Exception as error:  # noqa: BLE001 - as above
                self._stage_failed(error)
        if self._buffer:
            self._hand_over()

    def _tick(self) -> float:
        with self._lock:
            if self._clock.monotonic() >= self._due:
                self._drain()
            return self._due - self._clock.monotonic()

    # Life.

    def initialize(self) -> Awaitable[None]:
        """Start; does nothing when it runs. The first ``record`` starts it too.

        Raises:
            StoreError: the spool's directory cannot be used. A start by ``record`` goes on without it, with a warning.
        """
        with self._lock:
            if self._emit == self._drop_late:
                self._reset()
            if self._emit == self._start_and_emit and not self._off:
                self._start(strict=True)
        return DONE

    def _start(self, *, strict: bool) -> None:
        exporters = self._exporters or destinations.configured() or (_History(self.history),)
        deliveries: list[Delivery] = []
        for exporter in exporters:
            kind = type(exporter).__name__.strip("_")
            same = sum(type(other) is type(exporter) for other in exporters[: len(deliveries)])
            deliveries.append(self._delivery(exporter, f"{kind}-{same + 1}" if same else kind, strict=strict))
        self._deliveries = deliveries
        self._due = self._clock.monotonic() + self.config.flush_interval
        self._emit = self._entry
        live.enter(self)
        for delivery in deliveries:
            delivery.start()

    def _delivery(self, exporter: Exporter, name: str, *, strict: bool) -> Delivery:
        return Delivery(
            exporter,
            name=name,
            config=self.config,
            stages=self._delivery_stages,
            batch_size=self._batch_size,
            backlog=self._backlog(name, strict=strict),
            tick=self._tick,
            clock=self._clock,
            closes=bool(self._exporters),
        )

    def _backlog(self, exporter: str, *, strict: bool) -> Backlog | None:
        if self.config.spool_dir is None:
            return None
        from urllib.parse import quote

        home = self.config.spool_dir / f"{quote(self.config.name, safe='')}.{exporter}"
        try:
            return Backlog(home, self.config.spool_max_bytes)
        except StoreError as error:
            if strict:
                raise
            REPORTER.warn(f"telemetry {self.config.name}", f"no spool, an outage will lose records: {error}")
            return None

    async def flush(self) -> bool:
        """Hand over what was recorded up to now and wait until it was delivered or given up.

        Returns:
            Whether nothing waits any more, in memory or on disk.
        """
        with self._lock:
            self._drain()
            reached = [delivery.barrier() for delivery in self._deliveries]
        return await _all(reached, None)

    async def teardown(self) -> None:
        """Deliver what is left, for ``shutdown_timeout`` seconds at most, and end. Later records are dropped."""
        await _all(self._stop(), self.config.shutdown_timeout)
        self._abandon()

    def shutdown(self) -> None:
        """The same for callers without an event loop; happens by itself when the process ends in order."""
        futures.wait(self._stop(), self.config.shutdown_timeout)
        self._abandon()

    def _stop(self) -> list[futures.Future[bool]]:
        with self._lock:
            if self._emit == self._drop_late:
                return []
            self._drain()
            self._emit = self._drop_late
            return [delivery.stop(self.config.shutdown_timeout) for delivery in self._deliveries]

    def _abandon(self) -> None:
        for delivery in self._deliveries:
            delivery.abandon()
        live.leave(self)

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.teardown()

    def __enter__(self) -> Self:
        self.initialize()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()

    def after_fork(self) -> None:
        """In a forked child: begin anew and empty; what the parent had recorded, the parent delivers."""
        ended = self._emit == self._drop_late
        self._reset()
        if ended:
            self._emit = self._drop_late

    # What it says about itself.

    async def get_stats(self) -> dict[str, Any]:
        """Counts since the start.

        Returns:
            ``metrics_count`` records given to ``record``, ``buffered`` of them not handed over yet, ``dropped`` in all
            and ``dropped_by_reason``, and under ``exporters`` for each its ``exported``, ``queued``, ``spooled``,
            ``retries`` and ``dropped_by_reason``.
        """
        exporters = {
            one.name: {
                "exported": one.exported,
                "queued": one.queued,
                "spooled": one.spooled,
                "retries": one.retries,
                "dropped_by_reason": one.dropped(),
            }
            for one in self._deliveries
        }
        with self._lock:
            reasons = dict(self._dropped)
        for delivery in self._deliveries:
            for reason, count in delivery.dropped().items():
                reasons[reason] = reasons.get(reason, 0) + count
        return {
            "name": self.config.name,
            "enabled": self.config.enabled,
            "metrics_count": self._recorded,
            "buffered": len(self._buffer),
            "dropped": sum(reasons.values()),
            "dropped_by_reason": reasons,
            "exporters": exporters,
        }

    def collect(self) -> Iterator[MetricFamily]:
        """Its own metrics, named ``mirante_telemetry_*``; the process's registry has them for all collectors."""
        return live.families(self.samples())

    def samples(self) -> Iterator[Sample]:
        """Its own metrics as single samples."""
        mine = {"collector": self.config.name}
        yield Sample("mirante_telemetry_recorded_total", mine, self._recorded)
        for reason, count in sorted(self._dropped.items()):
            yield Sample("mirante_telemetry_dropped_total", {**mine, "exporter": "", "reason": reason}, count)
        for one in self._deliveries:
            labels = {**mine, "exporter": one.name}
            yield Sample("mirante_telemetry_exported_total", labels, one.exported)
            yield Sample("mirante_telemetry_retries_total", labels, one.retries)
            yield Sample("mirante_telemetry_queue_records", labels, one.queued)
            yield Sample("mirante_telemetry_spool_records", labels, one.spooled)
            yield Sample("mirante_telemetry_spool_bytes", labels, one.spooled_bytes)
            yield Sample("mirante_telemetry_spool_torn_bytes", labels, one.torn_bytes)
            for reason, count in sorted(one.dropped().items()):
                yield Sample("mirante_telemetry_dropped_total", {**labels, "reason": reason}, count)


class _History:
    """Stands in for an exporter where there is none."""

    def __init__(self, records: deque[Exportable]) -> None:
        self._records = records

    def export(self, batch: Sequence[Exportable]) -> None:
        self._records.extend(batch)


async def _all(waited: Sequence[futures.Future[bool]], seconds: float | None) -> bool:
    """Whether all are done in time and true."""
    if not waited:
        return True
    import asyncio

    _, late = await asyncio.wait([asyncio.wrap_future(one) for one in waited], timeout=seconds)
    return not late and all(one.result() for one in waited)


def _several(exporter: Exporter | Sequence[Exporter] | None) -> tuple[Exporter, ...]:
    if exporter is None:
        return ()
    return tuple(exporter) if isinstance(exporter, Sequence) else (exporter,)


def _check(stages: Sequence[Stage]) -> None:
    aggregated = False
    for stage in stages:
        if not isinstance(stage, RecordStage | DeliveryStage | Batch):
            raise DeclarationError(f"{stage!r} is no stage: it has neither a bind nor a wrap method")
        if aggregated and isinstance(stage, Aggregate | SampleStage):
            raise DeclarationError(f"{type(stage).__name__} after Aggregate: only single measurements can go there")
        aggregated = aggregated or isinstance(stage, Aggregate)
