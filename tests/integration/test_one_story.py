"""One request through two services, a thread and a worker is one trace, and its log lines carry it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import mirante
from mirante.integrations import catalog
from tests import peers
from tests.integration import story
from tests.sdk.otlp_receiver import Receiver, receiving

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROOT = Path(__file__).parents[2]
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
CHAIN = [
    ("GET /order/{item}", SERVER),
    ("GET", CLIENT),
    ("GET /stock/{item}", SERVER),
    ("send shop.reserve", PRODUCER),
    ("process shop.reserve", CONSUMER),
]
SHOP = "tests.integration.story_configured"
LINES = {"ordering", "looking up", "counted cup", "reserved"}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Takes everything; the environment says nothing else."""
    for name in [name for name in os.environ if name.startswith(("OTEL_", "MIRANTE_"))]:
        if name != "MIRANTE_RAISE_FAULTS":
            monkeypatch.delenv(name)
    with receiving() as found:
        yield found


def told(line: LogRecord) -> dict[str, str]:
    """The attributes of a line."""
    return {item.key: item.value.string_value for item in line.attributes}


def steps(receiver: Receiver) -> list[Span]:
    """The spans that the story is about."""
    return [span for span in receiver.spans() if (span.name, span.kind) in [*CHAIN, ("SELECT", CLIENT)]]


def check(receiver: Receiver, chain: list[tuple[str, int]]) -> None:
    """One trace from end to end, each span the child of the one before, and all lines with its ids."""
    spans = steps(receiver)
    before: Span | None = None
    for name, kind in chain:
        (span,) = [one for one in spans if (one.name, one.kind) == (name, kind)]
        if before is not None:
            assert (span.trace_id, span.parent_span_id) == (before.trace_id, before.span_id), name
        before = span
    assert before is not None
    by_name = {(span.name, int(span.kind)): span for span in spans}
    assert by_name["SELECT", CLIENT].parent_span_id == by_name["GET /stock/{item}", SERVER].span_id
    lines = {line.body.string_value: line for line in receiver.lines() if line.body.string_value in LINES}
    assert lines.keys() == LINES
    assert {line.trace_id for line in lines.values()} == {before.trace_id}
    assert {told(line)["request_id"] for line in lines.values()} == {"r-4711"}
    assert lines["reserved"].span_id == before.span_id
    assert lines["counted cup"].span_id == by_name["GET /stock/{item}", SERVER].span_id


def ask(url: str) -> None:
    """The customer, who has an id for the request."""
    status, body = peers.fetch(f"{url}/order/cup", headers={"X-Request-ID": "r-4711"})
    assert (status, json.loads(body)) == (200, {"item": "cup", "stock": "cup"})


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """A real uvicorn in a thread."""
    port = peers.free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    peers.wait_for(lambda: server.started, what="uvicorn")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)


def test_in_one_process(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two services on two ports, the task in the place where it is called."""
    story.jobs.conf.task_always_eager = True
    mirante.configure(service_name="shop", endpoint=receiver.url, log_stream="none")
    catalog.install("all")
    try:
        with serving(story.back) as back, serving(story.front) as front:
            monkeypatch.setenv("BACK_URL", back)
            ask(front)
        assert mirante.flush(60)
    finally:
        catalog.uninstall()
        mirante.disable()
    check(receiver, [step for step in CHAIN if step[1] != PRODUCER])


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A broker of its own."""
    port = peers.free_port()
    command = [peers.program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL)
    try:
        peers.wait_for(lambda: listens(port), what="redis-server")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(60)


def listens(port: int) -> bool:
    """Whether something takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Part:
    """One process of the shop."""

    def __init__(self, name: str, folder: Path, *command: str, **environment: str) -> None:
        self.output = folder / f"{name}.log"
        variables = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        variables |= {"OTEL_SERVICE_NAME": name, "PYTHONPATH": str(ROOT), **environment}
        with self.output.open("wb") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=folder, env=variables, stdout=sink, stderr=subprocess.STDOUT
            )

    def answers(self, url: str) -> bool:
        """Whether it serves; fails the test when it has ended."""
        assert self.process.poll() is None, self.output.read_text()
        try:
            return peers.fetch(f"{url}/openapi.json")[0] == 200
        except OSError:
            return False

    def has_said(self, text: str) -> bool:
        """Whether it has printed that; fails the test when it has ended."""
        output = self.output.read_text()
        assert self.process.poll() is None, output
        return text in output

    def stop(self) -> None:
        """Ask it to end, and wait until it has delivered what it had."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(60)


@pytest.mark.slow
def test_in_three_processes_with_a_broker(receiver: Receiver, tmp_path: Path) -> None:
    """Real uvicorns, a real redis-server, a real worker with a pool: each delivers what it has when it is ended."""
    front, back = (f"http://127.0.0.1:{peers.free_port()}" for _ in range(2))
    with ExitStack() as stack:
        broker = stack.enter_context(redis_server(tmp_path))
        variables = {"MIRANTE_ENDPOINT": receiver.url, "BROKER_URL": broker, "BACK_URL": back}
        variables["MIRANTE_SHUTDOWN_TIMEOUT"] = "60"  # on a slow machine

        def start(name: str, *command: str) -> Part:
            part = Part(name, tmp_path, *command, **variables)
            stack.callback(part.stop)
            return part

        worker = start("worker", "celery", "-A", f"{SHOP}:jobs", "worker", "--concurrency", "1")
        for name, url in (("back", back), ("front", front)):
            part = start(name, "uvicorn", f"{SHOP}:{name}", "--port", url.rpartition(":")[2])
            peers.wait_for(lambda part=part, url=url: part.answers(url), what=url)
        ask(front)
        peers.wait_for(lambda: worker.has_said("reserved"), what="the worker")
    check(receiver, CHAIN)
