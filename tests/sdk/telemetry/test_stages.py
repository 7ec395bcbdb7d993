"""The stages that see each record, one by one and together."""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import DeclarationError, DeliveryError
from mirante.telemetry import Aggregate, AggregatedMetric, Batch, Metric, RateLimit, Retry, Sample
from mirante.telemetry.stages import rate_limit
from mirante.telemetry.stages.base import Bound, DeliveryContext, RecordContext
from tests.sdk.telemetry.support import FakeClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Bench:
    """A stage at work between a source and a sink."""

    def __init__(self, stage: Any) -> None:
        self.clock = FakeClock()
        self.out: list[Any] = []
        self.dropped: Counter[str] = Counter()
        self.bound: Bound = stage.bind(RecordContext(self.out.append, self._drop, self.clock))

    def _drop(self, reason: str, count: int) -> None:
        self.dropped[reason] += count

    def put(self, value: float, name: str = "m", metadata: dict[str, object] | None = None, **tags: str) -> None:
        """Record one measurement."""
        self.bound.record(Metric(name, value, NOW, tags, metadata))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Batch(0),
        lambda: Retry(max_retries=-1),
        lambda: Retry(delay=-1),
        lambda: Retry(max_delay=math.nan),
        lambda: RateLimit(0),
        lambda: RateLimit(math.nan),
        lambda: RateLimit(1, burst=0.5),
        Sample,
        lambda: Sample(rate=0.5, target_per_second=5),
        lambda: Sample(rate=0),
        lambda: Sample(rate=1.1),
        lambda: Sample(target_per_second=0),
        lambda: Aggregate(quantiles=[1.5]),
        lambda: Aggregate(max_series=0),
    ],
)
def test_a_wrong_setting_is_refused_where_it_is_written(wrong: Callable[[], object]) -> None:
    """As a ValueError that names the stage."""
    with pytest.raises(ValueError, match=r"^(Batch|Retry|RateLimit|Sample|Aggregate): ") as caught:
        wrong()
    assert isinstance(caught.value, DeclarationError)


class TestSample:
    """Random shares."""

    def test_what_is_kept_is_marked_and_scaled(self) -> None:
        """Value times rate is the measurement; what is left out is counted."""
        bench = Bench(Sample(rate=0.25, seed=1))
        for _ in range(1000):
            bench.put(3.0, metadata={"user": "7"})
        assert bench.dropped["sampled"] == 1000 - len(bench.out)
        assert 180 < len(bench.out) < 320
        assert {one.value for one in bench.out} == {12.0}
        assert bench.out[0].metadata == {"user": "7", "sampled": True, "sample_rate": 0.25}

    def test_a_rate_of_one_keeps_everything_as_it_is(self) -> None:
        """Nothing is sampled, so nothing is marked."""
        bench = Bench(Sample(rate=1))
        bench.put(3.0)
        assert bench.out == [Metric("m", 3.0, NOW)]

    def test_a_seed_repeats_the_choice(self) -> None:
        """The same records are kept again."""
        kept = []
        for _ in range(2):
            bench = Bench(Sample(rate=0.5, seed=42))
            for value in range(100):
                bench.put(value)
            kept.append([one.value for one in bench.out])
        assert kept[0] == kept[1]

    def test_without_a_seed_the_choice_differs(self) -> None:
        """Two processes do not keep the same ones."""
        kept = []
        for _ in range(2):
            bench = Bench(Sample(rate=0.5))
            for value in range(200):
                bench.put(value)
            kept.append([one.value for one in bench.out])
        assert kept[0] != kept[1]

    def test_sampling_twice_multiplies_the_shares(self) -> None:
        """The mark says what the measurement was multiplied with in all."""
        first, second = Bench(Sample(rate=0.5, seed=3)), Bench(Sample(rate=0.5, seed=4))
        for _ in range(100):
            first.put(1.0)
        for one in first.out:
            second.bound.record(one)
        assert {(one.value, one.metadata["sample_rate"]) for one in second.out} == {(4.0, 0.25)}

    def test_a_sample_rate_that_the_user_wrote_is_theirs(self) -> None:
        """Only our own mark counts."""
        bench = Bench(Sample(rate=0.5, seed=3))
        for _ in range(20):
            bench.put(1.0, metadata={"sample_rate": "high"})
        assert {one.metadata["sample_rate"] for one in bench.out} == {0.5}

    @pytest.mark.parametrize("key", ["user", lambda metric: metric.tags["user"]])
    def test_by_key_all_of_one_key_or_none(self, key: Any) -> None:
        """In every process alike, and about the asked share of the keys."""
        bench, other = Bench(Sample(rate=0.3, key=key)), Bench(Sample(rate=0.3, key=key))
        for user in range(2000):
            for one in (bench, bench, other):
                one.put(1.0, user=f"user-{user}")
        users = Counter(one.tags["user"] for one in bench.out)
        assert set(users.values()) == {2}
        assert set(users) == {one.tags["user"] for one in other.out}
        assert 500 < len(users) < 700

    def test_another_seed_keeps_other_keys(self) -> None:
        """So that the same users are not watched for ever."""
        benches = [Bench(Sample(rate=0.5, key="user", seed=seed)) for seed in (1, 2)]
        for bench in benches:
            for user in range(50):
                bench.put(1.0, user=f"{user}")
        first, second = ({one.tags["user"] for one in bench.out} for bench in benches)
        assert first != second

    def test_adaptive_keeps_about_the_target_and_the_sum(self) -> None:
        """Whatever comes in: a second at 10,000, a quiet one, and one below the target, which is kept whole."""
        random.seed(5)
        bench = Bench(Sample(target_per_second=100))
        kept = []
        for arriving in (10_000, 10_000, 10_000, 50, 50, 50):
            before = len(bench.out)
            for number in range(arriving):
                bench.clock.now += 1 / arriving if number else 1e-9
                bench.put(1.0)
            kept.append(len(bench.out) - before)
        assert kept[0] < 1000  # what comes first is not yet known to be much
        assert 50 < kept[1] < 200
        assert 50 < kept[2] < 200
        assert kept[5] == 50
        assert sum(one.value for one in bench.out) == pytest.approx(30_150, rel=0.15)

    def test_adaptive_is_unbiased(self) -> None:
        """The mean of many runs is the truth."""
        sums = []
        for seed in range(200):
            bench = Bench(Sample(target_per_second=10, seed=seed))
            for _ in range(300):
                bench.clock.now += 0.01
                bench.put(1.0)
            sums.append(sum(one.value for one in bench.out))
        assert statistics.mean(sums) == pytest.approx(300, rel=0.05)

    def test_after_a_quiet_time_nothing_is_left_out(self) -> None:
        """The rate of a busy second long ago does not count."""
        bench = Bench(Sample(target_per_second=1, seed=1))
        for _ in range(1000):
            bench.put(1.0)
        bench.clock.now += 60
        bench.put(7.0)
        assert bench.out[-1].value == 7.0


class TestRateLimit:
    """Token buckets."""

    def test_a_burst_passes_and_then_the_rate(self) -> None:
        """Ten at once, then two a second."""
        bench = Bench(RateLimit(2, burst=10))
        for _ in range(15):
            bench.put(1.0)
        assert len(bench.out) == 10
        for _ in range(20):
            bench.clock.now += 0.25
            bench.put(1.0)
        assert len(bench.out) == 20
        assert bench.dropped == {"rate_limit": 15}

    @given(st.lists(st.floats(0, 3), max_size=50), st.floats(0.5, 10), st.floats(1, 5))
    def test_never_more_than_burst_and_rate_allow(self, gaps: list[float], rate: float, burst: float) -> None:
        """Whatever the arrivals."""
        bench = Bench(RateLimit(rate, burst=burst))
        began = bench.clock.now
        for gap in gaps:
            bench.clock.now += gap
            bench.put(1.0)
            assert len(bench.out) <= burst + (bench.clock.now - began) * rate + 1e-3

    def test_less_than_one_a_second_lets_one_through_at_first(self) -> None:
        """A bucket smaller than one token would never let anything through."""
        bench = Bench(RateLimit(0.1))
        bench.put(1.0)
        bench.put(1.0)
        assert len(bench.out) == 1

    def test_by_key_each_has_its_own_bucket(self) -> None:
        """A noisy one does not silence the others."""
        bench = Bench(RateLimit(1, key=lambda metric: metric.name))
        for _ in range(5):
            bench.put(1.0, name="noisy")
        bench.put(1.0, name="quiet")
        assert [one.name for one in bench.out] == ["noisy", "quiet"]

    def test_buckets_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The key that was idle longest makes room."""
        monkeypatch.setattr(rate_limit, "KEYS", 2)
        bench = Bench(RateLimit(0.001, burst=1, key=lambda metric: metric.name))
        for name in ("a", "b", "a", "c", "a", "b"):
            bench.put(1.0, name=name)
        assert [one.name for one in bench.out] == ["a", "b", "c", "b"]


class TestAggregate:
    """One record for many."""

    @given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200))
    def test_figures_are_those_of_the_values(self, values: list[float]) -> None:
        """Count, sum, min, max and last exactly, a quantile within 1 % of a value of that rank."""
        bench = Bench(Aggregate(quantiles=(0.0, 0.5, 1.0)))
        for value in values:
            bench.put(value)
        bench.bound.drain()
        (one,) = bench.out
        assert (one.count, one.sum, one.min, one.max, one.last) == (
            len(values),
            sum(values),
            min(values),
            max(values),
            values[-1],
        )
        for share, found in one.quantiles.items():
            expected = sorted(values)[int(share * (len(values) - 1))]
            assert found == pytest.approx(expected, rel=0.0101, abs=1e-11)

    def test_names_and_tags_are_apart_whatever_the_order_of_tags(self) -> None:
        """The set of tags counts."""
        bench = Bench(Aggregate(quantiles=()))
        bench.put(1.0)
        bench.put(1.0, name="n")
        bench.put(1.0, a="1", b="2")
        bench.put(1.0, b="2", a="1")
        bench.bound.drain()
        assert [(one.name, dict(one.tags), one.count, one.quantiles) for one in bench.out] == [
            ("m", {}, 1, {}),
            ("n", {}, 1, {}),
            ("m", {"a": "1", "b": "2"}, 2, {}),
        ]

    def test_each_flush_begins_anew(self) -> None:
        """What was flushed is not counted again."""
        bench = Bench(Aggregate())
        bench.put(1.0)
        bench.bound.drain()
        bench.bound.drain()
        bench.put(5.0)
        bench.bound.drain()
        assert [one.sum for one in bench.out] == [1.0, 5.0]

    def test_series_are_bounded(self) -> None:
        """New ones are dropped and counted until the next flush; known ones go on."""
        bench = Bench(Aggregate(max_series=2))
        for name in ("a", "b", "c", "a"):
            bench.put(1.0, name=name)
        bench.bound.drain()
        assert [(one.name, one.count) for one in bench.out] == [("a", 2), ("b", 1)]
        assert bench.dropped == {"series_limit": 1}
        bench.put(1.0, name="c")
        bench.bound.drain()
        assert bench.out[-1].name == "c"

    def test_what_was_sampled_counts_for_what_was_left_out(self) -> None:
        """Count and sum are right on average; min, max and quantiles are those of real measurements."""
        aggregate = Bench(Aggregate())
        sample = Sample(rate=0.1, seed=11).bind(RecordContext(aggregate.bound.record, aggregate._drop, aggregate.clock))
        for number in range(20_000):
            sample.record(Metric("t", 1.0 + number % 3, NOW))
        aggregate.bound.drain()
        (one,) = aggregate.out
        assert one.count == pytest.approx(20_000, rel=0.1)
        assert one.sum == pytest.approx(40_000, rel=0.1)
        assert (one.min, one.max) == (1.0, 3.0)
        assert one.quantiles[0.5] == pytest.approx(2.0, rel=0.01)

    def test_a_result_is_a_measurement_too(self) -> None:
        """Its value is the sum, its time that of the last one."""
        bench = Bench(Aggregate())
        bench.put(1.0)
        bench.put(2.0)
        bench.bound.drain()
        assert isinstance(bench.out[0], AggregatedMetric)
        assert (bench.out[0].value, bench.out[0].timestamp) == (3.0, NOW)


class TestRetry:
    """Attempts and pauses."""

    def run(self, retry: Retry, *outcomes: Exception | None, patient: bool = True) -> tuple[int, list[float], int]:
        """Attempts made, seconds waited, retries counted."""
        script = list(outcomes)
        waited: list[float] = []
        retried: list[int] = []
        attempts = 0

        def send(_batch: Sequence[object]) -> None:
            nonlocal attempts
            attempts += 1
            if outcome := script.pop(0):
                raise outcome

        def wait(seconds: float) -> bool:
            waited.append(seconds)
            return patient

        try:
            retry.wrap(send, DeliveryContext(wait, lambda: retried.append(1)))([])
        finally:
            self.result = attempts, waited, len(retried)
        return self.result

    def test_pauses_double_up_to_the_longest(self) -> None:
        """And the last failure is the caller's to know."""
        retry = Retry(max_retries=4, delay=1.0, max_delay=5.0, random=lambda: 1.0)
        with pytest.raises(ConnectionError):
            self.run(retry, *[ConnectionError()] * 5)
        assert self.result == (5, [1.0, 2.0, 4.0, 5.0], 4)

    @given(st.integers(1, 10_000), st.floats(0, 1))
    def test_chance_takes_up_to_half(self, attempt: int, chance: float) -> None:
        """So that many processes spread out, and none hammers."""
        retry = Retry(delay=0.5, max_delay=60.0, random=lambda: chance)
        longest = min(0.5 * 2.0 ** min(attempt - 1, 100), 60.0)
        assert longest / 2 <= retry.pause(attempt) <= longest

    def test_success_ends_it(self) -> None:
        """No attempt more than needed."""
        assert self.run(Retry(random=lambda: 1.0), OSError(), None) == (2, [1.0], 1)

    def test_a_destination_is_obeyed_when_it_asks_for_time(self) -> None:
        """Even beyond the longest pause; a shorter wish does not make it shorter."""
        retry = Retry(delay=1.0, max_delay=5.0, random=lambda: 1.0)
        asked = [DeliveryError("busy", retry_after=90.0), DeliveryError("busy", retry_after=0.1), None]
        assert self.run(retry, *asked) == (3, [90.0, 2.0], 2)

    def test_refused_data_is_not_sent_again(self) -> None:
        """It would be refused again."""
        with pytest.raises(DeliveryError):
            self.run(Retry(), DeliveryError("bad", permanent=True))
        assert self.result == (1, [], 0)

    @pytest.mark.parametrize("error", [OSError("down"), DeliveryError("down")])
    def test_the_end_of_the_pipeline_ends_the_waiting(self, error: Exception) -> None:
        """The failure is reported at once."""
        with pytest.raises(type(error)):
            self.run(Retry(), error, patient=False)
        assert self.result[0] == 1

    def test_none_at_all(self) -> None:
        """Zero retries is one attempt."""
        with pytest.raises(OSError, match="down"):
            self.run(Retry(max_retries=0), OSError("down"))
        assert self.result == (1, [], 0)
