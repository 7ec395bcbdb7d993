"""One component: how it is declared, what its last runs said, and the status that follows from them."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from typing import Any

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante.errors import DeclarationError
from mirante.health.execution import CheckFunction
from mirante.health.status import HealthStatus, Outcome

_LOOP_GRACE = 1.0
"""Seconds past its timeout after which an async run is given up."""

Changed = Callable[["Component", HealthStatus, HealthStatus], None]


class Component:
    """A declared check with its memory. The arguments are those of ``HealthChecker.check``."""

    def __init__(
        self,
        name: str,
        function: CheckFunction,
        critical: bool = False,
        timeout: float = 5.0,
        interval: float | None = None,
        depends_on: tuple[str, ...] = (),
        failures: int = 1,
        successes: int = 1,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not name:
            raise DeclarationError("a health check needs a name")
        if not timeout > 0 or (interval is not None and not interval > 0):
            raise DeclarationError(f"health check {name!r}: timeout and interval are seconds above zero")
        if failures < 1 or successes < 1:
            raise DeclarationError(f"health check {name!r}: failures and successes are whole numbers from 1")
        self.name, self.function, self.critical = name, function, critical
        self.timeout, self.interval, self.depends_on = timeout, interval, depends_on
        self._failures, self._successes, self._clock = failures, successes, clock
        self.last: Outcome | None = None
        self.running: Future[None] | None = None
        self.failed = 0
        self._succeeded = 0
        self._started = 0.0
        self._shown: HealthStatus | None = None
        self._lock = threading.Lock()

    @property
    def bad(self) -> HealthStatus:
        """What its failure means for the whole."""
        return HealthStatus.UNHEALTHY if self.critical else HealthStatus.DEGRADED

    @property
    def stale(self) -> bool:
        """Whether its status is not the answer to the latest question."""
        return self.running is not None

    def due(self) -> bool:
        """Whether it should be asked now: it is not running, and nothing fresh is known."""
        if self.running is not None and not self._abandoned():
            return False
        if self.interval is None or self.last is None:
            return True
        return self._clock.monotonic() - self._started >= self.interval

    def _abandoned(self) -> bool:
        """Whether its run can never end: an async check is ended at its timeout, unless its loop has gone."""
        age = self._clock.monotonic() - self._started
        return inspect.iscoroutinefunction(self.function) and age > self.timeout + _LOOP_GRACE

    def status(self, blocker: str | None) -> HealthStatus:
        """The status now; ``blocker`` is a dependency that fails."""
        if blocker is not None or self._overdue():
            return self.bad
        return self._shown if self._shown is not None else self.bad

    def trouble(self, blocker: str | None) -> str:
        """What is wrong, empty when nothing is."""
        if blocker is not None:
            return f"not asked: it depends on {blocker}, which is not healthy"
        if self._overdue():
            return f"no answer within its timeout of {self.timeout:g} s"
        if self.last is None:
            return "no answer yet"
        return self.last.error

    def start(self, begin: Callable[[], Future[Any]], changed: Changed) -> None:
        """Run it once; two threads that ask at the same moment start it once."""
        with self._lock:
            if not self.due():
                return
            self._started = self._clock.monotonic()
            settled = self.running = Future()
            run = begin()
        run.add_done_callback(lambda done: self._finish(done, settled, changed))

    def young_run(self, seconds: float) -> Future[None] | None:
        """What runs now, if it was started less than so many seconds ago: one that has not answered by then hangs."""
        run = self.running
        return run if run is not None and self._clock.monotonic() - self._started < seconds else None

    def forget_run(self) -> None:
        """Let go of a run that a fork has left behind, and of a lock that another thread may have held."""
        self.running = None
        self._lock = threading.Lock()

    def _overdue(self) -> bool:
        return self.running is not None and self._clock.monotonic() - self._started > self.timeout

    def _finish(self, done: Future[Any], settled: Future[None], changed: Changed) -> None:
        seconds = self._clock.monotonic() - self._started
        with self._lock:
            if self.running is not settled:
                return  # a run that was given up
            outcome = self.last = self._read(done, seconds)
            before, now = self._shown, self._damped(outcome.status)
            self._shown, self.running = now, None
        if before is not None and before is not now:
            changed(self, before, now)
        settled.set_result(None)  # last, so that whoever waits for it sees all of the above

    def _read(self, done: Future[Any], seconds: float) -> Outcome:
        status, error = HealthStatus.HEALTHY, ""
        details: dict[str, object] = {}
        fault = CancelledError("the event loop was closed") if done.cancelled() else done.exception()
        if isinstance(fault, TimeoutError) and not str(fault):
            status, error = self.bad, f"no answer within its timeout of {self.timeout:g} s"
        elif fault is not None:
            status, error = self.bad, f"{type(fault).__name__}: {fault}"
        elif isinstance(answer := done.result(), HealthStatus):
            status, error = answer, "" if answer is HealthStatus.HEALTHY else f"the check said {answer.value}"
        elif isinstance(answer, Mapping):
            details = dict(answer)
        elif answer is not None and not answer:
            status, error = self.bad, "the check said no"
        if fault is None and seconds > self.timeout:
            status, error = self.bad, f"answered after {seconds:.1f} s, later than its timeout of {self.timeout:g} s"
        return Outcome(status, self._clock.time_ns(), seconds, error, details)

    def _damped(self, said: HealthStatus) -> HealthStatus:
        """The status to show: it turns only after enough answers of the same kind in a row; the first counts."""
        good = said is HealthStatus.HEALTHY
        self._succeeded, self.failed = (self._succeeded + 1, 0) if good else (0, self.failed + 1)
        shown = self._shown
        if shown is None:
            return said
        was_good = shown is HealthStatus.HEALTHY
        if good != was_good and (self._succeeded if good else self.failed) < (
            self._successes if good else self._failures
        ):
            return shown
        return said
