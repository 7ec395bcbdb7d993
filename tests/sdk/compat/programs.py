"""prometheus_client's documented examples as programs that run on it and on mirante's face of it.

Each takes the module and a registry of it. Time is left out of what they show, because it differs between two runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

Program = Callable[[Any, Any], None]


def core(pc: Any) -> Any:
    """The module ``core`` of either."""
    return import_module(f"{pc.__name__}.core")


def counter(pc: Any, registry: Any) -> None:
    """Counters: amounts, exceptions, an exemplar, a reset."""
    c = pc.Counter("my_failures", "Description of counter", registry=registry)
    c.inc()
    c.inc(1.6)

    @c.count_exceptions()  # type: ignore[untyped-decorator] # either module
    def f() -> None:
        raise KeyError

    for _ in range(2):
        with contextlib.suppress(KeyError):
            f()
    with c.count_exceptions(ValueError):
        pass
    c.inc(1, exemplar={"trace_id": "abc123"})
    again = pc.Counter("my_restarts_total", "Description of counter", registry=registry)
    again.inc(5)
    again.reset()
    again.inc()


def gauge(pc: Any, registry: Any) -> None:
    """Gauges: up, down, set, in progress, by function."""
    g = pc.Gauge("my_inprogress_requests", "Description of gauge", registry=registry)
    g.inc()
    g.dec(10)
    g.set(4.2)

    @g.track_inprogress()  # type: ignore[untyped-decorator] # either module
    def f() -> None:
        pass

    f()
    with g.track_inprogress():
        inside = pc.Gauge("inside", "Seen from inside", registry=registry)
        inside.set(registry.get_sample_value("my_inprogress_requests"))
    data: dict[str, str] = {"a": "b"}
    d = pc.Gauge("data_objects", "Number of objects", registry=registry)
    d.set_function(lambda: len(data))
    for value in ("nan", "inf", "-inf"):
        pc.Gauge(f"edge_{value.strip('-')}_{len(value)}", "Edges", registry=registry).set(float(value))


def summary(pc: Any, registry: Any) -> None:
    """Summaries: without labels and with."""
    s = pc.Summary("request_latency_seconds", "Description of summary", registry=registry)
    s.observe(4.7)
    t = pc.Summary("response_size", "Sizes", ["code"], unit="bytes", registry=registry)
    t.labels("200").observe(1)
    t.labels(code=404).observe(2)


def histogram(pc: Any, registry: Any) -> None:
    """Histograms: default buckets, buckets of one's own as numbers and as text, an exemplar."""
    h = pc.Histogram("request_latency_seconds", "Description of histogram", registry=registry)
    h.observe(4.7)
    h.observe(0.0512)
    own = pc.Histogram("sizes", "Sizes", ["kind"], buckets=("1", "1e3", 5e6, "+Inf"), registry=registry)
    own.labels("a").observe(10, {"trace_id": "abc123"})
    own.labels("b").observe(1e9)
    assert pc.Histogram.DEFAULT_BUCKETS[-1] == float("inf")


def info(pc: Any, registry: Any) -> None:
    """Facts; a name that ends in the suffix gets another one."""
    i = pc.Info("my_build_version", "Description of info", registry=registry)
    i.info({"version": "1.2.3", "buildhost": "foo@bar"})
    pc.Info("build_info", "Description of info", ["part"], registry=registry).labels("ui").info({"version": "4"})


def enum(pc: Any, registry: Any) -> None:
    """States: the first one until told otherwise."""
    e = pc.Enum("my_task_state", "Description of enum", states=["starting", "running", "stopped"], registry=registry)
    e.state("running")
    pc.Enum("idle_state", "Description of enum", states=["idle", "busy"], registry=registry)


def labels(pc: Any, registry: Any) -> None:
    """Label values by position and by name, special characters, removal."""
    c = pc.Counter("my_requests_total", "HTTP Failures", ["method", "endpoint"], registry=registry)
    c.labels("get", "/").inc()
    c.labels("post", "/submit").inc()
    c.labels(method="get", endpoint="/").inc()
    c.labels("put", 'a"b\\c\nd').inc()
    c.labels("gone", "/").inc()
    c.remove("gone", "/")
    c.labels("delete", "/a").inc()
    c.labels("delete", "/b").inc()
    c.remove_by_labels({"method": "delete"})
    c.remove_by_labels({})
    cleared = pc.Gauge("cleared", "Nothing is left", ["a"], registry=registry)
    cleared.labels("x").set(1)
    cleared.clear()
    kept = pc.Gauge("kept", "No labels, nothing to clear", registry=registry)
    kept.set(3)
    kept.clear()
    reset = pc.Counter("reset", "Started anew", ["a"], registry=registry)
    reset.labels("x").inc(7)
    reset.labels("x").reset()


def names(pc: Any, registry: Any) -> None:
    """Namespace, subsystem and unit."""
    pc.Counter("jobs_total", "a", namespace="shop", subsystem="mail", registry=registry).inc()
    pc.Gauge("size", "b", (), "shop", "db", "bytes", registry).set(2)
    pc.Gauge("size_bytes", "c", unit="bytes", registry=registry).set(2)
    pc.Histogram("wait", "d", unit="seconds", namespace="shop", buckets=[1, 2], registry=registry).observe(1)
    pc.Gauge("utf8.name", "e", ["label.name"], registry=registry).labels("x").set(1)
    pc.Gauge("nowhere", "f", registry=None).set(1)


def modes(pc: Any, registry: Any) -> None:
    """Every mode that a gauge of several processes may have, without several processes."""
    every = ["all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent", "livemostrecent"]
    for mode in every:
        pc.Gauge(f"mode_{mode}", "x", multiprocess_mode=mode, registry=registry).set(1)


def target(pc: Any, registry: Any) -> None:
    """The target's own labels."""
    registry.set_target_info({"env": "prod", "region": "eu"})
    assert registry.get_target_info() == {"env": "prod", "region": "eu"}
    registry.set_target_info({"env": "test"})


def collectors(pc: Any, registry: Any) -> None:
    """Custom collectors with every family, also in parts."""
    families = core(pc)

    class CustomCollector:
        def collect(self) -> Iterator[Any]:
            yield families.GaugeMetricFamily("my_gauge", "Help text", value=7)
            c = families.CounterMetricFamily("my_counter_total", "Help text", labels=["foo"])
            c.add_metric(["bar"], 1.7)
            c.add_metric(["baz"], 3.8, created=123.5)
            yield c
            yield families.SummaryMetricFamily("rpc_seconds", "x", count_value=10, sum_value=2.5)
            h = families.HistogramMetricFamily("request_size_bytes", "Request sizes", labels=["handler"])
            h.add_metric(["api"], buckets=[("100", 5), ("1000", 42), ("+Inf", 50)], sum_value=18350.0)
            h.add_metric(["neg"], buckets=[("-1", 5), ("+Inf", 50)], sum_value=1.0)
            yield h
            exemplar = families.Exemplar({"trace_id": "a"}, 0.5)
            yield families.HistogramMetricFamily("b", "x", buckets=[("1", 5, exemplar), ("+Inf", 6)], sum_value=3)
            yield families.InfoMetricFamily("build", "Build metadata", value={"version": "1.2.3", "value": "abc123"})
            yield families.StateSetMetricFamily("flags", "x", value={"b": False, "a": True})
            yield families.UntypedMetricFamily("old", "x", value=3, unit="bytes")
            s = families.SummaryMetricFamily("rpc_size_bytes", "x", labels=["method"])
            s.add_metric(["get"], count_value=1000, sum_value=53.2)
            yield s
            i = families.InfoMetricFamily("service_build", "Per-service build info", labels=["service"])
            i.add_metric(["auth"], {"version": "2.0.1", "commit": "def456"})
            yield i
            on = families.StateSetMetricFamily("on", "x", labels=["a"])
            on.add_metric(["1"], {"x": True})
            yield on
            stamped = families.GaugeMetricFamily("stamped", "x", labels=["a"])
            stamped.add_metric(["1"], 1, timestamp=families.Timestamp(1700000000, 500_000_000))
            stamped.add_metric(["2"], 2, timestamp=1700000000.25)
            yield stamped
            for name in ("orders", "mail"):
                m = families.GaugeMetricFamily("queue_depth", "Queue depth", labels=["queue"])
                m.add_metric([name], len(name))
                yield m

    registry.register(CustomCollector())


PROGRAMS: list[Program] = [
    counter, gauge, summary, histogram, info, enum, labels, names, modes, target, collectors,
]  # fmt: skip
