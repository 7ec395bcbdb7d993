"""Serves the built web page: its files as they are, and its one document for every view's path."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).parent.parent / "ui"
"""Where the build puts the page."""

VIEWS = ("/", "/explore", "/targets")
"""Paths that the page itself understands."""

_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'self'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

_MISSING = """<!doctype html><title>mirante</title>
<p>The server runs, but its page has not been built. In a checkout, <code>make ui</code> builds it;
a released package contains it.</p>"""


def routes(folder: Path = FOLDER) -> list[BaseRoute]:
    """The page's paths; without a built page, a sentence that says how to build it."""

    async def view(_request: Request) -> Response:
        document = folder / "index.html"
        if not document.is_file():
            return HTMLResponse(_MISSING, status_code=503)
        return FileResponse(document, headers=_HEADERS)

    views: list[BaseRoute] = [Route(path, view, methods=["GET", "HEAD"]) for path in VIEWS]
    return [
        *views,
        Route("/graph", _graph, methods=["GET", "HEAD"]),
        Mount("/assets", StaticFiles(directory=folder / "assets", check_dir=False)),
    ]


async def _graph(request: Request) -> Response:
    """Prometheus's links to an expression, which stand in alerts and other people's pages, lead to Explore."""
    given, state, panel = request.query_params, list[tuple[str, str]](), 0
    while f"g{panel}.expr" in given:
        state.append(("q", given[f"g{panel}.expr"]))
        panel += 1
    if given.get("g0.tab") in {"1", "table"}:
        state.append(("tab", "table"))
    if "g0.range_input" in given:
        state.append(("from", f"now-{given['g0.range_input']}"))
    return RedirectResponse(f"explore?{urlencode(state)}", 302)  # relative: the server may stand below a path
