"""The protobuf library reads our 2.0 requests and finds what was put in."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from mirante._core.model import Exemplar, MetricFamily, Sample
from mirante.formats.remote_write2 import write_request

NOW = 1_700_000_000_123
_T = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "string": _T.TYPE_STRING,
    "double": _T.TYPE_DOUBLE,
    "int32": _T.TYPE_INT32,
    "uint32": _T.TYPE_UINT32,
    "int64": _T.TYPE_INT64,
}
# A star marks a repeated field.
_MESSAGES = """
Sample: double value 1, int64 timestamp 2
Exemplar: uint32* labels_refs 1, double value 2, int64 timestamp 3
Metadata: int32 type 1, uint32 help_ref 3, uint32 unit_ref 4
TimeSeries: uint32* labels_refs 1, Sample* samples 2, Exemplar* exemplars 4, Metadata metadata 5, int64 created 6
Request: string* symbols 4, TimeSeries* timeseries 5
"""


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="request.proto", package="write2", syntax="proto3")
    for line in _MESSAGES.strip().splitlines():
        name, _, fields = line.partition(": ")
        message = file.message_type.add(name=name)
        for kind, field_name, number in (text.split() for text in fields.split(", ")):
            label = _T.LABEL_REPEATED if kind.endswith("*") else _T.LABEL_OPTIONAL
            made = message.field.add(name=field_name, number=int(number), label=label)
            made.type = _KINDS.get(kind.rstrip("*"), _T.TYPE_MESSAGE)
            if made.type == _T.TYPE_MESSAGE:
                made.type_name = f".write2.{kind.rstrip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("write2.Request"))


REQUEST = _message_class()


def read(body: bytes) -> list[tuple[dict[str, str], Any, list[dict[str, str]], tuple[int, str, str]]]:
    """Each series: labels, message, labels of its exemplars, metadata. Fails where the specification is not kept."""
    request = REQUEST.FromString(body)
    symbols = list(request.symbols)
    assert symbols[0] == ""
    assert len(set(symbols)) == len(symbols)

    def labels(refs: Any) -> dict[str, str]:
        names = [symbols[ref] for ref in refs[::2]]
        assert names == sorted(set(names))
        return dict(zip(names, (symbols[ref] for ref in refs[1::2]), strict=True))

    return [
        (
            labels(one.labels_refs),
            one,
            [labels(example.labels_refs) for example in one.exemplars],
            (one.metadata.type, symbols[one.metadata.help_ref], symbols[one.metadata.unit_ref]),
        )
        for one in request.timeseries
    ]


LABELS = st.dictionaries(st.text(min_size=1, max_size=4), st.text(min_size=1, max_size=200), max_size=4)
SAMPLES = st.lists(st.tuples(LABELS, st.floats(allow_nan=False), st.none() | st.integers(0, 2**40)), max_size=8)


@given(SAMPLES, st.text(max_size=20), st.text(max_size=5))
def test_any_family_reads_back(samples: Any, text: str, unit: str) -> None:
    """Every sample under its labels, in order; each text stands once among the symbols."""
    made = tuple(Sample("m", labels, value, at) for labels, value, at in samples)
    expected: dict[frozenset[tuple[str, str]], list[tuple[float, int]]] = {}
    for labels, value, at in samples:
        key = frozenset({**labels, "__name__": "m"}.items())
        expected.setdefault(key, []).append((value, NOW if at is None else at * 1000))
    found = read(write_request([MetricFamily("m", "gauge", text, unit, made)], NOW))
    assert {frozenset(ls.items()): [(s.value, s.timestamp) for s in one.samples] for ls, one, _, _ in found} == expected
    assert {about for _, _, _, about in found} <= {(2, text, unit)}


def test_a_histogram_has_metadata_exemplars_and_the_time_it_began() -> None:
    """The created sample is no series of its own; an empty label value is no label."""
    example = Exemplar({"trace_id": "abc"}, 0.4, 17.5)
    timeless = Exemplar({"trace_id": "def"}, 0.5)
    samples = (
        Sample("h_bucket", {"a": "1", "b": "", "le": "1.0"}, 1, exemplar=example),
        Sample("h_bucket", {"a": "1", "b": "", "le": "+Inf"}, 2, exemplar=timeless),
        Sample("h_count", {"a": "1", "b": ""}, 2),
        Sample("h_created", {"a": "1", "b": ""}, 12.5),
        Sample("h_count", {"a": "2"}, 2),
    )
    found = read(write_request([MetricFamily("h", "histogram", "Help.", "seconds", samples)], NOW))
    assert [labels for labels, _, _, _ in found] == [
        {"__name__": "h_bucket", "a": "1", "le": "1.0"},
        {"__name__": "h_bucket", "a": "1", "le": "+Inf"},
        {"__name__": "h_count", "a": "1"},
        {"__name__": "h_count", "a": "2"},
    ]
    assert [one.created for _, one, _, _ in found] == [12_500, 12_500, 12_500, 0]
    assert [examples for _, _, examples, _ in found] == [[{"trace_id": "abc"}], [{"trace_id": "def"}], [], []]
    assert [[e.timestamp for e in one.exemplars] for _, one, _, _ in found] == [[17_500], [NOW], [], []]
    assert {about for _, _, _, about in found} == {(3, "Help.", "seconds")}


def test_a_type_that_is_not_known_is_unspecified() -> None:
    """As the specification has it."""
    ((_, _, _, about),) = read(write_request([MetricFamily("m", "odd", samples=(Sample("m", {}, 1),))], NOW))
    assert about == (0, "", "")


def test_nothing_is_the_empty_symbol() -> None:
    """An empty request is valid."""
    assert read(write_request([], NOW)) == []
