"""A server's settings API for tests: what it was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.peers import wait_for
from tests.sdk.exporters.receiver import Receiver

_PATH = "/api/v1/settings/"


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    document: Any
    token: str | None


class SettingsReceiver(Receiver):
    """Takes telemetry too, which it does not show."""

    @property
    def asked(self) -> list[Asked]:
        """Every request for settings, oldest first."""
        return [
            Asked(
                one.method,
                one.path.removeprefix(_PATH),
                json.loads(one.body) if one.body else None,
                {name.lower(): value for name, value in one.headers.items()}.get("authorization"),
            )
            for one in list(self.requests)
            if one.path.startswith(_PATH)
        ]

    def wait(self, method: str, path: str) -> Any:
        """The document of the latest such request, once there is one."""

        def found() -> list[Asked]:
            return [one for one in self.asked if (one.method, one.path) == (method, path)]

        return wait_for(found, what=f"{method} {path}")[-1].document


@contextmanager
def receiving_settings() -> Iterator[SettingsReceiver]:
    """A receiver on a free port of the loopback interface."""
    receiver = SettingsReceiver()
    try:
        yield receiver
    finally:
        receiver.close()
