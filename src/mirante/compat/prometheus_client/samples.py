"""Samples, as prometheus_client names them."""

from __future__ import annotations

from dataclasses import dataclass

from mirante._core.model import Exemplar, Sample

__all__ = ["Exemplar", "Sample", "Timestamp"]


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """Seconds and nanoseconds since the Unix epoch.

    Example:
        >>> float(Timestamp(12, 500_000_000))
        12.5
    """

    sec: int
    nsec: int

    def __post_init__(self) -> None:
        if not 0 <= self.nsec < 1_000_000_000:
            raise ValueError(f"nanoseconds must be from 0 to 999999999, not {self.nsec}")

    def __float__(self) -> float:
        return self.sec + self.nsec / 1e9
