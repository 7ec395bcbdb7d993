"""Packages that only some parts need, and what to do when they are missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mirante.errors import ConfigError


def require(package: str, *, extra: str, purpose: str) -> Any:  # noqa: ANN401 - a module
    """Import a package that comes with an extra.

    Raises:
        ConfigError: it is not installed; says how to install it.

    Example:
        >>> require("no_such_package", extra="parquet", purpose="ParquetExporter")
        Traceback (most recent call last):
        mirante.errors.ConfigError: ParquetExporter needs the package no_such_package: pip install "mirante[parquet]"
    """
    try:
        return import_module(package)
    except ImportError:
        raise ConfigError(
            f'{purpose} needs the package {package.partition(".")[0]}: pip install "mirante[{extra}]"', key=extra
        ) from None
