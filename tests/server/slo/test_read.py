"""Files of objectives in our own shape: what is read, and what is refused with its place."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import ConfigError
from mirante.formats.yaml import write_yaml
from mirante.server.slo.model import DAY, Events, Share, Slo
from mirante.server.slo.read import parse_slos, read_slos, slo_files

GOOD = """
slos:
- name: available
  service: shop
  objective: 99.9%
  window: 28d
  description: it answers
  labels: {team: web}
  annotations: {runbook_url: "https://example.org"}
  indicator:
    errors: requests_total{code=~"5.."}
    total: requests_total
"""


def one(indicator: str, objective: str = "99") -> Slo:
    """The objective with an indicator."""
    text = f"slos: [{{name: a, service: b, objective: {objective}, indicator: {indicator}}}]"
    (slo,) = parse_slos({"a.yml": text})
    return slo


def refused(text: str) -> str:
    """Why a text is refused."""
    with pytest.raises(ConfigError) as caught:
        parse_slos({"a.yml": text})
    return str(caught.value)


def test_every_key_is_read() -> None:
    """A counter's selector becomes a rate; the source tells where it stands."""
    (slo,) = parse_slos({"shop.yml": GOOD})
    assert (slo.name, slo.service, slo.percent, slo.period) == ("available", "shop", 99.9, 28 * DAY)
    assert (slo.description, slo.labels) == ("it answers", {"team": "web"})
    assert slo.annotations == {"runbook_url": "https://example.org"}
    assert slo.source == "shop.yml, line 3"
    total = "sum(rate(requests_total[$window]))"
    errors = 'sum(rate(requests_total{code=~"5.."}[$window]))'
    assert slo.indicator == Events(f"({errors}) or ({total}) * 0", total)


def test_defaults() -> None:
    """Thirty days, and nothing else."""
    slo = one("{good: a_total, total: b_total}")
    assert (slo.period, slo.labels, slo.annotations, slo.description) == (30 * DAY, {}, {}, "")


@pytest.mark.parametrize(("text", "percent"), [("99.95%", 99.95), ("99.95", 99.95), ('" 5 % "', 5.0), ("0.5", 0.5)])
def test_objectives_are_percent(text: str, percent: float) -> None:
    """With the sign or without it."""
    assert one("{good: a_total, total: b_total}", text).percent == percent


def test_a_histogram_and_a_threshold_make_a_latency_indicator() -> None:
    """What took longer is bad; a bound is matched as 1 and as 1.0."""
    slo = one("""{latency: {histogram: request_seconds, below: 1, selector: '{job="shop"}'}}""")
    assert isinstance(slo.indicator, Events)
    assert slo.indicator.total == 'sum(rate(request_seconds_count{job="shop"}[$window]))'
    assert 'request_seconds_bucket{job="shop",le=~"1(\\\\.0)?"}[$window]' in slo.indicator.errors
    half = one("{latency: {histogram: request_seconds, below: 0.5}}")
    assert isinstance(half.indicator, Events)
    assert 'le=~"0\\\\.5"}' in half.indicator.errors


@pytest.mark.parametrize(("good", "bad"), [("below: 60", ">= bool 60"), ("above: -0.5", "<= bool -0.5")])
def test_a_query_and_a_limit_make_an_indicator_of_time(good: str, bad: str) -> None:
    """Any series that is wrong makes the moment bad."""
    assert one(f"{{threshold: {{query: 'a / b', {good}}}}}").indicator == Share(f"max((a / b) {bad})")


@pytest.mark.parametrize(
    ("indicator", "message"),
    [
        ("{}", 'expected two of "errors", "good" and "total", or "latency", or "threshold"'),
        ("{errors: a}", "expected two of"),
        ("{errors: a, good: b, total: c}", "expected two of"),
        ("{errors: a, total: b, threshold: {query: a, below: 1}}", "expected two of"),
        ("{errors: a, totl: b}", 'unknown key "totl"; did you mean "total"?'),
        ("{errors: sum(a), total: b}", "expected a counter's selector, or an expression with the range [$window]"),
        ("{errors: 'a[$window]', total: b}", "expected an instant vector, got a matrix"),
        ("{errors: 'rate(a[$window', total: b}", "unexpected"),
        ("{errors: a offset 5m, total: b}", "no offset modifiers allowed before range"),
        ("{threshold: {query: a}}", 'expected one of "below" and "above"'),
        ("{threshold: {query: a, below: 1, above: 0}}", 'expected one of "below" and "above"'),
        ("{threshold: {query: '1', below: 1}}", "expected an instant vector, got a scalar"),
        ("{threshold: {query: a, below: soon}}", 'expected a number, got "soon"'),
        ("{threshold: {below: 1}}", '"query" is missing'),
        ("{latency: {histogram: a}}", '"below" is missing'),
        ("{latency: {histogram: 'a b', below: 1}}", "unexpected"),
    ],
)
def test_an_indicator_that_makes_no_sense_is_refused(indicator: str, message: str) -> None:
    """With file, line and key."""
    text = refused(f"slos: [{{name: a, service: b, objective: 99, indicator: {indicator}}}]")
    assert text.startswith("a.yml, line 1: slos[0].indicator")
    assert message in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("name: available", "name: 'a b'"), 'line 3: slos[0].name: expected letters, digits and "_.:/-"'),
        (("99.9%", "100%"), "line 5: slos[0].objective: expected an objective above 0 % and below 100 %"),
        (("99.9%", "much"), 'got "much"'),
        (("99.9%", "99.12345678"), "expected at most 6 decimal places"),
        (("28d", "36h"), "line 6: slos[0].window: expected a rolling window of whole days"),
        (("28d", "2y"), 'got "2y"'),
        (("team", "slo"), '"slo" cannot be a label here'),
        (("team", "9x"), '"9x" cannot be a label here'),
        (("  service: shop\n", ""), '"service" is missing'),
        (("description", "descripton"), 'unknown key "descripton"; did you mean "description"?'),
        (("slos:", "slo:"), '"slos" is missing'),
        (("https://example.org", "{{ nonsense }}"), "the rules made of it cannot be used: rules, line"),
        (("slos:", "slos: ["), "is not YAML"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(change: tuple[str, str], message: str) -> None:
    """Nothing is guessed."""
    assert message in refused(GOOD.replace(*change))


def test_everything_wrong_is_told_at_once() -> None:
    """Of all objectives and all files."""
    bad = GOOD.replace("99.9%", "0")
    with pytest.raises(ConfigError) as caught:
        parse_slos({"a.yml": bad, "b.yml": "- 1", "c.yml": bad})
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "a.yml, line 5", "b.yml, line 1", "c.yml, line 5",
    ]  # fmt: skip


def test_one_name_stands_once_in_a_service() -> None:
    """Across all files."""
    with pytest.raises(ConfigError, match=r'b\.yml, line 3: "available" of shop stands in a\.yml, line 3 already'):
        parse_slos({"a.yml": GOOD, "b.yml": GOOD})


def test_files_are_found_by_pattern_and_one_that_ships_by_its_name(tmp_path: Path) -> None:
    """Each once, whatever names it."""
    (tmp_path / "a.yml").write_text(GOOD)
    pattern = str(tmp_path / "*.yml")
    assert [path.name for path in slo_files([pattern, pattern, "agents"])] == ["a.yml", "agents.yml"]
    assert len(read_slos(slo_files([pattern, "agents"]))) == 6


def test_a_pattern_without_a_file_is_told(tmp_path: Path) -> None:
    """With what ships."""
    with pytest.raises(ConfigError, match="there is no such file of objectives; those that ship: agents"):
        slo_files([str(tmp_path / "none.yml")])


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """As one of the things that are wrong."""
    (tmp_path / "bytes.yml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"bytes\.yml: is not UTF-8 text"):
        read_slos([tmp_path / "bytes.yml"])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["a_total", "99", "30d", "rate("]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["slos", "name", "service", "objective", "indicator", "errors", "total", "apiVersion", "kind"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["slos", "apiVersion", "kind", "metadata", "spec"]), JSON) | JSON.filter(bool))
def test_any_document_is_taken_or_refused(document: object) -> None:
    """Never with another error."""
    text = write_yaml({"slos": document}) if not isinstance(document, dict | list) else write_yaml(document)
    with suppress(ConfigError):
        parse_slos({"a.yml": text})
