"""What an application asks of the server besides taking its telemetry: rules, retention, who is told of alerts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.guard import REPORTER
from mirante._core.periodic import Periodic
from mirante.config import SdkSettings
from mirante.errors import DeliveryError
from mirante.exporters.http import Connection
from mirante.exporters.metric_push import FIRST_EXPORT, MAX_SKIPPED, otlp_headers, otlp_tls

PATH = "/api/v1/settings"

Wishes = Callable[[], Mapping[str, Any]]
"""What is wanted now, as JSON values by their place below PATH; None for what is not, or not any more."""


class SettingsPush:
    """Asks again and again until the server has answered, then only for what has changed since.

    What the server refuses is told once, and not asked again before something else is wanted. It has a thread from the
    time on when something is wanted.

    Args:
        settings: where the server is, and with which token it is asked.
        wishes: what is wanted.
        clock: the time.
        answered: what the server has answered already, by path.
    """

    def __init__(
        self,
        settings: SdkSettings,
        wishes: Wishes,
        clock: Clock = SYSTEM_CLOCK,
        answered: Mapping[str, bytes | None] | None = None,
    ) -> None:
        self._settings, self._wishes, self._clock = settings, wishes, clock
        url = (settings.endpoint or "").rstrip("/") + PATH
        headers = {"Content-Type": "application/json", **otlp_headers(settings, "")}
        self._connection = Connection(url, settings.export_timeout, headers, clock, tls=otlp_tls(settings))
        self._answered = dict(answered or {})
        self._failures = 0
        self._not_before = 0.0
        self._leaving = False
        self._one_at_a_time = threading.Lock()
        self._periodic = Periodic("mirante-settings", self.push, settings.export_interval, first=FIRST_EXPORT)

    def start(self) -> None:
        """Begin, where something is wanted; may be called whenever that may have changed."""
        if not self._leaving and any(wish is not None for wish in self._wishes().values()):
            self._periodic.start()

    def ask_to_stop(self, *, flush: bool) -> None:
        """Begin to end, without waiting for it; ask once more if told to."""
        self._leaving = True
        self._connection.timeout = min(self._settings.export_timeout, self._settings.shutdown_timeout)
        self._periodic.ask_to_stop(final=flush)

    def stop(self, *, flush: bool) -> bool:
        """End within the configured deadline, and tell whether it did."""
        return self._periodic.stop(self._settings.shutdown_timeout, final=flush)

    def in_child(self) -> Self:
        """The same for a forked child, which need not ask for what its parent was given."""
        return type(self)(self._settings, self._wishes, self._clock, self._answered)

    def push(self) -> None:
        """Ask for what is not answered yet; faults are reported, never raised."""
        with self._one_at_a_time:
            if self._clock.monotonic() < self._not_before and not self._leaving:
                return
            try:
                for path, wish in self._wishes().items():
                    body = None if wish is None else json.dumps(wish, ensure_ascii=False).encode()
                    if body != self._answered.get(path):
                        self._ask(path, body)
            except DeliveryError as error:
                self._wait(error)
            else:
                self._failures, self._not_before = 0, 0.0

    def _ask(self, path: str, body: bytes | None) -> None:
        try:
            self._connection.request("DELETE" if body is None else "PUT", f"/{path}", body=body)
        except DeliveryError as error:
            if not error.permanent:
                raise
            REPORTER.warn(f"the server refused the settings {path!r}", str(error))
        self._answered[path] = body

    def _wait(self, error: DeliveryError) -> None:
        rounds = min(2**self._failures, MAX_SKIPPED)
        self._failures += 1
        wait = max(self._settings.export_interval * (rounds - 0.5), error.retry_after or 0.0)
        self._not_before = self._clock.monotonic() + wait
        REPORTER.warn("settings were not delivered", f"{error}; they are sent when the server is back")
