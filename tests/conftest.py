"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import coverage
import hypothesis
import pytest

os.environ["MIRANTE_RAISE_FAULTS"] = "1"  # a fault that is only told would be missed

# How long an example takes says something about the machine, not about the code.
hypothesis.settings.register_profile("mirante", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile(
    "fuzz",
    hypothesis.settings.get_profile("mirante"),
    max_examples=int(os.environ.get("MIRANTE_FUZZ_EXAMPLES", "3000")),
    print_blob=True,
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "mirante"))  # make fuzz asks for the other


def _fork_safely_under_coverage() -> None:
    """Hold coverage's lock over a fork: a child would wait for ever for one that another thread held at that moment.

    Registered before anything of mirante is imported, so that it is let go before mirante's own care of forks runs.
    """
    measuring = coverage.Coverage.current()
    collector = getattr(measuring, "_collector", None)
    if collector is not None:
        lock = collector.data_lock
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


_fork_safely_under_coverage()


@pytest.fixture(autouse=True)
def _every_test_is_told() -> None:
    """What an earlier test was told must not keep a later one from being told."""
    from mirante._core.guard import REPORTER

    REPORTER.forget()


@pytest.fixture
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is configured, neither in code nor by the environment, before and after a test."""
    for name in [name for name in os.environ if name.startswith(("OTEL_", "MIRANTE_", "PROMETHEUS_"))]:
        if name != "MIRANTE_RAISE_FAULTS":
            monkeypatch.delenv(name)
    _say_nothing()
    yield
    _say_nothing()


def _say_nothing() -> None:
    import mirante
    from mirante import alerts, config

    mirante.disable()
    config.reset()
    for alert in alerts.registered():
        alerts.unregister(alert)
