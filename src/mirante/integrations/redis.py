"""redis: a client span and its duration for every command, one for a whole pipeline; never a key or a value.

Synchronous, asynchronous and cluster clients.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from mirante._core.patch import Patches
from mirante.integrations._database import Database, DatabaseCall
from mirante.integrations._operation import error_type, suppressed, tracer

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from mirante.tracing.provider import ProviderTracer
    from mirante.tracing.spans import Span

_patches = Patches()
_WORD = re.compile(r"[A-Za-z][\w.]{0,39}")
_CONTAINERS = frozenset({
    "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT",
    "PUBSUB", "SCRIPT", "SENTINEL", "SLOWLOG", "XGROUP", "XINFO",
})  # fmt: skip


def install() -> None:
    """Record the commands of all clients, made before and after.

    Example:
        >>> install()
        >>> uninstall()
    """
    import redis
    import redis.asyncio
    import redis.asyncio.client
    import redis.asyncio.cluster
    import redis.client
    import redis.cluster

    for client in (redis.Redis, redis.cluster.RedisCluster):
        _patches.wrap(client, "execute_command", _command)
    _patches.wrap(redis.client.Pipeline, "immediate_execute_command", _command)
    for pipeline in (redis.client.Pipeline, redis.cluster.ClusterPipeline):
        _patches.wrap(pipeline, "execute", _pipeline)
    for there in (redis.asyncio.Redis, redis.asyncio.cluster.RedisCluster):
        _patches.wrap(there, "execute_command", _command_async)
    _patches.wrap(redis.asyncio.client.Pipeline, "immediate_execute_command", _command_async)
    for batch in (redis.asyncio.client.Pipeline, redis.asyncio.cluster.ClusterPipeline):
        _patches.wrap(batch, "execute", _pipeline_async)


def uninstall() -> None:
    """Put redis's own functions back."""
    _patches.undo()


@cache
def _tracer() -> ProviderTracer:
    return tracer("redis")


class _Call(DatabaseCall):
    __slots__ = ("_status",)

    def hide(self, error: BaseException) -> Mapping[str, AttributeValue]:
        """The server's and the client's messages quote commands with their arguments."""
        from redis.exceptions import ConnectionError as NoConnectionError
        from redis.exceptions import TimeoutError as LateError

        self._status = getattr(error, "status_code", None)
        if isinstance(error, NoConnectionError | LateError):
            return {}
        trace = "".join(traceback.format_tb(error.__traceback__))
        return {"exception.message": self._status or "", "exception.stacktrace": f"{trace}{error_type(error)}"}

    def conclude(self, span: Span) -> None:
        """The server's own code of an error, where the client tells it."""
        status = getattr(self, "_status", None)
        if status:
            span.set_attribute("db.response.status_code", status)


def _command(original: Callable[..., Any]) -> Callable[..., Any]:
    def execute_command(client: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - any command, any answer
        if suppressed():
            return original(client, *args, **options)
        with _call(client, args):
            return original(client, *args, **options)

    return execute_command


def _command_async(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def execute_command(client: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - see above
        if suppressed():
            return await original(client, *args, **options)
        with _call(client, args):
            return await original(client, *args, **options)

    return execute_command


def _pipeline(original: Callable[..., Any]) -> Callable[..., Any]:
    def execute(pipeline: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - see above
        if not len(pipeline) or suppressed():
            return original(pipeline, *args, **options)
        with _Call(_tracer(), "PIPELINE", "PIPELINE", _database(pipeline), len(pipeline)):
            return original(pipeline, *args, **options)

    return execute


def _pipeline_async(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def execute(pipeline: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - see above
        if not len(pipeline) or suppressed():
            return await original(pipeline, *args, **options)
        with _Call(_tracer(), "PIPELINE", "PIPELINE", _database(pipeline), len(pipeline)):
            return await original(pipeline, *args, **options)

    return execute


def _call(client: object, command: tuple[object, ...]) -> _Call:
    name = command_name(command)
    return _Call(_tracer(), name, name, _database(client))


def command_name(command: tuple[object, ...]) -> str:
    """The name of a command, without anything that may be an argument: the client takes both in one text.

    Example:
        >>> command_name(("SET", "key", "value")), command_name(("AUTH hunter2",)), command_name(("CONFIG SET", "a", 1))
        ('SET', 'AUTH', 'CONFIG SET')
    """
    first = command[0] if command else ""
    words = (first.decode("ascii", "replace") if isinstance(first, bytes) else str(first)).split(None, 2)
    if not words or not _WORD.fullmatch(words[0]):
        return "_OTHER"
    if len(words) > 1 and words[0].upper() in _CONTAINERS and _WORD.fullmatch(words[1]):
        return f"{words[0]} {words[1]}"
    return words[0]


def _database(client: object) -> Database:
    """Where it goes, as far as the client was told: of a cluster one does not know before."""
    pool = getattr(client, "connection_pool", None)
    told: Mapping[str, Any] = getattr(pool, "connection_kwargs", {})
    address = told.get("host") or told.get("path") or ""
    return Database("redis", str(told.get("db") or 0), str(address), int(told.get("port") or 0))
