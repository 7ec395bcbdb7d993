"""For tests of applications and of mirante itself; no run-time module imports it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mirante.testing.clock import FakeClock
    from mirante.testing.ids import FakeIds
    from mirante.testing.recording import Capture, capture

_HOMES = {"Capture": "recording", "FakeClock": "clock", "FakeIds": "ids", "capture": "recording"}

__all__ = ["Capture", "FakeClock", "FakeIds", "capture"]


def __getattr__(name: str) -> object:
    """Import a part when it is first used: who wants a clock needs no structlog."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mirante.testing' has no attribute {name!r}")
    found: object = getattr(import_module(f"mirante.testing.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
