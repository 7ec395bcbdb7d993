"""What happens when a component's status changes: a log line, and an event on the span in which it was noticed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from mirante.health.status import HealthStatus

Listener = Callable[[str, HealthStatus, HealthStatus, str], None]
"""Called with the component, its status before and now, and what is wrong."""

_LEVELS = {
    HealthStatus.HEALTHY: logging.INFO,
    HealthStatus.DEGRADED: logging.WARNING,
    HealthStatus.UNHEALTHY: logging.ERROR,
}
_log = logging.getLogger("mirante.health")


def tell(name: str, before: HealthStatus, now: HealthStatus, error: str) -> None:
    """Log the change, and add the event ``health.status_changed`` to the current span if there is one."""
    reason = f": {error}" if error else ""
    _log.log(_LEVELS[now], "health of %s went from %s to %s%s", name, before.value, now.value, reason)
    trace = sys.modules.get("opentelemetry.trace")
    if trace is not None:
        attributes = {"health.check": name, "health.status": now.value, "health.previous_status": before.value}
        trace.get_current_span().add_event("health.status_changed", attributes)
