"""Health checks: what they may say, how they are asked, and that nobody ever waits for them."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace

from mirante.errors import DeclarationError
from mirante.health import HealthChecker, HealthStatus
from mirante.testing.clock import FakeClock

HEALTHY, DEGRADED, UNHEALTHY = HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY


@pytest.fixture
def health() -> Iterator[HealthChecker]:
    """A checker without checks."""
    checker = HealthChecker()
    yield checker
    checker.close()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (None, HEALTHY),
        (True, HEALTHY),
        ({"free": 3}, HEALTHY),
        (False, UNHEALTHY),
        (DEGRADED, DEGRADED),
        (UNHEALTHY, UNHEALTHY),
    ],
)
def test_a_check_says_how_it_is_by_what_it_returns(health: HealthChecker, answer: object, status: HealthStatus) -> None:
    """Nothing, a truth, a status, or details."""
    health.check("x", critical=True)(lambda: answer)
    assert health.check_all() == {"x": status}
    assert health.get_details("x")["details"] == (answer if isinstance(answer, dict) else {})


@pytest.mark.parametrize(("critical", "status"), [(True, UNHEALTHY), (False, DEGRADED)])
def test_what_raises_is_ill_as_far_as_it_is_critical(
    health: HealthChecker, critical: bool, status: HealthStatus
) -> None:
    """The error is kept for whoever asks why."""

    @health.check("cache", critical=critical)
    def cache() -> None:
        raise ConnectionError("refused")

    assert health.check_component("cache") is status
    details = health.get_details("cache")
    assert (details["status"], details["error"]) == (status.value, "ConnectionError: refused")
    assert details["failures_in_a_row"] == 1
    assert str(details["checked_at"]).endswith("+00:00")


def test_fifty_checks_of_which_five_hang_are_answered_within_100_ms(health: HealthChecker) -> None:
    """The hanging ones are ill for want of an answer, and are not started again while they hang."""
    release, started = threading.Event(), []

    def hang() -> None:
        started.append(1)
        release.wait(60)

    for i in range(45):
        health.check(f"quick{i}")(lambda: True)
    for i in range(5):
        health.check(f"stuck{i}", critical=i == 0)(hang)
    start = time.perf_counter()
    for _ in range(3):
        until(lambda: health.check_all()["quick44"] is HEALTHY)
        report = health.check_all()
        assert (report["stuck0"], report["stuck1"], report["quick44"]) == (UNHEALTHY, DEGRADED, HEALTHY)
    assert time.perf_counter() - start < 60  # the promise of 100 ms is measured by the benchmark
    assert len(started) == 5
    assert health.get_details("stuck1")["error"] == "no answer yet"
    release.set()


def test_a_check_without_an_answer_in_time_reports_its_last_result_as_stale(health: HealthChecker) -> None:
    """Until its own timeout has passed; then it counts as failed."""
    gate, clock = threading.Event(), FakeClock()
    gate.set()
    checker = HealthChecker(clock=clock)
    done = threading.Semaphore(0)

    @checker.check("db", timeout=3.0)
    def db() -> None:
        gate.wait(10)
        done.release()

    assert checker.check_component("db") is HEALTHY
    gate.clear()
    assert checker.check_component("db") is HEALTHY
    assert checker.get_details("db")["stale"] is True
    clock.advance(3.5)
    assert checker.check_component("db") is DEGRADED
    assert checker.get_details("db")["error"] == "no answer within its timeout of 3 s"
    gate.set()
    assert done.acquire(timeout=60)
    assert done.acquire(timeout=60)
    until(lambda: not checker.get_details("db")["stale"])
    assert "answered after 3.5 s" in str(checker.get_details("db")["error"])


def until(condition: Any) -> None:
    """Wait for another thread, at most a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_an_async_check_is_ended_at_its_timeout(health: HealthChecker) -> None:
    """Its task does not go on for ever."""
    ended = threading.Event()

    @health.check("slow", timeout=0.01)
    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    assert health.check_component("slow") is DEGRADED
    assert ended.wait(60)
    assert "timeout of 0.01 s" in str(health.get_details("slow")["error"])


def test_async_checks_run_on_the_loop_of_the_application(health: HealthChecker) -> None:
    """Of the async twins, and of plain calls from other threads afterwards; inside its thread on a private one."""
    seen: list[asyncio.AbstractEventLoop] = []

    @health.check("loop")
    async def loop() -> None:
        seen.append(asyncio.get_running_loop())

    async def main() -> asyncio.AbstractEventLoop:
        assert await health.acheck_all() == {"loop": HEALTHY}
        assert await health.acheck_component("loop") is HEALTHY
        assert (await health.aget_details("loop"))["status"] == "healthy"
        assert await asyncio.to_thread(health.check_all) == {"loop": HEALTHY}
        health.check_all()  # blocks the loop, so it cannot run there
        return asyncio.get_running_loop()

    own = asyncio.run(main())
    assert [used is own for used in seen] == [True, True, True, True, False]
    assert health.check_all() == {"loop": HEALTHY}  # the application's loop has ended


def test_an_async_twin_with_nothing_to_start_answers_too(health: HealthChecker) -> None:
    """No check, no waiting."""
    assert asyncio.run(health.acheck_all()) == {}


def test_a_run_whose_loop_stands_still_is_given_up() -> None:
    """Otherwise it would be waited for for ever; when it ends after all, nobody listens."""
    clock = FakeClock()
    checker = HealthChecker(clock=clock)
    starts = []

    @checker.check("lost", timeout=1.0)
    async def lost() -> None:
        starts.append(1)
        if len(starts) == 1:
            await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(checker.acheck_all()) == {"lost": DEGRADED}
    clock.advance(5.0)
    assert checker.check_component("lost") is HEALTHY
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    assert checker.get_details("lost")["status"] == "healthy"


def test_a_run_whose_loop_is_closed_has_failed(health: HealthChecker) -> None:
    """The error says why there is no answer."""

    @health.check("lost")
    async def lost() -> None:
        await asyncio.Event().wait()

    asyncio.run(health.acheck_all())
    assert "event loop was closed" in str(health.get_details("lost")["error"])


def test_a_component_whose_dependency_is_ill_is_not_asked(health: HealthChecker) -> None:
    """It says which one keeps it from working; asking it asks the dependency first."""
    answers = {"database": False}
    asked = []
    health.check("database", critical=True)(lambda: answers["database"])

    @health.check("orders", depends_on=["database"])
    def orders() -> None:
        asked.append(1)

    assert health.check_all() == {"database": UNHEALTHY, "orders": DEGRADED}
    assert (asked, health.get_details("orders")["error"]) == (
        [],
        "not asked: it depends on database, which is not healthy",
    )
    answers["database"] = True
    assert health.check_component("orders") is HEALTHY
    assert asked == [1]


def test_flapping_is_damped_by_thresholds_up_and_down(health: HealthChecker) -> None:
    """Two failures turn it bad, three successes good again; the very first answer counts at once."""
    answers = iter([True, False, True, False, False, True, True, False, True, True, True])
    health.check("flaky", failures=2, successes=3)(lambda: next(answers))
    shown = [health.check_component("flaky") for _ in range(11)]
    assert [status is HEALTHY for status in shown] == [
        True,
        True,
        True,
        True,
        False,
        False,
        False,
        False,
        False,
        False,
        True,
    ]


def test_with_an_interval_answers_come_from_what_the_background_knows() -> None:
    """Asking costs nothing; the refresh goes on by itself."""
    clock, runs = FakeClock(), threading.Semaphore(0)
    checker = HealthChecker(clock=clock)
    checker.check("cached", interval=10.0)(runs.release)
    assert runs.acquire(timeout=60)
    until(lambda: not checker.get_details("cached")["stale"])
    for _ in range(5):
        assert checker.check_all() == {"cached": HEALTHY}
    assert not runs.acquire(timeout=0.01)
    clock.advance(11.0)
    assert runs.acquire(timeout=60)
    checker.check("second", interval=10.0)(lambda: True)
    checker.close()
    checker.close()


def fail(*_: object) -> None:
    """A listener with a fault."""
    raise ZeroDivisionError


def test_a_change_is_told_as_log_line_span_event_and_to_listeners(caplog: pytest.LogCaptureFixture) -> None:
    """And only a change: neither the first answer nor a repeated one."""
    told: list[Any] = []
    checker = HealthChecker(listeners=[lambda *change: told.append(change), fail])
    answers = iter([True, False, False, True])
    checker.check("db", critical=True)(lambda: next(answers))
    with caplog.at_level(logging.INFO, "mirante.health"):
        for _ in range(4):
            checker.check_all()
    assert told == [("db", HEALTHY, UNHEALTHY, "the check said no"), ("db", UNHEALTHY, HEALTHY, "")]
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert "went from healthy to unhealthy: the check said no" in caplog.text


def test_the_span_in_which_a_change_was_noticed_gets_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through OpenTelemetry's API, whoever implements it."""
    events: list[tuple[str, Any]] = []

    class Span(trace.NonRecordingSpan):
        def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
            events.append((name, attributes))

    monkeypatch.setattr(trace, "get_current_span", lambda: Span(trace.INVALID_SPAN_CONTEXT))
    checker = HealthChecker()
    answers = iter([True, DEGRADED])
    checker.check("db")(lambda: next(answers))
    checker.check_all()
    checker.check_all()
    assert events[0][0] == "health.status_changed"
    assert events[0][1]["health.status"] == "degraded"


def test_without_opentelemetry_imported_there_is_no_span_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is imported for its sake."""
    monkeypatch.delitem(__import__("sys").modules, "opentelemetry.trace")
    checker = HealthChecker()
    answers = iter([True, False])
    checker.check("db")(lambda: next(answers))
    assert [checker.check_component("db") for _ in range(2)] == [HEALTHY, DEGRADED]


def test_results_are_metrics(health: HealthChecker) -> None:
    """One series a status, and the duration of the last run."""
    health.check("good")(lambda: True)
    families = {family.name: family for family in health.collect()}
    assert families["health_check_duration_seconds"].samples == ()
    health.check_all()
    families = {family.name: family for family in health.collect()}
    values = {s.labels["health_check_status"]: s.value for s in families["health_check_status"].samples}
    assert values == {"healthy": 1.0, "degraded": 0.0, "unhealthy": 0.0}
    assert families["health_check_duration_seconds"].samples[0].labels == {"check": "good"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"timeout": 0},
        {"interval": -1},
        {"failures": 0},
        {"successes": 0},
        {"depends_on": ["nobody"]},
        {"name": "taken"},
    ],
)
def test_a_wrong_declaration_is_refused_where_it_is_written(health: HealthChecker, wrong: dict[str, Any]) -> None:
    """As every declaration in mirante."""
    health.check("taken")(lambda: True)
    with pytest.raises(DeclarationError):
        health.check(**{"name": "x", **wrong})(lambda: True)
    assert health.names() == ["taken"]


def test_an_unknown_name_is_a_key_error_that_lists_the_known(health: HealthChecker) -> None:
    """A typing mistake is found at once."""
    health.check("db")(lambda: True)
    with pytest.raises(KeyError, match="no health check is called 'dbb'; declared: db"):
        health.check_component("dbb")


def test_two_threads_that_ask_at_once_start_a_check_once(health: HealthChecker) -> None:
    """The second one waits for the first one's run."""
    inside, release, starts = threading.Event(), threading.Event(), []

    @health.check("one")
    def one() -> None:
        starts.append(1)
        inside.set()
        release.wait(5)

    first = threading.Thread(target=health.check_all)
    first.start()
    assert inside.wait(60)
    component = health._all()[0]
    component.start(lambda: pytest.fail("started twice"), lambda *_: None)
    release.set()
    first.join(60)
    assert starts == [1]


def _ask(checker: HealthChecker, out: Any) -> None:
    out.put({name: status.value for name, status in checker.check_all().items()})


def test_a_fork_forgets_what_ran_and_who_held_a_lock(health: HealthChecker) -> None:
    """What a child does first, in this process, where its coverage is seen; refreshing goes on there."""
    release, refreshed = threading.Event(), threading.Semaphore(0)
    started: list[int] = []

    @health.check("stuck")
    def stuck() -> None:
        started.append(1)
        if len(started) == 1:
            release.wait(60)

    assert health.check_component("stuck") is DEGRADED
    health.after_fork()
    until(lambda: health.check_all()["stuck"] is HEALTHY)
    health.check("known", interval=0.01)(refreshed.release)
    parents = health._refresher
    assert parents is not None
    with health._lock, health._components["stuck"]._lock:
        health.after_fork()
        assert health.names() == ["stuck", "known"]
        until(lambda: health.check_all()["stuck"] is HEALTHY)
    release.set()
    parents.stop(60, final=False)
    while refreshed.acquire(blocking=False):
        pass
    assert refreshed.acquire(timeout=60)


def test_what_hangs_is_waited_for_once(health: HealthChecker) -> None:
    """Later questions, and what depends on it, have their answer at once."""
    clock, release = FakeClock(), threading.Event()
    checker = HealthChecker(clock=clock)
    checker.check("stuck")(lambda: release.wait(60))
    assert checker.check_component("stuck") is DEGRADED
    component = checker._components["stuck"]
    assert component.young_run(0.1) is component.running is not None
    clock.advance(0.2)
    assert component.young_run(0.1) is None
    assert checker.check_component("stuck") is DEGRADED
    release.set()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_asks_for_itself() -> None:
    """Threads and loops of the parent are not there; a run that hung in the parent is not waited for."""
    checker = HealthChecker()
    release = threading.Event()

    @checker.check("loop")
    async def loop() -> None: ...

    @checker.check("stuck")
    def stuck() -> None:
        if not release.is_set():
            release.set()
            threading.Event().wait(2)

    assert checker.check_all() == {"loop": HEALTHY, "stuck": DEGRADED}
    context = multiprocessing.get_context("fork")
    out = context.Queue()
    child = context.Process(target=_ask, args=(checker, out))
    child.start()
    assert out.get(timeout=60) == {"loop": "healthy", "stuck": "healthy"}
    child.join(60)
