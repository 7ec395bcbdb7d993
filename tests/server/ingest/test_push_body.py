"""Bodies that are pushed to a Pushgateway."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante._core.model import Exemplar, MetricFamily, NativePoint, Sample
from mirante.errors import FormatError
from mirante.formats.exposition import render
from mirante.formats.metric_family import metric_family
from mirante.formats.protobuf import blob, delimited, double, int64, string
from mirante.server.ingest.push_body import OPENMETRICS, PROTOBUF, Family, read_families

TEXT = "text/plain"


def shape(families: list[Family]) -> dict[str, tuple[str, str, list[tuple[str, dict[str, str], float]]]]:
    """Families without what does not matter."""
    return {
        one.name: (one.type, one.help, [(s.name, dict(s.labels), s.value) for s in one.samples]) for one in families
    }


FAMILIES = [
    MetricFamily("jobs", "counter", "Jobs.", samples=(Sample("jobs_total", {"k": "a"}, 3.0),)),
    MetricFamily("size", "gauge", "", samples=(Sample("size", {}, -1.5), Sample("size", {"k": "b"}, 2.0))),
    MetricFamily(
        "took",
        "histogram",
        "Time.",
        samples=(
            Sample("took_bucket", {"k": "a", "le": "0.5"}, 1.0),
            Sample("took_bucket", {"k": "a", "le": "+Inf"}, 2.0),
            Sample("took_sum", {"k": "a"}, 1.25),
            Sample("took_count", {"k": "a"}, 2.0),
        ),
    ),
    MetricFamily(
        "wait",
        "summary",
        "Waits.",
        samples=(
            Sample("wait", {"quantile": "0.5"}, 7.0),
            Sample("wait_sum", {}, 9.0),
            Sample("wait_count", {}, 2.0),
        ),
    ),
    MetricFamily("odd", "unknown", "", samples=(Sample("odd", {}, 4.0),)),
]


def test_all_three_formats_say_the_same() -> None:
    """Text, OpenMetrics and protobuf of the same families are read as the same families."""
    text = shape(read_families(render(FAMILIES), TEXT))
    assert text == shape(read_families(render(FAMILIES, openmetrics=True), OPENMETRICS))
    assert text == shape(read_families(b"".join(map(metric_family, FAMILIES)), PROTOBUF))
    assert {name: kind for name, (kind, _, _) in text.items()} == {
        "jobs_total": "counter", "size": "gauge", "took": "histogram", "wait": "summary", "odd": "untyped"
    }  # fmt: skip
    assert text["took"][2][1] == ("took_bucket", {"k": "a", "le": "+Inf"}, 2.0)


def test_openmetrics_of_its_own() -> None:
    """What the text format has no type for becomes gauges under the names that the samples have."""
    body = b"""# TYPE v info
v_info{version="1"} 1
# TYPE s stateset
s{s="on"} 1
# TYPE g gaugehistogram
g_bucket{le="+Inf"} 2
g_gcount 2
g_gsum 3
# TYPE c counter
c_total 1 # {trace_id="x"} 1 2.5
c_created 5
# EOF
"""
    families = read_families(body, OPENMETRICS)
    assert {one.name: one.type for one in families} == {
        "v_info": "gauge", "s": "gauge", "g_bucket": "gauge", "g_gcount": "gauge", "g_gsum": "gauge",
        "c_total": "counter", "c_created": "gauge",
    }  # fmt: skip
    assert families[5].samples[0].exemplar == Exemplar({"trace_id": "x"}, 1.0, 2.5)


def test_names_that_only_look_like_parts() -> None:
    """A name with a suffix belongs to a family only where that has such parts."""
    body = b"# TYPE a gauge\na_sum 1\n# TYPE b summary\nb_bucket 1\nb_sum 2\n"
    body += b"# TYPE c histogram\n# TYPE c_sum gauge\nc_sum 3\n"
    assert {one.name: one.type for one in read_families(body, TEXT)} == {
        "a_sum": "untyped", "b_bucket": "untyped", "b": "summary", "c_sum": "gauge"
    }  # fmt: skip


def test_bounds_are_numbers() -> None:
    """However a client writes a bound, its series is the same."""
    body = b'# TYPE h histogram\nh_bucket{le="1"} 1\n# TYPE s summary\ns{quantile=".50"} 2\n'
    histogram, summary = read_families(body, TEXT)
    assert (histogram.samples[0].labels, summary.samples[0].labels) == ({"le": "1.0"}, {"quantile": "0.5"})


def protobuf(*fields: bytes, name: str = "m", kind: int = 1) -> bytes:
    """A family with one metric of those fields."""
    return delimited(string(1, name) + int64(3, kind) + blob(4, b"".join(fields)))


def test_protobuf_of_other_clients() -> None:
    """Exemplars are read, float counts too, and the bucket of everything is added where it is missing."""
    pair = blob(1, string(1, "trace_id") + string(2, "x"))
    exemplar = blob(3, pair + double(2, 0.25) + blob(3, int64(1, 7) + int64(2, 500_000_000)))
    plain = blob(3, int64(1, 1) + double(2, 0.5) + exemplar)
    floats = blob(3, double(4, 1.5) + double(2, 1.0))
    histogram = int64(1, 3) + double(2, 4.5) + plain + floats
    (family,) = read_families(protobuf(blob(7, histogram), kind=4), PROTOBUF)
    assert [(s.name, s.labels.get("le"), s.value) for s in family.samples] == [
        ("m_bucket", "0.5", 1), ("m_bucket", "1.0", 1.5), ("m_bucket", "+Inf", 3), ("m_sum", None, 4.5),
        ("m_count", None, 3),
    ]  # fmt: skip
    assert family.samples[0].exemplar == Exemplar({"trace_id": "x"}, 0.25, 7.5)
    (family,) = read_families(protobuf(blob(7, double(4, 2.5)), kind=4), PROTOBUF)
    assert [s.value for s in family.samples] == [2.5, 0, 2.5]
    (family,) = read_families(
        protobuf(blob(3, double(1, 2.0) + blob(2, double(2, 1.0))), int64(6, 9), kind=0), PROTOBUF
    )
    assert family.samples == (Sample("m", {}, 2.0, 0.009, Exemplar({}, 1.0)),)


def test_native_histograms() -> None:
    """They stand beside samples, and take the place of the classic buckets of the same histogram."""
    native = NativePoint({"k": "v"}, 0, 0.5, 1, 1.0, {0: 1}, {}, (Exemplar({"trace_id": "x"}, 0.25, None),))
    both = MetricFamily(
        "took", "histogram", "T.", samples=FAMILIES[2].samples, native=(native._replace(labels={"k": "a"}),)
    )
    families = read_families(
        metric_family(MetricFamily("m", "histogram", native=(native,))) + metric_family(both), PROTOBUF
    )
    assert [(one.name, one.type, len(one.samples), len(one.natives)) for one in families] == [
        ("m", "histogram", 0, 1), ("took", "histogram", 0, 1)
    ]  # fmt: skip
    (found,) = families[0].natives
    assert (found.labels, found.value.count, found.value.positive) == ({"k": "v"}, 2, {0: 1})
    assert found.exemplars == native.exemplars


@pytest.mark.parametrize(
    ("body", "media_type", "reason"),
    [
        (b"a 1\na{ 2\n", TEXT, "line 2: "),
        (b"# TYPE a histogram\na 1\n", TEXT, 'the sample "a" has no place in a histogram of that name'),
        (b"# TYPE a summary\na 1\n", TEXT, 'the sample "a" of a summary lacks the label "quantile"'),
        (b"# TYPE a histogram\na_bucket 1\n", TEXT, 'the sample "a_bucket" of a histogram lacks the label "le"'),
        (b'# TYPE a histogram\na_bucket{le="x"} 1\n', TEXT, 'expected a number as the value, got "x"'),
        (b"a 1\n", OPENMETRICS, "# EOF"),
        (b"\x05abc", PROTOBUF, "the page ends in the middle of a metric family"),
        (b"\xff", PROTOBUF, "there is no length of a metric family at byte 0"),
        (delimited(b"\x08\x01\xff"), PROTOBUF, "there is no metric family at byte 1"),
        (protobuf(blob(2, b""), name=""), PROTOBUF, "a metric family has no name"),
        (protobuf(kind=6), PROTOBUF, 'metric family "m" has the unknown type 6'),
        (protobuf(*[blob(1, string(1, "a"))] * 2, blob(2, b"")), PROTOBUF, 'label name "a" is not unique'),
    ],
)
def test_bodies_that_are_none(body: bytes, media_type: str, reason: str) -> None:
    """The reason says what is wrong and where."""
    with pytest.raises(FormatError) as error:
        read_families(body, media_type)
    assert reason in str(error.value)


values = st.floats(allow_nan=False)
names = st.sampled_from(["a", "b:c", "d_total", "e_sum"])


@given(st.dictionaries(names, st.lists(st.tuples(st.text(max_size=4), values), min_size=1, max_size=3), max_size=3))
def test_gauges_survive_text_and_protobuf(families: dict[str, list[tuple[str, float]]]) -> None:
    """Every label value and number is read as it was written."""
    made = [
        MetricFamily(name, "gauge", samples=tuple(Sample(name, {"k": k}, v) for k, v in samples))
        for name, samples in families.items()
    ]
    expected = {name: ("gauge", "", [(name, {"k": k}, v) for k, v in samples]) for name, samples in families.items()}
    assert shape(read_families(render(made), TEXT)) == expected
    assert shape(read_families(b"".join(map(metric_family, made)), PROTOBUF)) == expected


@given(st.binary(max_size=60) | st.text(alphabet='a{}="#TYPE \n1', max_size=60).map(str.encode))
def test_no_bytes_do_harm(body: bytes) -> None:
    """Any bytes are families, or refused in words."""
    for media_type in (TEXT, OPENMETRICS, PROTOBUF):
        try:
            families = read_families(body, media_type)
        except FormatError:
            continue
        assert all(one.name for one in families)
