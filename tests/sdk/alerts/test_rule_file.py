"""Alerts as a rule file: every reader of YAML reads what was said, and Prometheus takes it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mirante import alerts
from mirante.alerts import Alert, Severity
from mirante.errors import ConfigError
from tests.peers import program

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,5}", fullmatch=True).filter(
    lambda name: name not in {"severity", "alertname", "__name__"}
)
PAIRS = st.dictionaries(NAMES | st.sampled_from(["on", "y", "null"]), TEXTS | st.just(""), max_size=4)
ALERTS = st.builds(
    Alert,
    TEXTS,
    st.sampled_from(["up == 0", 'x{a="\\"b"} > 1', "rate(x[5m])\n> 0.1 # much"]),
    st.sampled_from(Severity),
    for_=st.integers(0, 10**6) | st.sampled_from(["5m", "1h30m", 0.25]),
    labels=PAIRS,
    annotations=PAIRS,
    group=TEXTS,
)
NASTY = "{{ $value | printf \"%.2f\" }} 'é' \u2028 \x7f \x00 \U0001f600 \ufeff: # - \\ \t\r\n no"


@given(st.lists(ALERTS, max_size=4))
def test_a_rule_file_says_what_was_declared(declared: list[Alert]) -> None:
    """Read by PyYAML it is the groups and rules, whatever texts stand in them."""
    assert yaml.safe_load(alerts.rule_file(declared)) == {"groups": alerts.rule_groups(declared)}


def test_alerts_stand_in_their_groups_in_the_order_in_which_they_came() -> None:
    """Groups too."""
    one, two, three = (
        Alert(name, "up == 0", "info", group=group) for name, group in [("a", "z"), ("b", "x"), ("c", "z")]
    )
    groups = alerts.rule_groups([one, two, three])
    assert [(group["name"], [rule["alert"] for rule in group["rules"]]) for group in groups] == [
        ("z", ["a", "c"]),
        ("x", ["b"]),
    ]


def test_a_rule_file_of_what_is_registered_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """Nothing else is left beside it; a folder that is not there is told."""
    down = alerts.register(Alert("Down", "up == 0", "info"))
    try:
        path = alerts.write_rules(tmp_path / "rules.yml")
        assert yaml.safe_load(path.read_text())["groups"] == alerts.rule_groups()
        assert down.to_rule() in alerts.rule_groups()[0]["rules"]
    finally:
        alerts.unregister(down)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        alerts.write_rules(tmp_path / "missing" / "rules.yml")


@pytest.mark.slow
def test_promtool_takes_a_rule_file(tmp_path: Path) -> None:
    """With every field, and with what is hardest to write."""
    hard = Alert(
        NASTY,
        'rate(errors_total{path="/a\\"b"}[5m])\n> 0.1 # too many',
        "critical",
        for_=0.25,
        keep_firing_for="1h",
        labels={"on": "{{ $labels.instance }}", "y": "no"},
        annotations={"summary": "{{ humanize $value }}", "text": NASTY.replace("{{", "").replace("}}", "")},
        group=NASTY,
    )
    path = alerts.write_rules(tmp_path / "rules.yml", [hard, Alert("Down", "up == 0", "info")])
    done = subprocess.run(
        [program("promtool"), "check", "rules", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "2 rules found" in done.stdout
