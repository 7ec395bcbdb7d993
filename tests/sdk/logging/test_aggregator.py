"""``LogAggregator`` and message patterns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.correlation import bind
from mirante.logging import LogAggregator, add_sink, get_logger, remove_sink
from mirante.logging.patterns import pattern_of
from mirante.testing.clock import FakeClock
from tests.sdk.logging.support import running


def test_a_window_is_counted_by_level_logger_event_and_pattern() -> None:
    """Only what lies in it; messages that differ in their variable parts count together."""
    clock = FakeClock()
    aggregator = LogAggregator(clock=clock, logger="shop")
    aggregator.error("order 1 failed")
    clock.advance(100)
    for number in (2, 3):
        aggregator.error(f"order {number} failed")
    aggregator.debug("polled")
    aggregator.info("sold")
    aggregator.warning("low stock")
    aggregator.critical("down")
    assert aggregator.aggregate(60, top=1) == {
        "window_seconds": 60,
        "total": 6,
        "by_level": {"debug": 1, "info": 1, "warning": 1, "error": 2, "critical": 1},
        "by_logger": {"shop": 6},
        "by_event": {
            "order 2 failed": 1, "order 3 failed": 1, "polled": 1, "sold": 1, "low stock": 1, "down": 1,
        },
        "error_rate": 0.5,
        "top_messages": [{"pattern": "order <n> failed", "count": 2, "example": "order 3 failed"}],
        "complete": True,
    }  # fmt: skip
    assert aggregator.aggregate(100)["total"] == 7


def test_an_empty_window_has_no_errors() -> None:
    """And no division by zero."""
    assert LogAggregator().aggregate(60)["error_rate"] == 0.0


def test_memory_is_bounded_by_lines_and_by_time() -> None:
    """And the answer says when that cost lines of the window."""
    clock = FakeClock()
    aggregator = LogAggregator(max_lines=3, window=50, clock=clock)
    for _ in range(4):
        aggregator.log("e")
        clock.advance(10)
    answers = [aggregator.aggregate(seconds) for seconds in (35, 45, 60)]
    assert [(one["total"], one["complete"]) for one in answers] == [(3, True), (3, False), (3, False)]
    clock.advance(60)
    aggregator.log("e", level=35)
    assert aggregator.aggregate(1000)["by_level"] == {"level 35": 1}


def test_a_line_written_to_it_comes_back_cleaned_and_stamped() -> None:
    """With ids, without secrets, with the exception that was being handled."""
    aggregator = LogAggregator(clock=FakeClock(0))
    with bind(request_id="r-1"):
        try:
            int("sku")
        except ValueError:
            record = aggregator.exception("failed", api_key="x", level_of_detail=2)
    assert record.pop("exception")["type"] == "ValueError"
    assert record == {
        "timestamp": "1970-01-01T00:00:00.000000Z", "level": "error", "logger": "root", "event": "failed",
        "api_key": "[redacted]", "level_of_detail": 2, "request_id": "r-1",
    }  # fmt: skip


def test_it_counts_the_lines_of_the_process_as_a_sink() -> None:
    """Those of any logger, from when it is added until it is removed."""
    aggregator = LogAggregator()
    log = get_logger("process")
    with running():
        add_sink(aggregator)
        log.info("one")
        remove_sink(aggregator)
        log.info("two")
    assert aggregator.aggregate(60)["by_logger"] == {"process": 1}


@pytest.mark.parametrize("bounds", [{"window": 0}, {"max_lines": 0}])
def test_bounds_without_sense_are_refused(bounds: dict[str, Any]) -> None:
    """They raise where they are written, and so does a level that does not exist."""
    with pytest.raises(ValueError, match="above zero"):
        LogAggregator(**bounds)
    with pytest.raises(ValueError, match="expected one of debug"):
        LogAggregator().log("e", level="loud")


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("user 9f1b2c3d-0000-4000-8000-0123456789ab gone", "user <uuid> gone"),
        ("since 2026-01-02T03:04:05.678Z", "since <time>"),
        ("mail to ann@example.com", "mail to <e-mail>"),
        ("from 10.0.0.1:80", "from <ip>"),
        ("key 'a b' or \"c\" isn't it", "key <text> or <text> isn't it"),
        ("at 0xdeadbeef commit 1a2b3c4d5e", "at <hex> commit <hex>"),
        ("-3.5e7 of 1,000 in shard-12", "<n> of <n> in shard-<n>"),
        ("took 12ms", "took <n>ms"),
    ],
)
def test_variable_parts_are_masked(message: str, pattern: str) -> None:
    """By what they look like."""
    assert pattern_of(message) == pattern


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_messages_that_differ_in_a_number_have_one_pattern(one: int, other: int) -> None:
    """Whatever the numbers."""
    assert pattern_of(f"order {one} failed") == pattern_of(f"order {other} failed")
