"""Checks of an application's components: declared once, asked often, never waited for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.fork import watch
from mirante._core.model import MetricFamily, Sample
from mirante._core.periodic import Periodic
from mirante._core.seen import check_covers
from mirante.errors import DeclarationError
from mirante.health.component import Component
from mirante.health.execution import CheckFunction, Execution
from mirante.health.status import HealthStatus
from mirante.health.watch import Listener, tell

F = TypeVar("F", bound=CheckFunction)

ANSWER_SECONDS = 0.07
"""How long an answer is waited for, from a check's start and in all; what is not there by then is reported as it was
last. The rest of the 100 ms is for starting threads, and for machines that are busy."""

_REFRESH_SECONDS = 0.5


class HealthChecker:
    """The checks of a process.

    ``check_all`` and its kin answer within 100 ms whatever the checks do: one without an answer by then reports its
    last result, marked stale, or, when there is none, DEGRADED (UNHEALTHY when critical), and goes on in the
    background. A check that runs is never started a second time. All methods may be called from any thread; the twins
    with an ``a`` in front run async checks on the loop they are awaited in, and later calls of the plain ones use that
    loop too.

    Args:
        clock: the time, for tests.
        listeners: called with every change of a component's status, after it was logged.

    Example:
        >>> health = HealthChecker()
        >>> @health.check("disk", critical=True)
        ... def disk():
        ...     return True
        >>> health.check_all()
        {'disk': <HealthStatus.HEALTHY: 'healthy'>}
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, listeners: Iterable[Listener] = ()) -> None:
        self._clock = clock
        self._listeners = [tell, *listeners]
        self._components: dict[str, Component] = {}
        self._execution = Execution()
        self._lock = threading.Lock()
        self._refresher: Periodic | None = None
        watch(self)

    def after_fork(self) -> None:
        """A forked child asks for itself: what runs, and where, has stayed with the parent."""
        self._lock = threading.Lock()
        self._execution = Execution()
        for component in self._components.values():
            component.forget_run()
        if self._refresher is not None:
            self._begin_to_refresh()

    def _begin_to_refresh(self) -> None:
        self._refresher = Periodic("mirante-health", self._refresh, _REFRESH_SECONDS, first=0.0)
        self._refresher.start()

    def check(
        self,
        name: str,
        *,
        critical: bool = False,
        timeout: float = 5.0,
        interval: float | None = None,
        depends_on: Sequence[str] = (),
        failures: int = 1,
        successes: int = 1,
    ) -> Callable[[F], F]:
        """Declare a check by decorating a plain or coroutine function without arguments.

        It says healthy by returning None or True, or a mapping with details; ill by raising or returning False; or it
        returns a HealthStatus. Ill is DEGRADED, for a critical component UNHEALTHY.

        Args:
            name: of the component.
            critical: the application cannot work without it.
            timeout: seconds after which a run counts as failed.
            interval: seconds between refreshes in the background, while answers come from what is known; None: every
                question runs it.
            depends_on: components declared before, without which this one is not even asked.
            failures: runs that must fail in a row before the status turns bad.
            successes: runs that must succeed in a row before it turns good again.

        Raises:
            DeclarationError: the name is taken or empty, a dependency is not declared, or a number is out of range.
        """

        def declare(function: F) -> F:
            self.add(
                Component(
                    name, function, critical, timeout, interval, tuple(depends_on), failures, successes, self._clock
                )
            )
            return function

        return declare

    def add(self, component: Component) -> None:
        """Declare a component as ``check`` does."""
        with self._lock:
            if component.name in self._components:
                raise DeclarationError(f"health check {component.name!r} is declared already; choose another name")
            missing = [name for name in component.depends_on if name not in self._components]
            if missing:
                raise DeclarationError(
                    f"health check {component.name!r} depends on {missing[0]!r}, which is not declared before it"
                )
            self._components[component.name] = component
            check_covers(component.name)
            if component.interval is not None and self._refresher is None:
                self._begin_to_refresh()

    def check_component(self, name: str) -> HealthStatus:
        """The status of one component, asking it and what it depends on. Raises KeyError for an unknown name."""
        wanted = self._with_dependencies(self._named(name))
        self._ask(wanted)
        return self._status(wanted[-1])

    def check_all(self) -> dict[str, HealthStatus]:
        """The status of every component, in the order of declaration."""
        components = self._all()
        self._ask(components)
        return {component.name: self._status(component) for component in components}

    async def acheck_component(self, name: str) -> HealthStatus:
        """As ``check_component``; async checks run on this loop."""
        wanted = self._with_dependencies(self._named(name))
        await self._aask(wanted)
        return self._status(wanted[-1])

    async def acheck_all(self) -> dict[str, HealthStatus]:
        """As ``check_all``; async checks run on this loop."""
        components = self._all()
        await self._aask(components)
        return {component.name: self._status(component) for component in components}

    def get_details(self, name: str) -> dict[str, object]:
        """What is known of a component, without asking it. Raises KeyError for an unknown name.

        Returns:
            ``status``, ``critical``, ``stale``, ``error``, ``checked_at`` (RFC 3339 or None), ``duration_seconds``,
            ``failures_in_a_row``, ``depends_on`` and ``details``.
        """
        component = self._named(name)
        outcome = component.last
        return {
            "status": self._status(component).value,
            "critical": component.critical,
            "stale": component.stale,
            "error": component.trouble(self._blocker(component)),
            "checked_at": _rfc3339(outcome.at) if outcome else None,
            "duration_seconds": outcome.seconds if outcome else None,
            "failures_in_a_row": component.failed,
            "depends_on": list(component.depends_on),
            "details": dict(outcome.details) if outcome else {},
        }

    async def aget_details(self, name: str) -> dict[str, object]:
        """As ``get_details``, asking the component before."""
        await self.acheck_component(name)
        return self.get_details(name)

    def status(self, components: Mapping[str, HealthStatus]) -> HealthStatus:
        """The whole from its parts: unhealthy by a critical component alone."""
        return HealthStatus.worst(components.values())

    def names(self) -> list[str]:
        """The declared components."""
        return [component.name for component in self._all()]

    def collect(self) -> Iterable[MetricFamily]:
        """``health_check_status`` (1 for the status that holds) and ``health_check_duration_seconds``, by component."""
        states, durations = [], []
        for component in self._all():
            status = self._status(component)
            states += [
                Sample(
                    "health_check_status", {"check": component.name, "health_check_status": s.value}, float(s is status)
                )
                for s in HealthStatus
            ]
            if component.last is not None:
                durations.append(
                    Sample("health_check_duration_seconds", {"check": component.name}, component.last.seconds)
                )
        yield MetricFamily("health_check_status", "stateset", "Status of a component.", "", tuple(states))
        yield MetricFamily(
            "health_check_duration_seconds", "gauge", "Duration of a check's last run.", "seconds", tuple(durations)
        )

    def close(self) -> None:
        """Stop refreshing in the background."""
        with self._lock:
            refresher, self._refresher = self._refresher, None
        if refresher is not None:
            refresher.stop(1.0, final=False)

    def _all(self) -> list[Component]:
        with self._lock:
            return list(self._components.values())

    def _named(self, name: str) -> Component:
        try:
            return self._components[name]
        except KeyError:
            raise KeyError(f"no health check is called {name!r}; declared: {', '.join(self._components)}") from None

    def _with_dependencies(self, component: Component) -> list[Component]:
        found: dict[str, Component] = {}

        def visit(one: Component) -> None:
            for name in one.depends_on:
                visit(self._components[name])
            found[one.name] = one

        visit(component)
        return list(found.values())

    def _status(self, component: Component) -> HealthStatus:
        return component.status(self._blocker(component))

    def _blocker(self, component: Component) -> str | None:
        """The dependency that keeps the component from being asked; declared before it, so this ends."""
        for name in component.depends_on:
            if self._status(self._components[name]) is not HealthStatus.HEALTHY:
                return name
        return None

    def _start(self, components: Sequence[Component], loop: asyncio.AbstractEventLoop | None) -> list[Future[None]]:
        """Start what is due and may run, and give everything of these that is worth waiting for."""
        for component in components:
            if component.due() and self._blocker(component) is None:
                component.start(partial(self._begin, component, loop), self._told)
        return [run for component in components if (run := component.young_run(ANSWER_SECONDS)) is not None]

    def _begin(self, component: Component, loop: asyncio.AbstractEventLoop | None) -> Future[Any]:
        return self._execution.start(component.name, component.function, component.timeout, loop)

    def _told(self, component: Component, before: HealthStatus, now: HealthStatus) -> None:
        for listener in self._listeners:
            with contextlib.suppress(Exception):  # a listener's fault is no fault of the component
                listener(component.name, before, now, component.last.error if component.last else "")

    def _ask(self, components: Sequence[Component]) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        for tier in _tiers(components):
            wait(self._start(tier, None), max(0.0, deadline - time.monotonic()))

    async def _aask(self, components: Sequence[Component]) -> None:
        loop = asyncio.get_running_loop()
        self._execution.adopt(loop)
        deadline = time.monotonic() + ANSWER_SECONDS
        for tier in _tiers(components):
            running = [asyncio.wrap_future(future) for future in self._start(tier, loop)]
            if running:
                await asyncio.wait(running, timeout=max(0.0, deadline - time.monotonic()))

    def _refresh(self) -> None:
        for tier in _tiers([component for component in self._all() if component.interval is not None]):
            wait(self._start(tier, None), ANSWER_SECONDS)


def _tiers(components: Sequence[Component]) -> list[list[Component]]:
    """Components by how many others stand below them, so that each is asked after those it depends on."""
    depth: dict[str, int] = {}
    tiers: list[list[Component]] = []
    for component in components:
        level = depth[component.name] = max((depth.get(name, -1) + 1 for name in component.depends_on), default=0)
        tiers += [[] for _ in range(level + 1 - len(tiers))]
        tiers[level].append(component)
    return tiers


def _rfc3339(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat(timespec="milliseconds")
