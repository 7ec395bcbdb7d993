"""The exporters that the application configured: set by the composition root, read by whoever has something to send."""

from __future__ import annotations

from mirante._core.protocols import Exporter

_configured: tuple[Exporter, ...] = ()


def configured() -> tuple[Exporter, ...]:
    """The exporters in force; none before ``mirante.configure``."""
    return _configured


def set_configured(exporters: tuple[Exporter, ...]) -> None:
    """Replace them all."""
    global _configured  # noqa: PLW0603 - one process, one configuration
    _configured = exporters
