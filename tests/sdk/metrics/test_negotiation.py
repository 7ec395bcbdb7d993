"""Every client gets the format that it asks for, compressed where it can read that."""

from __future__ import annotations

import gzip as standard

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.formats.exposition import OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE
from mirante.metrics.exposition import Format, gzip, negotiate

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROMETHEUS_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1"


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        (PROMETHEUS_2, True),
        (PROMETHEUS_3, True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=2.0.0", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.1,text/plain;q=0.9", False),
        ("application/openmetrics-text;q=much", False),
        ("text/*;q=0.1, application/openmetrics-text", True),
    ],
)
def test_format(accept: str, openmetrics: bool) -> None:
    """OpenMetrics only for those who prefer it; Prometheus's own headers get it."""
    assert negotiate(accept, "").openmetrics is openmetrics


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [("", False), ("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("*", True), ("*, gzip;q=0", False)],
)
def test_compression(encoding: str, compressed: bool) -> None:
    """Only for those who can read it."""
    assert negotiate("", encoding).gzip is compressed


def test_headers_say_what_was_agreed() -> None:
    """And that it depends on the request's."""
    assert Format(openmetrics=False, gzip=False).headers() == {
        "Content-Type": TEXT_CONTENT_TYPE,
        "Vary": "Accept, Accept-Encoding",
    }
    assert Format(openmetrics=True, gzip=True).headers() == {
        "Content-Type": OPENMETRICS_CONTENT_TYPE,
        "Vary": "Accept, Accept-Encoding",
        "Content-Encoding": "gzip",
    }


@given(st.lists(st.binary(max_size=100)), st.integers(1, 5000))
def test_what_is_compressed_in_parts_reads_back_whole(chunks: list[bytes], times: int) -> None:
    """With the standard library's reader."""
    assert standard.decompress(b"".join(gzip(chunks * (times % 50)))) == b"".join(chunks * (times % 50))


def test_compressed_parts_come_before_the_end() -> None:
    """A big exposition is not held back whole."""
    parts = gzip(str(n).encode() * 50 for n in range(20_000))
    assert len(list(parts)) > 2
