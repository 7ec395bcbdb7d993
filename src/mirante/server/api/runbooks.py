"""``/runbooks``: what to do about the alerts that ship, as pages that are there when nothing else can be reached."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

_PACKED = Path(__file__).parent.parent / "runbooks"
_CHECKOUT = Path(__file__).parents[4] / "docs" / "runbooks"
FOLDER = _PACKED if _PACKED.is_dir() else _CHECKOUT
"""Where the pages are: in a package beside the server's code, in a checkout among the documentation."""


def routes(folder: Path = FOLDER) -> list[BaseRoute]:
    """A path for each page, and the list of them."""
    pages = {path.name: path for path in sorted(folder.glob("*.md"))}

    def page(request: Request) -> Response:
        path = pages.get(request.path_params["name"])
        if path is None:
            return PlainTextResponse("there is no such runbook; /runbooks lists them\n", status_code=404)
        return PlainTextResponse(path.read_text(encoding="utf-8"))

    def index(_request: Request) -> Response:
        return PlainTextResponse("".join(f"/runbooks/{name}\n" for name in pages))

    return [Route("/runbooks", index, methods=["GET"]), Route("/runbooks/{name}", page, methods=["GET"])]
