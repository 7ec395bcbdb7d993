"""Cardinality: a cap, one overflow series, and one warning that says where to look; rules for label values."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import DeclarationError
from mirante.metrics import Counter, Gauge, Registry, counter
from mirante.metrics.options import MAX_LABEL_SETS
from mirante.metrics.sanitize import allow, hashed, redact


def test_beyond_the_cap_label_sets_share_one_series(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing counted is lost; people are told once, with the line and the label; the registry counts the rest."""
    registry = Registry()
    requests = counter("requests", "", ["method", "user"], registry=registry, max_label_sets=3)
    with caplog.at_level(logging.WARNING, "mirante"):
        for n in range(10):
            requests.labels("GET", n).inc()
    assert requests.value == 10
    text = registry.expose().decode()
    assert 'requests_total{method="GET",user="2"} 1.0\n' in text
    assert 'requests_total{method="_overflow",user="_overflow"} 7.0\n' in text
    assert 'mirante_metrics_label_sets_refused_total{metric="requests"} 7.0\n' in text
    [record] = caplog.records
    assert "test_limits.py:" in record.getMessage()
    assert "the label 'user' has 3 values" in record.getMessage()
    assert any(f.name == "mirante_metrics_label_sets_refused" for f in registry.collect())


def test_known_label_sets_go_on_as_before() -> None:
    """Only new ones are refused."""
    gauge = Gauge("g", labels=["a"], max_label_sets=1)
    kept = gauge.labels("1")
    gauge.labels("2").set(5)
    assert gauge.labels("1") is kept
    assert gauge.labels("3") is gauge.labels("4")


def test_a_registry_without_overflow_says_nothing() -> None:
    """No series of its own where there is nothing to say."""
    registry = Registry()
    counter("c", registry=registry)
    assert b"mirante" not in registry.expose()


def test_the_default_cap() -> None:
    """Ten thousand."""
    metric = Counter("c", labels=["a"])
    for n in range(MAX_LABEL_SETS):
        metric.labels(n)
    assert metric.refused == 0
    metric.labels("more")
    assert metric.refused == 1


def test_a_cap_must_allow_something() -> None:
    """Zero is a mistake."""
    with pytest.raises(DeclarationError, match="max_label_sets"):
        Counter("c", labels=["a"], max_label_sets=0)


def test_rules_change_what_is_kept() -> None:
    """By label, in labels() and remove() alike; labels without a rule stay."""
    logins = Counter("logins", "", ["country", "user", "page"], rules={"country": allow("BR"), "user": hashed(b"key")})
    child = logins.labels("XX", "ana@example.org", "/a")
    assert child is logins.labels("YY", "ana@example.org", "/a")
    assert child is not logins.labels("BR", "ana@example.org", "/a")
    assert child.label_values[0] == "other"
    assert "ana" not in str([c.label_values for c in logins.children()])
    logins.remove("XX", "ana@example.org", "/a")
    assert len(logins.children()) == 1


def test_rules_must_name_labels() -> None:
    """A rule for a label that is not there would protect nobody."""
    with pytest.raises(DeclarationError, match="userr"):
        Counter("c", labels=["user"], rules={"userr": allow("a")})


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/u/ana.b+c@mail.example.org", "/u/redacted"),
        ("from 192.168.0.17:80", "from redacted:80"),
        ("card 4111 1111 1111 1111", "card redacted"),
        ("/o/123e4567-e89b-12d3-a456-426614174000/x", "/o/redacted/x"),
        ("call +55 11 91234-5678 now", "call redacted now"),
        ("Bearer eyJhbGciOi.eyJzdWIi.SflKx-w", "Bearer redacted"),
        ("/orders/{id}", "/orders/{id}"),
        ("v1.2.3", "v1.2.3"),
    ],
)
def test_what_redact_finds(text: str, kept: str) -> None:
    """Personal data goes, the rest stays."""
    assert redact()(text) == kept


@given(st.text())
def test_redacting_twice_is_redacting_once(text: str) -> None:
    """What is kept is itself clean."""
    assert redact()(redact()(text)) == redact()(text)


def test_own_patterns() -> None:
    """The replacement is plain text, whatever characters it has."""
    assert redact(r"\d+", r"\1")("/items/17") == r"/items/\1"


@given(st.text(), st.text())
def test_hashes_tell_values_apart(one: str, other: str) -> None:
    """The same value the same hash, of the length asked for, dependent on the key."""
    rule = hashed(b"key", length=20)
    assert (rule(one) == rule(other)) == (one.encode("utf-8", "replace") == other.encode("utf-8", "replace"))
    assert len(rule(one)) == 20
    assert rule(one) != hashed(b"other", length=20)(one)


@pytest.mark.parametrize(("key", "length"), [(b"", 12), (b"x" * 65, 12), (b"k", 3), (b"k", 65)])
def test_a_hash_needs_a_key(key: bytes, length: int) -> None:
    """Without one it could be turned back by trying."""
    with pytest.raises(DeclarationError, match="hashed"):
        hashed(key, length=length)


def test_utf8_names_where_they_are_asked_for() -> None:
    """Quoted for readers that know them, with underscores for others."""
    registry = Registry()
    metric = counter("http.requests", "R.", ["http.method"], registry=registry, utf8=True)
    metric.labels('G"T').inc()
    assert registry.expose().decode() == (
        "# HELP http_requests_total R.\n# TYPE http_requests_total counter\n"
        'http_requests_total{http_method="G\\"T"} 1.0\n'
    )
    assert b"".join(registry.chunks(utf8=True)).decode() == (
        '# HELP "http.requests_total" R.\n# TYPE "http.requests_total" counter\n'
        '{"http.requests_total","http.method"="G\\"T"} 1.0\n'
    )
    plain = counter("straße", registry=registry, utf8=True)
    plain.inc()
    assert '{"straße_total"} 1.0' in b"".join(registry.chunks(openmetrics=True, utf8=True)).decode()
    assert b"stra_e_total 1.0" in registry.expose()


@pytest.mark.parametrize("name", ["", "a\ud800"])
def test_not_every_text_is_a_name(name: str) -> None:
    """It must be some, and UTF-8 must hold it; without utf8=True the older rule stands."""
    with pytest.raises(DeclarationError, match="name"):
        Counter(name, utf8=True)
    with pytest.raises(DeclarationError, match="name"):
        Counter("c", labels=[name], utf8=True)
    with pytest.raises(DeclarationError, match="utf8=True"):
        Counter("http.requests")
    with pytest.raises(DeclarationError, match="utf8=True"):
        Counter("c", labels=["http.method"])
