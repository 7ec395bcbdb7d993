"""The rules made of objectives: what they record, when their alerts fire, and that promtool takes them."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mirante.server.rules.model import AlertingRule, RecordingRule
from mirante.server.slo.model import DAY, MINUTE, Events, Share, Slo, burn_alerts, spelled, windows
from mirante.server.slo.read import parse_slos, read_slos, slo_files
from mirante.server.slo.rules import rule_file, rule_groups
from mirante.testing.ruletest import read_rule_tests
from mirante.testing.ruletest_run import run_rule_tests
from tests.peers import program

EVENTS = Events(
    "(sum(rate(bad_total[$window]))) or (sum(rate(all_total[$window]))) * 0", "sum(rate(all_total[$window]))"
)
ID = {"service": "shop", "slo": "available"}
MINE = '{service="shop",slo="available"}'


def slo(**changes: Any) -> Slo:
    """An objective of 99 %."""
    base = Slo("available", "shop", 99.0, EVENTS, source="s.yml, line 1")
    return replace(base, **changes)


def sample(name: str, value: float, **labels: str) -> dict[str, Any]:
    """What an expression yields."""
    pairs = ",".join(f'{key}="{text}"' for key, text in {**labels, **ID}.items())
    return {"labels": f"{name}{{{pairs}}}", "value": value}


def unit_test(folder: Path, slos: list[Slo], *tests: dict[str, Any], every: str = "5m") -> Path:
    """A file of unit tests beside the rules."""
    (folder / "rules.yml").write_text(rule_file(slos))
    path = folder / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": every, "tests": list(tests)}))
    return path


def failures(path: Path) -> list[object]:
    """What the tests find otherwise than expected."""
    return [failure for result in run_rule_tests(read_rule_tests(path)) for failure in result.failures]


def series(bad: str, good: str) -> list[dict[str, str]]:
    """Counters of errors and of everything."""
    return [{"series": "bad_total", "values": bad}, {"series": "all_total", "values": good}]


def recorded(at: str, **expected: float) -> list[dict[str, Any]]:
    """Expectations by series."""
    return [
        # Rounded, as the last bits of a ratio depend on the order in which it was added up.
        {"expr": f"round({name}, 0.0001)", "eval_time": at, "exp_samples": [sample("", value)]}
        for name, value in expected.items()
    ]


STEADY = {
    "interval": "1m",
    "input_series": series("0+3x120", "0+60x120"),
    "promql_expr_test": recorded(
        "2h",
        **{
            "slo:sli_error:ratio_rate5m": 0.05,
            "slo:sli_error:ratio_rate6h": 0.05,
            "slo:sli_error:ratio_rate1d": 0.05,
            "slo:sli_error:ratio_rate30d": 0.05,
            "slo:objective:ratio": 0.99,
            "slo:error_budget:ratio": 0.01,
            "slo:time_period:days": 30,
            "slo:current_burn_rate:ratio": 5,
            "slo:period_burn_rate:ratio": 5,
            "slo:period_error_budget_remaining:ratio": -4,
        },
    ),
}
QUIET = {
    "interval": "1m",
    "input_series": [{"series": "all_total", "values": "0+60x60"}],
    "promql_expr_test": recorded(
        "30m", **{"slo:sli_error:ratio_rate30d": 0, "slo:period_error_budget_remaining:ratio": 1}
    ),
}


def alerts(at: str, *severities: str, value: str) -> dict[str, Any]:
    """Expectations of the alert's severities."""
    said = {
        "critical": "faster than 14.4 times over 1h or 6 times over 6h",
        "warning": "faster than 1 times over 3d",
    }
    return {
        "eval_time": at,
        "alertname": "ErrorBudgetBurn",
        "exp_alerts": [
            {
                "exp_labels": {**ID, "severity": severity},
                "exp_annotations": {
                    "summary": "shop: the error budget of available burns too fast",
                    "description": f"{value} was bad, where 99 % must be good over 30 days: the budget burns "
                    f"{said[severity]}. Promised is: 99 % of what shop does is good",
                },
            }
            for severity in severities
        ],
    }


@pytest.mark.parametrize("test", [STEADY, QUIET], ids=["steady", "quiet"])
def test_ratios_budget_and_burn_rates_are_recorded(tmp_path: Path, test: dict[str, Any]) -> None:
    """Also where no error was ever counted; long windows add up what short ones recorded."""
    assert failures(unit_test(tmp_path, [slo()], test)) == []


def firing(at: str, *found: dict[str, Any]) -> dict[str, Any]:
    """How many critical alerts fire."""
    return {
        "expr": 'count(ALERTS{alertstate="firing",severity="critical"})', "eval_time": at, "exp_samples": list(found),
    }  # fmt: skip


ONE = {"labels": "{}", "value": 1}
OUTAGE = {  # a fifth fails from the 60th to the 180th minute
    "interval": "1m",
    "input_series": series("0x60 12+12x120 1452x240", "0+60x480"),
    "promql_expr_test": [firing("60m"), firing("100m", ONE), firing("170m", ONE), firing("230m")],
}


def test_an_outage_pages_and_its_end_ends_that(tmp_path: Path) -> None:
    """The short windows end the alert minutes after the outage, though the long ones still have it."""
    assert failures(unit_test(tmp_path, [slo()], OUTAGE)) == []


def test_people_are_told_what_burns(tmp_path: Path) -> None:
    """With the ratio, the objective, and the limits that were passed."""
    expected = alerts("2h", "critical", "warning", value="50%")
    test = {"interval": "1m", "input_series": series("0+1x120", "0+2x120"), "alert_rule_test": [expected]}
    assert failures(unit_test(tmp_path, [slo()], test)) == []


def test_time_is_measured_where_the_indicator_is_a_threshold(tmp_path: Path) -> None:
    """The share of evaluations at which it was missed."""
    test = {
        "interval": "1m",
        "input_series": [{"series": "p99", "values": "1x29 3x9 1x59"}],
        "promql_expr_test": recorded("99m", **{"slo:sli_error:ratio": 0, "slo:sli_error:ratio_rate30d": 0.1}),
    }
    assert failures(unit_test(tmp_path, [slo(indicator=Share("max((p99) >= bool 2)"))], test, every="1m")) == []


def test_groups_that_expressions_keep_apart_stay_apart(tmp_path: Path) -> None:
    """Each has its own ratios."""
    by_job = Events("sum by (job) (rate(bad_total[$window]))", "sum by (job) (rate(all_total[$window]))")
    numbers = {"a": 3, "b": 6}
    given_series = [
        {"series": f'{name}_total{{job="{job}"}}', "values": f"0+{step if name == 'bad' else 60}x60"}
        for job, step in numbers.items()
        for name in ("bad", "all")
    ]
    expected = [sample("", step / 60, job=job) for job, step in numbers.items()]
    asked = {"expr": "round(slo:sli_error:ratio_rate5m, 0.0001)", "eval_time": "30m", "exp_samples": expected}
    test = {"interval": "1m", "input_series": given_series, "promql_expr_test": [asked]}
    assert failures(unit_test(tmp_path, [slo(indicator=by_job)], test)) == []


def test_alerts_that_can_never_fire_are_left_out() -> None:
    """Where half may be bad, 14.4 times and 6 times as much is more than everything."""
    (group,) = rule_groups([slo(percent=50.0)])
    assert [rule.labels["severity"] for rule in group.rules if isinstance(rule, AlertingRule)] == ["warning"]


def test_many_nines_stay_what_they_are() -> None:
    """In what people read, and in what is compared."""
    (group,) = rule_groups([slo(percent=99.999999)])
    alert = next(rule for rule in group.rules if isinstance(rule, AlertingRule))
    assert "where 99.999999 % must be good" in alert.annotations["description"]
    assert "> (14.4 * 1e-08)" in alert.expression.text


def test_templates_of_users_stand_in_annotations_and_their_text_does_not(tmp_path: Path) -> None:
    """Braces in a description are only braces."""
    odd = slo(
        description="{{ $value }} is no template", annotations={"who": "{{ $labels.slo }}"}, labels={"team": "web"}
    )
    (group,) = rule_groups([odd])
    assert all(rule.labels["team"] == "web" for rule in group.rules)
    alert = next(rule for rule in group.rules if isinstance(rule, AlertingRule))
    assert alert.annotations["who"] == "{{ $labels.slo }}"
    assert alert.annotations["description"].endswith('{{ "{{" }} $value }} is no template')


NAMES = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.:/-]{0,20}", fullmatch=True)
SLOS = st.builds(
    Slo,
    NAMES,
    NAMES,
    st.decimals("0.001", "99.999999", places=6).map(float),
    st.sampled_from([EVENTS, Share("up == bool 0")]),
    st.integers(1, 366).map(lambda days: days * DAY),
    st.text(max_size=20),
    st.dictionaries(st.sampled_from(["team", "tier"]), st.text(max_size=5)),
)


@given(SLOS)
def test_any_objective_makes_rules_that_can_be_used(one: Slo) -> None:
    """Every window once, alerts only over windows that are recorded, and a budget that fits the objective."""
    (group,) = rule_groups([one])
    names = [rule.record for rule in group.rules if isinstance(rule, RecordingRule)]
    assert len(names) == len(set(names))
    for alert in burn_alerts(one.period):
        assert {alert.long, alert.short} <= set(windows(one.period))
        assert (alert.long, alert.long <= one.period) == (12 * alert.short, True)
        # In the long window, at that speed, the share of the budget that the workbook names is gone.
        assert round(alert.factor * alert.long / one.period, 3) in {0.02, 0.05, 0.1}
    assert one.budget + one.objective == pytest.approx(1, abs=1e-15)


@given(st.integers(1, 366))
def test_windows_are_whole_minutes_and_the_period_is_the_longest(days: int) -> None:
    """Names of series are made of them."""
    found = windows(days * DAY)
    assert found[-1] == days * DAY
    assert found == sorted(set(found))
    assert all(window % MINUTE == 0 for window in found)
    assert len({spelled(window) for window in found}) == len(found)


@pytest.mark.slow
def test_promtool_takes_the_rules_and_finds_the_same(tmp_path: Path) -> None:
    """Those that ship, those of other periods, and the unit tests above."""
    agents = read_slos(slo_files(["agents"]))
    every = [*agents, slo(), slo(name="week", period=7 * DAY), slo(name="month", period=28 * DAY, percent=99.999)]
    (tmp_path / "all.yml").write_text(rule_file(every))
    subprocess.run([program("promtool"), "check", "rules", tmp_path / "all.yml"], check=True, capture_output=True)
    path = unit_test(tmp_path, [slo()], STEADY, QUIET, OUTAGE)
    found = subprocess.run([program("promtool"), "test", "rules", path], check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_objectives_that_ship_tell_of_agents_that_are_not_well(tmp_path: Path) -> None:
    """Each by its own share of what is bad."""
    agents = read_slos(slo_files(["agents"]))
    input_series = {
        "task_success_total": "0+90x30", "task_failure_total": "0+10x30",
        'task_execution_seconds_bucket{le="50.0"}': "0+100x30", 'task_execution_seconds_bucket{le="+Inf"}': "0+100x30",
        'timeout_events_total{agent_id="a"}': "0+1x30",
        "merge_deduplication_total": "0+1x30", "merge_chunks_combined_total": "0+19x30",
        'agent_tasks_executed_total{agent_id="a"}': "0+70x30", 'agent_tasks_executed_total{agent_id="b"}': "0+5x30",
        'agent_tasks_executed_total{agent_id="c"}': "0+5x30",
    }  # fmt: skip
    bad = {"success-rate": 0.1, "latency-p99": 0, "timeouts": 1, "merge-efficiency": 0.05, "load-balance": 1}
    expected = [{"labels": f'{{service="agents",slo="{name}"}}', "value": value} for name, value in bad.items()]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in input_series.items()],
        "promql_expr_test": [
            {"expr": "round(slo:sli_error:ratio_rate5m, 0.0001)", "eval_time": "20m", "exp_samples": expected}
        ],
    }
    assert failures(unit_test(tmp_path, list(agents), test)) == []


def test_files_of_both_shapes_stand_beside_each_other() -> None:
    """Groups are named by service and objective."""
    own = "slos: [{name: a, service: b, objective: 99, indicator: {errors: a_total, total: b_total}}]"
    assert [group.name for group in rule_groups(parse_slos({"x.yml": own}))] == ["slo:b:a"]
