"""From a message on a telephone to an alert that somebody has taken on."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from tests.peers import mirante, wait_for
from tests.server.notify.receivers import receiving
from tests.tokens import token

pytestmark = pytest.mark.slow


def test_a_link_in_a_message_leads_to_a_page_that_acknowledges(tmp_path: Path) -> None:
    """Through the login; whoever may only read sees the page, and cannot press its button."""
    with receiving() as chat:
        slack = {"api_url": chat.url, "channel": "#ops", "text": '{{ template "mirante.acknowledge" . }}'}
        config = {
            "route": {"receiver": "ops", "group_wait": "0s"},
            "receivers": [{"name": "ops", "slack_configs": [slack]}],
        }
        path = tmp_path / "alertmanager.yml"
        path.write_text(yaml.safe_dump(config))
        flags = ("--alertmanager-config", str(path), "--no-host-metrics", "--auth", "on")
        with mirante(tmp_path, *flags) as server, httpx.Client(base_url=server.url) as browser:
            writer = {"Authorization": f"Bearer {token(server, 'write')}"}
            httpx.post(f"{server.url}/api/v2/alerts", json=[{"labels": {"alertname": "Down"}}], headers=writer)
            told = wait_for(lambda: list(chat.got), what="the message")[0].json
            link = urlsplit(told["attachments"][0]["text"])  # its host is this machine's name
            url = f"{link.path}?{link.query}"
            for right, status in (("read", 403), ("admin", 303)):
                browser.cookies.clear()
                asked = browser.get(url, headers={"Accept": "text/html"})
                assert asked.status_code == 303
                login = browser.get(asked.headers["location"])
                form = {
                    name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', login.text)
                }
                own = {"Origin": server.url}
                back = browser.post("/login", data={**form, "token": token(server, right)}, headers=own)
                page = browser.get(back.headers["location"])
                assert "<strong>Down</strong>" in page.text
                names = re.findall(r'name="(\w+)" value="([^"]*)"', page.text)
                done = browser.post("/acknowledge", data={**dict(names), "for": "", "comment": "on it"}, headers=own)
                assert done.status_code == status
            assert "taken on by admin: on it" in browser.get(done.headers["location"]).text
            told = wait_for(lambda: len(chat.got) > 1 and list(chat.got), what="the news of it")
    assert "on it" in str(told[1].json)
