"""A real Prometheus scrapes native histograms and writes them to us: both show them the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mirante.formats.native_histogram import NativeHistogram, to_spans
from mirante.formats.protobuf import blob, delimited, double, int64, sint64, string, zigzag
from tests.peers import Peer, free_port, mirante, program, running, wait_for

pytestmark = pytest.mark.slow

HISTOGRAMS = {
    "whole": NativeHistogram(12, 5.5, 3, 0.001, 2, {0: 1, 1: 2, 7: 3, 300: 1}, {-3: 1, 4: 2}),
    "coarse": NativeHistogram(4, 1e30, -4, 1e-128, 0, {-1: 1, 0: 1, 60: 1, 64: 1}),
    "fine": NativeHistogram(3, 3.3, 8, 0.0, 0, dict.fromkeys((1, 2, 255), 1)),
    "empty": NativeHistogram(0, 0.0, 2, 0.5),
}


def exposition(scrapes: int) -> bytes:
    """All histograms in Prometheus's protobuf format, as many times as there were scrapes."""
    metrics = b""
    for kind, one in HISTOGRAMS.items():
        body = int64(1, int(one.count) * scrapes) + double(2, one.sum) + sint64(5, one.schema)
        body += double(6, one.zero_threshold) + int64(7, int(one.zero_count) * scrapes)
        for field, side in ((9, one.negative), (12, one.positive)):
            spans, counts = to_spans(side)
            before = 0
            deltas = []
            for count in counts:
                deltas.append(int(count) * scrapes - before)
                before = int(count) * scrapes
            body += b"".join(blob(field, sint64(1, offset) + int64(2, length)) for offset, length in spans)
            body += blob(field + 1, b"".join(map(zigzag, deltas))) if deltas else b""
        label = blob(1, string(1, "kind") + string(2, kind))
        metrics += blob(4, label + blob(7, body))
    return delimited(string(1, "latency") + string(2, "Help.") + int64(3, 4) + metrics)


@contextmanager
def target() -> Iterator[int]:
    """What is scraped, on a free port."""
    scrapes = 0

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal scrapes
            scrapes += 1
            body = exposition(scrapes)
            self.send_response(200)
            kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def pair(folder: Path, port: int) -> Iterator[tuple[Peer, Peer]]:
    """Prometheus, which scrapes that port, and mirante, to which it writes."""
    prometheus, own = program("prometheus"), free_port()
    with mirante(folder, "--no-host-metrics") as ours:
        config = folder / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
            f"remote_write: [{{url: '{ours.url}/api/v1/write', send_native_histograms: true,"
            " queue_config: {batch_send_deadline: 1s}}]\n"
            f"scrape_configs: [{{job_name: it, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
        )
        command = [prometheus, f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        command += [f"--web.listen-address=127.0.0.1:{own}", "--enable-feature=native-histograms"]
        with running(command, f"http://127.0.0.1:{own}", "/-/ready", folder / "prometheus.log") as theirs:
            yield theirs, ours


def matrix(peer: Peer, start: float, end: float) -> Any:
    """All histograms of a range query; numbers to twelve digits, as Prometheus's table of bounds has no more."""
    result = peer.get("/api/v1/query_range", query="latency", start=start, end=end, step=1)["data"]["result"]
    for series in result:
        for _, histogram in series["histograms"]:
            buckets = histogram.get("buckets", [])
            histogram["buckets"] = [[kind, *(f"{float(number):.12g}" for number in rest)] for kind, *rest in buckets]
    return sorted(result, key=lambda one: str(one["metric"]["kind"]))


def test_both_show_the_same(tmp_path: Path) -> None:
    """Every bucket of every schema, instant and ranged; the end of the target is the end of the series."""
    with ExitStack() as scraped, ExitStack() as peers:
        port = scraped.enter_context(target())
        theirs, ours = peers.enter_context(pair(tmp_path, port))
        wait_for(lambda: len(ours.query("latency")) == len(HISTOGRAMS), what="histograms to arrive")
        start = time.time()
        wait_for(lambda: time.time() > start + 5 and ours.query("up", time=start + 4), what="more scrapes")
        wait_for(
            lambda: matrix(theirs, start, start + 4) == matrix(ours, start, start + 4),
            what="the same histograms at every second",
        )
        shown = matrix(ours, start, start + 4)
        assert [one["metric"]["kind"] for one in shown] == sorted(HISTOGRAMS)
        assert all(len(one["histograms"]) == 5 for one in shown)
        assert ours.get("/api/v1/label/kind/values")["data"] == sorted(HISTOGRAMS)
        assert len(ours.get("/api/v1/series", **{"match[]": "latency"})["data"]) == len(HISTOGRAMS)
        scraped.close()
        wait_for(lambda: not theirs.query("latency"), what="Prometheus to end the series")
        wait_for(lambda: not ours.query("latency"), what="its staleness markers to arrive")
