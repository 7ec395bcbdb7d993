"""Test scripts: our own from tests/corpus/promql, and Prometheus's where the conformance folder is there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mirante.server.promql.engine import Engine
from mirante.server.store.api import MetricReader
from mirante.testing.promqltest import Report, run_script

ROOT = Path(__file__).parents[3]
CORPUS = sorted((ROOT / "tests" / "corpus" / "promql").glob("*.test"))
CONFORMANCE = Path(os.environ.get("MIRANTE_CONFORMANCE", ROOT.parent / "shared" / "conformance")) / "promql"

# Cases that pass and cases that are not run, for want of native histograms or of syntax that promql-parser lacks.
STABLE = {
    "aggregators": (126, 34),
    "at_modifier": (78, 0),
    "collision": (2, 0),
    "functions": (323, 108),
    "histograms": (93, 92),
    "literals": (25, 0),
    "name_label_dropping": (30, 0),
    "operators": (142, 72),
    "range_queries": (16, 2),
    "selectors": (31, 0),
    "staleness": (17, 0),
    "subquery": (32, 2),
    "trig_functions": (19, 0),
}
EXPERIMENTAL = {
    "fill-modifier": (46, 0),
    "info": (47, 6),
    "limit": (1, 36),
}


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_our_scripts_pass(path: Path) -> None:
    """Every case of our own scripts is run and passes."""
    report = run_script(path.read_text())
    assert not report.failures
    assert not report.not_run
    assert report.count("passed") > 10


@pytest.mark.parametrize(("name", "counts"), sorted({**STABLE, **EXPERIMENTAL}.items()))
def test_scripts_of_prometheus_pass(name: str, counts: tuple[int, int], capsys: pytest.CaptureFixture[str]) -> None:
    """No case of Prometheus's own scripts fails, and as many are run as the table says."""
    path = CONFORMANCE / f"{name}.test"
    if not path.exists():
        pytest.skip(f"{CONFORMANCE} is not there: Prometheus's own scripts were not run")
    report = run_script(path.read_text())
    with capsys.disabled():
        print(f"\n{name}: {summary(report)}")  # noqa: T201 - the figures are part of the report
    assert not report.failures
    assert (report.count("passed"), report.count("not run")) == counts


def summary(report: Report) -> str:
    """One line for people."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.not_run.items())
    return f"{report.count('passed')} passed, {report.count('failed')} failed, not run: {reasons or 'none'}"


def immediate(reader: MetricReader) -> Engine:
    """The engine as it is shipped: names go at once."""
    return Engine(reader)


@pytest.mark.parametrize(
    ("expr", "wanted"),
    [
        ('label_replace(rate(m_total[4m]), "name", "$1", "__name__", "(.*)")', '{job="a"} 1'),
        ("sum by (__name__, job) (rate(m_total[4m]))", '{job="a"} 1'),
        ("sum by (__name__) (m_total)", "m_total 240"),
    ],
)
def test_without_delayed_removal_names_go_at_once(expr: str, wanted: str) -> None:
    """As Prometheus does unless its feature flag is set, a function's result has no name that could be read."""
    script = f'load 1m\n  m_total{{job="a"}} 0+60x10\neval instant at 4m {expr}\n  {wanted}\n'
    factory: Callable[[MetricReader], Engine] = immediate
    assert not run_script(script, factory).failures
