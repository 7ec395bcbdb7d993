"""One group of a Pushgateway: its families, its series as they are written, and the JSON that keeps it on disk."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isnan
from typing import Any

from mirante._core.model import Sample
from mirante.formats import remote_write
from mirante.formats.native_histogram import NativeHistogram
from mirante.server.ingest.push_body import Family, NativeSample

PUSH_TIME, FAILURE_TIME = "push_time_seconds", "push_failure_time_seconds"

_double = struct.Struct("<d").pack

Value = bytes | NativeHistogram
"""The last value of a series: a float's eight bytes, or a histogram."""

GroupKey = tuple[tuple[str, str], ...]
"""The labels of a group, sorted."""


@dataclass(frozen=True, slots=True)
class Group:
    """One group.

    Attributes:
        labels: of the group, ``job`` among them.
        families: by name, the samples with the group's labels.
        values: by the encoded beginning of each series its encoded value, or its native histogram.
    """

    labels: Mapping[str, str]
    families: Mapping[str, Family]
    values: Mapping[bytes, Value] = field(init=False)

    def __post_init__(self) -> None:
        values: dict[bytes, Value] = {}
        for family in self.families.values():
            for sample in family.samples:
                value = remote_write.NORMAL_NAN if isnan(sample.value) else sample.value
                values[series_head(sample.name, sample.labels)] = _double(value)
            values |= {series_head(family.name, native.labels): native.value for native in family.natives}
        object.__setattr__(self, "values", values)

    @property
    def key(self) -> GroupKey:
        """Names the group."""
        return tuple(sorted(self.labels.items()))

    def moment(self, name: str) -> float:
        """The value of PUSH_TIME or FAILURE_TIME: seconds since the Unix epoch, 0 for never."""
        return self.families[name].samples[0].value


def series_head(name: str, labels: Mapping[str, str]) -> bytes:
    """The encoded beginning of a series, see ``remote_write.series_head``."""
    return remote_write.series_head(remote_write.labels({**labels, "__name__": name}))


def to_json(group: Group) -> dict[str, object]:
    """As JSON, which knows no NaN: values are texts. Exemplars were written when they came, and are not kept."""
    families = [
        {
            "name": one.name,
            "type": one.type,
            "help": one.help,
            "time": one.time,
            "samples": [[s.name, s.labels, repr(float(s.value))] for s in one.samples],
            "natives": [[native.labels, _native_to_json(native.value)] for native in one.natives],
        }
        for one in group.families.values()
    ]
    return {"labels": group.labels, "families": families}


def _native_to_json(value: NativeHistogram) -> dict[str, object]:
    plain = asdict(value)
    return {**plain, "sum": repr(value.sum), **{side: list(plain[side].items()) for side in ("positive", "negative")}}


def from_json(document: dict[str, Any]) -> Group:
    """The group that ``to_json`` was given.

    Raises:
        ValueError: it is none, as KeyError and TypeError say too.
    """
    families = {
        one["name"]: Family(
            one["name"],
            one["type"],
            one["help"],
            tuple(Sample(line, labels, float(value)) for line, labels, value in one["samples"]),
            one["time"],
            tuple(NativeSample(labels, _native_from_json(value)) for labels, value in one["natives"]),
        )
        for one in document["families"]
    }
    if not families.keys() >= {PUSH_TIME, FAILURE_TIME}:
        raise ValueError("the times of the last push are missing")
    return Group(dict(document["labels"]), families)


def _native_from_json(plain: dict[str, Any]) -> NativeHistogram:
    sides = {side: dict(plain[side]) for side in ("positive", "negative")}
    return NativeHistogram(
        **{**plain, **sides, "sum": float(plain["sum"]), "custom_bounds": tuple(plain["custom_bounds"])}
    )
