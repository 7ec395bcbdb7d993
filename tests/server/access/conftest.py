"""A small application behind the door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mirante.metrics import Registry
from mirante.server.access import login
from mirante.server.access.guard import ASKING, Access, Guard
from mirante.server.access.log import AccessLog
from mirante.server.access.sessions import Sessions
from mirante.server.access.tokens import TokenStore
from tests.server.asgi import Reply, call


class Door:
    """What a test needs of it."""

    def __init__(self, folder: Path, *, needed: bool = True, secure: bool = False) -> None:
        self.registry = Registry()
        self.tokens = TokenStore(folder)
        self.sessions = Sessions(self.tokens)
        self.access = Access(self.tokens, self.sessions, needed=needed, registry=self.registry)

        async def who(_: Request) -> Response:
            asking = ASKING.get()
            return PlainTextResponse(asking.name if asking else "nobody")

        async def fail(_: Request) -> Response:
            raise RuntimeError("broken")

        paths = ("/", "/explore", "/v1/traces", "/api/v1/query", "/-/ready", "/-/reload", "/api/v1/admin/tsdb/snapshot")
        self.app = Starlette(
            routes=[
                *[Route(path, who, methods=["GET", "POST"]) for path in paths],
                Route("/fail", fail),
                *login.routes(self.access, secure=secure),
            ],
            middleware=[Middleware(AccessLog), Middleware(Guard, access=self.access)],
        )

    def ask(self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
        """One request."""
        return asyncio.run(call(self.app, method, url, body, {"host": "a:1", **(headers or {})}))


@pytest.fixture
def door(tmp_path: Path) -> Door:
    """A door that asks for tokens."""
    return Door(tmp_path)


@pytest.fixture
def open_door(tmp_path: Path) -> Callable[..., Door]:
    """Another kind of door."""
    return lambda **options: Door(tmp_path, **options)
