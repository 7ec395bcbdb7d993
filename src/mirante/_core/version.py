"""The installed version of this package."""

from __future__ import annotations


def version() -> str:
    """Such as ``1.2.3``; ``0+unknown`` when it runs from a folder that was never installed."""
    from importlib import metadata  # here, because it takes 15 ms to import

    try:
        return metadata.version("mirante")
    except metadata.PackageNotFoundError:
        return "0+unknown"
