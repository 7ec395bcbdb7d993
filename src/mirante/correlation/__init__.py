"""Correlation: the ids that tie traces, logs and metrics of one request together."""

from mirante.correlation.context import (
    ContextExecutor,
    Correlation,
    adopt_environment,
    bind,
    copy_context,
    current,
    environment,
    stamp,
)

__all__ = [
    "ContextExecutor", "Correlation", "adopt_environment", "bind", "copy_context", "current", "environment", "stamp",
]  # fmt: skip
