"""Which series are registered already."""

from __future__ import annotations

import time

from mirante.server.store.client import Connection

_DAY = 86_400


class KnownSeries:
    """Keeps the engine's set of registered series in step with the table of series.

    The set keeps registration cheap with a million series. It holds only what the table has, so that a series whose
    registration failed is registered by the next try, and starts each day with the days that samples usually are of.
    """

    _MARGIN = 60  # the engine's clock may be another machine's

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._since = 0.0
        self._day = -1
        self.refresh()

    def refresh(self) -> None:
        """Take over what was registered since the last call."""
        now = time.time()
        if int(now // _DAY) != self._day:
            self._connection.command("TRUNCATE TABLE known_series")
            self._since = 0.0
        self._connection.command(
            "INSERT INTO known_series SELECT cityHash64(series_id, day) FROM series"
            " WHERE registered >= toDateTime({since:UInt32}, 'UTC') AND day >= toDate({first_day:UInt16})",
            {"since": int(self._since), "first_day": 0 if self._since else int(now // _DAY) - 1},
        )
        self._day = int(now // _DAY)
        self._since = now - self._MARGIN

    def reset(self) -> None:
        """Forget everything and take over what the table has now: rows were removed from it."""
        self._since = 0.0
        self._day = -1
        self.refresh()
