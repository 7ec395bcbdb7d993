"""An application and a real server: what is asked for in code is in force there, and after a restart still."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

import mirante
from mirante import alerts, config
from mirante.alerts import Alert
from mirante.metrics import Registry
from mirante.server.access.tokens import TokenStore
from tests import peers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_said")]

DOWN = Alert("Down", "up == 0", "critical", for_="5m", annotations={"summary": "{{ $labels.job }} is down"})


def asked(server: peers.Peer, token: str) -> Any:
    """What the server holds."""
    status, body = peers.fetch(f"{server.url}/api/v1/settings", headers={"Authorization": f"Bearer {token}"})
    assert status == 200, body
    return json.loads(body)["data"]


def evaluated(server: peers.Peer, token: str) -> list[tuple[str, str]]:
    """Name and query of every rule that the server evaluates."""
    _, body = peers.fetch(f"{server.url}/api/v1/rules", headers={"Authorization": f"Bearer {token}"})
    return [(rule["name"], rule["query"]) for group in json.loads(body)["data"]["groups"] for rule in group["rules"]]


def refusal(server: peers.Peer, token: str, rule: dict[str, str]) -> str:
    """What is said of that rule, which is wrong."""
    body = json.dumps({"groups": [{"name": "a", "rules": [rule]}]}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    status, answer = peers.fetch(f"{server.url}/api/v1/settings/rules/shop", data=body, headers=headers, method="PUT")
    assert status == 400
    return str(json.loads(answer)["error"])


def retention(server: peers.Peer, token: str) -> Any:
    """The rules of retention in force."""
    _, body = peers.fetch(f"{server.url}/api/v1/admin/retention", headers={"Authorization": f"Bearer {token}"})
    return json.loads(body)["data"]


def test_what_an_application_asks_for_is_in_force_and_lasts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the right to it; without, it is refused, with a reason in the application's log, and nothing has changed."""
    tokens = TokenStore(tmp_path / "data")
    admin = tokens.create("me", ["admin"])
    alerts.register(DOWN)
    config.set_metrics_retention(days=15)
    with peers.mirante(tmp_path, "--auth", "on", "--no-host-metrics") as server:
        with caplog.at_level(logging.WARNING, logger="mirante"):
            mirante.configure(
                "shop", server.url, token=tokens.create("shop", ["write"]), registry=Registry(), export_timeout=60
            )
            assert mirante.flush(60)
        assert "The token 'shop' has not the right to configure" in caplog.text
        assert asked(server, admin) == {"rules": {}, "retention": {}, "alerts": {}}
        mirante.disable()
        may = tokens.create("shop", ["write", "configure"])
        mirante.configure("shop", server.url, token=may, registry=Registry(), export_timeout=60)
        assert mirante.flush(60)
        mirante.disable()
        found = asked(server, admin)
        assert found["rules"] == {"shop": alerts.rule_file([DOWN])}
        assert retention(server, admin)["metrics"] == 15 * 86_400
        assert evaluated(server, admin) == [("Down", "up == 0")]
        assert '"Bad"' in refusal(server, may, {"alert": "Bad", "expr": "rat(up[5m])"})
        assert "rules/shop.yml, line" in refusal(
            server, may, {"alert": "Bad", "sql": "SELECT 1 AS value FROM file('/etc/passwd')"}
        )
        assert asked(server, admin) == found
        assert evaluated(server, admin) == [("Down", "up == 0")]
    with peers.mirante(tmp_path, "--auth", "on", "--no-host-metrics") as server:
        assert asked(server, admin) == found
        assert retention(server, admin)["metrics"] == 15 * 86_400
        assert evaluated(server, admin) == [("Down", "up == 0")]
