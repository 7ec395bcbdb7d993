"""Health: checks of components, asked without waiting, reported to supervisors and as metrics."""

from mirante.health.checker import HealthChecker
from mirante.health.reporter import HealthReporter
from mirante.health.status import HealthStatus

__all__ = ["HealthChecker", "HealthReporter", "HealthStatus"]
