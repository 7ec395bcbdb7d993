"""The way into the store that counts each sender's series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from mirante.server.access.limits import SenderLimits
from mirante.server.ingest.exchange import Refusal
from mirante.server.store.api import BodyLog, Stream
from mirante.server.store.protos import Parsed, message_class


class SeriesLimitedLog:
    """A ``BodyLog`` that takes no bodies with which their sender would have too many series.

    Metrics come as remote write whatever they came in as, so one place sees them all. They are parsed once more for it,
    by the parser in C, which is why this stands there only where a limit is set.

    Args:
        log: where the bodies go.
        limits: who has how many.
    """

    def __init__(self, log: BodyLog, limits: SenderLimits) -> None:
        self._log = log
        self._limits = limits
        self._parse: Callable[[bytes], Parsed] = message_class("remote_write").FromString

    def append(self, stream: Stream, bodies: Sequence[bytes]) -> None:
        """Append the bodies in order, all or none.

        Raises:
            Refusal: 429, the sender would have more than it may.
            StoreFullError: there is no room.
            StoreError: the log cannot take them.
        """
        if stream == "remote_write" and (found := self._limits.admit(self._keys(bodies))) is not None:
            raise Refusal(429, found.sentence, retry_after=round(found.wait))
        self._log.append(stream, bodies)

    def _keys(self, bodies: Iterable[bytes]) -> Iterator[int]:
        for body in bodies:
            for series in self._parse(body).timeseries:
                yield hash(tuple([(label.name, label.value) for label in series.labels]))
