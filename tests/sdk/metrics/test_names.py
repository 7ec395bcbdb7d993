"""Declarations that break the data model's rules are refused where they are written."""

from __future__ import annotations

from typing import Any

import pytest

from mirante.errors import DeclarationError
from mirante.metrics import Counter, Gauge, Histogram, Summary


@pytest.mark.parametrize("name", ["", "1st", "with space", "naïve", "dotted.name", "line\n", "dash-ed"])
def test_a_wrong_name_is_refused(name: str) -> None:
    """Names are ASCII letters, digits, underscores and colons."""
    with pytest.raises(DeclarationError, match="cannot name a metric"):
        Gauge(name)


@pytest.mark.parametrize("label", ["", "1st", "dotted.name", "colon:ed", "é"])
def test_a_wrong_label_is_refused(label: str) -> None:
    """Labels are ASCII letters, digits and underscores."""
    with pytest.raises(DeclarationError, match="cannot name a label"):
        Gauge("g", labels=[label])


@pytest.mark.parametrize(
    ("kind", "label"), [(Gauge, "__name__"), (Counter, "__x"), (Histogram, "le"), (Summary, "quantile")]
)
def test_a_reserved_label_is_refused(kind: type[Any], label: str) -> None:
    """Labels that the format itself uses would be ambiguous."""
    with pytest.raises(DeclarationError, match=f"{label}.*reserved"):
        kind("m", labels=[label])


def test_reserved_labels_are_free_where_they_mean_nothing() -> None:
    """A gauge may have a label ``le``."""
    assert Gauge("g", labels=["le"]).label_names == ("le",)


def test_a_repeated_label_and_a_bare_text_are_refused() -> None:
    """``labels="method"`` would mean six labels of one letter."""
    with pytest.raises(DeclarationError, match="twice"):
        Gauge("g", labels=["a", "a"])
    with pytest.raises(DeclarationError, match=r"labels=\('method',\)"):
        Gauge("g", labels="method")


def test_the_unit_ends_the_name() -> None:
    """It is appended where it is missing, before a counter's suffix."""
    assert Gauge("uptime", unit="seconds").name == "uptime_seconds"
    assert Gauge("uptime_seconds", unit="seconds").name == "uptime_seconds"
    assert Counter("sent_total", unit="bytes").name == "sent_bytes"
    with pytest.raises(DeclarationError, match="cannot be the unit"):
        Gauge("speed", unit="m/s")


@pytest.mark.parametrize("buckets", [[], [float("inf")], [1, 1], [2, 1], [float("nan")], [float("-inf"), 1]])
def test_wrong_buckets_are_refused(buckets: list[float]) -> None:
    """Bounds are finite and rise."""
    with pytest.raises(DeclarationError, match="bound"):
        Histogram("h", buckets=buckets)


@pytest.mark.parametrize("options", [{"quantiles": [1.5]}, {"quantiles": [-0.1]}, {"max_age": 0}])
def test_wrong_quantiles_are_refused(options: dict[str, Any]) -> None:
    """Ranks lie between 0 and 1, and the window has a length."""
    with pytest.raises(DeclarationError, match="quantiles"):
        Summary("s", **options)
