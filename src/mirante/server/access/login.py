"""Signing in to the page: a token once, then a cookie."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from mirante.server.access.guard import WHO, Access, same_origin
from mirante.server.access.sessions import COOKIE, LIFETIME
from mirante.server.access.small_page import language_of, small_page
from mirante.server.access.tokens import Identity

_MOST = 4096
"""Bytes of a form at most."""

_WORDS = {
    "en": {
        "title": "Sign in",
        "token": "Token",
        "button": "Sign in",
        "hint": "A token with the right to read; <code>mirante token create</code> makes one.",
        "wrong": "This token is not known here, was revoked, or has expired.",
        "used": "This link was used, or the server has started since. Use a token, or the newest link.",
    },
    "pt": {
        "title": "Entrar",
        "token": "Token",
        "button": "Entrar",
        "hint": "Um token com direito de leitura; <code>mirante token create</code> cria um.",
        "wrong": "Este token não é conhecido aqui, foi revogado ou expirou.",
        "used": "Este link já foi usado, ou o servidor foi reiniciado. Use um token ou o link mais recente.",
    },
}

_FORM = """{alert}<form method="post" action="/login"><input type="hidden" name="next" value="{next}">
<label for="token">{token}</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button type="submit">{button}</button></form><p>{hint}</p>"""


def routes(access: Access, *, secure: bool) -> list[Route]:
    """``/login``, ``/logout`` and ``/api/v1/session``.

    Args:
        access: who may.
        secure: whether the server speaks TLS, so that the cookie must not go without it.
    """

    async def login(request: Request) -> Response:
        if request.method == "POST":
            return await _take_token(request, access, secure=secure)
        if code := request.query_params.get("code"):
            found = access.sessions.redeem(code)
            return _page(request, "used", 401) if found is None else _enter(access, found, "/", secure=secure)
        return _page(request)

    async def logout(request: Request) -> Response:
        if not same_origin(request.headers):
            return JSONResponse({"status": "error", "errorType": "forbidden", "error": "another site asked"}, 403)
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=secure)
        return answer

    async def session(request: Request) -> Response:
        found: Identity = request.scope[WHO]
        data = {"name": found.name, "rights": sorted(found.rights), "signedIn": access.needed}
        return JSONResponse({"status": "success", "data": data})

    return [
        Route("/login", login, methods=["GET", "POST"]),
        Route("/logout", logout, methods=["POST"]),
        Route("/api/v1/session", session, methods=["GET"]),
    ]


async def _take_token(request: Request, access: Access, *, secure: bool) -> Response:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST:
            return _page(request, "wrong", 413)
    form = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    found = access.tokens.identify(form.get("token", "").strip())
    if found is None or not same_origin(request.headers):
        return _page(request, "wrong", 401, form.get("next", "/"))
    return _enter(access, found, own_path(form.get("next", "/")), secure=secure)


def _enter(access: Access, identity: Identity, path: str, *, secure: bool) -> Response:
    answer = RedirectResponse(path, status_code=303, headers={"Cache-Control": "no-store"})
    cookie = access.sessions.begin(identity)
    answer.set_cookie(COOKIE, cookie, max_age=LIFETIME, path="/", httponly=True, samesite="strict", secure=secure)
    return answer


def own_path(path: str) -> str:
    """The path if it leads to this server, else the first view: nobody is sent elsewhere after signing in.

    Example:
        >>> own_path("/explore?q=up"), own_path("//evil.example/"), own_path("https://evil.example/")
        ('/explore?q=up', '/', '/')
    """
    parts = urlsplit(path)
    own = not parts.scheme and not parts.netloc and path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if own else "/"


def _page(request: Request, fault: str = "", status: int = 200, target: str | None = None) -> Response:
    language = language_of(request)
    words = _WORDS[language]
    alert = f'<p role="alert">{words[fault]}</p>' if fault else ""
    wanted = target if target is not None else request.query_params.get("next", "/")
    fields = {name: words[name] for name in ("token", "button", "hint")}
    form = _FORM.format(alert=alert, next=escape(own_path(wanted)), **fields)
    return small_page(language, words["title"], form, status)
