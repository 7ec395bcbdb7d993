"""A random share instead of everything."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

from mirante._core.clock import Clock
from mirante._core.record import Metric
from mirante.errors import DeclarationError
from mirante.telemetry.stages.base import Bound, RecordContext

Choose = Callable[[Metric, float], bool]
"""Whether to keep a measurement, with that probability."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Keeps a share of the measurements and scales the values of those up, so that their sum stays right on average.

    What is kept says so: ``metadata["sampled"]`` is True and ``metadata["sample_rate"]`` the probability it was kept
    with; the measurement itself is ``value * sample_rate``. ``Aggregate`` after it heeds the marks. What is not kept is
    counted as ``sampled``.

    Attributes:
        rate: the share that is kept, more than 0 and at most 1.
        target_per_second: keep about so many a second instead, adapting the share to what comes in.
        key: what is kept or left out together, in every process alike: the name of a tag, or a function. The share is
            then one of the keys.
        seed: makes the choice repeatable.

    Raises:
        DeclarationError: not exactly one of ``rate`` and ``target_per_second`` is given, or it is out of range.

    Example:
        >>> Sample(rate=0.1).rate, Sample(target_per_second=50, key="user_id").key
        (0.1, 'user_id')
    """

    rate: float | None = None
    target_per_second: float | None = None
    key: str | Callable[[Metric], object] | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if (self.rate is None) == (self.target_per_second is None):
            raise DeclarationError("Sample: give either rate or target_per_second")
        if self.rate is not None and not 0 < self.rate <= 1:
            raise DeclarationError(f"Sample: rate must be more than 0 and at most 1, not {self.rate!r}")
        if self.target_per_second is not None and not self.target_per_second > 0:
            raise DeclarationError(f"Sample: target_per_second must be more than 0, not {self.target_per_second!r}")

    def bind(self, context: RecordContext) -> Bound:
        """See ``RecordStage``."""
        emit, drop = context.emit, context.drop
        choose = self._by_chance() if self.key is None else self._by_key(self.key)
        fixed = self.rate or 0.0
        adapt = _adaptive(self.target_per_second, context.clock) if self.target_per_second else None

        def record(metric: Metric) -> None:
            rate = adapt() if adapt else fixed
            if rate >= 1.0:
                emit(metric)
            elif choose(metric, rate):
                emit(_scaled(metric, rate))
            else:
                drop("sampled", 1)

        return Bound(record)

    def _by_chance(self) -> Choose:
        # The module's own generator is seeded anew in a forked child, one of ours would repeat the parent's choices.
        chance = random.random if self.seed is None else random.Random(self.seed).random  # noqa: S311 - no secret
        return lambda _metric, rate: chance() < rate

    def _by_key(self, key: str | Callable[[Metric], object]) -> Choose:
        seed = self.seed or 0

        def choose(metric: Metric, rate: float) -> bool:
            text = metric.tags.get(key, "") if isinstance(key, str) else str(key(metric))
            return _spread(crc32(text.encode("utf-8", "replace"), seed)) < rate

        return choose


def _scaled(metric: Metric, rate: float) -> Metric:
    before = metric.metadata
    share = rate * before["sample_rate"] if before.get("sampled") is True else rate  # sampled twice: both count
    marks = {**before, "sampled": True, "sample_rate": share}
    return Metric(metric.name, metric.value / rate, metric.timestamp, metric.tags, marks)


def _spread(checksum: int) -> float:
    """A number from 0 to 1 that looks random: a CRC of similar texts alone does not (finaliser of MurmurHash3)."""
    h = (checksum ^ checksum >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return (h ^ h >> 16) / 2**32


def _adaptive(target: float, clock: Clock) -> Callable[[], float]:
    """The share to keep: the target over what came in, in this second or the one before, whichever is more.

    It is settled before the choice is made and from what came before, so that scaling by it stays unbiased.
    """
    monotonic = clock.monotonic
    began = monotonic()
    count = before = 0.0

    def share() -> float:
        nonlocal began, count, before
        elapsed = monotonic() - began
        if elapsed >= 1.0:
            before = count if elapsed < 2.0 else 0.0
            count, began = 0.0, began + elapsed
        count += 1.0
        return min(1.0, target / max(count, before))

    return share
