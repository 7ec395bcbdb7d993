"""One call, and the process's metrics arrive: soon, again and again, at the end, and never at the host's expense."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from opentelemetry import metrics as otel_metrics

import mirante
from mirante._core import destinations
from mirante._core.guard import REPORTER
from mirante._core.serving import server_started
from mirante.config import SdkSettings
from mirante.configure import _after_fork_in_child, _State
from mirante.errors import ConfigError
from mirante.exporters.metric_push import MetricPush
from mirante.exporters.resource import resource_attributes
from mirante.integrations import catalog
from mirante.metrics import REGISTRY, Registry, counter, gauge
from mirante.testing.clock import FakeClock
from mirante.tracing import Tracer
from tests import peers
from tests.sdk.otlp_receiver import Receiver, numbers, receiving, resource

NOWHERE = "http://127.0.0.1:9"
"""The discard port, where nothing listens."""


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Before and after each test; the environment says nothing either."""
    for name in [name for name in os.environ if name.startswith(("OTEL_", "MIRANTE_"))]:
        if name != "MIRANTE_RAISE_FAULTS":
            monkeypatch.delenv(name)
    mirante.disable()
    yield
    mirante.disable()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that takes metrics."""
    with receiving() as found:
        yield found


def script(code: str, receiver: Receiver, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, not measured: coverage's own lock does not survive a fork of a process with threads."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, receiver.url],
        env={**kept, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_metrics_arrive_soon_and_say_whose_they_are(receiver: Receiver) -> None:
    """With those of the process and the interpreter; service name, instance and resource attributes as configured."""
    registry = Registry()
    counter("orders", registry=registry).inc(3)
    settings = mirante.configure(
        service_name="shop", endpoint=receiver.url + "/", registry=registry, resource_attributes="deployment=test%20bed"
    )
    request = receiver.wait()
    assert settings.service_name == "shop"
    assert numbers(request)["orders_total"] == 3
    assert {"process_cpu_seconds_total", "python_info"} <= set(numbers(request))
    said = resource(request)
    assert (said["service.name"], said["deployment"]) == ("shop", "test bed")
    assert said["service.instance.id"] == f"{socket.gethostname()}:{os.getpid()}"
    assert said["telemetry.sdk.name"] == "mirante"
    assert request.resource_metrics[0].scope_metrics[0].scope.name == "mirante"


def test_metrics_arrive_again_and_again(receiver: Receiver) -> None:
    """At the interval that is set."""
    registry = Registry()
    mirante.configure(endpoint=receiver.url, registry=registry, export_interval=0.05)
    for _ in range(3):
        receiver.wait()


def test_the_same_settings_again_change_nothing(receiver: Receiver) -> None:
    """Libraries and reloads may call it as often as they like; others take the place of the earlier ones."""
    registry = Registry()
    mirante.configure(service_name="a", endpoint=receiver.url, registry=registry)
    first = destinations.configured()
    mirante.configure(service_name="a", endpoint=receiver.url, registry=registry)
    assert destinations.configured() == first
    mirante.configure(service_name="b", endpoint=receiver.url, registry=registry)
    assert destinations.configured() != first
    assert resource(receiver.wait())["service.name"] == "a"  # what was left to say under the former name
    assert resource(receiver.wait())["service.name"] == "b"


def test_shutdown_delivers_what_is_left(receiver: Receiver) -> None:
    """At once; twice is once."""
    registry = Registry()
    mirante.configure(endpoint=receiver.url, registry=registry, export_interval=3600)
    receiver.wait()
    gauge("late", registry=registry).set(5)
    assert mirante.shutdown()
    assert numbers(receiver.requests[-1])["late"] == 5
    count = len(receiver.requests)
    assert mirante.shutdown()
    assert len(receiver.requests) == count
    assert destinations.configured() == ()


def test_the_last_delivery_is_of_everything(receiver: Receiver) -> None:
    """Also of what has left the registry by then: the process's own figures, and OpenTelemetry's instruments."""
    mirante.configure(endpoint=receiver.url, log_stream="none")
    otel_metrics.get_meter("library").create_counter("configure.last").add(3)
    mirante.shutdown()
    found = numbers(receiver.wait())
    assert found["configure_last_total"] == 3
    assert "process_start_time_seconds" in found


def test_disable_delivers_nothing_more(receiver: Receiver) -> None:
    """Even what was recorded before."""
    mirante.configure(endpoint=receiver.url, registry=Registry(), export_interval=3600)
    receiver.wait()
    mirante.disable()
    assert len(receiver.requests) == 1


def test_without_an_endpoint_metrics_are_only_kept() -> None:
    """For an endpoint of the application's own, those of process and interpreter with them."""
    registry = Registry()
    assert mirante.configure(service_name="a", registry=registry).endpoint is None
    assert b"process_cpu_seconds_total" in registry.expose()
    assert destinations.configured() == ()


@pytest.mark.parametrize("name", ["OTEL_SDK_DISABLED", "MIRANTE_DISABLED"])
def test_the_environment_can_turn_it_all_off(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent and nothing is added."""
    monkeypatch.setenv(name, "true")
    registry = Registry()
    assert mirante.configure(endpoint=NOWHERE, registry=registry).disabled
    assert registry.expose() == b""
    assert destinations.configured() == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"endpoint": "127.0.0.1:8503"}, "endpoint = '127.0.0.1:8503' cannot be used"),
        ({"endpoint": "ftp://127.0.0.1"}, "expected a URL"),
        ({"endpoint": "http://"}, "expected a URL"),
        ({"export_interval": 0}, "export_interval"),
        ({"resource_attributes": "a=b,c"}, "'c' is not key=value"),
        ({"resource_attributes": "=b"}, "'=b' is not key=value"),
        ({"servce_name": "a"}, "unknown key"),
        ({"integrations": "redsi"}, 'unknown name "redsi" .did you mean "redis"'),
    ],
)
def test_wrong_settings_are_refused_where_they_are_written(settings: dict[str, Any], message: str) -> None:
    """And nothing is changed."""
    with pytest.raises(ConfigError, match=message):
        mirante.configure(registry=Registry(), **settings)
    assert destinations.configured() == ()


@pytest.mark.parametrize(
    ("service_name", "attributes", "name"),
    [
        ("shop", "service.name=other", "shop"),
        ("unknown_service", "service.name=other", "other"),
        ("unknown_service", "", "unknown_service"),
    ],
)
def test_the_service_name_s_own_setting_wins(service_name: str, attributes: str, name: str) -> None:
    """As OpenTelemetry says; any other detected attribute can be replaced."""
    settings = SdkSettings(service_name=service_name, resource_attributes=f"{attributes}, service.instance.id=7,")
    found = resource_attributes(settings)
    assert (found["service.name"], found["service.instance.id"]) == (name, "7")


def test_a_server_that_is_away_is_asked_less_often(receiver: Receiver) -> None:
    """After one round, two, then four at the most; when it is back, at every round. It is told about once."""
    clock = FakeClock()
    push = MetricPush(SdkSettings(endpoint=receiver.url, export_interval=10), Registry(), clock)
    receiver.status = 503
    asked = []
    before = REPORTER.counts.get("metrics were not delivered", 0)
    for n in range(16):
        count = len(receiver.requests)
        push.push()
        if len(receiver.requests) > count:
            asked.append(n)
        clock.advance(10)
    assert asked == [0, 1, 3, 7, 11, 15]
    assert REPORTER.counts["metrics were not delivered"] == before + 6
    receiver.status = 200
    clock.advance(40)
    for _ in range(3):
        push.push()
        clock.advance(10)
    assert len(receiver.requests) == 6 + 3


def test_a_server_that_asks_for_a_pause_gets_it(receiver: Receiver) -> None:
    """Retry-After, in seconds; the last delivery of all is tried nevertheless."""
    clock = FakeClock()
    push = MetricPush(SdkSettings(endpoint=receiver.url, export_interval=10), Registry(), clock)
    receiver.status, receiver.headers = 429, {"Retry-After": "100"}
    push.push()
    clock.advance(99)
    push.push()
    assert len(receiver.requests) == 1
    clock.advance(1)
    push.push()
    assert len(receiver.requests) == 2
    push.stop(flush=False)
    push.push()
    assert len(receiver.requests) == 3


def test_leaving_shortens_what_a_delivery_may_take() -> None:
    """To the time that leaving itself may take."""
    push = MetricPush(SdkSettings(endpoint=NOWHERE, export_timeout=30.0, shutdown_timeout=1.5), Registry())
    assert push.exporter.timeout == 30.0
    push.stop(flush=False)
    assert push.exporter.timeout == 1.5


def test_a_closed_exporter_opens_again(receiver: Receiver) -> None:
    """Closing gives back the connection, and nothing more."""
    push = MetricPush(SdkSettings(endpoint=receiver.url), Registry())
    for _ in range(2):
        push.push()
        push.exporter.close()
    assert len(receiver.requests) == 2


LEAVES_AT_ONCE = """
import sys, mirante
from mirante import metrics
mirante.configure(service_name="short", endpoint=sys.argv[1])
metrics.counter("done").inc(7)
"""


@pytest.mark.slow
def test_a_program_that_ends_at_once_has_delivered_everything(receiver: Receiver) -> None:
    """Before the first regular delivery even."""
    assert script(LEAVES_AT_ONCE, receiver).stderr == ""
    assert numbers(receiver.wait())["done_total"] == 7


@pytest.mark.slow
def test_a_server_that_never_answers_does_not_keep_a_program_alive(receiver: Receiver) -> None:
    """Two seconds at the most, or what is set."""
    receiver.silent = True
    start = time.monotonic()
    done = script(LEAVES_AT_ONCE, receiver, MIRANTE_SHUTDOWN_TIMEOUT="1")
    assert done.returncode == 0
    assert time.monotonic() - start < 1 + 5  # five for the interpreter on a busy machine


@pytest.mark.slow
def test_a_server_that_is_not_there_is_mentioned_and_no_more(receiver: Receiver) -> None:
    """One line on standard error, and exit code 0."""
    code = LEAVES_AT_ONCE.replace("sys.argv[1]", repr(NOWHERE))
    done = script(code, receiver)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert f"{NOWHERE}/v1/metrics" in done.stderr


FORKS = """
import os, sys, time, mirante
from mirante import metrics
orders = metrics.counter("orders")
mirante.configure(service_name="forking", endpoint=sys.argv[1], export_interval=0.1)
orders.inc(100)
if os.fork() == 0:
    orders.inc()
    mirante.shutdown()
    os._exit(0)
os.wait()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_a_forked_child_is_an_instance_of_its_own_and_counts_from_zero(receiver: Receiver) -> None:
    """What the parent counted is the parent's to report, so that the sum over instances is right."""
    assert script(FORKS, receiver).returncode == 0
    last = {resource(request)["process.pid"]: numbers(request)["orders_total"] for request in receiver.requests}
    assert sorted(last.values()) == [1, 100]
    instances = {resource(request)["service.instance.id"] for request in receiver.requests}
    assert len(instances) == 2


def test_what_a_forked_child_does_first(receiver: Receiver) -> None:
    """It counts anew and delivers by a thread of its own; where nothing is configured, it does nothing."""
    registry = Registry()
    orders = counter("orders", registry=registry)
    mirante.configure(endpoint=receiver.url, registry=registry, export_interval=3600)
    receiver.wait()
    assert _State.running is not None
    (parent,) = _State.running.pushes
    orders.inc()
    _State.lock.acquire()
    _after_fork_in_child()
    assert orders.value == 0
    assert _State.running.pushes[0] is not parent
    assert destinations.configured() != ()
    receiver.wait()
    parent.stop(flush=False)
    mirante.disable()
    _State.lock.acquire()
    _after_fork_in_child()
    assert _State.running is None


@pytest.mark.parametrize(
    "code",
    [
        "import mirante; mirante.configure(disabled=True)",
        "import mirante.configure; mirante.configure(disabled=True)",
        "from mirante.configure import shutdown; import mirante; mirante.configure(disabled=True)",
        "import mirante; mirante.shutdown(); mirante.configure(disabled=True)",
    ],
)
@pytest.mark.slow
def test_configure_can_be_called_whatever_was_imported_first(code: str, receiver: Receiver) -> None:
    """The function and its module have the same name."""
    done = script(code, receiver)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_pushgateway_named_in_the_environment_gets_the_metrics_too(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a group by job and instance, beside the server; both are served before the process ends."""
    port = peers.free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        peers.program("prometheus-pushgateway"), f"--web.listen-address=127.0.0.1:{port}", "--persistence.file=",
    ]  # fmt: skip
    with peers.running(command, url, "/-/ready", tmp_path / "gateway.log"):
        monkeypatch.setenv("PROMETHEUS_PUSH_GATEWAY", url)
        registry = Registry()
        counter("orders", registry=registry).inc(3)
        mirante.configure(service_name="shop", endpoint=receiver.url, registry=registry, export_interval=3600)
        assert _State.running is not None
        assert len(_State.running.pushes) == 2
        assert mirante.shutdown()
        _, page = peers.fetch(f"{url}/metrics")
    instance = f"{socket.gethostname()}:{os.getpid()}"
    assert f'orders_total{{instance="{instance}",job="shop"}} 3'.encode() in page
    assert numbers(receiver.wait())["orders_total"] == 3


def test_opentelemetrys_global_meter_provider_is_ours_while_configured() -> None:
    """What OpenTelemetry's instrumentations count lands in the registry; ``disable`` puts back what was there."""
    from opentelemetry import metrics as api

    before = api.get_meter_provider()
    registry = Registry()
    mirante.configure(registry=registry)
    api.get_meter("library").create_counter("requests").add(2)
    assert b"requests_total" in registry.expose()
    mirante.disable()
    assert b"requests_total" not in registry.expose()
    assert type(api.get_meter_provider()) is type(before)


def test_disabling_what_was_never_configured_does_nothing() -> None:
    """It is no fault."""
    mirante.disable()
    assert mirante.shutdown()
    assert mirante.flush()


def test_one_call_joins_all_signals(receiver: Receiver) -> None:
    """A span and a line inside it arrive under one trace, with the process's resource and the server's token."""
    token = "t-1"  # noqa: S105 - of this test
    mirante.configure(service_name="shop", endpoint=receiver.url, registry=Registry(), token=token, log_stream="none")
    with Tracer().start_span("sell") as span:
        logging.getLogger("shop").info("sold", extra={"items": 3})
    assert mirante.flush()
    assert mirante.shutdown()
    (sent,) = receiver.spans()
    (line,) = [line for line in receiver.lines() if line.body.string_value == "sold"]
    assert sent.name == "sell"
    assert sent.trace_id == line.trace_id == span.get_span_context().trace_id.to_bytes(16, "big")
    assert sent.span_id == line.span_id
    assert {headers["authorization"] for headers in receiver.sent_headers} == {"Bearer t-1"}
    for request in (receiver.traces[0].resource_spans[0], receiver.logs[0].resource_logs[0]):
        assert {pair.key: pair.value.string_value for pair in request.resource.attributes}["service.name"] == "shop"


def test_every_signal_can_go_its_own_way(receiver: Receiver) -> None:
    """Its own address, headers, compression, or nowhere at all; the counts of the queues are metrics."""
    registry = Registry()
    mirante.configure(
        registry=registry, traces_endpoint=f"{receiver.url}/v1/traces", traces_headers="tenant=a",
        traces_compression="none", metrics_exporter="none", logs_exporter="none", log_stream="none",
    )  # fmt: skip
    with Tracer().start_span("sell"):
        logging.getLogger("shop").warning("sold")
    assert mirante.flush()
    assert b"mirante_spans_exported_total 1" in registry.expose()
    assert mirante.shutdown()
    assert [span.name for span in receiver.spans()] == ["sell"]
    assert receiver.sent_headers[0]["tenant"] == "a"
    assert "content-encoding" not in receiver.sent_headers[0]
    assert (receiver.requests, receiver.logs) == ([], [])


def _own_families() -> list[bytes]:
    """Of the collectors that are registered only while configured; what integrations have declared stays declared."""
    page = REGISTRY.expose()
    return [name for name in (b"process_cpu_seconds", b"python_info", b"mirante_spans_queued") if name in page]


def _what_configure_changes() -> list[object]:
    from opentelemetry import _logs, metrics, propagate, trace

    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn")
    return [
        metrics._internal._METER_PROVIDER, trace._TRACER_PROVIDER, propagate.get_global_textmap(),
        _logs._internal._LOGGER_PROVIDER, root.handlers[:], root.level, uvicorn.handlers[:], uvicorn.propagate,
        warnings.showwarning, sys.excepthook, threading.excepthook, sys.unraisablehook, structlog.is_configured(),
        logging.lastResort, destinations.configured(), _own_families(), sys.meta_path[:], catalog.statuses(),
    ]  # fmt: skip


@pytest.mark.parametrize("disabled", [False, True])
def test_disable_puts_everything_back(receiver: Receiver, disabled: bool) -> None:
    """Providers, propagator, handlers, levels, warnings, hooks, structlog, collectors: as if nothing had been."""
    before = _what_configure_changes()
    mirante.configure(endpoint=receiver.url, disabled=disabled)
    assert _what_configure_changes() != before
    mirante.configure(endpoint=receiver.url, disabled=disabled, service_name="other")
    mirante.disable()
    assert _what_configure_changes() == before


def test_integrations_and_hooks_are_as_the_settings_say() -> None:
    """Named ones alone; none at all where it is said."""
    before = sys.excepthook
    mirante.configure(registry=Registry(), log_stream="none", integrations="asyncio")
    assert catalog.statuses()["asyncio"] == "installed"
    assert {status for name, status in catalog.statuses().items() if name != "asyncio"} == {"off"}
    assert sys.excepthook is not before
    mirante.configure(registry=Registry(), log_stream="none", integrations="none", uncaught_exceptions=False)
    assert set(catalog.statuses().values()) == {"off"}
    assert sys.excepthook is before


def test_a_setting_that_turns_out_to_be_of_no_use_changes_nothing(receiver: Receiver) -> None:
    """Found with half of it set up: that is put back, and what ran before runs on."""
    before = _what_configure_changes()
    wrong: dict[str, Any] = {"traces_sampler": "traceidratio", "traces_sampler_arg": "2"}
    with pytest.raises(ConfigError, match="a share from 0 to 1"):
        mirante.configure(**wrong)
    assert _what_configure_changes() == before
    mirante.configure(endpoint=receiver.url, registry=Registry(), log_stream="none")
    with pytest.raises(ConfigError, match="a share from 0 to 1"):
        mirante.configure(**wrong)
    with Tracer().start_span("sell"):
        pass
    assert mirante.shutdown()
    assert [span.name for span in receiver.spans()] == ["sell"]


def test_a_server_that_sets_its_loggers_up_later_is_taken_over_when_it_has_started(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its lines are ours then; what it had put there is back afterwards."""
    mirante.configure(registry=Registry(), log_format="json")
    uvicorn = logging.getLogger("uvicorn")
    own = logging.StreamHandler(sys.stderr)
    uvicorn.addHandler(own)
    server_started()
    assert uvicorn.handlers == []
    uvicorn.warning("it listens")
    mirante.disable()
    assert uvicorn.handlers == [own]
    uvicorn.removeHandler(own)
    lines = [line for line in capsys.readouterr().err.splitlines() if "it listens" in line]
    assert [json.loads(line)["logger"] for line in lines] == ["uvicorn"]
