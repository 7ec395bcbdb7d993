"""The ready-made checks against real ports, files and loops."""

from __future__ import annotations

import asyncio
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mirante.errors import CheckFailedError
from mirante.health import checks
from mirante.testing.clock import FakeClock


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers 200 on /good and 500 elsewhere."""

    def do_GET(self) -> None:
        """One request."""
        self.send_response(200 if self.path == "/good" else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Port of a real HTTP server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_tcp_connects(port: int) -> None:
    """To a port that listens; one that does not is an error."""
    assert checks.tcp("127.0.0.1", port)() == {"address": f"127.0.0.1:{port}"}
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="refused"):
            checks.tcp("127.0.0.1", closed.getsockname()[1])()


def test_http_expects_its_status(port: int) -> None:
    """The one that was asked for."""
    assert checks.http(f"http://127.0.0.1:{port}/good")()["status_code"] == 200
    assert checks.http(f"http://127.0.0.1:{port}/bad", expected=500)()["status_code"] == 500
    with pytest.raises(CheckFailedError, match="answered 500 instead of 200"):
        checks.http(f"http://127.0.0.1:{port}/bad")()


def test_sqlalchemy_runs_a_statement(tmp_path: Path) -> None:
    """On a real SQLite file, and on one in a folder that is not there."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    good = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    assert "a.db" in str(checks.sqlalchemy(good)()["database"])
    good.dispose()
    bad = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'no' / 'a.db'}")
    with pytest.raises(sqlalchemy.exc.OperationalError):
        checks.sqlalchemy(bad)()
    bad.dispose()


@pytest.mark.parametrize("answer", [True, False])
def test_redis_pings(answer: bool) -> None:
    """Anything with redis-py's ``ping``."""
    client: Any = SimpleNamespace(ping=lambda: answer)
    if answer:
        assert checks.redis(client)() == {}
    else:
        with pytest.raises(CheckFailedError, match="PING"):
            checks.redis(client)()


def test_disk_and_memory_know_their_limits(tmp_path: Path) -> None:
    """Limits that always and never hold."""
    assert checks.disk_space(str(tmp_path), 0.0)()["path"] == str(tmp_path)
    assert checks.memory(1.0)()
    with pytest.raises(CheckFailedError, match="room free"):
        checks.disk_space(str(tmp_path), 1.1)()
    with pytest.raises(CheckFailedError, match="memory is in use"):
        checks.memory(-1.0)()


def test_a_blocked_event_loop_lags() -> None:
    """A task that does not give way is seen from beside it."""

    async def blocked(limit: float) -> Any:
        checking = asyncio.create_task(checks.event_loop_lag(limit)())
        await asyncio.sleep(0)
        threading.Event().wait(0.05)
        return await checking

    assert asyncio.run(blocked(60.0))["lag_seconds"] > 0.03
    with pytest.raises(CheckFailedError, match="late"):
        asyncio.run(blocked(0.02))


def test_a_job_that_has_not_run_is_missed() -> None:
    """By a clock that the test moves."""
    clock = FakeClock()
    job = checks.JobRanWithin(60, clock)
    clock.advance(59)
    assert job() == {"seconds_ago": 59}
    clock.advance(2)
    with pytest.raises(CheckFailedError, match="61 s ago"):
        job()
    job.ran()
    assert job() == {"seconds_ago": 0}
