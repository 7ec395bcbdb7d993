"""The package's face is what it says, and costs little."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import mirante

HEAVY = {"asyncio", "logging", "psutil", "structlog", "urllib3", "opentelemetry", "google", "fastapi", "starlette"}


@pytest.mark.parametrize("name", mirante.__all__)
def test_everything_announced_is_there(name: str) -> None:
    """Each name of ``__all__`` can be had, and is listed."""
    assert getattr(mirante, name) is not None
    assert name in dir(mirante)


def test_nothing_else_is_there() -> None:
    """With the usual error."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mirante.nonsense  # noqa: B018 - the access is the test


def test_what_is_loaded_lazily_is_what_is_announced() -> None:
    """Every name of ``__all__`` resolves in a new interpreter, where nothing was imported before."""
    code = "import mirante\nfor name in mirante.__all__: assert getattr(mirante, name), name"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def loaded(code: str) -> set[str]:
    """Top-level modules that a new interpreter has loaded after that."""
    show = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    # Not measured: coverage loads things of its own.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-c", f"{code}\n{show}"]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60, env=kept)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "code",
    [
        "import mirante",
        "from mirante import metrics\nmetrics.counter('c').inc()\nmetrics.REGISTRY.expose()",
    ],
)
def test_importing_and_recording_load_nothing_heavy(code: str) -> None:
    """asyncio, logging, psutil and urllib3 wait until they are needed, frameworks are never loaded by us."""
    assert not loaded(code) & HEAVY


def test_a_middleware_loads_what_spans_need_and_no_more() -> None:
    """OpenTelemetry's API, which brings logging; no framework."""
    code = "from mirante.integrations.asgi import MiranteMiddleware, metrics_endpoint"
    assert loaded(code) & HEAVY <= {"opentelemetry", "logging"}
