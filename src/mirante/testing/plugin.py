"""Fixtures for pytest: name this module in ``conftest.py`` by ``pytest_plugins = ["mirante.testing.plugin"]``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mirante.testing.clock import FakeClock
from mirante.testing.recording import Capture, capture


@pytest.fixture
def mirante_capture() -> Iterator[Capture]:
    """The spans, log lines and metrics of the test, in memory."""
    with capture() as seen:
        yield seen


@pytest.fixture
def mirante_clock() -> FakeClock:
    """Time that stands still until the test moves it."""
    return FakeClock()
