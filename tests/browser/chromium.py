"""Debian's Chromium, and how long it is waited for."""

from __future__ import annotations

from pathlib import Path

SCREENSHOTS = Path(__file__).parents[2] / ".artifacts" / "screenshots"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 60_000
