"""What rules wrote a moment ago is seen as if the store had it."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.formats.remote_write import STALE_NAN
from mirante.server.promql.engine import Engine, Result
from mirante.server.rules.evaluation import RuleSample
from mirante.server.rules.log import StoreLog
from mirante.server.rules.model import RuleGroup
from mirante.server.rules.needs import needs_of
from mirante.server.rules.recent import RecentReader, RecentSamples
from mirante.server.rules.shared import Selectors, SharedReader
from mirante.server.store.api import Stream
from mirante.testing.memory_store import MemoryReader
from tests.server.rules.parts import MINUTE, budget, record
from tests.write_request import read


class Log:
    """A BodyLog whose bodies are counted as loaded by hand."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.loaded = 0

    def append(self, stream: Stream, bodies: Sequence[bytes]) -> None:
        """Keep them."""
        assert stream == "remote_write"
        self.bodies += bodies


def parts() -> tuple[Log, MemoryReader, StoreLog, RecentReader]:
    """A log, a store, what rules write to and what they read from."""
    log, reader = Log(), MemoryReader()
    recent = RecentSamples(lambda: len(log.bodies), lambda: log.loaded)
    return log, reader, StoreLog(log, recent), RecentReader(reader, recent)


def load(log: Log, reader: MemoryReader, until: int) -> None:
    """Put what was appended into the store, up to a body."""
    for key, samples in read(log.bodies[log.loaded : until]).samples.items():
        reader.add(dict(key), samples)
    log.loaded = until


SAMPLES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["x", "y", "z"]),
        st.integers(1, 12),
        st.one_of(st.floats(0, 10), st.just(STALE_NAN)),
    ),
    max_size=20,
    unique_by=lambda sample: sample[:3],
)
EXPRESSIONS = ("a", "sum by (l) (a)", "rate(a[5m])", "count_over_time(b[7m])", '{__name__=~"a|b",l!="x"}', "absent(b)")


@settings(max_examples=60)
@given(stored=SAMPLES, written=SAMPLES, loaded=st.integers(0, 20), expression=st.sampled_from(EXPRESSIONS))
def test_answers_are_those_of_a_store_that_has_everything(
    stored: list[tuple[str, str, int, float]],
    written: list[tuple[str, str, int, float]],
    loaded: int,
    expression: str,
) -> None:
    """Whatever part of what was written is loaded, a query gives what it will give when all is."""
    log, reader, rule_log, both = parts()
    whole = MemoryReader()
    for name, label, minute, value in stored:
        for one in (reader, whole):
            one.add({"__name__": name, "l": label}, [(minute * MINUTE, value)])
    for name, label, minute, value in written:
        sample = RuleSample({"__name__": name, "l": label}, minute * MINUTE, value)
        whole.add(sample.labels, [(sample.time, sample.value)])
        rule_log.write([sample])
    load(log, reader, min(loaded, len(log.bodies)))
    got, expected = (Engine(one).instant(expression, 12 * MINUTE, budget()) for one in (both, whole))

    def shown(result: Result) -> object:
        rows = zip(result.labels, result.values[:, 0].tolist(), result.present[:, 0].tolist(), strict=True)
        return sorted((sorted(labels.items()), str(value)) for labels, value, p in rows if p)

    assert repr(shown(got)) == repr(shown(expected))


def test_samples_are_forgotten_when_they_are_loaded() -> None:
    """Memory holds what is not in the store; a reader keeps what it may have missed there, as long as it lives."""
    log, store = Log(), MemoryReader()
    recent = RecentSamples(lambda: len(log.bodies), lambda: log.loaded)
    rule_log = StoreLog(log, recent)
    first = RecentReader(store, recent)

    def count(reader: RecentReader, expression: str) -> list[list[float]]:
        found: list[list[float]] = Engine(reader).instant(expression, 2 * MINUTE, budget()).values.tolist()
        return found

    rule_log.write([RuleSample({"__name__": "a"}, MINUTE, 1.0), RuleSample({"__name__": "b"}, MINUTE, 2.0)])
    rule_log.write([RuleSample({"__name__": "a"}, 2 * MINUTE, 3.0)])
    log.loaded = 1  # although this store never got it
    assert count(first, "count_over_time(a[10m])") == [[2.0]]
    assert count(first, "b") == [[2.0]]
    del first
    second = RecentReader(store, recent)
    assert count(second, "count_over_time(a[10m])") == [[1.0]]
    assert count(second, "b") == []
    log.loaded = 2
    assert count(RecentReader(store, recent), "a") == [[3.0]]
    del second
    assert count(RecentReader(store, recent), "a") == []


def test_what_is_loaded_in_the_midst_of_a_round_is_seen() -> None:
    """A round that has read the store before a sample was loaded gets it from memory after that."""
    log, store = Log(), MemoryReader()
    recent = RecentSamples(lambda: len(log.bodies), lambda: log.loaded)
    needs = needs_of([RuleGroup("g", "f", (record("a", "1"), record("b", "a")))], 5 * MINUTE)
    reader = RecentReader(SharedReader(store, needs, MINUTE, Selectors()), recent)
    assert len(Engine(reader).instant("a", MINUTE, budget()).labels) == 0
    StoreLog(log, recent).write([RuleSample({"__name__": "a"}, MINUTE, 1.0)])
    load(log, store, 1)
    assert Engine(reader).instant("a", MINUTE, budget()).values.tolist() == [[1.0]]


def test_a_window_without_recent_samples_is_the_stores() -> None:
    """What is in memory but outside the window that is asked for changes nothing."""
    _log, reader, rule_log, both = parts()
    reader.add({"__name__": "a"}, [(MINUTE, 1.0)])
    rule_log.write([RuleSample({"__name__": "a"}, 20 * MINUTE, 2.0)])
    found = both.series([], 0, 20 * MINUTE, budget())
    block = both.samples(found, 0, 10 * MINUTE, budget())
    assert (block.timestamps.tolist(), block.values.tolist()) == ([MINUTE], [1.0])
