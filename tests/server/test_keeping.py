"""What goes with every backup besides the data."""

from __future__ import annotations

from pathlib import Path

from mirante.server.keeping import extra_files
from mirante.server.settings import BackupSettings, ServerSettings


def test_the_configuration_goes_with_every_backup(tmp_path: Path) -> None:
    """Files that settings name, what those name in turn, and what the user wants besides; each once."""
    files = {
        "prometheus.yml": "rule_files: ['rules/*.yml']\n",
        "rules/a.yml": "groups: []\n",
        "alertmanager.yml": "route: {receiver: team}\nreceivers: [{name: team}]\ntemplates: ['*.tmpl']\n",
        "team.tmpl": '{{ define "x" }}x{{ end }}',
        "slo.yml": "slos: []\n",
        "more.env": "A=1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    settings = ServerSettings(
        prometheus_config=tmp_path / "prometheus.yml",
        alertmanager_config=tmp_path / "alertmanager.yml",
        slo_files=(str(tmp_path / "slo*.yml"),),
        backup=BackupSettings(files=f"{tmp_path / 'more.env'}:{tmp_path / 'prometheus.yml'}"),
    )
    assert sorted(extra_files(settings)) == sorted(tmp_path / name for name in files)


def test_a_configuration_that_is_being_repaired_is_kept_as_it_is(tmp_path: Path) -> None:
    """A backup is wanted most when something is wrong."""
    broken = tmp_path / "broken.yml"
    broken.write_text("route: [\n")
    settings = ServerSettings(prometheus_config=broken, alertmanager_config=broken, slo_files=("nowhere*.yml",))
    assert extra_files(settings) == [broken]
    assert extra_files(ServerSettings()) == []
