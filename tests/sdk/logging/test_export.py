"""Lines as OTLP logs, settings and setup."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from mirante.config import resolve
from mirante.errors import ConfigError, DeliveryError
from mirante.formats.otlp_logs import _heads, encode_log, severity_number
from mirante.logging import ConsoleFormatter, JsonFormatter, LoggingSettings, LogLine, get_logger
from mirante.logging.export import LogExporter, encode_line
from mirante.logging.setup import formatter, redactor, repeats
from tests.sdk.logging.support import running

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=8,
)


def plain(value: AnyValue) -> Any:
    """A value as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: plain(item.value) for item in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


@given(
    time=st.integers(0, 2**63),
    level=st.integers(0, 60),
    event=TEXT,
    fields=st.dictionaries(TEXT.filter(lambda name: name not in ("event", "exception", "trace_id", "span_id")), VALUES),
    ids=st.none() | st.tuples(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8)),
)
def test_what_went_in_is_what_the_reference_reads(
    time: int, level: int, event: str, fields: dict[str, Any], ids: tuple[bytes, bytes] | None
) -> None:
    """Every field, by opentelemetry-proto."""
    stamped = {"trace_id": ids[0].hex(), "span_id": ids[1].hex()} if ids else {}
    logger, encoded = encode_line(LogLine(time, level, "shop", {"event": event, **fields, **stamped}))
    record = LogRecord.FromString(encoded)
    assert logger == "shop"
    assert record.time_unix_nano == record.observed_time_unix_nano == time
    assert record.severity_number == severity_number(level)
    assert plain(record.body) == event
    assert {pair.key: plain(pair.value) for pair in record.attributes} == fields
    assert (record.trace_id, record.span_id) == (ids or (b"", b""))


@pytest.mark.parametrize("trace_id", ["short", "g" * 32, "00 " * 10 + "00", 7])
def test_ids_that_are_none_stay_attributes(trace_id: object) -> None:
    """Nothing is lost, nothing broken."""
    record = LogRecord.FromString(encode_line(LogLine(0, 20, "a", {"event": "e", "trace_id": trace_id}))[1])
    assert record.trace_id == b""
    assert [pair.key for pair in record.attributes] == ["trace_id"]


def test_a_span_id_needs_a_trace_id_and_exceptions_have_opentelemetrys_names() -> None:
    """As its semantic conventions want."""
    assert LogRecord.FromString(encode_log(0, 20, "info", "e", {}, trace_id=b"t" * 16)).span_id == b""
    fields = {"event": "e", "exception": {"type": "KeyError", "message": "m", "stacktrace": "s"}}
    record = LogRecord.FromString(encode_line(LogLine(0, 40, "a", fields))[1])
    assert {pair.key for pair in record.attributes} == {
        "exception.type", "exception.message", "exception.stacktrace",
    }  # fmt: skip
    assert fields["exception"]


def test_memory_of_levels_is_bounded() -> None:
    """Applications may make up levels."""
    for level in range(257):
        encode_log(0, level, f"level {level}", "e", {})
    assert len(_heads) <= 256


def test_lines_of_all_loggers_arrive_in_one_request() -> None:
    """With the resource, grouped by logger."""
    sent: list[bytes] = []

    def send(body: bytes, timeout: float) -> bytes:
        sent.append(body)
        return b""

    with running(send, lambda: {"service.name": "orders"}) as run:
        get_logger("a").info("one")
        logging.getLogger("b").warning("two")
        get_logger("a").info("three")
        assert run.flush()
        get_logger("a").info("four")
    first = ExportLogsServiceRequest.FromString(sent[0]).resource_logs[0]
    assert first.resource.attributes[0].value.string_value == "orders"
    events = {g.scope.name: [r.body.string_value for r in g.log_records] for g in first.scope_logs}
    assert events == {"a": ["one", "three"], "b": ["two"]}
    assert len(sent) == 2
    assert run.exporter is not None
    assert run.exporter.stats.exported == 4


def test_what_the_delivery_thread_logs_is_not_delivered() -> None:
    """Or each failure would be the next one's cargo."""

    def send(body: bytes, timeout: float) -> bytes:
        logging.getLogger("urllib3").warning("connection refused")
        raise DeliveryError("no", permanent=True)

    with running(send) as run:
        get_logger("a").info("one")
        run.flush()
        assert run.exporter is not None
        # the second is the report that the first was refused
        assert run.exporter.stats.dropped == {
            "rejected": 1,
            "recursive": run.exporter.stats.dropped["recursive"],
        }
        assert run.exporter.stats.dropped["recursive"] >= 1


def test_a_destination_that_hangs_costs_no_time_and_no_memory() -> None:
    """Beyond the queue the newest lines are dropped, and counted."""
    hanging, release = threading.Event(), threading.Event()

    def send(body: bytes, timeout: float) -> bytes:
        hanging.set()
        release.wait(10)
        return b""

    with running(send, logs_queue_size=10, logs_batch_size=1) as run:
        log = get_logger("a")
        log.info("first")
        assert hanging.wait(60)
        for _ in range(15):
            log.info("e")
        assert run.exporter is not None
        assert run.exporter.stats.dropped == {"queue_full": 5}
        release.set()
    assert run.exporter.stats.exported == 11


def test_lines_that_a_server_refuses_in_part_are_counted() -> None:
    """From its partial success."""
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = 1
    exporter = LogExporter(lambda *_: response.SerializeToString(), dict)
    exporter(LogLine(0, 20, "a", {"event": "e"}))
    exporter(LogLine(0, 20, "a", {"event": "e"}))
    exporter.shutdown()
    assert (exporter.stats.exported, exporter.stats.dropped) == (1, {"rejected": 1})


def test_without_a_destination_nothing_is_exported() -> None:
    """Or when told so."""
    with running(None) as run:
        assert run.exporter is None
        assert run.flush()
    with running(lambda *_: b"", logs_exporter="none") as run:
        assert run.exporter is None


def test_a_file_is_written_and_closed(tmp_path: Path) -> None:
    """As JSON, beside everything else; lines are sampled when asked for."""
    with running(log_file=tmp_path / "app.log", log_repeat_first=1, log_repeat_every=0):
        get_logger("a").info("one")
        get_logger("a").info("one")
    assert (tmp_path / "app.log").read_text().count('"event":"one"') == 1


def test_the_format_follows_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it is said."""
    assert isinstance(formatter(LoggingSettings(log_format="auto")), JsonFormatter)
    assert isinstance(formatter(LoggingSettings(log_format="console")), ConsoleFormatter)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert isinstance(formatter(LoggingSettings(log_format="auto")), ConsoleFormatter)
    assert isinstance(formatter(LoggingSettings(log_format="json")), JsonFormatter)


def test_settings_make_redactor_and_repeats() -> None:
    """Names and pattern of one's own."""
    written = {"log_redact_keys": "colour, taste", "log_redact_pattern": "x+"}
    own = redactor(resolve(LoggingSettings, code=written, environ={}))
    assert own.hides("taste")
    assert own.text("xx") == "[redacted]"
    assert repeats(LoggingSettings()) is None
    assert repeats(LoggingSettings(log_repeat_first=1)) is not None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("log_level", "loud"), ("log_levels", "a"), ("log_format", "xml"), ("log_stream", "tape"),
        ("log_file_bytes", "0"), ("log_repeat_first", "-1"), ("log_repeat_every", "x"), ("log_redact_pattern", "("),
        ("logs_exporter", "console"), ("logs_queue_size", True),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used_name_themselves(key: str, value: object) -> None:
    """In code, and so in the file and in our own variables."""
    with pytest.raises(ConfigError, match=key):
        resolve(LoggingSettings, code={key: value}, environ={})


def test_variables_of_opentelemetry_are_honoured_or_ignored(caplog: pytest.LogCaptureFixture) -> None:
    """As its specification says."""
    read = resolve(
        LoggingSettings,
        environ={"OTEL_BLRP_MAX_QUEUE_SIZE": "7", "OTEL_BLRP_SCHEDULE_DELAY": "1500", "OTEL_LOGS_EXPORTER": "tape"},
    )
    assert (read.logs_queue_size, read.logs_interval, read.logs_exporter) == (7, 1.5, "otlp")
    assert "OTEL_LOGS_EXPORTER='tape' cannot be used" in caplog.text
