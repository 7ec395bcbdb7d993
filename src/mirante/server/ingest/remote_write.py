"""Takes Prometheus remote write 1.0.

Source: prometheus.io, "Prometheus Remote-Write 1.0 specification".
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from operator import attrgetter

from google.protobuf.message import DecodeError

from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.exchange import Bounds, Refusal, Reply, Request, unpack
from mirante.server.store.api import BodyLog
from mirante.server.store.protos import Parsed, message_class

_samples = attrgetter("samples")
_timestamp = attrgetter("timestamp")


class RemoteWriteReceiver:
    """Checks bodies and appends them to the log.

    Args:
        log: where they go.
        bounds: sizes and times that are acceptable.
        counts: the receivers' own metrics.
    """

    def __init__(self, log: BodyLog, bounds: Bounds, counts: IngestCounts) -> None:
        self._log = log
        self._bounds = bounds
        self._counts = counts
        self._parse: Callable[[bytes], Parsed] = message_class("remote_write").FromString

    def receive(self, request: Request) -> Reply:
        """Take a request: 204 when all of it is stored, on disk at least, once and for ever.

        Raises:
            Refusal: 400 when something is wrong with the body (what was right is stored, as Prometheus does, except
                when the body as a whole is broken), 413 or 415.
            StoreFullError: there is no room.
        """
        _check_headers(request)
        body = unpack(request._replace(content_encoding=request.content_encoding or "snappy"), self._bounds.max_body)
        try:
            message = self._parse(body)
        except DecodeError as error:
            raise Refusal(400, f"The body is not a prometheus.WriteRequest: {_reason(error)}.") from None
        first, last = (nanoseconds // 1_000_000 for nanoseconds in self._bounds.times())
        # The walk over the samples stays in C: it costs more than the parser.
        times = list(map(_timestamp, chain.from_iterable(map(_samples, message.timeseries))))
        faults: list[str] = []
        rejected = 0
        if times and (min(times) < first or max(times) > last):
            rejected = _drop_out_of_bounds(message, first, last)
            faults.append(f"{rejected} samples have timestamps outside of {first} to {last}")
        if not message.IsInitialized():
            rejected += _drop_histograms(message)
            faults.append("native histograms are not supported yet")
        if faults:
            body = message.SerializeToString()
        if body:
            self._log.append("remote_write", [body])
        self._counts.items("metrics", accepted=len(times) - rejected, rejected=rejected)
        if faults:
            raise Refusal(400, f"Not everything was stored: {'; '.join(faults)}.")
        return Reply(204)


def _check_headers(request: Request) -> None:
    if request.media_type not in {"", "application/x-protobuf"} or "write.v2" in request.content_type:
        raise Refusal(
            415, "The content type must be application/x-protobuf, with proto=prometheus.WriteRequest if any."
        )
    if request.content_encoding.strip().lower() not in {"", "snappy"}:
        raise Refusal(415, "The content encoding of remote write must be snappy.")


def _reason(error: DecodeError) -> str:
    """The parser's own words without the name of the message."""
    return str(error).rpartition("': ")[2].strip(" .") or "it cannot be parsed"


def _drop_out_of_bounds(message: Parsed, first: int, last: int) -> int:
    dropped = 0
    for series in message.timeseries:
        good = [sample for sample in series.samples if first <= sample.timestamp <= last]
        dropped += len(series.samples) - len(good)
        if len(good) < len(series.samples):
            kept = type(series)(samples=good)
            series.ClearField("samples")
            series.samples.extend(kept.samples)
    return dropped


def _drop_histograms(message: Parsed) -> int:
    return sum(_cleared(series) for series in message.timeseries)


def _cleared(series: Parsed) -> int:
    count = len(series.histograms)
    series.ClearField("histograms")
    return count
