"""What the scraper's tests stand on: a real HTTP server as target, a clock that moves when told, a log in memory."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from mirante.errors import StoreFullError
from mirante.server.scrape.discovery import Discovery
from mirante.server.scrape.model import Sd, TargetGroup
from mirante.server.scrape.sd.make import make_discovery
from mirante.server.store.api import Stream
from tests.write_request import Written, read

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


class Steps:
    """A sleep that ends when the test says so: ``await steps.settled()``, change something, ``await steps.next()``."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._asleep = asyncio.Event()
        self._go = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        self.slept.append(seconds)
        self._asleep.set()
        await self._go.acquire()

    async def settled(self) -> None:
        """Wait until the sleeper sleeps."""
        async with asyncio.timeout(60):
            await self._asleep.wait()

    async def next(self) -> None:
        """Let it go round once."""
        self._asleep.clear()
        self._go.release()
        await self.settled()


@dataclass
class Discovered:
    """A discovery at work.

    Attributes:
        steps: its sleep.
        failures: by mechanism.
        published: what it published, time by time.
    """

    steps: Steps = field(default_factory=Steps)
    failures: Counter[str] = field(default_factory=Counter)
    published: list[list[TargetGroup]] = field(default_factory=list)

    async def publish(self, groups: Sequence[TargetGroup]) -> None:
        """Take what it found."""
        self.published.append(list(groups))

    def addresses(self) -> list[str]:
        """Addresses of all targets that it published last."""
        return [target["__address__"] for group in self.published[-1] for target in group.targets]

    @asynccontextmanager
    async def running(self, sd: Sd) -> AsyncIterator[None]:
        """Run what a configuration asks for, from its first rest on."""
        async with self.at_work(make_discovery(sd, "a", self.failures, self.steps.sleep)):
            yield

    @asynccontextmanager
    async def at_work(self, discovery: Discovery) -> AsyncIterator[None]:
        """Run a discovery, from its first rest on."""
        task = asyncio.create_task(discovery.run(self.publish))
        try:
            await self.steps.settled()
            yield
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.wait({task})
