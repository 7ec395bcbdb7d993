"""OpenTelemetry's own instrumentations run on our provider against real servers, and their spans make one trace."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import requests
import sqlalchemy
import uvicorn
from fastapi import FastAPI
from opentelemetry import propagate
from opentelemetry import trace as api
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.util._once import Once

from mirante._core.spans import set_span_source
from mirante.correlation import bind, copy_context, current
from mirante.exporters.otlp_sender import OtlpSender
from mirante.tracing import Tracer, TracingSettings, start
from tests.peers import free_port, program, wait_for
from tests.sdk.tracing.receiver import Receiver

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

SERVER, CLIENT = 2, 3


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Everything is traced into a real receiver; calling it flushes and gives the spans."""
    monkeypatch.setattr(api, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(api, "_TRACER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", propagate.get_global_textmap())
    with Receiver() as receiver:
        running = start(TracingSettings(), OtlpSender(receiver.url), lambda: {"service.name": "test"})

        def spans() -> list[Any]:
            assert running.flush(60)
            return list(receiver.spans())

        yield spans
        running.shutdown(5.0)
        set_span_source(None)


@pytest.fixture
def web() -> Iterator[str]:
    """A plain HTTP server that answers with the traceparent it was sent."""

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (self.headers["traceparent"] or "").encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def instrumented(instrumentor: Any, **arguments: Any) -> Iterator[None]:
    """Switched on for a block."""
    instrumentor.instrument(**arguments)
    try:
        yield
    finally:
        instrumentor.uninstrument()


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """A real uvicorn in a thread."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started, what="uvicorn")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)


def ids(span: Any) -> tuple[str, str]:
    """Trace and span id."""
    return span.trace_id.hex(), span.span_id.hex()


def named(spans: list[Any], name: str) -> Any:
    """The one span of that name."""
    (found,) = [span for span in spans if span.name == name]
    return found


def attributes(span: Any) -> dict[str, Any]:
    """Its text and integer attributes."""
    return {item.key: item.value.string_value or item.value.int_value for item in span.attributes}


def test_requests_and_httpx(received: Any, web: str) -> None:
    """A client span each, with the address, whose ids are in the header that the server saw."""
    with instrumented(RequestsInstrumentor()), instrumented(HTTPXClientInstrumentor()), Tracer().start_span("op") as op:
        headers = [requests.get(web, timeout=60).text, httpx.get(web).text]
    spans = received()
    clients = [span for span in spans if span.kind == CLIENT]
    assert [f"00-{trace}-{span}-03" for trace, span in map(ids, clients)] == headers
    for span in clients:
        assert span.parent_span_id.hex() == f"{op.get_span_context().span_id:016x}"
        assert web in attributes(span).values()


def test_an_asynchronous_httpx_client(received: Any, web: str) -> None:
    """The same for the other kind of client, and a refused connection as an error."""

    async def main() -> str:
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(f"http://127.0.0.1:{free_port()}/")
            return (await client.get(web, timeout=60)).text

    with instrumented(HTTPXClientInstrumentor()):
        header = asyncio.run(main())
    refused, answered = [span for span in received() if span.kind == CLIENT]
    assert (refused.status.code, answered.status.code) == (2, 0)
    assert header == "00-{}-{}-03".format(*ids(answered))


def test_sqlalchemy(received: Any) -> None:
    """Statements on a real SQLite database, and a failing one as an error."""
    engine = sqlalchemy.create_engine("sqlite://")
    with instrumented(SQLAlchemyInstrumentor(), engine=engine), engine.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE orders (id INTEGER)"))
        with pytest.raises(sqlalchemy.exc.OperationalError):
            connection.execute(sqlalchemy.text("SELECT 1 FROM nowhere"))
    engine.dispose()
    spans = received()
    statements = {value for span in spans for value in attributes(span).values()}
    assert "CREATE TABLE orders (id INTEGER)" in statements
    failed = [span for span in spans if span.status.code == 2]
    assert [span.name.split()[0] for span in failed] == ["SELECT"]
    assert "no such table" in failed[0].status.message


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    """A real redis-server of its own."""
    port = free_port()
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen([*command, "--dir", str(tmp_path)], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(port), what="redis-server")
        yield port
    finally:
        process.terminate()
        process.wait(60)


def listens(port: int) -> bool:
    """Whether something takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_redis(received: Any, redis_port: int) -> None:
    """Commands and pipelines against a real server."""
    with instrumented(RedisInstrumentor()), redis.Redis(port=redis_port) as client, Tracer().start_span("op"):
        client.set("k", "v")
        assert client.get("k") == b"v"
        client.pipeline().incr("n").incr("n").execute()
    names = [span.name for span in received()]
    assert {"SET", "GET", "op"} <= set(names)
    assert any("INCR" in name for name in names)


def test_one_request_through_two_services_and_a_thread_is_one_trace(received: Any) -> None:
    """FastAPI to FastAPI over httpx, then a thread: one trace id everywhere, and in what a log line would say."""
    back, front = FastAPI(), FastAPI()
    seen: list[tuple[str | None, str | None]] = []

    @back.get("/stock/{item}")
    async def stock(item: str) -> dict[str, str | None]:
        return {"item": item, "trace": current().trace_id}

    @front.get("/order/{item}")
    async def order(item: str) -> dict[str, Any]:
        with bind(request_id="r-1"):
            async with httpx.AsyncClient() as client:
                answer = (await client.get(f"{back_url}/stock/{item}")).json()

            def later() -> None:
                with Tracer().start_span("later"):
                    seen.append((current().trace_id, current().request_id))

            await asyncio.to_thread(copy_context(later))
        return {"trace": current().trace_id, "below": answer["trace"]}

    for app in (back, front):
        FastAPIInstrumentor.instrument_app(app, exclude_spans=["send", "receive"])
    with instrumented(HTTPXClientInstrumentor()), serving(back) as back_url, serving(front) as front_url:
        with Tracer().start_span("caller") as caller:
            trace = f"{caller.get_span_context().trace_id:032x}"
            answer = httpx.get(f"{front_url}/order/7").json()
        for app in (back, front):
            FastAPIInstrumentor.uninstrument_app(app)
    assert answer == {"trace": trace, "below": trace}
    assert seen == [(trace, "r-1")]
    spans = received()
    assert {span.trace_id.hex() for span in spans} == {trace}
    order_span, stock_span = named(spans, "GET /order/{item}"), named(spans, "GET /stock/{item}")
    assert (order_span.kind, stock_span.kind) == (SERVER, SERVER)
    by_id = {span.span_id: span for span in spans}
    assert by_id[stock_span.parent_span_id].kind == CLIENT
    assert by_id[by_id[stock_span.parent_span_id].parent_span_id] is order_span
    assert by_id[named(spans, "later").parent_span_id] is order_span
    assert order_span.flags & 0x300 == 0x300
