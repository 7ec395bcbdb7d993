"""The door: finds out who asks, and lets through who may."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import orjson
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mirante.metrics import Registry, counter
from mirante.server.access.rights import right_for
from mirante.server.access.sessions import COOKIE, Sessions
from mirante.server.access.tokens import Identity, Right, TokenStore, anonymous

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

WHO = "mirante.identity"
"""Where a request's scope has the same."""

ASKING: ContextVar[Identity | None] = ContextVar("mirante-asking", default=None)
"""Who asks, for whatever serves the request."""


class Denial(NamedTuple):
    """Why a request is not served."""

    status: int
    reason: str
    sentence: str


_NO_TOKEN = Denial(401, "no_token", "A token is needed: send it as `Authorization: Bearer ...`.")
_BAD_TOKEN = Denial(401, "bad_token", "The token is not known here, was revoked, or has expired.")
_CROSS_SITE = Denial(403, "cross_site", "A page of another site cannot change anything here.")


class Access:
    """Decides.

    Args:
        tokens: who there is.
        sessions: of the page.
        needed: whether tokens are asked for at all.
        registry: where refusals are counted.

    Attributes:
        own_token: with which the server reads its own metrics; lives as long as the process.
    """

    def __init__(self, tokens: TokenStore, sessions: Sessions, *, needed: bool, registry: Registry) -> None:
        self.tokens = tokens
        self.sessions = sessions
        self.needed = needed
        self.own_token = secrets.token_urlsafe(32)
        self._denied = counter(
            "mirante_access_denied",
            "Requests that were not served, by reason.",
            labels=("reason",),
            registry=registry,
        )

    def decide(self, headers: Mapping[str, str], right: Right | None, *, client: str, safe: bool) -> Identity | Denial:
        """Who asks, or why it is not served.

        Args:
            headers: of the request, names in lower case; a gRPC call's metadata serves as well.
            right: what is needed, None for nothing.
            client: its address.
            safe: whether the request changes nothing.
        """
        found = self._decide(headers, right, client, safe)
        if isinstance(found, Denial):
            self._denied.labels(found.reason).inc()
        return found

    def _decide(self, headers: Mapping[str, str], right: Right | None, client: str, safe: bool) -> Identity | Denial:
        if not self.needed:
            return anonymous(client)
        shown = token_in(headers.get("authorization", ""))
        cookie = None if shown is not None else cookie_in(headers.get("cookie", ""))
        found = self._identify(shown, cookie)
        if right is None:
            return found or Identity(client, frozenset())
        if found is None:
            return _NO_TOKEN if shown is None else _BAD_TOKEN
        if not found.may(right):
            told = (
                f"The token {found.name!r} has not the right to {right}; "
                f"`mirante token create NAME --right {right}` makes one that has."
            )
            return Denial(403, "no_right", told)
        return _CROSS_SITE if cookie and not safe and not same_origin(headers) else found

    def _identify(self, shown: str | None, cookie: str | None) -> Identity | None:
        if shown is None:
            return self.sessions.identify(cookie) if cookie else None
        if hmac.compare_digest(shown.encode(), self.own_token.encode()):
            return Identity("mirante", frozenset({"read"}))
        return self.tokens.identify(shown)


def token_in(header: str) -> str | None:
    """The token in an ``Authorization`` header: as a bearer, or as the password of basic authentication.

    Example:
        >>> token_in("Bearer abc"), token_in("")
        ('abc', None)
    """
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return None


def cookie_in(header: str) -> str | None:
    """The session in a ``Cookie`` header, whatever cookies others have set on the host.

    Example:
        >>> cookie_in("a/b=1; mirante_session=x.y.z")
        'x.y.z'
    """
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return None


def same_origin(headers: Mapping[str, str]) -> bool:
    """Whether the request comes from our own page, as the browser tells; who tells nothing is not trusted.

    Example:
        >>> same_origin({"sec-fetch-site": "cross-site"}), same_origin({"origin": "http://a:1", "host": "a:1"})
        (False, True)
    """
    if site := headers.get("sec-fetch-site"):
        return site == "same-origin"
    return bool(headers.get("host")) and urlsplit(headers.get("origin", "")).netloc == headers["host"]


class Guard:
    """The door as ASGI middleware.

    Args:
        app: what is behind it.
        access: who may.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        method, path = scope["method"], scope["path"]
        client = (scope.get("client") or ("",))[0]
        found = self._access.decide(headers, right_for(method, path), client=client, safe=method in _SAFE)
        if isinstance(found, Denial):
            await _denied(found, method, scope, headers)(scope, receive, send)
            return
        scope[WHO] = found
        ASKING.set(found)
        await self._app(scope, receive, send)


def _denied(denial: Denial, method: str, scope: Scope, headers: Mapping[str, str]) -> Response:
    if denial.status == 401 and method == "GET" and "text/html" in headers.get("accept", ""):
        query = scope.get("query_string", b"").decode("latin-1")
        asked = scope["path"] + (f"?{query}" if query else "")
        return RedirectResponse(f"/login?next={quote(asked, safe='')}", status_code=303)
    kind = "unauthorized" if denial.status == 401 else "forbidden"
    body = orjson.dumps({"status": "error", "errorType": kind, "error": denial.sentence})
    challenge = {"WWW-Authenticate": 'Bearer realm="mirante"'} if denial.status == 401 else None
    return Response(body, denial.status, headers=challenge, media_type="application/json")
