"""redis: one client span a command and one a pipeline, against a real server."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.client
import redis.asyncio.cluster
import redis.client
import redis.cluster
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from redis.backoff import NoBackoff
from redis.retry import Retry

from mirante.integrations import redis as integration
from mirante.integrations._operation import SUPPRESS
from mirante.tracing import AlwaysOff, Tracer
from tests.peers import free_port, program, wait_for
from tests.sdk.integrations.recording import CLIENT, Counted, exception_texts, recording

pytestmark = pytest.mark.slow

COUNT = "db_client_operation_duration_seconds_count"
SECRET = "s3cr3t"  # noqa: S105 - not one


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real redis-server of its own."""
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    with redis_server(folder, port):
        yield port


@contextmanager
def redis_server(folder: Path, port: int, *flags: str) -> Iterator[None]:
    """A server that is ended when the block is left."""
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", *flags]
    process = subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(port), what="redis-server")
        yield
    finally:
        process.terminate()
        process.wait(30)


def listens(port: int) -> bool:
    """Whether something takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def client(port: int) -> Iterator[Any]:
    """Made before the integration is installed."""
    with redis.Redis(port=port, db=3) as client:
        client.flushdb()
        integration.install()
        yield client
        integration.uninstall()


def test_a_command_is_one_client_span_by_the_conventions(client: Any, port: int) -> None:
    """Name, kind, attributes and parent, and never a key or a value."""
    counted = Counted(COUNT)
    with recording() as spans, Tracer().start_span("op"):
        client.set(f"key-{SECRET}", SECRET)
        assert client.get(f"key-{SECRET}") == SECRET.encode()
    span, get, op = spans
    assert (span.name, get.name, span.kind.value, span.parent_id) == ("SET", "GET", CLIENT, op.span_id)
    assert span.attributes == {
        "db.system.name": "redis",
        "db.namespace": "3",
        "db.operation.name": "SET",
        "server.address": "localhost",
        "server.port": port,
    }
    assert (span.status_code, span.scope.name) == (0, "mirante.integrations.redis")
    assert counted(db_system_name="redis", db_operation_name="SET", server_port=str(port), error_type="") == 1


@pytest.mark.parametrize("transaction", [True, False])
def test_a_pipeline_is_one_span(client: Any, transaction: bool) -> None:
    """With the number of its commands; an empty one is none."""
    with recording() as spans:
        assert client.pipeline(transaction).incr("n").incr("n").get("n").execute() == [1, 2, b"2"]
        assert client.pipeline(transaction).execute() == []
    (span,) = spans
    assert (span.name, span.attributes["db.operation.batch.size"]) == ("PIPELINE", 3)


def test_what_a_pipeline_does_at_once_is_a_span_too(client: Any) -> None:
    """Commands after WATCH are sent immediately."""
    with recording() as spans, client.pipeline() as pipeline:
        pipeline.watch("n")
        pipeline.get("n")
        pipeline.multi()
        pipeline.set("n", 1).execute()
    assert [span.name for span in spans] == ["WATCH", "GET", "PIPELINE"]


def test_errors_are_recorded_without_arguments(client: Any) -> None:
    """The server's answer, and the client's message about a pipeline, would quote them."""
    counted = Counted(COUNT)
    client.set("text", "x")
    with recording() as spans:
        with pytest.raises(redis.ResponseError, match=SECRET):
            client.execute_command("NOPE", SECRET)
        with pytest.raises(redis.ResponseError, match=SECRET):
            client.pipeline().lpush("text", SECRET).execute()
    for span in spans:
        assert (span.status_code, span.attributes["error.type"]) == (2, "redis.exceptions.ResponseError")
        assert [event.name for event in span.events] == ["exception"]
        assert "redis/client.py" in " ".join(exception_texts(span))
        assert not [text for text in exception_texts(span) if SECRET in text]
    assert counted(error_type="redis.exceptions.ResponseError") == 2


def test_a_server_that_is_away_is_told_with_its_message(client: Any) -> None:
    """Connection errors quote no arguments."""
    with (
        redis.Redis(port=free_port(), retry=Retry(NoBackoff(), 0)) as away,
        recording() as spans,
        pytest.raises(redis.ConnectionError),
    ):
        away.get("x")
    assert "refused" in spans[0].status_message
    assert "db.response.status_code" not in spans[0].attributes


def test_the_servers_code_of_an_error_is_an_attribute(client: Any) -> None:
    """``db.response.status_code``, where the client tells it."""
    with recording() as spans, pytest.raises(redis.exceptions.NoScriptError) as raised:
        client.evalsha("0" * 40, 0)
    assert raised.value.status_code == "NOSCRIPT"
    assert spans[0].attributes["db.response.status_code"] == "NOSCRIPT"


def test_asynchronous_clients_and_pipelines(client: Any, port: int) -> None:
    """The same spans."""

    async def main() -> None:
        there: Any
        async with redis.asyncio.Redis(port=port) as there:
            await there.set("k", "v")
            await there.pipeline().get("k").get("k").execute()
            await there.pipeline().execute()
            async with there.pipeline() as pipeline:
                await pipeline.watch("k")
            with pytest.raises(redis.ResponseError):
                await there.execute_command("NOPE")

    with recording() as spans:
        asyncio.run(main())
    assert [span.name for span in spans] == ["SET", "PIPELINE", "WATCH", "NOPE"]
    assert [span.status_code for span in spans] == [0, 0, 0, 2]


def test_where_recording_is_suppressed_nothing_is_recorded(client: Any, port: int) -> None:
    """Commands and pipelines of both kinds."""

    async def main() -> None:
        there: Any
        async with redis.asyncio.Redis(port=port) as there:
            await there.get("k")
            await there.pipeline().get("k").execute()

    token = otel_context.attach(otel_context.set_value(SUPPRESS, True))
    try:
        with recording() as spans:
            client.get("k")
            client.pipeline().get("k").execute()
            asyncio.run(main())
    finally:
        otel_context.detach(token)
    assert spans == []


def test_unsampled_commands_are_counted(client: Any, port: int) -> None:
    """No span, but the metric."""
    counted = Counted(COUNT)
    with recording(AlwaysOff()) as spans:
        client.get("x")
    assert (spans, counted(db_operation_name="GET", server_port=str(port))) == ([], 1)


def test_a_cluster(tmp_path: Path) -> None:
    """A real cluster of one node: one span a command, one a pipeline, of both kinds of client."""
    port = free_port()
    flags = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    node: Any
    cluster: Any
    with redis_server(tmp_path, port, *flags), redis.Redis(port=port) as node:
        node.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        wait_for(lambda: node.execute_command("CLUSTER INFO")["cluster_state"] == "ok", what="the cluster")
        integration.install()
        try:
            with recording() as spans, redis.cluster.RedisCluster(host="127.0.0.1", port=port) as cluster:
                spans.clear()
                cluster.set("a", 1)
                cluster.pipeline().get("a").get("b").execute()
                asyncio.run(_asynchronously(port))
        finally:
            integration.uninstall()
    assert [span.name for span in spans if span.name not in ("COMMAND", "CLUSTER SLOTS")] == [
        "SET",
        "PIPELINE",
        "SET",
        "PIPELINE",
    ]


async def _asynchronously(port: int) -> None:
    cluster: Any
    async with redis.asyncio.cluster.RedisCluster(host="127.0.0.1", port=port) as cluster:
        await cluster.set("a", 1)
        await cluster.pipeline().get("a").get("b").execute()


def test_uninstalling_puts_the_very_functions_back() -> None:
    """All the classes are as they were."""
    owners = [
        redis.Redis,
        redis.client.Pipeline,
        redis.cluster.RedisCluster,
        redis.cluster.ClusterPipeline,
        redis.asyncio.Redis,
        redis.asyncio.client.Pipeline,
        redis.asyncio.cluster.RedisCluster,
        redis.asyncio.cluster.ClusterPipeline,
    ]
    before = [dict(vars(owner)) for owner in owners]
    integration.install()
    integration.install()
    assert [dict(vars(owner)) for owner in owners] != before
    integration.uninstall()
    integration.uninstall()
    assert [dict(vars(owner)) for owner in owners] == before


@given(st.text(), st.lists(st.text() | st.binary() | st.integers(), max_size=3))
def test_a_commands_name_never_holds_an_argument(argument: str, more: list[object]) -> None:
    """Also where both are in one text, as the client takes them."""
    assert integration.command_name((f"SET {argument}", *more)) == "SET"
    assert integration.command_name(("GET", argument, *more)) == "GET"
    assert integration.command_name((b"HSET", argument, *more)) == "HSET"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("config get", "x"), "config get"),
        (("CLIENT SETNAME me",), "CLIENT SETNAME"),
        (("ACL s3cr3t!",), "ACL"),
        (("FT.SEARCH", "x"), "FT.SEARCH"),
        (("",), "_OTHER"),
        ((), "_OTHER"),
        (("4711",), "_OTHER"),
        (("x" * 41,), "_OTHER"),
    ],
)
def test_names_of_commands(command: tuple[object, ...], name: str) -> None:
    """Two words where the first alone says nothing; a name that is none does not become a label."""
    assert integration.command_name(command) == name
