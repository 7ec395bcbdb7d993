"""The server does without what only costs memory."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_packages_can_be_kept_out() -> None:
    """Where pandas is installed, pyarrow would load it at once; the server runs as if it were not there."""
    program = (
        "import sys; from mirante.server.lean import keep_out; keep_out('pandas');"
        "import mirante.server.app, pyarrow; pyarrow.array([1]).to_pylist(); print('pandas' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert result.stdout == "False\n", result.stderr
