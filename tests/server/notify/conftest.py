"""Worlds that are closed when their test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mirante.server.notify.model import NotifyConfig
from mirante.server.notify.state import MEMORY
from tests.server.notify.world import World


@pytest.fixture
def world() -> Iterator[Callable[..., World]]:
    """Makes a world of a configuration and, where it is to be kept, of a path."""
    made: list[World] = []

    def make(settings: NotifyConfig, path: Path | str = MEMORY) -> World:
        made.append(World(settings, path))
        return made[-1]

    yield make
    for one in made:
        one.close()
