"""The routes of alerting over a real dispatcher, whose time passes as the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from starlette.applications import Starlette

from mirante.server.access.guard import ASKING
from mirante.server.access.tokens import Identity
from mirante.server.api.acknowledge_page import AcknowledgePage
from mirante.server.api.alerting import AlertingApi
from mirante.server.api.alertmanager import AlertmanagerApi
from mirante.server.notify.config import read_config
from mirante.server.notify.notifier import Notifier
from mirante.server.notify.state import State
from mirante.testing.clock import FakeClock
from tests.server.asgi import Reply, call

NOON = 1_767_268_800  # 2026-01-01 12:00 UTC
CONFIG: dict[str, Any] = {
    "route": {
        "receiver": "team",
        "group_by": ["alertname"],
        "routes": [
            {"receiver": "pager", "matchers": ['severity="page"'], "escalation": "hard", "continue": True},
            {"receiver": "night", "matchers": ['severity="low"'], "mute_time_intervals": ["always"]},
        ],
    },
    "receivers": [{"name": name, "webhook_configs": [{"url": "http://127.0.0.1:9/"}]} for name in ["team", "pager"]]
    + [{"name": "night"}, {"name": "ann"}, {"name": "bob"}],
    "inhibit_rules": [{"source_matchers": ["alertname=Cause"], "target_matchers": ["alertname=Effect"]}],
    "time_intervals": [{"name": "always", "time_intervals": [{"years": ["2000:2100"]}]}],
    "escalation_policies": [{"name": "hard", "levels": [{"after": "10m", "on_call": ["ops"]}]}],
    "on_call": [{"name": "ops", "people": ["ann", "bob"], "start": "2026-01-01T09:00:00Z", "turn": "7d"}],
    "maintenance": [
        {
            "name": "disks",
            "matchers": ["alertname=Disk"],
            "start": "2026-01-01T11:00:00Z",
            "end": "2026-01-01T14:00:00Z",
        },
        {
            "name": "later",
            "matchers": ["alertname=Net"],
            "start": "2027-01-01T11:00:00Z",
            "end": "2027-01-02T14:00:00Z",
        },
    ],
}


class Desk:
    """A notifier that nobody started, and the application of its routes.

    Attributes:
        notifier: decides.
        clock: its time.
        asking: who asks, as the door would have found out.
    """

    asking: Identity | None = None

    def __init__(self, folder: Path) -> None:
        path = folder / "alertmanager.yml"
        path.write_text(yaml.safe_dump(CONFIG))
        self.clock = FakeClock(NOON)
        self.state = State(folder / "alerting.sqlite")
        prepared = Notifier.prepare(read_config(path), "http://mirante.example")
        self.notifier = Notifier(prepared, self.state, clock=self.clock)
        routes = [api(self.notifier).routes() for api in (AlertmanagerApi, AlertingApi, AcknowledgePage)]
        self.app = Starlette(routes=[route for some in routes for route in some])

    def call(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """One request."""

        async def ask() -> Reply:
            ASKING.set(self.asking)
            return await call(self.app, method, path, body, headers)

        return asyncio.run(ask())

    def get(self, path: str, **parameters: str | list[str]) -> Any:
        """The JSON that a question is answered with."""
        reply = self.call("GET", f"{path}?{urlencode(parameters, doseq=True)}")
        assert reply.status == 200, reply.text
        return reply.json()

    def send(self, path: str, document: object) -> Reply:
        """JSON by POST."""
        return self.call("POST", path, json.dumps(document).encode(), {"content-type": "application/json"})

    def fire(self, *names: str, **labels: str) -> None:
        """Alerts of these names fire."""
        alerts = [{"labels": {"alertname": name, **labels}, "annotations": {"summary": name}} for name in names]
        reply = self.send("/api/v2/alerts", alerts)
        assert (reply.status, reply.body) == (200, b"")

    def names(self, **parameters: str | list[str]) -> set[str]:
        """Names of the alerts that are listed."""
        return {one["labels"]["alertname"] for one in self.get("/api/v2/alerts", **parameters)}

    def tick(self, seconds: float = 0) -> None:
        """Let time pass, then decide what is due."""
        self.clock.advance(seconds)
        self.notifier.dispatcher.tick(self.notifier.now())


@contextmanager
def desk(folder: Path) -> Iterator[Desk]:
    """One, closed afterwards."""
    made = Desk(folder)
    try:
        yield made
    finally:
        made.state.close()
