"""``mirante import`` as its user meets it."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mirante.cli.import_ import HttpTarget, Import, Piece, data_target, pieces
from mirante.cli.main import app
from mirante.errors import DeliveryError, FormatError, StoreFullError
from mirante.server.settings import ServerSettings
from mirante.server.store.api import Stream
from mirante.server.store.writer import LogWriter
from tests.peers import Peer, free_port, mirante, program, running, wait_for

GOOD = {"accepted": 1, "rejected": 0, "errors": []}


@given(
    st.lists(st.sampled_from([b"# TYPE a gauge\n", b"a 1 1\n", b"bcd 2 2\n", b"\n"]), max_size=30),
    st.integers(20, 60),
    st.booleans(),
)
def test_pieces_are_the_file_and_end_with_samples(lines: list[bytes], size: int, whole: bool) -> None:
    """No byte is lost, lines are counted right, and comments stay with the sample behind them."""
    text = b"".join(lines) + (b"" if whole else b"a 1 1")
    made, number = [], 1
    try:
        for piece in pieces(io.BytesIO(text), size):
            assert piece.first == number
            number += piece.lines
            made.append(piece)
    except FormatError:
        assert b"# TYPE a gauge\n" * 5 in text
        return
    assert b"".join(piece.text for piece in made) == text
    assert number - 1 == len(text.splitlines())
    assert not any(piece.text.splitlines()[-1].startswith(b"#") for piece in made[:-1])


def test_what_is_no_text_is_not_gathered() -> None:
    """A file without lines is refused before it fills the memory."""
    with pytest.raises(FormatError, match="line 1: no sample ends in 800 bytes"):
        list(pieces(io.BytesIO(bytes(10_000)), 100))


class Recorder:
    """Takes pieces."""

    def __init__(self, *answers: Any) -> None:
        self.pieces: list[bytes] = []
        self.answers = list(answers)

    def __call__(self, text: bytes) -> Any:
        self.pieces.append(text)
        return self.answers.pop(0) if self.answers else {"accepted": text.count(b"\n"), "rejected": 0, "errors": []}


def run(text: bytes, send: Recorder, from_line: int = 1) -> Import:
    """Import a text."""
    job = Import("f", send, from_line)
    job.run(io.BytesIO(text), lambda _: None)
    return job


def test_errors_have_the_lines_of_the_file() -> None:
    """Whatever piece a line came in, its number is the file's."""
    text = b"a 1 1\n" * (1 << 20) + b"# EOF\n"
    wrong = {"accepted": 5, "rejected": 30, "errors": [{"line": 3, "reason": "x"}] * 20}
    job = run(text, Recorder(wrong, wrong))
    second = (4 << 20) // 6 + 3
    assert job.errors == [(3, "x")] * 20
    assert (job.samples, job.refused, job.line) == (10, 60, (1 << 20) + 1)
    job = run(text, Recorder(GOOD, wrong))
    assert job.errors[0] == (second, "x")


@pytest.mark.parametrize(
    ("from_line", "sent"),
    [(1, b"a 1 1\nb 1 1\n# EOF\n"), (2, b"b 1 1\n# EOF\n"), (3, b"# EOF\n"), (4, None), (9, None)],
)
def test_going_on_at_a_line(from_line: int, sent: bytes | None) -> None:
    """What lies before it is read and not sent."""
    send = Recorder()
    job = run(b"a 1 1\nb 1 1\n# EOF\n", send, from_line)
    assert send.pieces == ([] if sent is None else [sent])
    assert job.line == 3


@pytest.mark.parametrize("text", [b"", b"a 1 1\n", b"a 1 1\n# EOF x\n"])
def test_a_file_that_was_cut_short(text: bytes) -> None:
    """What there is of it is stored, and its user is told."""
    send = Recorder()
    with pytest.raises(FormatError, match='f does not end with "# EOF"'):
        run(text, send)
    assert b"".join(send.pieces) == text


def test_two_files_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may follow the end, even where a piece ends with it."""
    monkeypatch.setattr("mirante.cli.import_.pieces", lambda _: [Piece(1, 1, b"# EOF\n"), Piece(2, 1, b"a 1 1\n")])
    with pytest.raises(FormatError, match='f:2: there is text after "# EOF"'):
        run(b"", Recorder())


@contextmanager
def answering(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that gives these answers, the last one for ever; its address, and the headers that it got."""
    left, got = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            got.append({name.lower(): value for name, value in self.headers.items()})
            status, headers, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Waiting:
    """A clock that moves only when somebody waits."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        """Take note."""
        self.waits.append(seconds)

    def now(self) -> float:
        """Seconds."""
        return sum(self.waits)


def target(url: str, waiting: Waiting, token: str | None = None) -> HttpTarget:
    """A target that does not really wait."""
    return HttpTarget(url, token, waiting.wait, waiting.now)


def test_a_server_without_room_is_waited_for() -> None:
    """As long as it asks, or longer and longer."""
    good: tuple[int, dict[str, str], bytes] = (200, {}, json.dumps(GOOD).encode())
    with answering((503, {"Retry-After": "5"}, b"{}"), (429, {}, b"later"), (429, {}, b""), good) as (url, got):
        waiting = Waiting()
        assert target(url + "/", waiting, "secret").send(b"a 1 1\n") == GOOD
    assert waiting.waits == [5.0, 1.0, 2.0]
    assert got[0]["authorization"] == "Bearer secret"
    assert got[0]["content-type"].startswith("application/openmetrics-text")


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, b'{"error":"A token is needed."}', "answered 401: A token is needed."),
        (413, b'{"detail":"Too large."}', "answered 413: Too large."),
        (404, b"Not Found\n", "answered 404: Not Found"),
        (200, b"<html>", "answered 200: <html>"),
    ],
)
def test_a_server_that_refuses(status: int, body: bytes, told: str) -> None:
    """What it says is told, and not asked again."""
    waiting = Waiting()
    with answering((status, {}, body)) as (url, _), pytest.raises(DeliveryError) as error:
        target(url, waiting).send(b"")
    assert str(error.value).endswith(told)
    assert waiting.waits == []


def test_a_server_that_is_away() -> None:
    """It is waited for, and then given up."""
    waiting = Waiting()
    with pytest.raises(DeliveryError, match="cannot reach .*is the server running"):
        target(f"http://127.0.0.1:{free_port()}", waiting).send(b"")
    assert 60 <= waiting.now() < 70


def test_the_command_tells_what_it_did(tmp_path: Path) -> None:
    """Counts on standard output, or JSON; refused lines make the exit code 1."""
    wrong = {"accepted": 3, "rejected": 25, "errors": [{"line": 2, "reason": "bad"}] * 20}
    file = tmp_path / "f.om.gz"
    file.write_bytes(gzip.compress(b"a 1 1\n# EOF\n"))
    with answering((200, {}, json.dumps(GOOD).encode()), (200, {}, json.dumps(wrong).encode())) as (url, _):
        good = CliRunner().invoke(app, ["import", str(file), "--server", url, "--json"])
        bad = CliRunner().invoke(app, ["import", "-", "--server", url], input=b"a 1 1\n# EOF\n")
    assert good.exit_code == 0
    document = json.loads(good.stdout)
    assert {name: document[name] for name in ("samples", "refused", "lines")} == {
        "samples": 1,
        "refused": 0,
        "lines": 2,
    }
    assert bad.exit_code == 1
    assert bad.stdout.startswith("3 samples stored, 25 lines refused; ")
    assert bad.stderr.splitlines() == ["standard input:2: bad"] * 20 + ["and 5 more"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot read {file}: No such file or directory; stored up to line 0; go on with --from-line 1"),
        (b"not packed", "cannot read {file}: "),
        (
            gzip.compress(b"a 1 1\n", mtime=0),
            '{file} does not end with "# EOF": it may have been cut short; stored up to line 1',
        ),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, content: bytes | None, told: str) -> None:
    """One line says what is wrong, and where to go on."""
    file = tmp_path / "f.gz"
    if content is not None:
        file.write_bytes(content)
    with answering((200, {}, json.dumps(GOOD).encode())) as (url, _):
        result = CliRunner().invoke(app, ["import", str(file), "--server", url])
    assert str(result.exception).startswith(told.format(file=file).partition("; stored")[0])


def om_file(path: Path, series: int, samples: int, start: int) -> Path:
    """Counters and gauges, a sample every 15 s."""
    with path.open("w") as file:
        file.write("# HELP reqs Requests.\n# TYPE reqs counter\n")
        for number in range(series):
            name = f'reqs_total{{i="{number}",path="/a b,\\"c\\"="}}'
            file.writelines(f"{name} {n * (number + 1) * 0.5} {start + 15 * n}\n" for n in range(samples))
        file.write("# TYPE temp gauge\n")
        for number in range(series):
            file.writelines(f'temp{{i="{number}"}} {(n % 7) - 3.25} {start + 15 * n}.25\n' for n in range(samples))
        file.write("# EOF\n")
    return path


def answers(peer: Peer, queries: Sequence[str], start: int, end: int) -> dict[str, Any]:
    """Range queries, at times beside those of the samples: their windows mean the same to all versions then."""
    found = {}
    for query in queries:
        answer = peer.get("/api/v1/query_range", query=query, start=start + 1, end=end + 1, step=60)
        found[query] = {
            tuple(sorted(one["metric"].items())): [(t, float(v)) for t, v in one["values"]]
            for one in answer["data"]["result"]
        }
    return found


QUERIES = [
    "reqs_total", "temp", "rate(reqs_total[5m])", "count_over_time(temp[10m])", "sum_over_time(reqs_total[3m])",
    "sum by (i) (avg_over_time(temp[4m]))", "max_over_time(temp[2m]) - min_over_time(temp[2m])",
]  # fmt: skip


@pytest.mark.slow
def test_the_same_as_promtool(tmp_path: Path) -> None:
    """A file imported here and one made into blocks for Prometheus answer alike; importing it again changes nothing."""
    start = int(time.time()) // 7200 * 7200 - 30 * 3600
    file = om_file(tmp_path / "f.om", 5, 600, start)
    promtool, prometheus = program("promtool"), program("prometheus")
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", str(file), str(tmp_path / "blocks")],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    (tmp_path / "prometheus.yml").write_text("scrape_configs: []\n")
    port = free_port()
    command = [
        prometheus, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'blocks'}",
        f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=1y",
    ]  # fmt: skip
    with running(command, f"http://127.0.0.1:{port}", "/-/ready", tmp_path / "prometheus.log") as peer:
        expected = answers(peer, QUERIES, start, start + 600 * 15)
    assert all(expected.values())
    with mirante(tmp_path, "--no-host-metrics") as ours:
        for _ in range(2):
            result = subprocess.run(
                [sys.executable, "-m", "mirante", "import", str(file), "--server", ours.url, "--json"],
                check=True, capture_output=True, timeout=120, text=True,
            )  # fmt: skip
            assert json.loads(result.stdout)["samples"] == 6000
        last = f'count(reqs_total{{i="4"}}) == 1 and count(temp{{i="4"}} @ {start + 600 * 15}) == 1'
        wait_for(lambda: ours.query(last, time=start + 600 * 15), what="the last sample")
        got = answers(ours, QUERIES, start, start + 600 * 15)
    for query in QUERIES:
        assert got[query].keys() == expected[query].keys(), query
        for key, values in expected[query].items():
            assert [t for t, _ in got[query][key]] == [t for t, _ in values], query
            assert [v for _, v in got[query][key]] == pytest.approx([v for _, v in values], rel=1e-12), query


def test_an_interrupted_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops it is told where to go on."""
    (tmp_path / "f").write_bytes(b"a 1 1\n" * (1 << 20))

    def interrupted(self: HttpTarget, text: bytes) -> Any:
        if text.startswith(b"a 1 1\n") and not sent:
            sent.append(text)
            return GOOD
        raise KeyboardInterrupt

    sent: list[bytes] = []
    monkeypatch.setattr(HttpTarget, "send", interrupted)
    result = CliRunner().invoke(app, ["import", str(tmp_path / "f")])
    line = sent[0].count(b"\n")
    assert str(result.exception) == f"interrupted; stored up to line {line}; go on with --from-line {line + 1}"


@pytest.mark.slow
def test_a_directory_without_room_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log is full its loading is waited for, and the piece counts once."""
    append, full = LogWriter.append, [True, False, True, True]

    def scarce(self: LogWriter, stream: Stream, bodies: Sequence[bytes]) -> None:
        if full.pop(0):
            raise StoreFullError("full")
        append(self, stream, bodies)

    monkeypatch.setattr(LogWriter, "append", scarce)
    with data_target(ServerSettings(data=tmp_path)) as send:
        answer = send(b"a 1 %d\n?\n" % time.time())
        assert (answer["accepted"], answer["rejected"]) == (1, 1)
        with pytest.raises(StoreFullError, match="full"):
            send(b"a 1 %d\n" % time.time())


@pytest.mark.slow
def test_into_a_directory(tmp_path: Path) -> None:
    """While no server runs, a data directory can be written to; a server that runs is told of."""
    start = int(time.time()) - 7200
    file = om_file(tmp_path / "f.om", 2, 10, start)
    command = [sys.executable, "-m", "mirante", "import", str(file), "--data", str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, timeout=120, text=True, check=False)
    old = tmp_path / "old.om"
    old.write_text("a 1 5\n# EOF\n")
    refused = subprocess.run(
        [*command[:-3], str(old), *command[-2:]], capture_output=True, timeout=120, text=True, check=False,
        env={**os.environ, "PROMETHEUS_RETENTION_DAYS": "2"},
    )  # fmt: skip
    assert refused.returncode == 1
    assert "older metrics are not kept (retention.metrics)" in refused.stderr
    assert done.stdout.startswith("40 samples stored, 0 lines refused; "), done.stderr
    with mirante(tmp_path, "--no-host-metrics") as ours:
        assert len(ours.query("reqs_total[3h]")) == 2
        busy = subprocess.run(command, capture_output=True, timeout=120, text=True, check=False)
    assert busy.returncode == 1
    assert "is in use by process" in busy.stderr
    assert "--server" in busy.stderr
