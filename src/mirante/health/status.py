"""What a check can say, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class HealthStatus(Enum):
    """How a component is, or the whole.

    Example:
        >>> HealthStatus.worst([HealthStatus.HEALTHY, HealthStatus.DEGRADED])
        <HealthStatus.DEGRADED: 'degraded'>
    """

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"

    @staticmethod
    def worst(statuses: Any) -> HealthStatus:  # noqa: ANN401 - any iterable of statuses
        """The worst of them; healthy when there is none."""
        return max(statuses, key=_RANK.__getitem__, default=HealthStatus.HEALTHY)


_RANK = {HealthStatus.HEALTHY: 0, HealthStatus.DEGRADED: 1, HealthStatus.UNHEALTHY: 2}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answer of one check.

    Attributes:
        status: as the check said it, before damping.
        at: nanoseconds since the Unix epoch when it ended.
        seconds: how long it took.
        error: what was wrong, empty when nothing.
        details: what the check told beside its status.
    """

    status: HealthStatus
    at: int
    seconds: float
    error: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
