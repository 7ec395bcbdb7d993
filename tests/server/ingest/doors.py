"""Every parser that bytes from outside reach, as one function each: it returns, or raises what it documents.

For the tests that throw arbitrary bytes at them, and for ``tools/fuzz_atheris.py``.
"""

from __future__ import annotations

import gzip
import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import cramjam
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from mirante._core.model import Exemplar, MetricFamily, NativePoint, Sample
from mirante.errors import BadQueryError, ConfigError, FormatError
from mirante.formats import exposition, metric_family, otlp, remote_write, remote_write2
from mirante.formats.exposition_parser import parse as parse_page
from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.exchange import Bounds, Refusal, Request, unpack
from mirante.server.ingest.importer import ImportLines
from mirante.server.ingest.json_lines import JsonLines
from mirante.server.ingest.lines import LineReader, LineSink
from mirante.server.ingest.loki import LokiReceiver
from mirante.server.ingest.otlp import SIGNALS, OtlpReceiver
from mirante.server.ingest.push_groups import PushGroups
from mirante.server.ingest.pushgateway import PushgatewayReceiver, group_labels
from mirante.server.ingest.remote_write import RemoteWriteReceiver
from mirante.server.promql.parse import parse as parse_promql
from mirante.server.scrape.config import read_config
from mirante.server.scrape.model import ScrapeJob
from mirante.server.scrape.page import SeriesCache
from mirante.server.store.api import BodyLog, Stream
from tests.server.ingest.conftest import NOW, FixedClock, MemoryLog
from tests.server.store.bodies import log_body, span_body
from tests.write_request import WRITE_REQUEST

CORPUS = Path(__file__).parents[1] / "scrape" / "corpus"
_MS = NOW // 1_000_000
_PROTOBUF = "application/x-protobuf"
_LIMIT = 100_000
_LOADABLE: dict[Stream, Callable[[bytes], object]] = {
    "remote_write": WRITE_REQUEST.FromString,
    "otlp_logs": ExportLogsServiceRequest.FromString,
    "otlp_traces": ExportTraceServiceRequest.FromString,
}
_BASE64_ID = re.compile(r'(?<=Id": ")[^"]+')


class Door(NamedTuple):
    """One parser.

    Attributes:
        feed: takes bytes; raises nothing but one of ``refusals``.
        refusals: what the parser documents.
        seeds: bytes that it takes.
    """

    feed: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]

    def __repr__(self) -> str:
        return "Door"  # a failing test shows all of them


def families() -> list[MetricFamily]:
    """One of each kind."""
    example = Exemplar({"trace_id": "a" * 32}, 0.5, NOW / 1e9)
    latency = (
        Sample("latency_seconds_bucket", {"le": "1.0"}, 1.0, None, example),
        Sample("latency_seconds_bucket", {"le": "+Inf"}, 2.0),
        Sample("latency_seconds_sum", {}, 3.5),
        Sample("latency_seconds_count", {}, 2.0),
    )
    native = NativePoint({"path": "/"}, 3, 1e-9, 1, 7.5, {0: 1, 5: 2}, {-3: 1})
    quantiles = (Sample("q", {"quantile": "0.5"}, 1.0), Sample("q_sum", {}, 2.0), Sample("q_count", {}, 2.0))
    return [
        MetricFamily("orders", "counter", "Orders.", samples=(Sample("orders_total", {"shop": 'é"\\\n'}, 3.0),)),
        MetricFamily("free_bytes", "gauge", unit="bytes", samples=(Sample("free_bytes", {}, float("nan")),)),
        MetricFamily("latency_seconds", "histogram", "How long.", "seconds", latency),
        MetricFamily("q", "summary", samples=quantiles),
        MetricFamily("sizes", "histogram", native=(native,)),
    ]


@contextmanager
def open_doors(log: BodyLog | None = None) -> Iterator[dict[str, Door]]:
    """All of them, by name; what they acknowledge goes to that log, otherwise it is only parsed again."""
    log = log or _CheckingLog()
    with TemporaryDirectory() as folder:
        groups = PushGroups(Path(folder) / "groups", log, clock=FixedClock(), interval=3600)
        try:
            made = _metrics(log) | _otlp(log) | _logs(log) | _packed() | _pushed(groups, log) | _pages()
            yield made | {"promql": _promql(), "prometheus_yml": _config(Path(folder))}
        finally:
            groups.close()


class _CheckingLog(MemoryLog):
    """What is appended is acknowledged: a body that cannot be parsed again would stand in the way of all behind it."""

    def append(self, stream: Stream, bodies: Sequence[bytes]) -> None:
        """Parse the bodies."""
        for body in bodies:
            _LOADABLE[stream](body)


def _parts(log: BodyLog) -> tuple[BodyLog, Bounds, IngestCounts]:
    return log, Bounds(max_body=_LIMIT, clock=FixedClock()), IngestCounts()


def _receiving(
    receive: Callable[[Request], object], content_type: str, pack: Callable[[bytes], bytes] = bytes, encoding: str = ""
) -> Callable[[bytes], object]:
    return lambda body: receive(Request(pack(body), content_type, encoding))


def _snappy(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(body))


def _metrics(log: BodyLog) -> dict[str, Door]:
    receive = RemoteWriteReceiver(*_parts(log)).receive
    v2 = f"{_PROTOBUF};proto=io.prometheus.write.v2.Request"
    bodies = {_PROTOBUF: remote_write.write_request, v2: remote_write2.write_request}
    return {
        f"remote_write{number}": Door(
            _receiving(receive, kind, _snappy, "snappy"), (Refusal,), (make(families(), _MS),)
        )
        for number, (kind, make) in enumerate(bodies.items(), 1)
    }


def _otlp(log: BodyLog) -> dict[str, Door]:
    said = otlp.metrics_request({"service.name": "a"}, ("m", "1"), families(), otlp.Times(NOW - 10**9, NOW))
    seeds = {"traces": span_body("GET /", _MS), "metrics": said, "logs": log_body("hello", _MS)}
    messages: dict[str, Any] = {
        "traces": ExportTraceServiceRequest,
        "metrics": ExportMetricsServiceRequest,
        "logs": ExportLogsServiceRequest,
    }
    made = {}
    for signal in SIGNALS:
        receive = OtlpReceiver(signal, *_parts(log), ("service.name",)).receive
        as_json = _BASE64_ID.sub(_in_hexadecimal, MessageToJson(messages[signal].FromString(seeds[signal]))).encode()
        made[f"otlp_{signal}"] = Door(_receiving(receive, _PROTOBUF), (Refusal,), (seeds[signal],))
        made[f"otlp_{signal}_json"] = Door(_receiving(receive, "application/json"), (Refusal,), (as_json,))
    return made


def _in_hexadecimal(found: re.Match[str]) -> str:
    return b64decode(found[0]).hex()


def _logs(log: BodyLog) -> dict[str, Door]:
    receive = LokiReceiver(*_parts(log)).receive
    pushed = b'{"streams": [{"stream": {"job": "a"}, "values": [["%d", "line", {"trace_id": "ab"}]]}]}' % NOW
    # A stream with the labels {job="a"} and one entry.
    packed = bytes.fromhex("0a1d 0a09 7b6a6f623d2261227d 1210 0a06 08 80e2cfaa06 1206 68 65 6c 6c 6f 21")
    lines = b'{"_time": "2023-11-14T22:13:20Z", "message": "hello", "level": "warn", "a": {"b": [1, 2.5]}}\n' * 2
    page, more = (exposition.render(families()[:4], openmetrics=openmetrics) for openmetrics in (False, True))
    return {
        "loki_json": Door(_receiving(receive, "application/json"), (Refusal,), (pushed,)),
        "loki_protobuf": Door(_receiving(receive, _PROTOBUF, _snappy), (Refusal,), (packed,)),
        "json_lines": Door(partial(_read_lines, lambda: JsonLines(Request(b""), *_parts(log))), (Refusal,), (lines,)),
        "import_text": Door(
            partial(_read_lines, lambda: ImportLines(*_parts(log), openmetrics=False)), (Refusal,), (page,)
        ),
        "import_openmetrics": Door(
            partial(_read_lines, lambda: ImportLines(*_parts(log), openmetrics=True)),
            (Refusal,),
            (more, b"# TYPE a counter\na_total 1 1700000000.5\n# EOF\n"),
        ),
    }


def _read_lines(start: Callable[[], LineSink], body: bytes) -> None:
    reader = LineReader(Request(b""), start(), _LIMIT)
    reader.feed(body)
    reader.finish()


def _packed() -> dict[str, Door]:
    """The encodings of bodies."""
    text = b"all the same " * 50
    seeds = {
        "gzip": gzip.compress(text),
        "deflate": bytes(cramjam.zlib.compress(text)),
        "zstd": bytes(cramjam.zstd.compress(text)),
        "snappy": _snappy(text),
    }

    def unpacked(encoding: str, body: bytes) -> bytes:
        return unpack(Request(body, "", encoding), 1000)

    return {f"unpack_{name}": Door(partial(unpacked, name), (Refusal,), (seed,)) for name, seed in seeds.items()}


def _pushed(groups: PushGroups, log: BodyLog) -> dict[str, Door]:
    _, bounds, counts = _parts(log)
    receiver = PushgatewayReceiver(groups, bounds, counts)
    text = exposition.render(families()[:4])
    packed = b"".join(map(metric_family.metric_family, families()))

    def path(beginning: str, body: bytes) -> object:
        return group_labels(f"/metrics/{beginning}/{body.decode('utf-8', 'replace')}")

    def push(kind: str, body: bytes) -> None:
        try:
            receiver.receive(Request(body, kind, "", "POST", "/metrics/job/a"))
        finally:
            groups.delete({"job": "a"})

    return {
        "push_path": Door(partial(path, "job"), (Refusal,), (b"backup/path@base64/L3Zhci90bXA=/disk@base64/=",)),
        "push_path_base64": Door(partial(path, "job@base64"), (Refusal,), (b"L3Zhci90bXA/disk/sda",)),
        "push_text": Door(partial(push, "text/plain"), (Refusal,), (text,)),
        "push_protobuf": Door(partial(push, "application/vnd.google.protobuf"), (Refusal,), (packed,)),
    }


def _pages() -> dict[str, Door]:
    """What a scraped target answers: the exact parser, and the fast one, which has seen the good page."""
    page, more = (exposition.render(families()[:4], openmetrics=openmetrics) for openmetrics in (False, True))
    packed = b"".join(map(metric_family.metric_family, families()))

    def scrape(good: bytes, body: bytes, *, openmetrics: bool) -> None:
        cache = SeriesCache(ScrapeJob("a"), {"instance": "b"})
        for text in (good, body):
            reading = cache.read(text, openmetrics=openmetrics, now=_MS)
            WRITE_REQUEST.FromString(b"".join([*reading.fields, *cache.stale(reading, _MS)]))
            cache.commit(reading)

    def scrape_protobuf(body: bytes) -> None:
        reading = SeriesCache(ScrapeJob("a"), {"instance": "b"}).read_protobuf(body, now=_MS)
        WRITE_REQUEST.FromString(b"".join(reading.fields))

    made = {"scrape_protobuf": Door(scrape_protobuf, (FormatError,), (packed,))}
    for name, text, openmetrics in (("text", page, False), ("openmetrics", more, True)):
        made[f"parse_{name}"] = Door(partial(parse_page, openmetrics=openmetrics), (FormatError,), (text,))
        made[f"scrape_{name}"] = Door(partial(scrape, text, openmetrics=openmetrics), (FormatError,), (text,))
    return made


def _promql() -> Door:
    seeds = (
        b'sum by (job) (rate(http_requests_total{code=~"5..", job!="a"}[5m] offset 1h)) / ignoring (x) group_left y',
        b"histogram_quantile(0.9, a) > bool 1 unless topk(3, max_over_time(b[1h:5m] @ end()))",
        b'label_replace(up, "a", "$1", "b", "(.*)") + 0x1F - -Inf ^ 2',
    )
    return Door(lambda body: parse_promql(body.decode("utf-8", "replace")), (BadQueryError,), seeds)


def _config(folder: Path) -> Door:
    """``prometheus.yml`` with discovery and relabeling."""
    file = folder / "prometheus.yml"

    def read(body: bytes) -> None:
        file.write_bytes(body)
        read_config(file)

    return Door(read, (ConfigError,), tuple(one.read_bytes() for one in sorted(CORPUS.glob("*.good.yml"))))
