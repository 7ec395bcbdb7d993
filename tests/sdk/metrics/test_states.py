"""Info and state set: words as metrics."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mirante import metrics
from mirante.errors import DeclarationError
from mirante.metrics import Info, MetricsManager, Registry, StateSet


def test_an_info_in_both_formats() -> None:
    """The older format knows no infos: there it is a gauge."""
    registry = Registry()
    metrics.info("build_info", "B.", registry=registry).info({"version": '1"2'})
    assert registry.expose() == b'# HELP build_info B.\n# TYPE build_info gauge\nbuild_info{version="1\\"2"} 1.0\n'
    assert b"# TYPE build info\n" in registry.expose(openmetrics=True)
    assert metrics.info("build", registry=registry) is registry.get("build_info")


def test_an_info_by_labels() -> None:
    """Facts stand behind the labels."""
    info = Info("db", labels=["host"])
    info.labels("a").info({"version": "16"})
    [family] = info.collect()
    assert family.samples[0].labels == {"host": "a", "version": "16"}
    with pytest.raises(DeclarationError, match="call .labels"):
        info.info({})


@pytest.mark.parametrize("facts", [{"host": "b"}, {"1x": "b"}, {"version": 3}])
def test_facts_that_cannot_be_told(facts: Any) -> None:
    """A name that is taken or malformed, and a value that is no text."""
    with pytest.raises(DeclarationError, match="db"):
        Info("db", labels=["host"]).labels("a").info(facts)


def test_a_state_set_has_one_series_a_state() -> None:
    """The present one is 1; it can be set with and without await."""
    registry = Registry()
    job = MetricsManager(registry).create_stateset("job", states=["idle", "busy"])
    assert 'job{job="idle"} 1.0\njob{job="busy"} 0.0' in registry.expose().decode()
    job.state("busy")

    async def main() -> None:
        await job.state("busy")

    asyncio.run(main())
    assert b"# TYPE job stateset" in registry.expose(openmetrics=True)
    assert 'job{job="idle"} 0.0\njob{job="busy"} 1.0' in registry.expose().decode()
    assert job.lines_per_child == 2
    with pytest.raises(DeclarationError, match="'off' is not one of the states"):
        job.state("off")
    with pytest.raises(ValueError, match="job"):
        metrics.stateset("job", states=["other"], registry=registry)


@pytest.mark.parametrize("states", [[], ["a", "a"], "ab"])
def test_states_must_differ(states: Any) -> None:
    """None, the same one twice, or one string are mistakes."""
    with pytest.raises(DeclarationError, match="states"):
        StateSet("s", states=states)


def test_what_they_cannot_have() -> None:
    """Units, and a label by the state set's own name."""
    with pytest.raises(DeclarationError, match="no unit"):
        Info("i", unit="seconds")
    with pytest.raises(DeclarationError, match="no unit"):
        StateSet("s", states=["a"], unit="seconds")
    with pytest.raises(DeclarationError, match="reserved"):
        StateSet("s", labels=["s"], states=["a"])


def test_idle_ones_expire_too() -> None:
    """They say when they were set."""
    info, states = Info("i", labels=["a"], ttl=1), StateSet("s", labels=["a"], states=["x"], ttl=1)
    marks = info.labels("1").mark(), states.labels("1").mark()
    info.labels("1").info({})
    states.labels("1").state("x")
    assert (info.labels("1").mark(), states.labels("1").mark()) != marks


def test_the_manager_declares_them() -> None:
    """In its own registry."""
    manager = MetricsManager(Registry())
    assert manager.create_info("build") is manager.registry.get("build_info")
