"""What the scraper's tests stand on: a real HTTP server as target, a clock that moves when told, a log in memory."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

from mirante.errors import StoreFullError
from mirante.server.store.api import Stream
from tests.write_request import Written, read

T = TypeVar("T")
NOW_MS = 1_700_000_000_000
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A real HTTP server on loopback; gives its ``host:port``."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


@dataclass
class Exposer:
    """A target whose page, status and content type are what the test last set, and whose path ``broken`` is no page.

    Attributes:
        requests: what was asked.
        gate: events: the first is set when a request came, the second lets the answer out.
    """

    page: str = "temperature 20\n"
    status: int = 200
    content_type: str = "text/plain; version=0.0.4"
    broken: str = ""
    requests: list[web.Request] = field(default_factory=list)
    gate: tuple[asyncio.Event, asyncio.Event] | None = None

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer, packed when the client asks for it."""
        self.requests.append(request)
        if self.gate is not None:
            self.gate[0].set()
            await self.gate[1].wait()
        body = "this is no page" if request.path == self.broken else self.page
        reply = web.Response(
            body=body.encode(),
            status=self.status,
            headers={"Content-Type": self.content_type},
            zlib_executor_size=1 << 20,
        )
        reply.enable_compression()
        return reply


@dataclass
class MemoryLog:
    """A BodyLog that keeps bodies, and is full when told."""

    bodies: list[bytes] = field(default_factory=list)
    full: bool = False

    def append(self, stream: Stream, bodies: Sequence[bytes]) -> None:
        """Keep them."""
        assert stream == "remote_write"
        if self.full:
            raise StoreFullError("no room left on the disk")
        self.bodies += bodies

    def take(self) -> Written:
        """What was written since the last call."""
        bodies, self.bodies = self.bodies, []
        return read(bodies)


class FakeClock:
    """Time that moves when somebody sleeps or the test says so."""

    def __init__(self, now_ns: int = NOW_MS * 1_000_000) -> None:
        self.now = now_ns
        self.slept: list[float] = []
        self.late_ns = 0
        self.steps = 0
        self.spent = asyncio.Event()

    def time_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return self.now

    def monotonic(self) -> float:
        """Seconds."""
        return self.now / 1e9

    async def sleep(self, seconds: float) -> None:
        """Move on by that and by what the machine is late; stop for ever after ``steps`` sleeps."""
        self.slept.append(seconds)
        self.steps -= 1
        if self.steps < 0:
            self.spent.set()
            await asyncio.Event().wait()
        self.now += round(seconds * 1e9) + self.late_ns
        await asyncio.sleep(0)


async def eventually(condition: Callable[[], T], seconds: float = 10) -> T:
    """The condition's first true answer; the other side is a real server and another thread, hence the real clock."""
    async with asyncio.timeout(seconds):
        while not (answer := condition()):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)
        return answer
