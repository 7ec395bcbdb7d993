"""The exporters for development and tests."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from io import StringIO

import pytest

from mirante._core.record import AggregatedMetric, Metric
from mirante.errors import ConfigError
from mirante.exporters import ConsoleExporter, MemoryExporter
from mirante.metrics import MetricFamily, Sample

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_memory_keeps_what_it_gets_in_order() -> None:
    """All of it, or the most recent."""
    everything, recent = MemoryExporter(), MemoryExporter(max_records=2)
    for batch in ([1, 2], [3]):
        everything.export(batch)
        recent.export(batch)
    assert (everything.records, recent.records) == ([1, 2, 3], [2, 3])


def printed(*batch: Metric | MetricFamily, max_rows: int = 50) -> str:
    """What stands on the terminal."""
    out = StringIO()
    ConsoleExporter(out, max_rows=max_rows).export(batch)
    return out.getvalue()


def test_the_console_shows_every_part_of_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what rich would take for markup."""
    monkeypatch.setenv("COLUMNS", "200")
    summary = AggregatedMetric("t", NOW, count=2, sum=3.0, min=1.0, max=2.0, last=2.0, quantiles={0.5: 1.0})
    family = MetricFamily("up", "gauge", samples=(Sample("up", {"job": "a"}, 1.0),))
    text = printed(Metric("m[red]", 1.5, NOW, {"route": "/[id]"}, {"user": 7}), summary, family)
    assert "3 records" in text
    for part in ("m[red]", "route=/[id]", "1.5", "user=7", "count=2 min=1 max=2 last=2 p50=1", "job=a"):
        assert part in text


def test_the_console_says_how_many_rows_it_left_out() -> None:
    """A large batch does not flood the terminal."""
    text = printed(*[Metric(f"m{n}", n, NOW) for n in range(5)], max_rows=3)
    assert "m2" in text
    assert "m3" not in text
    assert "and 2 more" in text


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "rich.table", None)
    with pytest.raises(ConfigError, match=r'ConsoleExporter needs the package rich: pip install "mirante\[console\]"'):
        ConsoleExporter()
