"""From a target's page to remote-write fields, by way of what is already known of each series.

The cache is keyed by the raw text of a series: labels are parsed, relabeled and encoded once, and a line of a known
series costs a look-up, a float and a concatenation. A page with the layout of the last one costs not even the look-up.
A line that is out of the ordinary goes through the exact parser alone; an error sends the whole page there, so that the
message names the line.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import repeat
from math import isnan

from mirante._core.model import Exemplar
from mirante.errors import FormatError
from mirante.formats import remote_write
from mirante.formats.exposition_parser import (
    Measure,
    Metadata,
    are_plain_numbers,
    page_lines,
    parse,
    read_comment,
    read_measure,
    read_series,
    split_sample,
)
from mirante.formats.names import METRIC_NAME
from mirante.formats.native_histogram import NativeHistogram
from mirante.server.protobuf_exposition import NativeSample, read_protobuf
from mirante.server.scrape.layout import Layout, Split
from mirante.server.scrape.model import ScrapeJob
from mirante.server.scrape.native import bounded
from mirante.server.scrape.relabel import relabel

_FUTURE_MS = 10 * 60 * 1000  # Prometheus refuses samples further ahead than this
_DROPPED = b""  # the head of a series that relabeling drops
_SHARED_BLOCKS = 64  # a thousand targets are mostly of a few kinds, and comments are a third of what a target holds
_STALE_HISTOGRAM = NativeHistogram(0, remote_write.STALE_NAN)
_value_and_tail = struct.Struct("<d7s").pack


@dataclass(slots=True)
class Reading:
    """What a page said.

    Attributes:
        fields: encoded fields of a WriteRequest: metadata that changed, samples, exemplars.
        live: heads of the series that staleness watches over.
        scraped: samples on the page.
        kept: samples left after metric relabeling.
        refused: samples that were left out, by reason.
        native: those of the live ones whose last sample was a native histogram.
    """

    fields: list[bytes] = field(default_factory=list)
    live: set[bytes] = field(default_factory=set)
    scraped: int = 0
    kept: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    comments: list[bytes] = field(default_factory=list)
    metadata: dict[str, Metadata] = field(default_factory=dict)
    exemplars: dict[bytes, Exemplar] = field(default_factory=dict)
    native: set[bytes] = field(default_factory=set)

    def refuse(self, reason: str) -> None:
        """Count a sample that is left out."""
        self.refused[reason] = self.refused.get(reason, 0) + 1


class SeriesCache:
    """What is known of one target's series from scrape to scrape; used by one thread at a time.

    ``read`` changes nothing that a later call cannot repair; ``commit`` says that a reading is safely stored.
    """

    def __init__(self, job: ScrapeJob, target_labels: Mapping[str, str]) -> None:
        self._job, self._target_labels = job, target_labels
        limits = job.limits
        self._limited = any((limits.labels, limits.label_name_length, limits.label_value_length))
        self._heads: dict[bytes, bytes] = {}
        self._stored = Reading()
        self._layout: Layout | None = None

    @property
    def live(self) -> set[bytes]:
        """Heads of the series that the last stored scrape had."""
        return self._stored.live

    @property
    def metadata(self) -> Mapping[str, Metadata]:
        """What the last stored scrape said of metric families."""
        return self._stored.metadata

    def adopt(self, predecessor: SeriesCache) -> None:
        """Take over the series of a predecessor: what the next scrape does not have then goes stale."""
        self._stored.live, self._stored.native = predecessor.live, predecessor._stored.native

    def commit(self, reading: Reading) -> None:
        """Remember the reading as stored; what was encoded is in the log now, and not held until the next scrape."""
        self._stored = reading
        reading.fields = []

    def nothing(self) -> Reading:
        """The reading of a scrape that failed: every series ends, what is known of families stays."""
        stored = self._stored
        return Reading(comments=stored.comments, metadata=stored.metadata, exemplars=stored.exemplars)

    def read(self, page: bytes, *, openmetrics: bool, now: int) -> Reading:
        """Read a page that was scraped at ``now`` (milliseconds).

        Raises:
            FormatError: the page breaks its format, or a series breaks a limit of the job.
        """
        try:
            return self._read(page, openmetrics=openmetrics, now=now)
        except ValueError:
            parse(page, openmetrics=openmetrics)  # names the line, unless the page itself is in order
            raise

    def read_protobuf(self, page: bytes, *, now: int) -> Reading:
        """Read a page in protobuf, as ``read`` does.

        Raises:
            FormatError: as there.
        """
        found, reading = read_protobuf(page, classic=self._job.classic_histograms), Reading()
        self._layout = None
        self._add_metadata(reading, found.metadata)
        for series, measure in found.samples:
            self._add_unusual(reading, self._head(series), measure, now)
        for sample in found.natives:
            self._add_native(reading, sample, now)
        reading.scraped = len(found.samples) + len(found.natives)
        self._forget(reading.scraped)
        return reading

    def stale(self, reading: Reading, now: int) -> Iterable[bytes]:
        """Staleness markers of the stored series that the reading lacks."""
        if reading.live is self.live:
            return []
        marker = _value_and_tail(remote_write.STALE_NAN, remote_write.sample_tail(now))
        ended = self.live - reading.live
        natives = ended & self._stored.native if self._stored.native else set()
        of_histogram = remote_write.histogram(_STALE_HISTOGRAM, now) if natives else b""
        return [
            *(head + marker for head in ended - natives),
            *(remote_write.series(remote_write.head_labels(head), of_histogram) for head in natives),
        ]

    def _read(self, page: bytes, *, openmetrics: bool, now: int) -> Reading:
        lines = page_lines(page, openmetrics=openmetrics)
        layout, stored = self._layout, self._stored
        values = layout.values(lines) if layout else None
        if layout and values is not None and stored.comments == layout.comments:
            reading = Reading([], layout.live, layout.scraped, len(values), {}, stored.comments, stored.metadata)
            reading.fields += _samples(layout.heads, values, now)
            return reading
        self._layout = None
        return self._read_anew(lines, openmetrics=openmetrics, now=now)

    def _read_anew(self, lines: list[bytes], *, openmetrics: bool, now: int) -> Reading:
        """Read a page that differs from the last one in more than its values."""
        if not openmetrics:
            lines = [line.lstrip(b" \t") for line in lines]
        elif b"" in lines:
            raise FormatError("a blank line is not allowed in OpenMetrics")
        reading = Reading()
        self._describe(reading, [line for line in lines if line[:1] == b"#"], openmetrics=openmetrics)
        splits = [line.rpartition(b" ") for line in lines if line[:1] not in b"#"]  # b"" is in every bytes
        heads = [self._heads.get(series) for series, _, _ in splits]
        unusual = self._resolve(splits, heads, openmetrics=openmetrics) if None in heads else []
        plain = [(head, value) for head, (_, _, value) in zip(heads, splits, strict=True) if head]
        self._add_plain(reading, plain, now)
        for head, measure in unusual:
            self._add_unusual(reading, head, measure, now)
        reading.scraped = len(splits)
        if splits and not unusual and not reading.refused:
            self._layout = Layout(lines, reading.comments, splits, heads)
        self._forget(reading.scraped)
        return reading

    def _forget(self, scraped: int) -> None:
        if len(self._heads) > 2 * scraped + 1000:
            self._heads.clear()  # most of it is of series that went away

    def _resolve(
        self, splits: list[Split], heads: list[bytes | None], *, openmetrics: bool
    ) -> list[tuple[bytes, Measure]]:
        """Fill in the heads of series that are new; lines with more than a value are taken out and returned."""
        unusual = []
        for i, head in enumerate(heads):
            if head is not None:
                continue
            before, space, text = splits[i]
            series, rest = split_sample(before + space + text, openmetrics=openmetrics)
            plain = before == series
            found = self._heads.get(series)
            if found is None:
                # The cut line's own bytes where they are the same: the page's layout holds them too.
                found = self._heads[before if plain else series] = self._learn(series)
            if plain:
                heads[i] = found
            else:
                heads[i] = _DROPPED
                unusual.append((found, read_measure(rest, openmetrics=openmetrics)))
        return unusual

    def _add_plain(self, reading: Reading, lines: list[tuple[bytes, bytes]], now: int) -> None:
        """Add the lines that are a known series and a value."""
        reading.kept += len(lines)
        first = dict(reversed(lines))  # the same series twice on a page: the first one counts, as in Prometheus
        if len(first) != len(lines):
            reading.refused["duplicate"] = len(lines) - len(first)
            lines = list(first.items())
        reading.live.update(first)
        reading.fields += _samples([head for head, _ in lines], [value for _, value in lines], now)

    def _add_unusual(self, reading: Reading, head: bytes, measure: Measure, now: int) -> None:
        """Add a line with a timestamp or an exemplar."""
        at = self._place(reading, head, measure.timestamp, now)
        if at is None:
            return
        reading.fields.append(head + _value_and_tail(_normal(measure.value), remote_write.sample_tail(at)))
        if measure.exemplar is not None:
            self._add_exemplar(reading, head, measure.exemplar, at)

    def _add_native(self, reading: Reading, sample: NativeSample, now: int) -> None:
        """Add a native histogram."""
        head, value = self._head(sample.series), bounded(sample.value, self._job.limits)
        place = self._place(reading, head, sample.timestamp, now)
        if place is None:
            return
        reading.native.add(head)
        labels = remote_write.head_labels(head)
        reading.fields.append(remote_write.series(labels, remote_write.histogram(value, place)))
        for example in sample.exemplars:
            self._add_exemplar(reading, head, example, place)

    def _place(self, reading: Reading, head: bytes, timestamp: float | None, now: int) -> int | None:
        """The time (milliseconds) of a sample that may have its own; None where the sample is left out."""
        if head == _DROPPED:
            return None
        reading.kept += 1
        own_time = self._job.honor_timestamps and timestamp is not None
        at = round(timestamp * 1000) if own_time and timestamp is not None else now
        if at not in remote_write.TIMES or at > now + _FUTURE_MS:
            reading.refuse("out_of_bounds")
            return None
        if not own_time and head in reading.live:
            reading.refuse("duplicate")
            return None
        if not own_time or self._job.track_timestamps_staleness:
            reading.live.add(head)
        return at

    def _add_exemplar(self, reading: Reading, head: bytes, exemplar: Exemplar, at: int) -> None:
        """Add an exemplar, unless the page only repeats the one that is stored."""
        reading.exemplars[head] = exemplar
        if self._stored.exemplars.get(head) != exemplar:
            labels = remote_write.head_labels(head)
            reading.fields.append(remote_write.series(labels, remote_write.exemplar(exemplar, at)))

    def _describe(self, reading: Reading, comments: list[bytes], *, openmetrics: bool) -> None:
        """Add the metadata of families whose comments are not those of the last stored page."""
        stored = self._stored
        if comments == stored.comments:
            reading.comments, reading.metadata = stored.comments, stored.metadata
        else:
            reading.comments, found = _families(b"\n".join(comments), openmetrics=openmetrics)
            self._add_metadata(reading, found)

    def _add_metadata(self, reading: Reading, found: dict[str, Metadata]) -> None:
        """Add what was not said of families before."""
        reading.metadata = found
        reading.fields += [
            remote_write.metadata(family, *said)
            for family, said in found.items()
            if self._stored.metadata.get(family) != said
        ]

    def _head(self, series: bytes) -> bytes:
        """Head of a series by its text."""
        found = self._heads.get(series)
        if found is None:
            found = self._heads[series] = self._learn(series)
        return found

    def _learn(self, series: bytes) -> bytes:
        """Head of a series seen for the first time."""
        labels = relabel(self._with_target_labels(read_series(series)), self._job.metric_relabel)
        if not labels:
            return _DROPPED
        if "__name__" not in labels:
            raise FormatError(f"metric relabeling left no name to {series.decode('utf-8', 'replace')}")
        if self._limited:
            self._check_limits(labels)
        if self._job.name_validation == "legacy" and not all(map(METRIC_NAME.fullmatch, (*labels, labels["__name__"]))):
            raise FormatError(f"invalid metric name or label names: {series.decode('utf-8', 'replace')}")
        return remote_write.series_head(remote_write.labels(labels))

    def _with_target_labels(self, labels: dict[str, str]) -> dict[str, str]:
        """Join the page's labels and the target's; in a conflict ``honor_labels`` decides who keeps the name."""
        if self._job.honor_labels:
            return {**self._target_labels, **labels}
        joined = dict(labels)
        for name, value in self._target_labels.items():
            exposed, renamed = joined.pop(name, ""), f"exported_{name}"
            if exposed:
                while renamed in labels or renamed in self._target_labels:
                    renamed = f"exported_{renamed}"
                joined[renamed] = exposed
            joined[name] = value
        return joined

    def _check_limits(self, labels: Mapping[str, str]) -> None:
        limits, metric = self._job.limits, labels["__name__"]
        if limits.labels and len(labels) > limits.labels:
            raise FormatError(f"label_limit exceeded (metric: {metric}, labels: {len(labels)}, limit: {limits.labels})")
        for name, value in labels.items():
            for what, text, limit in (
                ("label_name_length_limit", name, limits.label_name_length),
                ("label_value_length_limit", value, limits.label_value_length),
            ):
                size = len(text.encode())
                if limit and size > limit:
                    raise FormatError(
                        f"{what} exceeded (metric: {metric}, label: {name}, size: {size}, limit: {limit})"
                    )


@lru_cache(_SHARED_BLOCKS)
def _families(block: bytes, *, openmetrics: bool) -> tuple[list[bytes], dict[str, Metadata]]:
    """Comment lines and what they say of families; the same objects for all targets that say the same."""
    comments, found = block.split(b"\n") if block else [], dict[str, Metadata]()
    for line in comments:
        read_comment(line, found, openmetrics=openmetrics)
    return comments, found


def _samples(heads: Sequence[bytes], texts: Sequence[bytes], now: int) -> list[bytes]:
    """Encoded series with one sample each.

    Raises:
        ValueError: a text is not a number.
    """
    joined = b"".join(texts)
    if not are_plain_numbers(joined):
        raise FormatError("expected a number as the value")
    values = map(float, texts)
    if b"n" in joined or b"N" in joined:
        values = map(_normal, values)
    return list(map(bytes.__add__, heads, map(_value_and_tail, values, repeat(remote_write.sample_tail(now)))))


def _normal(value: float) -> float:
    """The value, a NaN with the bits that Prometheus gives it."""
    return remote_write.NORMAL_NAN if isnan(value) else value
