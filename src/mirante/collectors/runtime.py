"""The Python interpreter: its version and what its garbage collector does."""

from __future__ import annotations

import gc
import platform
from collections.abc import Iterator

from mirante._core.model import MetricFamily
from mirante.collectors._families import counter, gauge

_COUNTS = (
    ("python_gc_objects_collected", "Objects collected during gc", "collected"),
    ("python_gc_objects_uncollectable", "Uncollectable objects found during GC", "uncollectable"),
    ("python_gc_collections", "Number of times this generation was collected", "collections"),
)


class RuntimeCollector:
    """Names and labels as prometheus_client has them, so that its dashboards work.

    Example:
        >>> [family.name for family in RuntimeCollector().collect()][0]
        'python_info'
    """

    per_process = True
    """Several processes that share their metrics are added up."""

    def collect(self) -> Iterator[MetricFamily]:
        """The interpreter's version and counts by generation of objects."""
        major, minor, patch = platform.python_version_tuple()
        labels = {
            "implementation": platform.python_implementation(),
            "major": major,
            "minor": minor,
            "patchlevel": patch,
            "version": platform.python_version(),
        }
        yield gauge("python_info", "Python platform information", [(labels, 1)])
        generations = gc.get_stats()
        for name, help_, key in _COUNTS:
            yield counter(name, help_, [({"generation": str(n)}, stat[key]) for n, stat in enumerate(generations)])
