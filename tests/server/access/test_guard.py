"""The door: who gets in, for what, and what the others are told."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from mirante.server.access.guard import Guard
from mirante.server.access.log import AccessLog
from mirante.server.access.rights import right_for
from mirante.server.access.tokens import Right
from tests.server.access.conftest import Door


def bearer(text: str) -> dict[str, str]:
    """The header."""
    return {"authorization": f"Bearer {text}"}


def basic(text: str) -> dict[str, str]:
    """What Prometheus, Grafana and curl send for a user and a password."""
    return {"authorization": "Basic " + base64.b64encode(f"any:{text}".encode()).decode()}


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("POST", "/v1/metrics", "write"),
        ("POST", "/api/v1/write", "write"),
        ("PUT", "/metrics/job/batch", "write"),
        ("DELETE", "/metrics/job@base64/YQ", "write"),
        ("POST", "/loki/api/v1/push", "write"),
        ("POST", "/api/v2/alerts", "write"),
        ("POST", "/alertmanager/api/v2/alerts", "write"),
        ("POST", "/api/v2/silences", "admin"),
        ("DELETE", "/api/v2/silence/1", "admin"),
        ("POST", "/api/v1/alerting/acknowledge", "admin"),
        ("POST", "/acknowledge", "admin"),
        ("GET", "/api/v2/alerts", "read"),
        ("GET", "/api/v1/alerting/history", "read"),
        ("GET", "/metrics", "read"),
        ("GET", "/explore", "read"),
        ("POST", "/api/v1/query_range", "read"),
        ("GET", "/api/v1/admin/tsdb/snapshot", "admin"),
        ("POST", "/-/reload", "admin"),
        ("POST", "/something/new", "admin"),
        ("GET", "/-/healthy", None),
        ("GET", "/assets/page.js", None),
        ("POST", "/login", None),
    ],
)
def test_every_path_has_its_right(method: str, path: str, right: Right | None) -> None:
    """Sending, asking, and all else."""
    assert right_for(method, path) == right


@pytest.mark.parametrize("header", [bearer, basic])
def test_a_token_opens_what_it_has_the_right_to(door: Door, header: Callable[[str], dict[str, str]]) -> None:
    """As a bearer or as a password; 403 names the right that is missing."""
    text = door.tokens.create("grafana", ["read"])
    answer = door.ask("GET", "/api/v1/query", header(text))
    assert (answer.status, answer.text) == (200, "grafana")
    refused = door.ask("POST", "/v1/traces", header(text))
    assert refused.status == 403
    assert refused.json()["error"].startswith("The token 'grafana' has not the right to write")
    settings = "/api/v1/settings/rules/shop"
    assert "--right configure` makes one" in door.ask("PUT", settings, header(text)).json()["error"]
    assert door.ask("PUT", settings, header(door.tokens.create("shop", ["configure"]))).status == 404  # past the door
    assert door.ask("POST", "/-/reload", header(door.tokens.create("me", ["admin"]))).status == 200


@pytest.mark.parametrize(
    "headers", [{}, bearer("mir_1_2"), basic("x"), {"authorization": "Basic %%%"}, {"authorization": "Digest x"}]
)
def test_without_a_good_token_nothing_is_served(door: Door, headers: dict[str, str]) -> None:
    """401 in the API's own words, with the challenge; it is counted."""
    answer = door.ask("GET", "/api/v1/query", headers)
    assert (answer.status, answer.json()["errorType"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="mirante"'
    assert b"mirante_access_denied_total{reason=" in door.registry.expose()
    assert door.ask("GET", "/-/ready", headers).status == 200


def test_a_browser_is_led_to_the_login(door: Door) -> None:
    """And from there to what it asked for."""
    answer = door.ask("GET", "/explore?q=up&from=1", {"accept": "text/html,*/*"})
    assert (answer.status, answer.headers["location"]) == (303, "/login?next=%2Fexplore%3Fq%3Dup%26from%3D1")
    assert 'value="/explore?q=up&amp;from=1"' in door.ask("GET", answer.headers["location"]).text


def test_signing_in_gives_a_cookie_that_opens(door: Door) -> None:
    """HttpOnly, SameSite=Strict; no script and no other site can use it."""
    text = door.tokens.create("me", ["read"])
    own = {"origin": "http://a:1"}
    answer = door.ask("POST", "/login", own, f"token={text}&next=%2Fexplore".encode())
    assert (answer.status, answer.headers["location"]) == (303, "/explore")
    cookie = answer.headers["set-cookie"]
    assert {"httponly", "samesite=strict", "path=/"} <= set(cookie.lower().split("; "))
    assert "secure" not in cookie.lower()
    headers = {"cookie": cookie.partition(";")[0]}
    assert door.ask("GET", "/explore", headers).text == "me"
    data = door.ask("GET", "/api/v1/session", headers).json()["data"]
    assert data == {"name": "me", "rights": ["read"], "signedIn": True}
    left = door.ask("POST", "/logout", {**headers, **own})
    assert 'mirante_session=""' in left.headers["set-cookie"]


def test_with_tls_the_cookie_does_not_go_without(open_door: Callable[..., Door]) -> None:
    """Secure."""
    door = open_door(secure=True)
    answer = door.ask("GET", f"/login?code={door.sessions.new_code()}")
    assert "secure" in answer.headers["set-cookie"].lower()


def test_the_printed_link_signs_in_once(door: Door) -> None:
    """The second time it says why not."""
    link = f"/login?code={door.sessions.new_code()}"
    first = door.ask("GET", link)
    assert (first.status, first.headers["location"]) == (303, "/")
    cookie = {"cookie": first.headers["set-cookie"].partition(";")[0]}
    assert door.ask("GET", "/", cookie).text == "console"
    again = door.ask("GET", link, {"accept-language": "pt-BR"})
    assert again.status == 401
    assert "Este link já foi usado" in again.text


@pytest.mark.parametrize("body", [b"", b"token=wrong", b"token=" + b"x" * 5000, b"\xff"])
def test_a_wrong_token_signs_nobody_in(door: Door, body: bytes) -> None:
    """The form stays and says so."""
    answer = door.ask("POST", "/login", {"origin": "http://a:1"}, body)
    assert answer.status in {401, 413}
    assert 'role="alert"' in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://a:1"}, 200),
        ({"sec-fetch-site": "cross-site", "origin": "http://a:1"}, 403),
        ({"origin": "http://evil:1"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_another_site_cannot_use_the_cookie(door: Door, sent: dict[str, str], status: int) -> None:
    """What changes something needs the browser's word that our own page asks; a bearer needs none."""
    cookie = door.sessions.begin(door.sessions.redeem(door.sessions.new_code()) or pytest.fail("no session"))
    headers = {"cookie": f"other=1; mirante_session={cookie}", **sent}
    assert door.ask("POST", "/-/reload", headers).status == status
    assert door.ask("GET", "/api/v1/query", headers).status == 200
    assert door.ask("POST", "/logout", headers).status == (303 if status == 200 else 403)
    text = door.tokens.create("me", ["read"])
    assert (door.ask("POST", "/login", sent, f"token={text}".encode()).status == 303) == (status == 200)


def test_what_is_no_http_passes(door: Door) -> None:
    """Such as the lifespan of the application inside."""
    sent: list[str] = []

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        sent.append(scope["type"])

    async def nothing(*_: object) -> Any:
        return {}

    asyncio.run(AccessLog(Guard(inside, door.access))({"type": "lifespan"}, nothing, nothing))
    assert sent == ["lifespan"]


@pytest.mark.parametrize(
    "cookie", ["mirante_session=x", "a b[]=1; \x01=2", "mirante_session=", "=;=", 'a="', "mirante_session=a.b.c"]
)
def test_a_forged_cookie_opens_nothing(door: Door, cookie: str) -> None:
    """Nor does a broken one."""
    assert door.ask("GET", "/api/v1/query", {"cookie": cookie}).status == 401


def test_where_no_token_is_needed_everybody_may(open_door: Callable[..., Door]) -> None:
    """And is known by the address."""
    door = open_door(needed=False)
    assert door.ask("POST", "/-/reload").text == "127.0.0.1"
    assert door.ask("GET", "/api/v1/session").json()["data"]["signedIn"] is False


def test_the_server_s_own_scraper_has_a_token_of_its_own(door: Door) -> None:
    """It lives as long as the process."""
    assert door.ask("GET", "/api/v1/query", bearer(door.access.own_token)).text == "mirante"
    assert door.ask("POST", "/-/reload", bearer(door.access.own_token)).status == 403


def test_every_request_is_logged(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """Address, name, what, status, size, time; the query with its codes and a forged line end stay out."""
    caplog.set_level(logging.INFO, "mirante.access")
    text = door.tokens.create("grafana", ["read"])
    door.ask("GET", "/api/v1/query?query=secret", bearer(text))
    door.ask("GET", '/nowhere\x85"x', bearer(text))
    door.ask("POST", "/v1/traces")
    with pytest.raises(RuntimeError, match="broken"):
        door.ask("GET", "/fail", bearer(text))
    lines = [record.getMessage().rpartition(" ")[0] for record in caplog.records]
    assert lines == [
        '127.0.0.1 grafana "GET /api/v1/query" 200 7',
        '127.0.0.1 grafana "GET /nowhere\\x85%22x" 404 9',
        '127.0.0.1 - "POST /v1/traces" 401 114',
        '127.0.0.1 grafana "GET /fail" 500 0',
    ]
