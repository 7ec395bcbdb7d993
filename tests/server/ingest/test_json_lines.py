"""Log records as lines of JSON at the door."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.errors import StoreError, StoreFullError
from mirante.server.ingest import json_lines
from mirante.server.ingest.json_lines import nanoseconds, read_object, text
from tests.server.asgi import Reply, call
from tests.server.ingest.conftest import NOW, Door
from tests.server.ingest.logs import Stored, stored

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def post(door: Door, *lines: object, parameters: str = "", encoding: str = "", raw: bytes | None = None) -> Reply:
    """Send lines: bytes as they are, all else as JSON."""
    body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    headers = {"content-type": "application/stream+json", "content-encoding": encoding}
    url = f"/insert/jsonline?{parameters}"
    return asyncio.run(call(door.app, "POST", url, body if raw is None else raw, headers))


def test_defaults(door: Door) -> None:
    """Message, time, level, service and ids are found under their usual names; the rest become attributes."""
    line = {
        "timestamp": "2023-11-14T22:13:20.000000007Z",
        "level": "warning",
        "event": "paid",
        "service": "shop",
        "trace_id": TRACE,
        "span_id": SPAN,
        "order": {"id": 7, "items": ["milk", 2], "note": None},
        "gift": True,
    }
    reply = post(door, line)
    assert (reply.status, reply.json()) == (200, {"accepted": 1, "rejected": 0, "errors": []})
    attributes = {"level": "warning", "order.id": "7", "order.items": '["milk",2]', "gift": "true"}
    resource = {"service.name": "shop", "service": "shop"}
    assert stored(door.log) == [Stored(resource, NOW + 7, "paid", (13, "warning"), attributes, (TRACE, SPAN))]
    assert door.counted() == {"json_lines/200": 1, "logs/accepted": 1, "logs/rejected": 0}


def test_parameters(door: Door) -> None:
    """The parameters of VictoriaLogs say which field is what."""
    line = {"log": {"message": "hello"}, "date": str(NOW), "host": "a", "app": "shop", "message": "other"}
    reply = post(door, line, parameters="_msg_field=text,log.message&_time_field=date&_stream_fields=host,%20app")
    assert reply.status == 200
    resource = {"service.name": "shop", "host": "a", "app": "shop"}
    assert stored(door.log) == [Stored(resource, NOW, "hello", (0, ""), {"message": "other"}, ("", ""))]


@pytest.mark.parametrize("time", [{}, {"_time": 0}, {"_time": "0"}, {"_time": ""}, {"_time": None}])
def test_no_time(door: Door, time: dict[str, Any]) -> None:
    """A record without a time has that of its arrival."""
    assert post(door, {"_msg": "x", **time}).status == 200
    assert [(one.time, one.attributes) for one in stored(door.log)] == [(NOW, {})]


def test_bad_lines_do_not_harm_good_ones(door: Door) -> None:
    """What is wrong with a line is told with its number; blank lines count as lines and are no records."""
    reply = post(
        door, {"msg": "a"}, b"", b"{oops", [1], b"  ", {}, {"msg": "b", "_time": "soon"}, {"msg": "c", "_time": 5},
        {"msg": "d"}, b"",
    )  # fmt: skip
    assert reply.status == 200
    answer = reply.json()
    assert (answer["accepted"], answer["rejected"]) == (2, 5)
    assert [error["line"] for error in answer["errors"]] == [3, 4, 6, 7, 8]
    reasons = [error["reason"] for error in answer["errors"]]
    assert reasons[0].startswith("it is not JSON: ")
    assert reasons[1:4] == ["it is not a JSON object", "the object has no field with a value", "'soon' is not a time"]
    assert reasons[4] == (
        "its time, 1970-01-01T00:00:05Z, is before 2023-11-13T22:13:20Z: older logs are not kept (retention.logs)"
    )
    assert [one.body for one in stored(door.log)] == ["a", "d"]
    assert door.counted()["logs/rejected"] == 5


def test_nothing_but_bad_lines(door: Door) -> None:
    """Where no line can be taken the request is refused with the first reason."""
    reply = post(door, *[b"{"] * 30)
    assert (reply.status, reply.headers["content-type"]) == (400, "application/problem+json")
    answer = reply.json()
    assert answer["detail"].startswith("No line could be taken; line 1: it is not JSON: ")
    assert (answer["rejected"], len(answer["errors"])) == (30, 20)
    assert door.log.bodies == []


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("zstd", lambda b: bytes(cramjam.zstd.compress(b))), ("identity", bytes)],
)
def test_packed(door: Door, encoding: str, pack: Any) -> None:
    """Bodies may be packed."""
    reply = post(door, raw=pack(b'{"msg":"a"}\n{"msg":"b"}\n'), encoding=encoding)
    assert reply.json() == {"accepted": 2, "rejected": 0, "errors": []}


def test_several_gzip_members(door: Door) -> None:
    """A gzip body may have several members, and a line may begin in one and end in the next."""
    raw = gzip.compress(b'{"msg":"a"}\n{"ms') + gzip.compress(b'g":"b"}')
    assert post(door, raw=raw, encoding="gzip").json()["accepted"] == 2


@pytest.mark.parametrize(
    ("raw", "encoding", "status", "detail"),
    [
        (b"x", "gzip", 400, "The body is not valid gzip: "),
        (gzip.compress(b"{}", mtime=0)[:-9], "gzip", 400, "The body is not valid gzip: it ends too early."),
        (b"x", "zstd", 400, "The body is not valid zstd: "),
        (b"x", "br", 415, "The content encoding 'br' is not one of "),
        (bytes(10_001), "zstd", 413, "The body has more than 10000 bytes; send smaller requests."),
    ],
)
def test_bodies_that_cannot_be_unpacked(door: Door, raw: bytes, encoding: str, status: int, detail: str) -> None:
    """The answer says what is wrong."""
    reply = post(door, raw=raw, encoding=encoding)
    assert (reply.status, reply.json()["detail"][: len(detail)]) == (status, detail)


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (StoreFullError("full"), "There is no room to store it: full."),
        (StoreError("gone"), "It cannot be stored now: gone."),
    ],
)
def test_no_room(door: Door, error: StoreError, detail: str) -> None:
    """A store without room asks for patience and says how much was taken."""
    door.log.error = error
    reply = post(door, {"msg": "a"})
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert reply.json() == {
        "title": "Not everything was taken", "status": 503, "detail": detail,
        "accepted": 0, "rejected": 0, "errors": [], "lines": 0,
    }  # fmt: skip
    assert door.counted() == {"json_lines/503": 1}


plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """The expected fields, the obvious way."""
    if not isinstance(value, dict):
        return {} if value is None else {path[1:]: value}
    found: dict[str, Any] = {}
    for name, item in value.items():
        found |= leaves(item, f"{path}.{name}")
    return found


@given(st.dictionaries(st.text(max_size=3), values, max_size=4))
def test_objects_are_flattened(value: dict[str, Any]) -> None:
    """Every leaf is a field under its path; lists are their JSON."""
    expected = {
        name: json.loads(json.dumps(item)) if isinstance(item, list) else item for name, item in leaves(value).items()
    }
    try:
        fields = read_object(json.dumps(value).encode())
    except ValueError:
        assert not expected
        return
    got = {n: json.loads(str(v)) if isinstance(expected.get(n), list) else v for n, v in fields.items()}
    assert got == expected


def test_bottomless_objects_are_cut() -> None:
    """What lies very deep is kept as JSON."""
    deep = b'{"a":' * 60 + b"1" + b"}" * 60
    assert list(read_object(deep)) == [".".join(["a"] * 33)]


def test_lines_that_are_too_long(door: Door) -> None:
    """They are refused, the others taken."""
    answer = post(door, b'{"msg":"' + b"x" * (1 << 20) + b'"}', {"msg": "a"}).json()
    assert (answer["accepted"], answer["errors"]) == (1, [{"line": 1, "reason": "the line is too long"}])


def test_many_resources(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of resources has a bound, beyond which all goes on as before."""
    monkeypatch.setattr(json_lines, "_MAX_RESOURCES", 2)
    assert post(door, *[{"msg": "a", "service": f"s{n % 4}"} for n in range(12)]).json()["accepted"] == 12
    assert [one.resource["service.name"] for one in stored(door.log)].count("s3") == 3


@given(st.integers(10**18, 4 * 10**18), st.sampled_from([0, 3, 6, 9]))
def test_times_by_their_size(time: int, digits: int) -> None:
    """A number is read in the unit that its size tells, from 2001 to 2096, as number and as text."""
    cut = time // 10**digits
    assert nanoseconds(cut) == nanoseconds(str(cut)) == cut * 10**digits


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01 01:00:00.5+01:00", 5 * 10**8),
        ("1970-01-01t00:00:00,123456789999-0000", 123_456_789),
        ("1970-01-01T00:00:02", 2 * 10**9),
        (1.5, 1_500_000_000),
        ("1700000000.123456789", 1_700_000_000_123_456_789),
        (-1, -(10**9)),
    ],
)
def test_times(value: object, expected: int) -> None:
    """ISO 8601 in its usual spellings, and fractions."""
    assert nanoseconds(value) == expected


@pytest.mark.parametrize("value", ["soon", "2023-13-01T00:00:00Z", "NaN", True, 1e300, "[]"])
def test_times_that_are_none(value: object) -> None:
    """They are refused in words."""
    with pytest.raises(ValueError, match=r"is not a time|month must be"):
        nanoseconds(value)


def test_text_of_fields() -> None:
    """Other values than texts are their JSON."""
    assert [text(value) for value in ("a", 1, 1.0, False)] == ["a", "1", "1.0", "false"]


@settings(deadline=None)
@given(body=st.binary(max_size=60) | st.text(alphabet='{}[]":,_msg\n0time', max_size=60).map(str.encode))
def test_no_bytes_do_harm(body: bytes) -> None:
    """Any bytes are answered in words."""
    for encoding in ("", "gzip", "zstd"):
        reply = post(Door(), raw=body, encoding=encoding)
        assert reply.status in {200, 400, 413}
        assert reply.json()["accepted"] >= 0
