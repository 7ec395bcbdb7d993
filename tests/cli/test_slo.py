"""``mirante slo``: check, rules and dashboard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mirante.cli.main import app
from mirante.errors import ConfigError
from mirante.server.rules.read import read_rules

GOOD = "slos: [{name: up, service: shop, objective: 99.5, window: 1w, indicator: {good: ok_total, total: all_total}}]"


def slo(*arguments: object) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["slo", *map(str, arguments)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An objective."""
    path = tmp_path / "slos.yml"
    path.write_text(GOOD)
    return path


def test_objectives_are_checked_and_listed(file: Path) -> None:
    """Those that ship by their name."""
    result = slo("check", file, "agents")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "shop: up: 99.5 % over 7d"
    assert result.stdout.splitlines()[-1] == "SUCCESS: 6 objectives found"


def test_what_is_wrong_is_told_on_a_line_each(file: Path) -> None:
    """With exit code 1."""
    file.write_text(GOOD.replace("99.5", "0") + "\n---\nslos: [{}]")
    result = slo("check", file, "none.yml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("FAILED: none.yml: there is no such file")
    result = slo("rules", file)
    assert result.exit_code == 1
    assert result.stderr.count("FAILED: ") == 2


def test_rules_are_printed_or_written(file: Path, tmp_path: Path) -> None:
    """As a rule file that can be read."""
    printed = slo("rules", file)
    assert printed.exit_code == 0
    assert slo("rules", file, "--output", tmp_path / "rules.yml").stdout == ""
    assert (tmp_path / "rules.yml").read_text() == printed.stdout
    assert read_rules([tmp_path / "rules.yml"])[0].name == "slo:shop:up"


def test_a_dashboard_is_printed(file: Path) -> None:
    """With the title and the id that were given."""
    shown = json.loads(slo("dashboard", file, "--title", "Ours", "--uid", "x").stdout)
    assert (shown["title"], shown["uid"]) == ("Ours", "x")


def test_where_it_cannot_be_written_is_told(file: Path, tmp_path: Path) -> None:
    """As wrong usage."""
    result = slo("rules", file, "-o", tmp_path / "no" / "rules.yml")
    assert isinstance(result.exception, ConfigError)
    assert "cannot be written: No such file or directory" in str(result.exception)
