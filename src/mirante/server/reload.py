"""Takes changed configuration files while the server runs: all of them, or none.

Each part that has a file gives a function that reads and checks it. Only when every file has been taken are they put in
force; otherwise everything stays as it is. Asked for by ``POST /-/reload`` or SIGHUP, as Prometheus is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.model import MetricFamily, Sample
from mirante.errors import ConfigError, StoreError

log = logging.getLogger(__name__)

Commit = Callable[[], Awaitable[None]]
"""Puts in force what was prepared; must not fail for a reason that could have been found before.

That of the first part may raise StoreError when the disk fails; it has changed nothing then.
"""

Prepare = Callable[[], Commit]
"""Reads and checks a configuration without changing anything; raises ConfigError. Called in a thread of its own."""


class Reloading:
    """Reloads every configuration as one.

    Args:
        parts: one function for each part of the server that has a configuration, in the order in which they are put in
            force.
        clock: the time.

    Example:
        >>> async def commit() -> None: print("in force")
        >>> asyncio.run(Reloading([lambda: commit]).reload())
        in force
    """

    def __init__(self, parts: Sequence[Prepare], clock: Clock = SYSTEM_CLOCK) -> None:
        self._parts, self._clock = parts, clock
        self._one_at_a_time = asyncio.Lock()
        self._successful, self._at = True, clock.time_ns()

    async def reload(self) -> None:
        """Take what the files say now.

        Raises:
            ConfigError: a file cannot be used, or what follows from it cannot be written; nothing has changed.
        """
        async with self._one_at_a_time:
            try:
                commits = [await asyncio.to_thread(prepare) for prepare in self._parts]
                for commit in commits:
                    await commit()
            except (ConfigError, StoreError) as error:
                self._successful = False
                log.error("the configuration was not reloaded, the old one stays in force: %s", error)  # noqa: TRY400
                if isinstance(error, ConfigError):
                    raise
                raise ConfigError(str(error)) from error
            self._successful, self._at = True, self._clock.time_ns()
            log.info("the configuration was reloaded")

    async def on_signal(self) -> None:
        """Reload; what is wrong has been logged, and there is nobody else to be told."""
        with contextlib.suppress(ConfigError):  # reload has logged it
            await self.reload()

    def routes(self) -> list[BaseRoute]:
        """``/-/reload``, and ``/reload`` for those who leave out the dash."""
        return [Route(path, self._answer, methods=["POST", "PUT"]) for path in ("/-/reload", "/reload")]

    def collect(self) -> Iterable[MetricFamily]:
        """How the last reload went; under Prometheus's names too, as rules and dashboards ask for those."""
        seconds = self._at / 1e9
        for prefix in ("mirante", "prometheus"):
            name = f"{prefix}_config_last_reload_successful"
            text = "Whether the last attempt to reload the configuration was successful."
            yield MetricFamily(name, "gauge", text, samples=(Sample(name, {}, float(self._successful)),))
            name = f"{prefix}_config_last_reload_success_timestamp_seconds"
            text = "When the configuration was last taken."
            yield MetricFamily(name, "gauge", text, samples=(Sample(name, {}, seconds),))

    async def _answer(self, _request: Request) -> Response:
        try:
            await self.reload()
        except ConfigError as error:
            return PlainTextResponse(f"failed to reload config: {error}\n", status_code=500)
        return PlainTextResponse("")
