"""Expositions are read as Prometheus reads them, and what is wrong with a page is said exactly."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as peer_openmetrics
from prometheus_client.openmetrics import parser as peer_openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as read_text

from mirante._core.model import Exemplar, Sample
from mirante.errors import FormatError
from mirante.formats.exposition_parser import Metadata, parse, split_sample

VALUES = st.floats() | st.sampled_from([0.0, -0.0, 1e300, math.inf, -math.inf, math.nan])
SPACING = "expected value, timestamp and exemplar with one space between after the series, got"
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
SAMPLES = st.lists(st.tuples(TEXTS, VALUES), max_size=8, unique_by=lambda pair: pair[0])


def registry(samples: list[tuple[str, float]], help_text: str) -> CollectorRegistry:
    """A peer's registry with one metric of each kind."""
    made = CollectorRegistry()
    gauge = Gauge("temperature", help_text, ["place"], registry=made)
    counter = Counter("requests", help_text, ["path"], registry=made)
    histogram = Histogram("latency_seconds", help_text, ["path"], buckets=(0.1, 1.0), registry=made)
    summary = Summary("size_bytes", help_text, registry=made)
    for text, value in samples:
        gauge.labels(text).set(value)
        amount = abs(value) if math.isfinite(value) else 1.0  # the peer's parser wants sums to be so
        counter.labels(text).inc(amount, exemplar={"trace_id": "0af7"})
        histogram.labels(text).observe(amount, exemplar={"trace_id": "0af7"})
        summary.observe(1.0)
    return made


def plain(labels: dict[str, str]) -> dict[str, str]:
    """Labels in one order, so that lists of samples compare."""
    return dict(sorted(labels.items()))


def same(ours: list[Sample], theirs: list[Sample]) -> bool:
    """Equal, NaN included."""
    return repr([(s.name, plain(dict(s.labels)), *s[2:]) for s in ours]) == repr(
        [(s.name, plain(dict(s.labels)), *s[2:]) for s in theirs]
    )


@given(SAMPLES, TEXTS)
def test_text_of_the_reference_client_reads_as_its_own_parser_reads_it(
    samples: list[tuple[str, float]], help_text: str
) -> None:
    """Printed by prometheus_client, read by both: the same samples in the same order."""
    page = generate_latest(registry(samples, help_text))
    theirs = [Sample(s.name, s.labels, s.value) for f in read_text(page.decode()) for s in f.samples]
    read = parse(page)
    assert same(read.samples, theirs)
    assert read.metadata["requests_total"] == Metadata("counter", help_text, "")


@given(SAMPLES, TEXTS)
def test_openmetrics_of_the_reference_client_reads_as_its_own_parser_reads_it(
    samples: list[tuple[str, float]], help_text: str
) -> None:
    """The same for OpenMetrics, exemplars and their times included."""
    page = peer_openmetrics.generate_latest(registry(samples, help_text))  # type: ignore[no-untyped-call]
    theirs = [
        Sample(
            s.name,
            s.labels,
            s.value,
            None if s.timestamp is None else float(s.timestamp),
            None if s.exemplar is None else Exemplar(s.exemplar.labels, s.exemplar.value, float(s.exemplar.timestamp)),
        )
        for f in peer_openmetrics_parser.text_string_to_metric_families(page.decode())  # type: ignore[no-untyped-call]
        for s in f.samples
    ]
    read = parse(page, openmetrics=True)
    assert same(read.samples, theirs)
    assert read.metadata["latency_seconds"] == Metadata("histogram", help_text, "")


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_a_page_or_a_format_error(body: bytes, openmetrics: bool) -> None:
    """Nothing that a target sends raises anything else."""
    with contextlib.suppress(FormatError):
        parse(body, openmetrics=openmetrics)


@given(st.text('abu{}",=\\n# 01.eE+-\n\t_:', max_size=40), st.booleans())
def test_text_that_is_nearly_right_is_a_page_or_a_format_error(text: str, openmetrics: bool) -> None:
    """The same with the characters of the format itself."""
    with contextlib.suppress(FormatError):
        parse(text.encode() + (b"# EOF" if openmetrics else b""), openmetrics=openmetrics)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"up 1", Sample("up", {}, 1.0)),
        (b"up{} 1", Sample("up", {}, 1.0)),
        (b'up{a="b",} 1', Sample("up", {"a": "b"}, 1.0)),
        (b'up{a="b"}1', Sample("up", {"a": "b"}, 1.0)),
        (b'  up {a="b"}\t1  1500 ', Sample("up", {"a": "b"}, 1.0, 1.5)),
        (b'up{ a = "b" , c="d" } 1', Sample("up", {"a": "b", "c": "d"}, 1.0)),
        (b'up{a="}{,\\"\\\\\\n\\t="} 1', Sample("up", {"a": '}{,"\\\n\\t='}, 1.0)),
        (b"up 1 -3982045", Sample("up", {}, 1.0, -3982.045)),
        (b"up -Inf", Sample("up", {}, -math.inf)),
        (b"up +infinity", Sample("up", {}, math.inf)),
        (b"up .5e-3", Sample("up", {}, 0.0005)),
        ('{"ünïcode.name","a b"="c"} 1'.encode(), Sample("ünïcode.name", {"a b": "c"}, 1.0)),
        (b"a:b:c_9 2", Sample("a:b:c_9", {}, 2.0)),
    ],
)
def test_lines_of_the_text_format(line: bytes, expected: Sample) -> None:
    """Each is one sample."""
    assert parse(line).samples == [expected]


def test_comments_and_blank_lines_of_the_text_format() -> None:
    """HELP and TYPE describe, escapes are undone, every other comment is passed over."""
    page = parse(
        b"# a comment\n#\n\n \t\n# HELP x a \\\\ b\\nc\n#  TYPE  x  untyped\n# HELP y\n# UNIT x seconds\nx 1\n"
    )
    assert page.metadata == {"x": Metadata("unknown", "a \\ b\nc"), "y": Metadata()}
    assert page.samples == [Sample("x", {}, 1.0)]


def test_lines_of_openmetrics() -> None:
    """Times in seconds, exemplars with and without a time, units."""
    page = parse(
        b'# TYPE x_seconds histogram\n# UNIT x_seconds seconds\n# HELP x_seconds How \\"long\\".\n'
        b'x_seconds_bucket{le="1.0"} 4 1600000000.5 # {trace_id="a"} 0.5 1600000000.25\n'
        b'x_seconds_bucket{le="+Inf"} 4 # {} 0.5\nx_seconds_count 4\n# EOF',
        openmetrics=True,
    )
    assert page.metadata == {"x_seconds": Metadata("histogram", 'How "long".', "seconds")}
    assert page.samples == [
        Sample("x_seconds_bucket", {"le": "1.0"}, 4.0, 1600000000.5, Exemplar({"trace_id": "a"}, 0.5, 1600000000.25)),
        Sample("x_seconds_bucket", {"le": "+Inf"}, 4.0, None, Exemplar({}, 0.5)),
        Sample("x_seconds_count", {}, 4.0),
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"a 1\nup", 'line 2: expected a value after "up", got the end of the line'),
        (b"up ", 'line 1: expected a value after "up", got the end of the line'),
        (b'up{a="b"}', 'line 1: expected a value after "up{a="b"}", got the end of the line'),
        (b"9up 1", 'line 1: expected a metric name, got "9up 1"'),
        (b"up-x 1", 'line 1: expected a value after "up", got "-x 1"'),
        (b"up one", 'line 1: expected a number as the value, got "one"'),
        (b"up 1_000", 'line 1: expected a number as the value, got "1_000"'),
        (b"up 0x1p4", 'line 1: expected a number as the value, got "0x1p4"'),
        (b"up 1\r\n", 'line 1: expected a number as the value, got "1\\r"'),
        (b"up 1 2 3", 'line 1: expected value and timestamp after the series, got " 1 2 3"'),
        (b"up 1 1.5", 'line 1: expected a timestamp in whole milliseconds, got "1.5"'),
        (b"up 1 +-1", 'line 1: expected a timestamp in whole milliseconds, got "+-1"'),
        (
            b"up 1 99999999999999999999",
            'line 1: expected a timestamp in whole milliseconds, got "99999999999999999999"',
        ),
        (b'up{a="b" 1', 'line 1: the labels are not closed by a brace in "up{a="b" 1"'),
        (b'{"up" 1', 'line 1: the labels are not closed by a brace in "{"up" 1"'),
        (b'up{a="b} 1', 'line 1: the labels are not closed by a brace in "up{a="b} 1"'),
        (b"up{a=b} 1", 'line 1: expected a value in double quotes for label "a" in "up{a=b}"'),
        (b"up{a} 1", 'line 1: expected "=" after label name "a" in "up{a}"'),
        (b'up{"a"} 1', 'line 1: expected "=" after label name "a" in "up{"a"}"'),
        (b'up{a="b"c="d"} 1', 'line 1: expected "," or "}" after label "a", got "c="d"" in "up{a="b"c="d"}"'),
        (b'up{a="b",,} 1', 'line 1: expected a label name, got "," in "up{a="b",,}"'),
        (b'up{1="b"} 1', 'line 1: expected a label name, got "1="b"" in "up{1="b"}"'),
        (b'up{a="b",a="c"} 1', 'line 1: label name "a" is not unique in "up{a="b",a="c"}"'),
        (b'{a="b"} 1', 'line 1: expected a metric name before or inside the labels of "{a="b"}"'),
        (b'up{a="\xff"} 1', 'line 1: "\\xff" is not valid UTF-8'),
        (b"# TYPE up gage", 'line 1: invalid metric type "gage" of "up"'),
        (b"# TYPE up info", 'line 1: invalid metric type "info" of "up"'),
        (b"# TYPE 9up gauge", 'line 1: expected a metric name after TYPE in "# TYPE 9up gauge"'),
        (b"# HELP up \xff", 'line 1: "\\xff" is not valid UTF-8'),
        (b"x" * 100, f'line 1: expected a value after "{"x" * 77}...", got the end of the line'),
    ],
)
def test_what_is_wrong_with_a_text_page(body: bytes, message: str) -> None:
    """The message names the line and shows the piece."""
    with pytest.raises(FormatError) as caught:
        parse(body)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"up 1\n", 'the page does not end with "# EOF": it was cut short or is not OpenMetrics'),
        (b"# EOFx\n", 'line 1: there is text after "# EOF"'),
        (b"up 1\n# EOF\nup 2\n", 'line 2: there is text after "# EOF"'),
        (b"up 1\n\nx 1\n# EOF\n", 'line 2: expected a metric name, got ""'),
        (b" up 1\n# EOF\n", 'line 1: expected a metric name, got " up 1"'),
        (b"up  1\n# EOF\n", f'line 1: {SPACING} "  1"'),
        (b'up {a="b"} 1\n# EOF\n', 'line 1: OpenMetrics allows no space before the labels in "up {a="b"}"'),
        (b"# a comment\n# EOF\n", 'line 1: OpenMetrics allows only HELP, TYPE and UNIT comments, got "# a comment"'),
        (b"# TYPE up untyped\n# EOF\n", 'line 1: invalid metric type "untyped" of "up"'),
        (b"# UNIT up seconds\n# EOF\n", 'line 1: unit "seconds" is not a suffix of metric "up"'),
        (b"up 1 NaN\n# EOF\n", 'line 1: expected a timestamp in seconds, got "NaN"'),
        (b"up 1 1e300\n# EOF\n", 'line 1: expected a timestamp in seconds, got "1e300"'),
        (b"up 1 # {a=\"b\"}\n# EOF\n", f'line 1: {SPACING} " 1 # {{a="b"}}"'),
        (b'up 1 # {a="' + b"b" * 128 + b'"} 1\n# EOF\n',
         "line 1: the labels of an exemplar have more than 128 characters"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_openmetrics_page(body: bytes, message: str) -> None:
    """OpenMetrics is stricter: its end is marked, and spaces stand where they must."""
    with pytest.raises(FormatError) as caught:
        parse(body, openmetrics=True)
    assert str(caught.value) == message


def test_an_end_marker_inside_a_help_text_is_no_end() -> None:
    """Only a line of its own ends the page."""
    page = parse(b"# TYPE x gauge\n# HELP x says # EOF\nx 1\n# EOF\n", openmetrics=True)
    assert page.metadata["x"].help == "says # EOF"


def test_a_hostile_line_takes_no_time() -> None:
    """The expressions do not backtrack: a long line that fails at its end is refused at once."""
    with pytest.raises(FormatError):
        split_sample(b"up{" + b'a="' * 50_000)
