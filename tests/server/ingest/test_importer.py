"""Metrics with their own timestamps at the door."""

from __future__ import annotations

import asyncio
import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.formats.exposition_parser import parse
from mirante.server.ingest import importer
from mirante.server.ingest.exchange import Bounds
from tests.server.asgi import Reply, call
from tests.server.ingest.conftest import NOW, Door, FixedClock
from tests.write_request import Written, bits, read

OPENMETRICS, TEXT = "application/openmetrics-text; version=1.0.0", "text/plain"
S = NOW // 10**9
MS = NOW // 10**6


def post(door: Door, body: bytes, content_type: str = OPENMETRICS) -> Reply:
    """Send it."""
    return asyncio.run(call(door.app, "POST", "/api/v1/import/prometheus", body, {"content-type": content_type}))


def written(door: Door) -> Written:
    """What was stored."""
    return read(body for stream, body in door.log.bodies if stream == "remote_write")


def test_openmetrics(door: Door) -> None:
    """Samples keep their own times, in seconds; comments become metadata, exemplars stay with their series."""
    body = f"""# HELP http_requests Requests.
# TYPE http_requests counter
http_requests_total{{path="/a b"}} 1 {S - 30}
http_requests_total{{path="/a b"}} 2 {S - 15}.5 # {{trace_id="x"}} 0.5 {S - 16}
http_requests_total{{path="/a b"}} 3e0 {S}.0
# TYPE depth gauge
# UNIT depth_bytes bytes
depth NaN {S}
# EOF
"""
    reply = post(door, body.encode())
    assert (reply.status, reply.json()) == (200, {"accepted": 4, "rejected": 0, "errors": []})
    found = written(door)
    assert found.of("http_requests_total", path="/a b") == [(MS - 30_000, 1.0), (MS - 14_500, 2.0), (MS, 3.0)]
    assert next(iter(found.exemplars.values())) == [({"trace_id": "x"}, 0.5, MS - 16_000)]
    assert bits(found.of("depth")[0][1]) == 0x7FF8000000000001
    assert sorted(found.metadata) == [
        (0, "depth_bytes", "", "bytes"), (1, "http_requests", "Requests.", ""), (2, "depth", "", "")
    ]  # fmt: skip
    assert door.counted() == {"import/200": 1, "metrics/accepted": 4, "metrics/rejected": 0}


def test_text(door: Door) -> None:
    """In the text format times are milliseconds, and may be missing."""
    body = f'# whatever\n\n  a{{b="1"}} 1 {MS - 5}\na{{b="1"}}  2\t{MS - 4} \na{{b="1"}} 3\n# EOF\na{{b="1"}} 4 {MS}\n'
    assert post(door, body.encode(), TEXT).json() == {"accepted": 4, "rejected": 0, "errors": []}
    assert written(door).of("a", b="1") == [(MS - 5, 1.0), (MS - 4, 2.0), (MS, 3.0), (MS, 4.0)]


@pytest.mark.parametrize(
    ("time", "shown"), [(S + 7200, "2023-11-15T00:13:20Z"), (10**13, "10000000000000000000000 ns")]
)
def test_times_in_the_future(door: Door, time: int, shown: str) -> None:
    """They are refused, however far ahead they are."""
    (error,) = post(door, b"a 1 %d\n" % time).json()["errors"]
    assert error["reason"] == f"its time, {shown}, lies in the future"


def test_a_series_is_written_once(door: Door) -> None:
    """However its lines are spread, a series stands once in a body, with all its samples."""
    lines = "".join(f"a {n} {S - n}\nb {n} {S - n}\n" for n in range(100))
    assert post(door, lines.encode()).json()["accepted"] == 200
    ((_, body),) = door.log.bodies
    assert body.count(b"__name__") == 2
    assert written(door).of("b")[99] == (MS - 99_000, 99.0)


def test_many_series(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of series has a bound, beyond which all goes on as before."""
    monkeypatch.setattr(importer, "_MAX_KNOWN", 3)
    lines = "".join(f"m{n % 5} {n} {S - n}\n" for n in range(20))
    assert post(door, lines.encode()).json()["accepted"] == 20
    assert {len(samples) for samples in written(door).samples.values()} == {4}


def test_bad_lines_do_not_harm_good_ones(door: Door) -> None:
    """What is wrong with a line is told with its number, whether its series is known already or not."""
    day = 86_400
    lines = [
        f"a 1 {S}", "a 2", f"a x {S}", "a 1 NaN", f"a 1 {S - 2 * day}", f"a{{ 1 {S}", "", "# bla", f"a 2 {S - 1}",
        f"a 1 {'9' * 400}", "b 1 2 3", "# EOF", f"a 3 {S - 2}", "# TYPE c gauge",
    ]  # fmt: skip
    answer = post(door, "\n".join(lines).encode()).json()
    assert (answer["accepted"], answer["rejected"]) == (2, 11)
    reasons = {error["line"]: error["reason"] for error in answer["errors"]}
    assert list(reasons) == [2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 14]
    assert reasons[2] == "the sample has no timestamp, and a file of the past needs one for each"
    assert reasons[3] == 'expected a number as the value, got "x"'
    assert reasons[4] == "expected a timestamp, got b'NaN'"
    assert reasons[5] == (
        "its time, 2023-11-12T22:13:20Z, is before 2023-11-13T22:13:20Z: older metrics are not kept (retention.metrics)"
    )
    assert reasons[7] == "a blank line is not allowed in OpenMetrics"
    assert reasons[13] == reasons[14] == 'there is text after "# EOF"'
    assert written(door).of("a") == [(MS, 1.0), (MS - 1000, 2.0)]
    assert door.counted()["metrics/rejected"] == 11


def test_nothing_but_bad_lines(door: Door) -> None:
    """Where no line can be taken the request is refused."""
    reply = post(door, b"?\n" + b"x" * (1 << 20) + b"x 1\n")
    assert reply.status == 400
    assert [error["line"] for error in reply.json()["errors"]] == [1, 2]
    assert reply.json()["errors"][1]["reason"] == "the line is too long"
    assert door.log.bodies == []


def test_times_before_1971() -> None:
    """Whoever keeps data for ever may import what is very old."""
    door = Door(bounds=Bounds(clock=FixedClock()))
    assert post(door, b"a 1 5\na 2 6\n").json()["accepted"] == 2
    assert written(door).of("a") == [(5000, 1.0), (6000, 2.0)]


names = st.sampled_from(["a", "b:c", "d_total"])
labels = st.dictionaries(st.sampled_from(["x", "y"]), st.text(alphabet='é"\\\n ,{}=#', max_size=4), max_size=2)
samples = st.tuples(names, labels, st.floats(), st.integers(MS - 80_000_000, MS))


def escaped(value: str) -> str:
    """A label value as the format has it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@settings(deadline=None)
@given(st.lists(samples, max_size=12))
def test_what_is_written_is_what_was_read(wanted: list[tuple[str, dict[str, str], float, int]]) -> None:
    """Every sample of a page ends in the log, bit for bit, as the page's own parser reads it."""
    lines = []
    for name, pairs, value, time in wanted:
        text = ",".join(f'{key}="{escaped(item)}"' for key, item in pairs.items())
        shown = "NaN" if math.isnan(value) else repr(value)
        lines.append(f"{name}{{{text}}} {shown} {time // 1000}.{time % 1000:03}\n")
    body = ("".join(lines) + "# EOF\n").encode()
    door = Door()
    assert post(door, body).json()["accepted"] == len(wanted)
    expected: dict[tuple[tuple[str, str], ...], list[tuple[int, bytes]]] = {}
    for one in parse(body, openmetrics=True).samples:
        key = {**one.labels, "__name__": one.name}
        assert one.timestamp is not None
        value = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0] if math.isnan(one.value) else one.value
        expected.setdefault(tuple(sorted((k, v) for k, v in key.items() if v)), []).append(
            (round(one.timestamp * 1000), struct.pack("<d", value))
        )
    got = {key: [(t, struct.pack("<d", v)) for t, v in found] for key, found in written(door).samples.items()}
    assert got == expected


@settings(deadline=None)
@given(
    st.binary(max_size=60) | st.text(alphabet='a{}="# EOF\n1.e9 +', max_size=60).map(str.encode),
    st.sampled_from([OPENMETRICS, TEXT]),
)
def test_no_bytes_do_harm(body: bytes, content_type: str) -> None:
    """Any bytes are answered in words."""
    assert post(Door(), body, content_type).status in {200, 400}
