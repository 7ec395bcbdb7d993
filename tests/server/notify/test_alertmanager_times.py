"""The real Alertmanager and we agree on which time intervals it is in now."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from mirante.server.notify.config import read_config
from mirante.server.notify.intervals import contains, next_change
from tests.peers import fetch, free_port, program, running, wait_for

HOURS = [{"times": [{"start_time": f"{hour:02}:00", "end_time": f"{hour + 8:02}:00"}]} for hour in (0, 8, 16)]
DAY = {"times": [{"start_time": "06:00", "end_time": "18:00"}]}
WEEKDAYS = [{"weekdays": [days]} for days in ("monday:wednesday", "thursday:saturday", "sunday")]
SPANS: list[dict[str, Any]] = [
    *HOURS,
    *({**DAY, "location": place} for place in ("Asia/Tokyo", "America/Lima", "Local")),
    *WEEKDAYS,
    *({**days, "location": "Pacific/Kiritimati"} for days in WEEKDAYS),
    *({"days_of_month": [days]} for days in ("1:10", "11:20", "21:31", "-10:-1", "-20:-11", "15:-1")),
    *({"months": [months]} for months in ("january:june", "7:12")),
    *({"years": [years]} for years in ("2000:2025", "2026", "2027:2090")),
    {"weekdays": ["monday:friday"], **HOURS[0]},
    {},
]


@contextmanager
def listening(port: int) -> Iterator[set[str]]:
    """A server that notes the paths of what is posted to it."""
    paths: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            paths.add(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield paths
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def configuration(port: int) -> dict[str, Any]:
    """For each span a route that is muted in it and one that is active in it: one of the two always tells."""
    ways = [(way, f"{way}{number}") for number in range(len(SPANS)) for way in ("mute", "active")]
    routes = [
        {"receiver": name, "continue": True, f"{way}_time_intervals": [name.removeprefix(way)]} for way, name in ways
    ]
    receivers = [
        {"name": name, "webhook_configs": [{"url": f"http://127.0.0.1:{port}/{name}"}]}
        for name in ["root", *(n for _, n in ways)]
    ]
    intervals = [{"name": str(number), "time_intervals": [span]} for number, span in enumerate(SPANS)]
    return {
        "route": {"receiver": "root", "group_wait": "0s", "routes": routes},
        "receivers": receivers,
        "time_intervals": intervals,
    }


@pytest.mark.slow
def test_it_is_in_the_same_intervals(tmp_path: Path) -> None:
    """An alert comes by the route that is active now, and not by the one that is muted."""
    port, hooks = free_port(), free_port()
    path = tmp_path / "alertmanager.yml"
    path.write_text(yaml.safe_dump(configuration(hooks)))
    intervals = read_config(path).intervals
    start = round(time.time() * 1000)
    # What begins or ends while they run is left out.
    changes = {number: next_change(spans, start) for number, spans in intervals.items()}
    sure = [number for number, change in changes.items() if change is None or change > start + 600_000]
    command = [
        program("prometheus-alertmanager"),
        f"--config.file={path}",
        f"--storage.path={tmp_path}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    url = f"http://127.0.0.1:{port}"
    with listening(hooks) as told, running(command, url, "/-/ready", tmp_path / "log"):
        alert = json.dumps([{"labels": {"alertname": "A"}}]).encode()
        assert fetch(f"{url}/api/v2/alerts", data=alert, headers={"Content-Type": "application/json"})[0] == 200
        wait_for(
            lambda: all({f"/active{number}", f"/mute{number}"} & told for number in sure),
            what="one message for every interval",
        )
    for number in sure:
        inside = contains(intervals[number], start)
        assert {f"/{'active' if inside else 'mute'}{number}"} == {f"/active{number}", f"/mute{number}"} & told
