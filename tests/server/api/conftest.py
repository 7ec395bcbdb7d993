"""What tests of the routes of alerting stand on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.api.desk import Desk, desk


@pytest.fixture(name="desk")
def _desk(tmp_path: Path) -> Iterator[Desk]:
    """A fresh one."""
    with desk(tmp_path) as made:
        yield made
