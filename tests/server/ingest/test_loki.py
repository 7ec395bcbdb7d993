"""Loki's push at the door."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.errors import StoreFullError
from mirante.formats.protobuf import blob, int64, string
from mirante.server.ingest.exchange import Refusal
from mirante.server.ingest.loki import parse_labels
from tests.server.asgi import Reply, call
from tests.server.ingest.conftest import NOW, Door
from tests.server.ingest.logs import Stored, stored

JSON, PROTOBUF = "application/json", "application/x-protobuf"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def post(door: Door, body: bytes, content_type: str = JSON, encoding: str = "") -> Reply:
    """Push it."""
    headers = {"content-type": content_type, "content-encoding": encoding}
    return asyncio.run(call(door.app, "POST", "/loki/api/v1/push", body, headers))


def document(labels: Mapping[str, Any], *values: Sequence[Any]) -> bytes:
    """One stream in JSON."""
    return json.dumps({"streams": [{"stream": labels, "values": values}]}).encode()


def message(labels: str, *entries: tuple[int, str, Mapping[str, str]]) -> bytes:
    """One stream as a PushRequest, field by field as Loki's push.proto numbers them."""
    fields = [string(1, labels)]
    for time, line, metadata in entries:
        pairs = [blob(3, string(1, name) + string(2, value)) for name, value in metadata.items()]
        stamp = int64(1, time // 10**9) + int64(2, time % 10**9)
        fields.append(blob(2, blob(1, stamp) + string(2, line) + b"".join(pairs)))
    return blob(1, b"".join([*fields, int64(3, 12345)]))  # and the hash, which nobody needs


def packed(body: bytes) -> bytes:
    """In snappy's block format."""
    return bytes(cramjam.snappy.compress_raw(body))


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_json(door: Door, encoding: str) -> None:
    """A stream's labels become the resource, an entry a record, its structured metadata attributes."""
    body = document(
        {"service_name": "shop", "k8s_pod_name": "shop-1", "env": "prod"},
        [str(NOW), "level=warn out of milk"],
        [str(NOW + 1), "paid", {"order": "7", "trace_id": TRACE, "span_id": SPAN, "detected_level": "info"}],
    )
    reply = post(door, gzip.compress(body) if encoding else body, encoding=encoding)
    assert (reply.status, reply.body) == (204, b"")
    resource = {"service.name": "shop", "k8s.pod.name": "shop-1", "env": "prod"}
    assert stored(door.log) == [
        Stored(resource, NOW, "level=warn out of milk", (13, "warn"), {}, ("", "")),
        Stored(resource, NOW + 1, "paid", (9, "info"), {"order": "7", "detected_level": "info"}, (TRACE, SPAN)),
    ]
    assert door.counted() == {"loki/204": 1, "logs/accepted": 2, "logs/rejected": 0}


@pytest.mark.parametrize(("content_type", "encoding"), [(PROTOBUF, ""), (PROTOBUF, "snappy"), ("", ""), ("", "gzip")])
def test_protobuf(door: Door, content_type: str, encoding: str) -> None:
    """The same in protobuf, always packed by snappy, whether a header says so or not."""
    body = packed(message('{job="backup", level="error"}', (NOW, "lost", {"disk": "sda"}), (NOW + 1, "found", {})))
    reply = post(door, gzip.compress(body) if encoding == "gzip" else body, content_type, encoding)
    assert reply.status == 204, reply.text
    resource = {"service.name": "backup", "job": "backup", "level": "error"}
    assert stored(door.log) == [
        Stored(resource, NOW, "lost", (17, "error"), {"disk": "sda"}, ("", "")),
        Stored(resource, NOW + 1, "found", (17, "error"), {}, ("", "")),
    ]


def test_a_stream_without_a_service(door: Door) -> None:
    """Where no label tells the service, it has the name that Loki gives it."""
    assert post(door, document({"level": "info"}, [str(NOW), "x"])).status == 204
    assert stored(door.log)[0].resource["service.name"] == "unknown_service"


def test_ids_that_are_none_stay_attributes(door: Door) -> None:
    """Only what is an id in hexadecimal is taken for one."""
    metadata = {"trace_id": "abc", "span_id": "x" * 16, "traceId": "0" * 32}
    assert post(door, document({"job": "a"}, [str(NOW), "x", metadata])).status == 204
    assert stored(door.log)[0].attributes == metadata
    assert stored(door.log)[0].ids == ("", "")


def test_nothing_to_store(door: Door) -> None:
    """An empty push is good."""
    assert post(door, b'{"streams":[]}').status == 204
    assert post(door, packed(b""), PROTOBUF).status == 204
    assert door.log.bodies == []


def test_times_out_of_bounds(door: Door) -> None:
    """What is too old or too far ahead is refused and counted, the rest stored, and the sender told."""
    day = 86_400 * 10**9
    reply = post(door, document({"job": "a"}, [str(NOW - 2 * day), "old"], [str(NOW), "new"], [str(2 * NOW), "far"]))
    assert reply.status == 400
    assert reply.text.startswith("Not everything was stored: 2 entries have timestamps outside of ")
    assert [one.body for one in stored(door.log)] == ["new"]
    assert door.counted() == {"loki/400": 1, "logs/accepted": 1, "logs/rejected": 2}


@pytest.mark.parametrize(
    ("body", "content_type", "status", "sentence"),
    [
        (b"{", JSON, 400, "The body is not JSON: "),
        (b"[]", JSON, 400, 'The body must be an object with the list "streams".'),
        (b'{"streams":[1]}', JSON, 400, 'streams[0] must have the object "stream"'),
        (b'{"streams":[{"stream":{"a":1},"values":[]}]}', JSON, 400, 'streams[0] must have the object "stream"'),
        (b'{"streams":[{"stream":{"a":"1"}}]}', JSON, 400, 'streams[0] must have the object "stream"'),
        (document({}), JSON, 400, "streams[0]: a stream needs at least one label."),
        (document({"a-b": "1"}), JSON, 400, "streams[0]: 'a-b' is no name of a label."),
        (document({"a": "1"}, [str(NOW), "x"], ["soon", "x"]), JSON, 400, "streams[0]: values[1] must be ["),
        (document({"a": "1"}, [NOW, "x"]), JSON, 400, "streams[0]: values[0] must be ["),
        (document({"a": "1"}, [str(NOW), "x", {"n": 1}]), JSON, 400, "streams[0]: values[0] must be ["),
        (b"x", "text/plain", 415, "The content type must be application/json or application/x-protobuf."),
        (b"\xff\xff\xff\xff\xff\xff", PROTOBUF, 400, "The body is not valid snappy: "),
        (packed(b"junk"), PROTOBUF, 400, "The body is not a logproto.PushRequest."),
        (packed(message("job=1")), PROTOBUF, 400, "'job=1' are not the labels of a stream: "),
        (bytes(10_001), JSON, 413, "The body has more than 10000 bytes; send smaller requests."),
    ],
)
def test_a_bad_push_is_told_in_one_sentence(
    door: Door, body: bytes, content_type: str, status: int, sentence: str
) -> None:
    """Nothing is stored, and the answer says what is wrong and where."""
    reply = post(door, body, content_type)
    assert (reply.status, reply.text[: len(sentence)]) == (status, sentence)
    assert reply.text.endswith(".\n")
    assert door.log.bodies == []


def test_no_room(door: Door) -> None:
    """A full store asks for patience."""
    door.log.error = StoreFullError("full")
    reply = post(door, document({"job": "a"}, [str(NOW), "x"]))
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")


def quoted(value: str) -> str:
    """A string of Go's."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\x7f")


@given(st.dictionaries(st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]*", fullmatch=True), st.text(max_size=20), min_size=1))
def test_labels_survive_writing_and_reading(labels: dict[str, str]) -> None:
    """What is written as Loki's clients write it is read as it was."""
    text = ", ".join(f"{name}={quoted(value)}" for name, value in labels.items())
    assert parse_labels(f"{{{text}}}") == labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{a="1",}', {"a": "1"}),
        (" { a = '1' , b=`\\` } ", {"a": "1", "b": "\\"}),
        (r'{a="\x41é\t"}', {"a": "Aé\t"}),
    ],
)
def test_labels(text: str, expected: dict[str, str]) -> None:
    """Blanks, a last comma, and all of Go's quotes and escapes."""
    assert parse_labels(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "a stream needs at least one label"),
        ("", "expected an opening brace, got 'the end'"),
        ("{a}", "expected = after a, got '}'"),
        ("{a=}", "expected a string after a=, got '}'"),
        ('{a=~"1"}', "expected = after a, got '=~'"),
        ('{a="1"', "expected a comma or a closing brace, got 'the end'"),
        ('{a="1",,}', "expected a label name or a closing brace, got ','"),
        ('{a="1"} x', "expected nothing more, got 'x'"),
        ('{a:b="1"}', "'a:b' is no name of a label"),
        ('{a="1}', "unterminated quoted string"),
        (r'{a="\q"}', "unknown escape sequence"),
        (r'{a="\UFFFFFFFF"}', "int"),
        (r'{a="\U00110000"}', "chr()"),
    ],
)
def test_labels_that_are_none(text: str, reason: str) -> None:
    """The reason names what was expected."""
    with pytest.raises(Refusal) as error:
        parse_labels(text)
    assert error.value.status == 400
    assert reason in error.value.sentence


@settings(deadline=None)
@given(body=st.binary(max_size=80) | st.text(alphabet='{}[]":,stream values0123', max_size=60).map(str.encode))
def test_no_bytes_do_harm(body: bytes) -> None:
    """Any bytes are answered with 204 or with one sentence."""
    door = Door()
    for sent, content_type in ((body, JSON), (body, PROTOBUF), (packed(body), PROTOBUF)):
        reply = post(door, sent, content_type)
        assert reply.status == 204 or (reply.status in {400, 413} and reply.text.endswith(".\n"))


def test_otlp_where_loki_takes_it(door: Door) -> None:
    """The path of Loki's own OTLP endpoint takes OTLP logs."""
    reply = asyncio.run(call(door.app, "POST", "/otlp/v1/logs", b"", {"content-type": PROTOBUF}))
    assert reply.status == 200
