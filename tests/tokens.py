"""Tokens of a real server."""

from __future__ import annotations

import subprocess
import sys

from tests.peers import Peer


def token(server: Peer, right: str) -> str:
    """A new one with that right, which is its name too."""
    data = server.output.parent / "data"
    command = [sys.executable, "-m", "mirante", "token", "create", right, "--right", right, "--data", str(data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.strip()
