"""OpenMetrics text."""

from __future__ import annotations

from mirante.compat.prometheus_client.exposition import ALLOWUTF8, UNDERSCORES, utf8_allowed
from mirante.compat.prometheus_client.registry import Collector, beneath
from mirante.formats.exposition import OPENMETRICS_CONTENT_TYPE
from mirante.metrics.registry import gather

__all__ = ["ALLOWUTF8", "CONTENT_TYPE_LATEST", "UNDERSCORES", "generate_latest"]

CONTENT_TYPE_LATEST = OPENMETRICS_CONTENT_TYPE


def generate_latest(registry: Collector, escaping: str = UNDERSCORES) -> bytes:
    r"""All metrics in OpenMetrics text, exemplars included; arguments and errors as for the other format's.

    Example:
        >>> from mirante.compat.prometheus_client import CollectorRegistry
        >>> generate_latest(CollectorRegistry())
        b'# EOF\n'
    """
    return gather(beneath(registry).exposed().chunks(openmetrics=True, utf8=utf8_allowed(escaping)))
