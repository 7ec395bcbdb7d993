"""Takes metrics with their own timestamps from a file: ``/api/v1/import/prometheus`` and ``mirante import``.

The path is VictoriaMetrics's. The content type says what the body is: OpenMetrics, whose timestamps are seconds, or
the text format 0.0.4, whose timestamps are milliseconds. Of two samples of a series at one time the greatest counts in
every query, so that a file may be sent twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from struct import Struct

from mirante.errors import FormatError
from mirante.formats import remote_write
from mirante.formats.exposition_parser import (
    Metadata,
    read_comment,
    read_float,
    read_measure,
    read_series,
    split_sample,
)
from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.exchange import Bounds, Request
from mirante.server.ingest.lines import Outcome, out_of_bounds
from mirante.server.store.api import BodyLog

OPENMETRICS = "application/openmetrics-text"

_MAX_KNOWN = 200_000  # series whose labels are remembered
_MAX_TIME = 2.0**53
_sample = Struct("<3sd7s").pack
_SAMPLE_HEAD = b"\x12\x10\x09"  # a sample of 16 bytes: eight of value, and time in six


class ImportLines:
    """The lines of one file or request.

    Args:
        openmetrics: they are OpenMetrics, where every sample needs its timestamp; otherwise text format 0.0.4, where a
            sample without one gets the time of its arrival.
        log: where bodies go.
        bounds: times that are acceptable.
        counts: the receivers' own metrics.

    Attributes:
        outcome: what became of the samples so far.
    """

    def __init__(self, log: BodyLog, bounds: Bounds, counts: IngestCounts, *, openmetrics: bool) -> None:
        self.outcome = Outcome()
        self._openmetrics = openmetrics
        self._log, self._bounds, self._counts = log, bounds, counts
        self._known: dict[bytes, bytes] = {}
        self._metadata: dict[str, Metadata] = {}
        self._described: dict[str, Metadata] = {}
        self._ended = False
        self._first = self._last = 0
        self._series: dict[bytes, list[bytes]] = {}

    @classmethod
    def of(cls, request: Request, log: BodyLog, bounds: Bounds, counts: IngestCounts) -> ImportLines:
        """The lines of a request."""
        return cls(log, bounds, counts, openmetrics=request.media_type == OPENMETRICS)

    def take(self, first: int, lines: Sequence[bytes | None]) -> None:
        """Store the samples of these lines, in one body that has each series once."""
        self._first, self._last = (at // 1_000_000 for at in self._bounds.times())
        self._series = {}
        accepted, rejected = 0, self.outcome.rejected
        for number, line in enumerate(lines, first):
            try:
                accepted += self._line(line)
            except ValueError as error:
                self.outcome.refuse(number, str(error))
        body = [
            remote_write.metadata(family, *said)
            for family, said in self._metadata.items()
            if self._described.get(family) != said
        ]
        body += [remote_write.series(labels, *samples) for labels, samples in self._series.items()]
        if body:
            self._log.append("remote_write", [b"".join(body)])
        self._described.update(self._metadata)
        self.outcome.accepted += accepted
        self._counts.items("metrics", accepted=accepted, rejected=self.outcome.rejected - rejected)

    def _line(self, line: bytes | None) -> int:
        """Take one line; gives how many samples it had."""
        if line is None:
            raise FormatError("the line is too long")
        before, _, time = line.rpartition(b" ")
        series, _, value = before.rpartition(b" ")
        labels = self._known.get(series)
        if labels is None or self._ended:
            return self._unusual(line)
        self._add(labels, read_float(value), self._milliseconds(time))
        return 1

    def _unusual(self, line: bytes) -> int:
        """A comment, a series seen for the first time, an exemplar, or whatever else there may be."""
        openmetrics = self._openmetrics
        if not openmetrics:
            line = line.strip(b" \t")
        if self._ended:
            raise FormatError('there is text after "# EOF"')
        if line == b"# EOF":
            self._ended = openmetrics
            return 0
        if line[:1] == b"#" or not line:
            if openmetrics and not line:
                raise FormatError("a blank line is not allowed in OpenMetrics")
            read_comment(line, self._metadata, openmetrics=openmetrics)
            return 0
        series, rest = split_sample(line, openmetrics=openmetrics)
        measure = read_measure(rest, openmetrics=openmetrics)
        if measure.timestamp is None and openmetrics:
            raise FormatError("the sample has no timestamp, and a file of the past needs one for each")
        now = self._bounds.clock.time_ns() // 1_000_000
        at = now if measure.timestamp is None else round(measure.timestamp * 1000)
        labels = self._labels(series)
        self._add(labels, measure.value, at)
        if measure.exemplar is not None:
            self._series[labels].append(remote_write.exemplar(measure.exemplar, at))
        return 1

    def _labels(self, series: bytes) -> bytes:
        known = self._known.get(series)
        if known is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            known = self._known[series] = remote_write.labels(read_series(series))
        return known

    def _milliseconds(self, text: bytes) -> int:
        number = read_float(text)
        if not abs(number) < _MAX_TIME or not (self._openmetrics or number.is_integer()):
            raise FormatError(f"expected a timestamp, got {text[:40]!r}")
        return round(number * 1000) if self._openmetrics else int(number)

    def _add(self, labels: bytes, value: float, at: int) -> None:
        if not self._first <= at <= self._last:
            raise FormatError(out_of_bounds(at * 1_000_000, self._first * 1_000_000, "metrics"))
        if isnan(value):
            value = remote_write.NORMAL_NAN
        if at in remote_write.TIMES:
            encoded = _sample(_SAMPLE_HEAD, value, remote_write.sample_tail(at))
        else:
            encoded = remote_write.sample(value, at)
        samples = self._series.get(labels)
        if samples is None:
            self._series[labels] = [encoded]
        else:
            samples.append(encoded)
