"""What rules write goes into the store's log, and is seen at once."""

from __future__ import annotations

from collections.abc import Sequence

from mirante.formats import remote_write
from mirante.server.rules.evaluation import RuleSample
from mirante.server.rules.recent import RecentSamples
from mirante.server.store.api import BodyLog


class StoreLog:
    """The RuleLog of a server.

    Args:
        log: where bodies go.
        recent: shows them until they are loaded.
    """

    def __init__(self, log: BodyLog, recent: RecentSamples) -> None:
        self._log, self._recent = log, recent

    def write(self, samples: Sequence[RuleSample]) -> None:
        """See RuleLog."""
        body = b"".join(
            remote_write.series(remote_write.labels(labels), remote_write.sample(value, time))
            for labels, time, value in samples
        )
        self._log.append("remote_write", [body])
        self._recent.add(samples)
