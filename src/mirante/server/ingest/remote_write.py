"""Takes Prometheus remote write 1.0 and 2.0.

Source: prometheus.io, "Prometheus Remote-Write 1.0 specification" and "2.0 specification".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from google.protobuf.message import DecodeError

from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.exchange import Bounds, Refusal, Reply, Request, unpack
from mirante.server.ingest.histograms import fault
from mirante.server.ingest.remote_write2 import Translator
from mirante.server.store.api import BodyLog
from mirante.server.store.protos import Parsed, Proto, message_class

V1, V2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
"""Names of the two messages, as the content type has them."""

# A message in a singular field that comes again is merged into the first, repeated fields end to end: so the parser
# gathers what is spread over all series, in C. A walk over them in Python costs five times as much as parsing.
_GATHERED = Proto("""
message WriteRequest { TimeSeries timeseries = 1; }
message TimeSeries { repeated bytes samples = 2; repeated bytes exemplars = 3; repeated bytes histograms = 4; }
""").message_class()
_TIMES = Proto("message Sample { repeated int64 timestamp = 2; }").message_class()


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
        self._translator = Translator()
        self._parse: Callable[[bytes], Parsed] = message_class("remote_write").FromString

    def receive(self, request: Request) -> Reply:
        """Take a request: 204 when all of it is stored, on disk at least, once and for ever.

        When something of it cannot be stored the answer is 400; what was right is stored, as Prometheus does.

        Raises:
            Refusal: 400 when the body as a whole is broken, 413 or 415.
            StoreFullError: there is no room.
        """
        name = _message_name(request)
        body = unpack(request._replace(content_encoding=request.content_encoding or "snappy"), self._bounds.max_body)
        first, last = (nanoseconds // 1_000_000 for nanoseconds in self._bounds.times())
        said = None
        try:
            if name == V2:
                said = self._translator.translate(body, first)
                body = said.body
            message = self._parse(body)
        except DecodeError as error:
            raise Refusal(400, f"The body is not a {name}: {_reason(error)}.") from None
        checked = _Checked(message, body, first, last)
        if checked.changed:
            body = message.SerializePartialToString()
        if body:
            self._log.append("remote_write", [body])
        if said is not None:
            self._translator.remember(said)
            checked.samples -= said.zero_samples
            checked.histograms -= said.zero_histograms
        self._counts.items("metrics", accepted=checked.samples + checked.histograms, rejected=checked.rejected)
        if checked.exemplars or checked.rejected_exemplars:
            self._counts.items("exemplars", accepted=checked.exemplars, rejected=checked.rejected_exemplars)
        headers = checked.written() if name == V2 else {}
        if checked.faults:
            sentence = f"Not everything was stored: {'; '.join(checked.faults)}.\n"
            return Reply(400, sentence.encode(), "text/plain", headers)
        return Reply(204, headers=headers)


class _Checked:
    """A message without what cannot be stored, and the count of what stays.

    Attributes:
        samples: float samples that stay.
        histograms: native histograms that stay.
        exemplars: exemplars that stay.
        rejected: samples and histograms that do not.
        rejected_exemplars: exemplars that do not; as in Prometheus the sender is not told.
        faults: why, one clause each.
        changed: whether anything was taken out.
    """

    def __init__(self, message: Parsed, body: bytes, first: int, last: int) -> None:
        self._message, self._first, self._last = message, first, last
        gathered: Parsed = _GATHERED.FromString(body)
        series = gathered.timeseries
        timed: Parsed = _TIMES.FromString(b"".join(series.samples))
        times = list(timed.timestamp)  # but for those that are 0: writers leave them out
        self.samples, self.histograms, self.exemplars = len(series.samples), 0, 0
        self.rejected = self.rejected_exemplars = 0
        self.faults: list[str] = []
        self.changed = False
        if len(times) != self.samples or (times and (min(times) < first or max(times) > last)):
            self.samples = self._keep("samples", "samples", self._in_time)
        if series.histograms or series.exemplars:
            self.histograms = self._keep("histograms", "native histograms", self._in_time)
            self.histograms = self._keep("histograms", "native histograms", self._sound)
            self.exemplars = self._keep("exemplars", "", self._in_time)

    def _in_time(self, item: Parsed) -> str:
        inside = self._first <= item.timestamp <= self._last
        return "" if inside else f"have timestamps outside of {self._first} to {self._last}"

    @staticmethod
    def _sound(histogram: Parsed) -> str:
        found = fault(histogram)
        return f"contradict themselves ({found})" if found else ""

    def _keep(self, field: str, noun: str, reason: Callable[[Parsed], str]) -> int:
        """Take out what there is a reason against; gives how many stay. Without a noun nothing is said of it."""
        stay, reasons = 0, Counter[str]()
        for series in self._message.timeseries:
            items = getattr(series, field)
            found = [reason(item) for item in items]
            stay += found.count("")
            if any(found):
                reasons.update(filter(None, found))
                good = type(series)(**{field: [one for one, against in zip(items, found, strict=True) if not against]})
                series.ClearField(field)
                getattr(series, field).MergeFrom(getattr(good, field))
        self.changed |= bool(reasons)
        if noun:
            self.rejected += reasons.total()
            self.faults += [f"{count} {noun} {against}" for against, count in sorted(reasons.items())]
        else:
            self.rejected_exemplars += reasons.total()
        return stay

    def written(self) -> dict[str, str]:
        """What is stored, as remote write 2.0 tells it the sender."""
        counts = {"Samples": self.samples, "Histograms": self.histograms, "Exemplars": self.exemplars}
        return {f"X-Prometheus-Remote-Write-{name}-Written": str(count) for name, count in counts.items()}


def _message_name(request: Request) -> str:
    """Which message the body is.

    Raises:
        Refusal: neither of the two.
    """
    parameters = dict(part.strip().partition("=")[::2] for part in request.content_type.split(";")[1:])
    name = parameters.get("proto", V1).strip('"')
    if request.media_type not in {"", "application/x-protobuf"} or name not in {V1, V2}:
        raise Refusal(415, f"The content type must be application/x-protobuf, with proto={V1} or proto={V2} if any.")
    if request.content_encoding.strip().lower() not in {"", "snappy"}:
        raise Refusal(415, "The content encoding of remote write must be snappy.")
    return name


def _reason(error: DecodeError) -> str:
    """The parser's own words without the name of the message."""
    return str(error).rpartition("': ")[2].strip(" .") or "it cannot be parsed"
