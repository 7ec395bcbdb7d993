"""The families of collectors that tell something about their own process, shared like instruments.

A collector says so by an attribute ``per_process = True``: then several processes' families are added up. Others, which
tell of the machine or of a database, would say the same in every process; whoever is scraped asks those.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from mirante._core.model import MetricFamily, NativePoint, Sample
from mirante.metrics.native import FINEST, NativeBuckets, NativeState

NATIVE_BUCKETS = 160
_COUNTED = ("counter", "histogram", "summary")
Key = tuple[str, ...]


class Told(NamedTuple):
    """A family without its samples.

    Attributes:
        type: as MetricFamily has it.
        help: one sentence.
        unit: base unit.
    """

    type: str
    help: str
    unit: str

    @property
    def stays(self) -> bool:
        """Whether it still counts when its process has ended."""
        return self.type in _COUNTED


def states(family: MetricFamily) -> dict[Key, Any]:
    """The family's samples by name and labels; native histograms have the empty name. Exemplars stay behind."""
    found: dict[Key, Any] = {
        (sample.name, *_flat(sample.labels)): float(sample.value)
        for sample in family.samples
        if "quantile" not in sample.labels  # two processes' quantiles cannot be combined
    }
    for point in family.native:
        state = NativeState(point.schema, point.zero_count, point.sum, dict(point.positive), dict(point.negative))
        found["", *_flat(point.labels)] = (point.zero_threshold, tuple(state))
    return found


def combine(one: Any, other: Any, told: Told, name: str) -> Any:  # noqa: ANN401 - a number, or a native state
    """Two processes' states as one: points in time are the latest, facts stay facts, the rest is added."""
    if isinstance(one, tuple):
        both = NativeBuckets(FINEST, NATIVE_BUCKETS)
        both.merge(NativeState(*one[1]))
        both.merge(NativeState(*other[1]))
        return max(one[0], other[0]), tuple(both.state())
    if told.type in ("info", "stateset") or (not told.stays and name.endswith("_time_seconds")):
        return max(one, other)
    return one + other


def family(name: str, told: Told, merged: dict[Key, Any]) -> MetricFamily:
    """The family again."""
    return MetricFamily(name, told.type, told.help, told.unit, tuple(_samples(merged)), tuple(_points(merged)))


def _flat(labels: Any) -> Iterator[str]:  # noqa: ANN401 - a mapping of text
    for name, value in labels.items():
        yield str(name)
        yield str(value)


def _labels(key: Key) -> dict[str, str]:
    return dict(zip(key[1::2], key[2::2], strict=True))


def _samples(merged: dict[Key, Any]) -> Iterator[Sample]:
    for key, value in merged.items():
        if key[0]:
            yield Sample(key[0], _labels(key), value)


def _points(merged: dict[Key, Any]) -> Iterator[NativePoint]:
    for key, value in merged.items():
        if not key[0]:
            state = NativeState(*value[1])
            yield NativePoint(
                _labels(key), state.schema, value[0], state.zero_count, state.sum, state.positive, state.negative
            )
