"""Several processes that answer as one.

Most tests make several members in one process: a lock belongs to an open file, so they are as strange to each other as
processes are. The last ones start real processes.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mirante import metrics
from mirante._core.guard import REPORTER
from mirante._core.model import MetricFamily, NativePoint, Sample
from mirante.errors import ConfigError, DeclarationError
from mirante.integrations.asgi import MetricsEndpoint
from mirante.metrics import Registry, merge, multiprocess, workers
from mirante.metrics.merge import combined, dump, registry_of
from mirante.metrics.multiprocess import Member
from mirante.metrics.workers import Directory
from tests.peers import fetch, free_port, running, wait_for

Join = Callable[[], Member]


@pytest.fixture
def join(tmp_path: Path) -> Iterator[Join]:
    """Makes members of one directory, which leave at the end. They write when asked and not by the clock."""
    members: list[Member] = []

    def make() -> Member:
        member = Member(Directory(tmp_path / "shared"), Registry())
        member._periodic.stop(1, final=False)
        members.append(member)
        return member

    yield make
    for member in members:
        member._registry.share(None)
        member._file.abandon()


def kill(member: Member) -> None:
    """What the system does with a process that ends: its locks are gone, its file is not."""
    member._file.abandon()


def text(member: Member) -> str:
    """What a scrape of that process gives."""
    return member._registry.exposed().expose().decode()


def values(member: Member) -> dict[str, float]:
    """The exposition's lines as a dict."""
    lines = (line.rsplit(" ", 1) for line in text(member).splitlines() if line[:1] != "#")
    return {series: float(value) for series, value in lines}


def files(tmp_path: Path) -> list[str]:
    """What is in the directory."""
    return sorted(path.name for path in (tmp_path / "shared").iterdir())


def test_every_type_is_added_up(join: Join) -> None:
    """Whoever is asked, the answer is that of all."""
    one, two = join(), join()
    for member, n in ((one, 1), (two, 2)):
        registry = member._registry
        metrics.counter("c", "C.", ["a"], registry=registry).labels("x").inc(n, {"trace_id": str(n)})
        metrics.counter("plain", registry=registry).inc(n)
        metrics.histogram("h", registry=registry, buckets=[1], native_factor=2).observe(n, {"trace_id": str(n)})
        metrics.summary("s", registry=registry, quantiles=[1.0]).observe(n)
        metrics.summary("bare", registry=registry, quantiles=[]).observe(n)
        metrics.info("i", registry=registry).info({"version": str(n)})
        metrics.stateset("st", registry=registry, states=["idle", "busy"]).state("busy" if n == 2 else "idle")
        metrics.gauge("f", registry=registry).set_function(lambda n=n: n * 10)
        member.publish()
    for member in (one, two):
        found = values(member)
        assert found['c_total{a="x"}'] == 3
        assert found["plain_total"] == 3
        assert (found['h_bucket{le="1.0"}'], found["h_count"], found["h_sum"]) == (1, 2, 3)
        assert (found["s_count"], found["s_sum"], found["bare_sum"]) == (2, 3, 3)
        assert found['s{quantile="1.0"}'] == pytest.approx(2, rel=0.02)
        assert found['i_info{version="2"}'] == 1
        assert (found['st{st="idle"}'], found['st{st="busy"}']) == (0, 1)
        assert found["f"] == 30
    exposed = one._registry.exposed()
    assert '# {trace_id="2"} 2.0' in exposed.expose(openmetrics=True).decode()
    [native] = [f.native[0] for f in exposed.collect() if f.native]
    assert (native.observations, native.positive, len(native.exemplars)) == (2, {0: 1, 1: 1}, 2)


class Told:
    """A collector that tells of its own process, or of something that all processes see."""

    def __init__(self, n: int, *, per_process: bool) -> None:
        self.per_process = per_process
        self.n = n

    def collect(self) -> list[MetricFamily]:
        """A family of each type."""
        n, name = self.n, "own" if self.per_process else "common"
        point = NativePoint({"a": "b"}, 0, 2.0**-128, 0, float(n), {n: 1}, {})
        return [
            MetricFamily(f"{name}_cpu", "counter", samples=(Sample(f"{name}_cpu_total", {"a": "b"}, n),)),
            MetricFamily(f"{name}_memory", "gauge", samples=(Sample(f"{name}_memory", {}, n),)),
            MetricFamily(f"{name}_start_time_seconds", "gauge", samples=(Sample(f"{name}_start_time_seconds", {}, n),)),
            MetricFamily(f"{name}", "info", samples=(Sample(f"{name}_info", {"v": "1"}, 1),)),
            MetricFamily(
                f"{name}_wait",
                "summary",
                samples=(Sample(f"{name}_wait", {"quantile": "0.5"}, n), Sample(f"{name}_wait_count", {}, n)),
            ),
            MetricFamily(f"{name}_sizes", "histogram", native=(point,)),
        ]


def test_collectors_of_processes_and_of_what_all_see(join: Join) -> None:
    """The first kind is added up, with counts of the dead; the other is asked where the scrape arrives."""
    one, two = join(), join()
    for member, n in ((one, 1), (two, 2)):
        member._registry.register(Told(n, per_process=True))
        member._registry.register(Told(n, per_process=False))
        member.publish()
    found = values(one)
    assert (found['own_cpu_total{a="b"}'], found["own_memory"], found["own_start_time_seconds"]) == (3, 3, 2)
    assert (found['own_info{v="1"}'], found["own_wait_count"], found["common_memory"]) == (1, 3, 1)
    assert 'own_wait{quantile="0.5"}' not in found
    points = {f.name: f.native for f in one._registry.exposed().collect()}["own_sizes"]
    assert [(p.positive, p.observations, p.labels) for p in points] == [({1: 1, 2: 1}, 2, {"a": "b"})]
    kill(two)
    found = values(one)
    assert (found['own_cpu_total{a="b"}'], found["own_memory"]) == (3, 1)


@pytest.mark.parametrize(
    ("mode", "living", "afterwards"),
    [
        ("sum", 8, 8), ("livesum", 8, 3), ("max", 5, 5), ("livemax", 5, 3), ("min", 3, 3), ("livemin", 3, 3),
        ("last", 5, 5), ("livelast", 5, 3),
    ],
)  # fmt: skip
def test_modes_of_gauges(join: Join, mode: Any, living: float, afterwards: float) -> None:
    """Of all that ever were, or of those that live."""
    one, two = join(), join()
    metrics.gauge("g", registry=one._registry, multiprocess_mode=mode).set(3)
    time.sleep(0.001)  # the clock's resolution: the second one must be later
    metrics.gauge("g", registry=two._registry, multiprocess_mode=mode).set(5)
    two.publish()
    assert values(one)["g"] == living
    kill(two)
    assert values(one)["g"] == afterwards
    assert values(one)["g"] == afterwards


def test_all_keeps_them_apart(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the process id, as long as the process lives."""
    one, two = join(), join()
    metrics.gauge("g", "", ["a"], registry=one._registry, multiprocess_mode="all").labels("x").set(3)
    metrics.gauge("g", "", ["a"], registry=two._registry, multiprocess_mode="all").labels("x").set(5)
    monkeypatch.setattr(os, "getpid", lambda: 77)
    two.publish()
    monkeypatch.undo()
    assert values(one) == {f'g{{a="x",pid="{os.getpid()}"}}': 3, 'g{a="x",pid="77"}': 5}
    kill(two)
    assert len(values(one)) == 1
    one._registry.get("g").remove("x")  # type: ignore[union-attr] # it is there
    assert values(one) == {}
    with pytest.raises(DeclarationError, match="pid"):
        metrics.gauge("g", labels=["pid"], registry=Registry(), multiprocess_mode="all")


def test_counts_of_the_dead_stay_and_files_stay_few(join: Join, tmp_path: Path) -> None:
    """However often workers are killed and started again."""
    keeper = join()
    keeper.publish()
    for n in range(1, 6):
        worker = join()
        metrics.counter("c", registry=worker._registry).inc()
        metrics.histogram("h", registry=worker._registry).observe(1)
        worker.publish()
        kill(worker)
        assert values(keeper)["c_total"] == n
        assert values(keeper)["h_count"] == n
    assert len(files(tmp_path)) <= 3


def test_who_leaves_hands_over_and_the_last_takes_all_files(join: Join, tmp_path: Path) -> None:
    """Nothing is lost by leaving, and nothing left behind."""
    one, two = join(), join()
    metrics.counter("c", registry=two._registry).inc(4)
    one.publish()
    two.leave()
    assert values(one)["c_total"] == 4
    one.leave()
    assert files(tmp_path) == []


def test_nothing_shown_is_ever_taken_back(join: Join) -> None:
    """A process that is killed right after a scrape of it: others go on where it was."""
    one, two = join(), join()
    counter = metrics.counter("c", registry=one._registry)
    two.publish()
    for n in range(1, 4):
        counter.inc()
        assert values(one)["c_total"] == n
        assert values(two)["c_total"] == n
    kill(one)
    assert values(two)["c_total"] == 3


def test_a_crash_while_the_dead_are_added_up_counts_nobody_twice(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum says whom it holds."""
    one, two = join(), join()
    metrics.counter("c", registry=two._registry).inc(4)
    two.publish()
    kill(two)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_a, **_k: (_ for _ in ()).throw(PermissionError("no")))
        text(one)  # the sum is written, the file stays
    assert two._file.path.exists()
    assert values(one)["c_total"] == 4
    assert not two._file.path.exists()
    assert values(one)["c_total"] == 4


def test_remove_counts_everywhere(join: Join, tmp_path: Path) -> None:
    """Among the living and the dead; what is counted afterwards starts from zero."""
    one, two, three = join(), join(), join()
    counters = [metrics.counter("c", "", ["a"], registry=member._registry) for member in (one, two, three)]
    for member, counter in zip((one, two, three), counters, strict=True):
        counter.labels("x").inc(5)
        counter.labels("y").inc(1)
        member.publish()
    kill(three)
    assert values(one) == {'c_total{a="x"}': 15, 'c_total{a="y"}': 3}
    counters[0].remove("x")
    assert values(one) == {'c_total{a="y"}': 3}
    assert values(two) == {'c_total{a="y"}': 3}
    counters[1].labels("x").inc(2)
    assert values(two) == {'c_total{a="x"}': 2, 'c_total{a="y"}': 3}
    assert values(one) == {'c_total{a="x"}': 2, 'c_total{a="y"}': 3}
    late = join()
    metrics.counter("c", "", ["a"], registry=late._registry).labels("x").inc(1)
    late.publish()
    assert values(one)['c_total{a="x"}'] == 3
    assert workers._decode((tmp_path / "shared" / "removed").read_bytes()) == (1, [])


def test_a_removal_meets_one_who_died_before_hearing_of_it(join: Join) -> None:
    """Its old count does not come back with it."""
    one, two = join(), join()
    for member in (one, two):
        metrics.counter("c", "", ["a"], registry=member._registry).labels("x").inc(5)
        metrics.gauge("other", "", ["a", "b"], registry=member._registry)
        member.publish()
    one._registry.get("c").remove("x")  # type: ignore[union-attr] # it is there
    one.publish()
    kill(two)
    assert values(one) == {}


def test_declared_differently_the_first_counts(join: Join) -> None:
    """As during a deployment that changes a metric."""
    one, two = join(), join()
    metrics.counter("c", "", ["a"], registry=one._registry).labels("x").inc()
    metrics.counter("c", "", ["b"], registry=two._registry).labels("x").inc()
    two.publish()
    assert values(one) == {'c_total{a="x"}': 1}
    three = join()
    metrics.counter("c", "", ["a", "b"], registry=three._registry).labels("x", "y").inc()
    three.publish()
    one._registry.get("c").remove("x")  # type: ignore[union-attr] # it is there
    one.publish()
    assert 'c_total{a="x",b="y"}' in values(three)


def test_damaged_files_count_as_nothing(join: Join, tmp_path: Path) -> None:
    """They are no reason not to answer."""
    one, two = join(), join()
    metrics.counter("c", registry=one._registry).inc()
    two.publish()
    kill(two)
    two._file.path.write_bytes(b"damaged")
    (tmp_path / "shared" / "gone").write_bytes(workers._encode((1,))[:-1])
    assert values(one) == {"c_total": 1}


def test_other_versions_are_not_read(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two versions at once, during a deployment: each answers for its own."""
    one, two = join(), join()
    metrics.counter("c", registry=two._registry).inc()
    monkeypatch.setattr(workers, "FORMAT", 2)
    two.publish()
    monkeypatch.undo()
    assert values(one) == {}


@pytest.mark.parametrize(("age", "left"), [(10, 1), (100, 0)])
def test_what_an_earlier_run_left(join: Join, age: float, left: int, tmp_path: Path) -> None:
    """Counts go on after a quick restart of everything; files of long ago are forgotten."""
    killed = join()
    metrics.counter("c", registry=killed._registry).inc()
    killed.publish()
    kill(killed)
    half = tmp_path / "shared" / "1-abc.new"
    half.write_bytes(b"")
    for path in (killed._file.path, half):
        os.utime(path, (time.time() - age,) * 2)
    fresh = join()
    assert len(values(fresh)) == left
    assert half.exists() == (left == 1)


def test_a_directory_that_is_held_shows_the_last_view(
    join: Join, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped process cannot make us wait, nor make counters fall."""
    monkeypatch.setattr(workers, "PATIENCE", 0.01)
    one = join()
    metrics.counter("c", registry=one._registry).inc()
    with (tmp_path / "shared" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert values(one) == {"c_total": 1}
        one.leave()
    before = REPORTER.counts["metrics of this process"]
    monkeypatch.setattr(os, "open", lambda *_a: (_ for _ in ()).throw(OSError("full")))
    one._rest = 0
    one._tick()
    assert REPORTER.counts["metrics of this process"] == before + 1


def test_a_file_that_is_replaced_while_it_is_looked_at(
    join: Join, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Then the new one is looked at: its owner lives."""
    one, two = join(), join()
    metrics.counter("c", registry=two._registry).inc()
    two.publish()
    real, done = os.open, list[int]()

    def replaced(path: Any, flags: int, *more: Any) -> int:
        fd = real(path, flags, *more)
        if path == two._file.path and not done:
            done.append(1)
            two.publish()
        return fd

    monkeypatch.setattr(os, "open", replaced)
    assert workers._is_locked(two._file.path)
    assert done
    assert not workers._is_locked(tmp_path / "none")
    assert workers._read_worker(tmp_path / "none") is None
    fd = real(two._file.path, os.O_RDONLY)
    assert not workers._same_file(fd, tmp_path / "none")
    os.close(fd)
    assert values(one) == {"c_total": 1}


def test_a_write_that_fails_leaves_the_old_file(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs the newest counts only until there is room again."""
    one, two = join(), join()
    counter = metrics.counter("c", registry=one._registry)
    counter.inc()
    one.publish()
    counter.inc()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *_a: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            one.publish()
    assert values(two)["c_total"] == 1
    assert values(one)["c_total"] == 2


def test_writing_takes_a_fiftieth_of_the_time_at_most(join: Join) -> None:
    """With very many series it is written less often."""
    one = join()
    one._tick()
    first = one._file.path.stat().st_ino
    one._rest = time.monotonic() + 100
    one._tick()
    assert one._file.path.stat().st_ino == first
    one._rest = 0
    one._tick()
    assert one._file.path.stat().st_ino != first


@given(st.lists(st.tuples(st.text(max_size=5), st.floats(0, 1e9)), max_size=20), st.integers(1, 4))
def test_shared_out_or_not_the_sum_is_the_same(recorded: list[tuple[str, float]], processes: int) -> None:
    """Whichever process records what."""
    alone, several = Registry(), [Registry() for _ in range(processes)]
    for registry in (alone, *several):
        metrics.counter("c", "", ["a"], registry=registry)
        metrics.histogram("h", "", ["a"], registry=registry, native_factor=1.5)
    for n, (label, value) in enumerate(recorded):
        for registry in (alone, several[n % processes]):
            registry.get("c").labels(label).inc(value)  # type: ignore[union-attr] # it is there
            registry.get("h").labels(label).observe(value)  # type: ignore[union-attr] # it is there
    together = registry_of(combined(dump(registry, 1) for registry in several))

    def figures(registry: Registry) -> dict[Any, float]:
        families = list(registry.collect())
        found: dict[Any, float] = {(s.name, *s.labels.items()): s.value for f in families for s in f.samples}
        return found | {(i, str(p.labels)): n for f in families for p in f.native for i, n in p.positive.items()}

    ours, theirs = figures(together), figures(alone)
    assert ours.keys() == theirs.keys()
    assert all(ours[series] == pytest.approx(theirs[series]) for series in ours)


def test_a_forked_child_counts_from_zero(join: Join) -> None:
    """With a file of its own; its parent's stays its parent's."""
    one = join()
    counter = metrics.counter("c", registry=one._registry)
    gauge = metrics.gauge("g", registry=one._registry)
    counter.inc(5)
    gauge.set(5)
    one.publish()
    path = one._file.path
    one.before_fork()
    one.after_fork_in_parent()
    one.before_fork()
    one.after_fork_in_child()
    one._periodic.stop(1, final=False)
    assert one._file.path != path
    assert (counter.value, gauge.value) == (0, 0)


def test_an_asgi_endpoint_reads_the_files_off_the_loop(join: Join) -> None:
    """And answers for all."""
    one, two = join(), join()
    metrics.counter("c", registry=two._registry).inc()
    two.publish()
    transport = httpx.ASGITransport(app=MetricsEndpoint(one._registry))

    async def main() -> str:
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
            return (await client.get("/metrics")).text

    import asyncio

    assert "c_total 1.0" in asyncio.run(main())


def test_start_and_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variable when the first metric is declared; not again after leaving, unless asked."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "shared"))
    monkeypatch.setattr(multiprocess._State, "left", False)
    registry = Registry(process_wide=True)
    monkeypatch.setattr(multiprocess.start, "__defaults__", (None, registry))
    try:
        metrics.counter("c", registry=registry).inc()
        shared = registry.shared
        assert shared
        multiprocess.start()
        assert b"c_total 1.0" in registry.exposed().expose()
        expiring = metrics.counter("e", "", ["a"], registry=registry, ttl=1e-9)
        expiring.labels("x").inc()
        assert len(expiring.children()) == len(expiring.children()) == 1
        multiprocess._before_fork()
        multiprocess._after_fork_in_parent()
        multiprocess._before_fork()
        multiprocess._after_fork_in_child()
    finally:
        multiprocess.stop()
    multiprocess.stop()
    assert files(tmp_path) == []
    metrics.counter("d", registry=registry)
    assert registry.exposed() is registry
    for hook in (multiprocess._before_fork, multiprocess._after_fork_in_parent, multiprocess._after_fork_in_child):
        hook()


def test_without_a_directory_it_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable; where nobody asked, a fault is reported instead."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    with pytest.raises(ConfigError, match="PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.start()
    with monkeypatch.context() as patch:
        patch.delattr(os, "fork")
        with pytest.raises(ConfigError, match="POSIX"):
            multiprocess.start(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(multiprocess._State, "left", False)
    before = REPORTER.counts.get("PROMETHEUS_MULTIPROC_DIR", 0)
    multiprocess.start_if_asked()
    assert REPORTER.counts["PROMETHEUS_MULTIPROC_DIR"] == before + 1


def test_a_lock_file_that_was_deleted_meanwhile(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the last of others that left: then the new one is taken."""
    one = join()
    answers = [True, False]
    monkeypatch.setattr(workers, "_same_file", lambda *_: answers.pop() if answers else True)
    assert values(one) == {}
    assert not answers


def test_children_of_multiprocessing_leave_by_its_own_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual exit functions do not run there."""
    from multiprocessing import process

    util: Any = importlib.import_module("multiprocessing.util")

    before = set(util._finalizer_registry)
    monkeypatch.setattr(process, "parent_process", object)
    multiprocess._stop_with_multiprocessing()
    [added] = set(util._finalizer_registry) - before
    util._finalizer_registry[added]()
    assert added not in util._finalizer_registry


def test_leaving_does_not_wait_for_itself(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal may have stopped the thread that was just writing; its file is left to the others."""
    monkeypatch.setattr(multiprocess, "LEAVING", 0.01)
    one, two = join(), join()
    metrics.counter("c", registry=one._registry).inc()
    one.publish()
    one.before_fork()
    one.leave()
    one.after_fork_in_parent()
    kill(one)
    assert values(two) == {"c_total": 1}


def test_signals_that_others_handle_stay_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours comes in only where the process would have ended on the spot; it ends by that signal all the same."""
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)}
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        multiprocess._stop_on_signals()
        assert signal.getsignal(signal.SIGTERM) is multiprocess._leave_and_die
        assert signal.getsignal(signal.SIGINT) is before[signal.SIGINT]
        multiprocess._leave_and_die(signal.SIGTERM, None)
        assert (signal.getsignal(signal.SIGTERM), raised) == (signal.SIG_DFL, [signal.SIGTERM])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_started_from_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where signals cannot be handled, the rest works."""
    registry = Registry()
    thread = threading.Thread(target=multiprocess.start, args=(tmp_path / "shared", registry))
    thread.start()
    thread.join()
    try:
        assert registry.shared
    finally:
        multiprocess.stop()
        monkeypatch.setattr(multiprocess._State, "left", False)
    assert files(tmp_path) == []


def test_kinds_are_all_kinds() -> None:
    """Every instrument can be shared."""
    assert set(merge.KINDS) == {"counter", "gauge", "histogram", "summary", "info", "stateset"}


PROGRAM = """
import multiprocessing, os, sys
from mirante import metrics
counter = metrics.counter("jobs", "", ["who"])
gauge = metrics.gauge("depth")
histogram = metrics.histogram("seconds")

def work(n):
    counter.labels("child").inc(n)
    histogram.observe(n)
    gauge.set(7)

if __name__ == "__main__":
    counter.labels("parent").inc()
    gauge.set(1)
    context = multiprocessing.get_context(sys.argv[1])
    children = [context.Process(target=work, args=(n,)) for n in (1, 2, 3)]
    for child in children: child.start()
    for child in children: child.join()
    print(metrics.REGISTRY.exposed().expose().decode())
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str, tmp_path: Path) -> None:
    """Children that end count in their parent's answer, however they were started, and no file is left."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    shared = tmp_path / "shared"
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(shared), "PYTHONPATH": "src"}
    done = subprocess.run(
        [sys.executable, str(script), method], env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    assert 'jobs_total{who="child"} 6.0' in done.stdout
    assert 'jobs_total{who="parent"} 1.0' in done.stdout
    assert "seconds_count 3" in done.stdout
    assert "depth 1.0" in done.stdout
    wait_for(lambda: not list(shared.iterdir()), seconds=60, what="the last process to clear up")


APP = """
from mirante import metrics
from mirante.integrations.asgi import metrics_endpoint

requests = metrics.counter("app_requests", "Requests.")
sizes = metrics.histogram("app_sizes", "Sizes.")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/metrics":
        await metrics_endpoint(scope, receive, send)
        return
    requests.inc()
    sizes.observe(1)
    import os
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


def counted(url: str) -> dict[str, float]:
    """The counters that a scrape shows; no connection is kept, so that any worker may answer."""
    status, body = fetch(f"{url}/metrics", headers={"Connection": "close"})
    assert status == 200
    families = text_string_to_metric_families(body.decode())
    return {
        sample.name + str(sample.labels): sample.value
        for family in families
        if family.type in ("counter", "histogram")
        for sample in family.samples
    }


@pytest.mark.slow
def test_gunicorn_with_workers_that_are_killed(tmp_path: Path) -> None:
    """Four uvicorn workers are killed and restarted: no counter ever falls, what was seen stays, files stay few."""
    (tmp_path / "service.py").write_text(textwrap.dedent(APP))
    shared, port = tmp_path / "shared", free_port()
    command = [
        sys.executable, "-m", "gunicorn", "-w", "4", "-k", "uvicorn_worker.UvicornWorker", "--chdir", str(tmp_path),
        "-b", f"127.0.0.1:{port}", "--no-control-socket", "service:app",
    ]  # fmt: skip
    environ = {"PROMETHEUS_MULTIPROC_DIR": str(shared)}
    with running(command, f"http://127.0.0.1:{port}", "/", tmp_path / "log", environ) as server:
        seen: dict[str, float] = {}
        killed, sent, unsure = 0, list[tuple[int, float]](), 0

        def scrape() -> None:
            nonlocal seen
            try:
                found = counted(server.url)
            except OSError:  # the worker that had taken the connection was killed
                return
            fallen = {name: (value, found.get(name)) for name, value in seen.items() if found.get(name, -1) < value}
            assert not fallen
            seen = found

        for n in range(240):
            try:
                pid = int(fetch(f"{server.url}/", headers={"Connection": "close"})[1])
                sent.append((pid, time.monotonic()))
            except OSError:
                continue
            scrape()
            if n % 30 == 29:
                os.kill(pid, signal.SIGKILL if n % 60 == 29 else signal.SIGTERM)
                killed += 1
                # What it had not yet told the others; a busy machine is given more time than the interval.
                unsure += sum(by == pid and at > time.monotonic() - 5 * multiprocess.INTERVAL for by, at in sent)
                # Or there may be a moment without any worker, and the last one that goes forgets everything.
                started = 4 + killed
                wait_for(
                    lambda started=started: (tmp_path / "log").read_text().count("startup complete") >= started,
                    what="the next worker",
                )
        assert killed == 8
        wait_for(lambda: len(list(shared.glob("*.worker"))) == 4, seconds=60, what="four workers")
        scrape()
        total = seen["app_requests_total{}"]
        assert len(sent) - unsure <= total <= len(sent) + 10  # `running` has asked a few times too
        assert len(list(shared.iterdir())) <= 4 + 3
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)
    assert list(shared.iterdir()) == []
