"""``mirante query`` against a real server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import cramjam
import pytest
from typer.testing import CliRunner

from mirante.cli.main import app, main
from mirante.cli.query import default_step, draw, moment
from mirante.errors import ConfigError
from tests.peers import Peer, fetch, mirante, wait_for
from tests.write_request import write_request

pytestmark = pytest.mark.slow

START = int(time.time()) // 60 * 60 - 600


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """With a minute of two series."""
    with mirante(tmp_path_factory.mktemp("query"), "--no-host-metrics") as peer:
        series = [
            ({"__name__": "jobs", "name": name}, [((START + at) * 1000, at + number / 2) for at in range(0, 61, 15)])
            for number, name in enumerate("ab")
        ]
        body = bytes(cramjam.snappy.compress_raw(write_request(series)))
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        assert fetch(peer.url + "/api/v1/write", data=body, headers=headers)[0] == 204
        wait_for(lambda: len(peer.query("jobs", time=START + 60)) == 2, what="the samples")
        yield peer


def ask(server: Peer, *arguments: str) -> str:
    """What is printed."""
    result = CliRunner().invoke(app, ["query", "--server", server.url, *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_an_instant_query_is_a_table(server: Peer) -> None:
    """Series and value; a scalar is its value alone; nothing is said so."""
    assert ask(server, "jobs", "--time", str(START + 60)) == 'jobs{name="a"}  60\njobs{name="b"}  60.5\n'
    assert ask(server, "sum by (name) (jobs)", "--time", str(START)).startswith('{name="a"}')
    assert ask(server, "1+1") == "2\n"
    assert ask(server, "jobs") == "no series\n"


def test_a_range_query_is_a_line_for_every_sample(server: Peer) -> None:
    """Where it goes to a file or a pipe."""
    out = ask(server, "jobs", "--start", str(START), "--end", str(START + 30), "--step", "15")
    assert len(out.splitlines()) == 6
    assert out.splitlines()[1].endswith(".000  15")


def test_json_and_csv(server: Peer) -> None:
    """For other programs."""
    data = json.loads(ask(server, "jobs", "--time", str(START), "--json"))
    assert data["result"][0]["metric"] == {"__name__": "jobs", "name": "a"}
    assert ask(server, "jobs", "--start", str(START), "--end", str(START), "--step", "1", "--csv") == (
        f"__name__,name,timestamp,value\njobs,a,{START},0\njobs,b,{START},0.5\n"
    )
    assert ask(server, "2", "--time", str(START), "--csv") == f"timestamp,value\n{START},2\n"


def test_an_explanation_shows_plan_sql_and_cost(server: Peer) -> None:
    """Of every node; what the engine read for it stands with it."""
    out = ask(server, "sum(rate(jobs[1m]))", "--time", str(START + 60), "--explain")
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0].startswith("query  (")
    assert any(line.strip().startswith("sum  (") for line in lines)
    assert any(line.strip().startswith("rate(...)  (") for line in lines)
    assert "FROM samples" in out
    assert "8 rows from" in out
    long = "sum(rate(jobs[1m]))", "--start", str(START), "--end", str(START + 600), "--step", "1", "--explain"
    assert "kept from before" not in ask(server, *long)
    assert "1,202 kept from before" in ask(server, *long)


def test_a_graph_has_axes_and_a_legend(
    server: Peer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As wide as the terminal; of many series the first six."""
    monkeypatch.setenv("COLUMNS", "60")
    data = json.loads(ask(server, "jobs", "--start", str(START), "--end", str(START + 60), "--step", "15", "--json"))
    draw(data)
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 12 + 1 + 2
    assert all(len(line) <= 60 for line in out)
    assert out[0].split()[0] == "60.5"
    assert out[-1] == '● jobs{name="b"}  min 0.5, max 60.5, last 60.5'
    draw({"result": data["result"] * 4})
    assert capsys.readouterr().out.splitlines()[-1] == "and 2 more series; --json and --csv give all"
    draw({"result": []})
    assert capsys.readouterr().out == "no series\n"


def test_in_a_terminal_a_range_is_drawn(server: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without being asked."""
    drawn: list[object] = []
    monkeypatch.setattr("mirante.cli.query.draw", drawn.append)
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    ask(server, "jobs", "--start", str(START), "--end", str(START + 60))
    assert len(drawn) == 1


def test_notes_go_to_standard_error(server: Peer) -> None:
    """So that the answer can be piped."""
    result = CliRunner().invoke(app, ["query", "--server", server.url, "rate(jobs[1m])", "--time", str(START + 60)])
    assert "might not be a counter" in result.stderr
    assert "might not" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sum("], "1:5: parse error"),
        (["up", "--time=-1x"], "'-1x' is no time"),
        (["up", "--server", "http://127.0.0.1:9"], "cannot be reached"),
        (["up", "--server", "nowhere"], "expected a URL"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    server: Peer, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 1 or 2."""
    monkeypatch.setattr("sys.argv", ["mirante", "query", "--server", server.url, *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code in {1, 2}
    assert words in capsys.readouterr().err


def test_another_server_s_answer_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A page where JSON should be; the token is sent."""
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.headers["Authorization"])
            self.send_response(404)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as other:
        thread = threading.Thread(target=other.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{other.server_port}"
        monkeypatch.setattr("sys.argv", ["mirante", "query", "up", "--server", url, "--token", "t"])
        with pytest.raises(SystemExit):
            main()
        thread.join()
    assert "answered 404 and no JSON: is it a mirante server?" in capsys.readouterr().err
    assert seen == ["Bearer t"]


def test_times_are_read_as_people_write_them() -> None:
    """Durations count from now, numbers and dates go to the server as they are."""
    assert float(moment("now")) - float(moment("-1h")) == pytest.approx(3600, abs=60)
    assert float(moment("+1m")) - float(moment("now")) == pytest.approx(60, abs=60)
    assert (moment("-5"), moment("2026-01-02T03:04:05Z")) == ("-5", "2026-01-02T03:04:05Z")
    with pytest.raises(ConfigError):
        moment("-soon")
    assert default_step("0", "1000") == "4.000"
    assert default_step("0", "10") == "1.000"
    assert default_step("2026-01-02T03:04:05Z", "1000") == "60"
