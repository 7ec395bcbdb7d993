"""The page is served as built, for every view's path."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from starlette.applications import Starlette

from mirante.server.api import page
from tests.server.asgi import call


def test_every_view_gets_the_document_and_files_come_as_they_are(tmp_path: Path) -> None:
    """A link into a view works, with headers that keep foreign scripts out."""
    (tmp_path / "index.html").write_text("<!doctype html>page")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "a.js").write_text("1")
    app = Starlette(routes=page.routes(tmp_path))
    for path in page.VIEWS:
        reply = asyncio.run(call(app, "GET", path))
        assert (reply.status, reply.text) == (200, "<!doctype html>page")
        assert "default-src 'self'" in reply.headers["content-security-policy"]
    assert asyncio.run(call(app, "GET", "/assets/a.js")).text == "1"


@pytest.mark.parametrize("path", ["/", "/targets"])
def test_without_a_built_page_a_sentence_says_how_to_build_it(tmp_path: Path, path: str) -> None:
    """The APIs work without it, so this is no reason not to start."""
    reply = asyncio.run(call(Starlette(routes=page.routes(tmp_path)), "GET", path))
    assert reply.status == 503
    assert "make ui" in reply.text


@pytest.mark.parametrize(
    ("link", "leads_to"),
    [
        ("g0.expr=up+%3D%3D+0&g0.tab=1", "explore?q=up+%3D%3D+0&tab=table"),
        ("g0.expr=a&g0.tab=0&g0.range_input=2h&g1.expr=b&g1.tab=1", "explore?q=a&q=b&from=now-2h"),
        ("g0.expr=a&g0.tab=table", "explore?q=a&tab=table"),
        ("", "explore?"),
    ],
)
def test_prometheus_links_lead_to_explore(tmp_path: Path, link: str, leads_to: str) -> None:
    """The link of an alert, as Prometheus writes it, opens its expression."""
    reply = asyncio.run(call(Starlette(routes=page.routes(tmp_path)), "GET", f"/graph?{link}"))
    assert (reply.status, reply.headers["location"]) == (302, leads_to)
