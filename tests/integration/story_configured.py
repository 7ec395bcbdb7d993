"""The same shop in a process of its own, with its telemetry on."""

from __future__ import annotations

import mirante
from mirante.integrations import catalog
from tests.integration.story import back, front, jobs

mirante.configure()
catalog.install("all")

__all__ = ["back", "front", "jobs"]
