"""Everything is traced into memory, and metrics are read as differences: the registry is the process's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mirante.metrics import REGISTRY
from mirante.tracing import PROVIDER, Pipeline, Sampler, Span
from mirante.tracing.sampling import AlwaysOn

SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4


@contextmanager
def recording(sampler: Sampler | None = None) -> Iterator[list[Span]]:
    """Spans of this block, in the order in which they ended."""
    spans: list[Span] = []
    before = PROVIDER.pipeline
    PROVIDER.pipeline = Pipeline(spans.append, sampler or AlwaysOn())
    try:
        yield spans
    finally:
        PROVIDER.pipeline = before


def samples(prefix: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples whose name begins so, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith(prefix)
    }


class Counted:
    """Counts what a block adds to a metric.

    Example:
        >>> counted = Counted("jobs_total")
        >>> counted(state="ok")
        0.0
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._before = samples(name)

    def __call__(self, **labels: str) -> float:
        """What was added to all series that have these labels."""
        wanted = set(labels.items())
        return sum(
            value - self._before.get(key, 0.0)
            for key, value in samples(self.name).items()
            if key[0] == self.name and wanted <= key[1]
        )


class Web:
    """An HTTP server that remembers the headers of what it was asked.

    Attributes:
        url: without a slash at the end.
        port: where it listens.
        seen: headers of each request, names in lower case.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.seen: list[Mapping[str, str]] = []


@contextmanager
def web() -> Iterator[Web]:
    """Answers with the status that the path ends in, 200 where it ends in none; /302 leads to /200."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            peer.seen.append({name.lower(): value for name, value in self.headers.items()})
            last = self.path.partition("?")[0].rpartition("/")[2]
            self.send_response(int(last) if last.isdigit() else 200)
            if last == "302":
                self.send_header("Location", "/200")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_BREW = do_GET  # noqa: N815 - the handler's own names

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    peer = Web(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def header(span: Span) -> str:
    """The traceparent that goes out during that span."""
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.flags:02x}"


def exception_texts(span: Span) -> list[str]:
    """Everything that a span says of what went wrong."""
    texts = [span.status_message]
    for event in span.events:
        texts += [str(value) for value in event.attributes.values()]
    return texts
