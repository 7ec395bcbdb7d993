"""Prometheus's names for OpenTelemetry's metrics and attributes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.formats.otlp_names import label_name, metric_name


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("http.server.request.duration", "s", "histogram", "http_server_request_duration_seconds"),
        ("system.network.io", "By", "counter", "system_network_io_bytes_total"),
        ("system_cpu_time_seconds_total", "s", "counter", "system_cpu_time_seconds_total"),
        ("total.jobs", "", "counter", "jobs_total"),
        ("queue.length", "{job}", "sum", "queue_length"),
        ("memory.utilization", "1", "gauge", "memory_utilization_ratio"),
        ("memory.utilization", "1", "histogram", "memory_utilization"),
        ("disk.speed", "By/s", "gauge", "disk_speed_bytes_per_second"),
        ("wind", "m/lightyear", "gauge", "wind_meters_per_lightyear"),
        ("2nd.try", "", "gauge", "_2nd_try"),
    ],
)
def test_names_get_their_unit_and_type(name: str, unit: str, kind: str, expected: str) -> None:
    """In words, each once, the type last."""
    assert metric_name(name, unit, kind) == expected


@given(st.text(), st.text(), st.sampled_from(["counter", "sum", "gauge", "histogram", "summary"]))
def test_any_name_becomes_a_legal_one(name: str, unit: str, kind: str) -> None:
    """Or the empty one, which is none."""
    assert re.fullmatch(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?", metric_name(name, unit, kind))


@given(st.text())
def test_any_attribute_becomes_a_legal_label(key: str) -> None:
    """Or the empty one, which is none."""
    assert re.fullmatch(r"([a-zA-Z_][a-zA-Z0-9_]*)?", label_name(key))
