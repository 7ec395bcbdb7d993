"""Batches of bounded size."""

from __future__ import annotations

from dataclasses import dataclass

from mirante.errors import DeclarationError


@dataclass(frozen=True, slots=True)
class Batch:
    """Hands over at most ``size`` records at a time, each batch on its own: what failed does not repeat what arrived.

    Attributes:
        size: records in one batch, 1 or more.

    Raises:
        DeclarationError: the size is less than 1.

    Example:
        >>> Batch(size=500)
        Batch(size=500)
    """

    size: int = 500

    def __post_init__(self) -> None:
        if self.size < 1:
            raise DeclarationError(f"Batch: size must be 1 or more, not {self.size!r}")
