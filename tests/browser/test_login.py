"""Signing in to the page and out again, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from mirante.server.access.tokens import TokenStore
from mirante.server.api.page import FOLDER
from tests.browser.chromium import PATIENCE_MS, SCREENSHOTS
from tests.peers import Peer, mirante

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's."""
    return tmp_path_factory.mktemp("login")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Peer]:
    """A server that asks for tokens."""
    if not (FOLDER / "index.html").is_file():
        pytest.skip("the page is not built (make ui builds it)")
    with mirante(folder, "--auth", "on") as peer:
        yield peer


def open_page(browser: Browser, url: str, *, width: int = 1280, scheme: str = "light", locale: str = "en-GB") -> Page:
    """A page of a visitor without cookies."""
    dark = scheme == "dark"
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", locale=locale
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    return page


def test_a_token_opens_the_page_and_signing_out_closes_it(server: Peer, browser: Browser, folder: Path) -> None:
    """A wrong one is told; the view that was asked for comes after the right one; a lost session leads to the form."""
    token = TokenStore(folder / "data").create("reader", ["read"])
    page = open_page(browser, server.url + "/explore?q=up")
    page.get_by_label("Token").fill("mir_wrong_token")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not known here")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/explore?q=up*")
    expect(page.get_by_role("textbox", name="Query A")).to_have_text("up")
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Sign out reader").click()
    page.wait_for_url("**/login")
    page.goto(server.url + "/targets")
    page.wait_for_url("**/login?next=*")
    page.context.close()


def test_a_session_that_ends_while_the_page_is_open_leads_to_the_form(
    server: Peer, browser: Browser, folder: Path
) -> None:
    """And back to the view afterwards."""
    store = TokenStore(folder / "data")
    token = store.create("guest", ["read"])
    page = open_page(browser, server.url + "/targets?refresh=1s")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/targets?refresh=1s")
    (guest,) = [one for one in store.known() if one.name == "guest"]
    store.revoke(guest.id)
    page.wait_for_url("**/login?next=%2Ftargets*")
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_form_fits_its_window(server: Peer, browser: Browser, width: int, scheme: str) -> None:
    """In the reader's language; a picture is kept to be looked at."""
    page = open_page(browser, server.url + "/", width=width, scheme=scheme, locale="pt-BR")
    expect(page.get_by_role("button", name="Entrar")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"login-{width}-{scheme}.png")
    page.context.close()
