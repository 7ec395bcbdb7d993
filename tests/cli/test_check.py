"""``mirante check config``: what is wrong is told with file and line, and the exit code says whether anything is."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mirante.cli.main import app


def check(*files: Path) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["check", "config", *map(str, files)])


def job(folder: Path, text: str) -> Path:
    """A configuration with one job."""
    path = folder / "prometheus.yml"
    path.write_text(f"scrape_configs:\n- job_name: a\n  {text}\n")
    return path


def test_a_good_file_passes(tmp_path: Path) -> None:
    """With the files that it names."""
    (tmp_path / "targets.json").write_text('[{"targets": ["a:1"]}]')
    (tmp_path / "targets.yml").write_text("- targets: [a:1]\n")
    (tmp_path / "token").write_text("secret")
    path = job(tmp_path, "file_sd_configs: [{files: ['targets.*.json', 'targets.json', '*.yml.yml', 'targets.yml']}]\n"
                         "  bearer_token_file: token")  # fmt: skip
    result = check(path)
    assert result.exit_code == 0, result.output
    assert f"SUCCESS: {path} is a valid configuration" in result.stdout
    assert result.stderr.count('WARNING: job name "a": no file matches ') == 2


def test_a_bad_file_fails_and_the_others_are_checked_too(tmp_path: Path) -> None:
    """File, line and key."""
    bad, good = job(tmp_path, "metric_path: /x"), tmp_path / "good.yml"
    good.write_text("scrape_configs: []")
    result = check(bad, good)
    assert result.exit_code == 1
    assert f'FAILED: {bad}, line 3: scrape_configs[0].metric_path: unknown key "metric_path"' in result.stderr
    assert f"SUCCESS: {good}" in result.stdout
    assert f"SUCCESS: {bad}" not in result.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bearer_token_file: none", 'job name "a": {folder}/none cannot be read: No such file or directory'),
        ("tls_config: {ca_file: none}", 'job name "a": tls_config cannot be used: [Errno 2] No such file or directory'),
        ("http_headers: {X-A: {files: [none]}}", 'job name "a": {folder}/none cannot be read'),
        (
            "oauth2: {client_id: a, client_secret_file: none, token_url: 'http://127.0.0.1', tls_config: {ca: no PEM}}",
            'job name "a": {folder}/none cannot be read',
        ),
        ("http_sd_configs: [{url: 'http://127.0.0.1', bearer_token_file: none}]", "{folder}/none cannot be read"),
        ("file_sd_configs: [{files: [x.json]}]", "{folder}/x.json: is not JSON: "),
        ("file_sd_configs: [{files: [x.yml]}]", "{folder}/x.yml, line 2: [0].target: unknown key"),
        ("file_sd_configs: [{files: [z.yml]}]", '{folder}/z.yml: "http://a:1/" is not a valid hostname'),
        ("file_sd_configs: [{files: [x.yaml]}]", "{folder}/x.yaml: cannot be read: Is a directory"),
        ("file_sd_configs: [{files: [y.json]}]", "{folder}/y.json: cannot be read: Is a directory"),
    ],
)
def test_files_that_are_named_are_checked(tmp_path: Path, text: str, message: str) -> None:
    """Secrets, certificates, targets."""
    (tmp_path / "x.json").write_text("[")
    (tmp_path / "x.yml").write_text("# targets\n- target: [a:1]\n")
    (tmp_path / "z.yml").write_text("- targets: ['http://a:1/']\n")
    (tmp_path / "x.yaml").mkdir()
    (tmp_path / "y.json").mkdir()
    result = check(job(tmp_path, text))
    assert result.exit_code == 1
    assert "FAILED: " in result.stderr
    assert message.format(folder=tmp_path) in result.stderr


def test_help_says_what_can_be_checked() -> None:
    """Without an argument."""
    assert "config" in CliRunner().invoke(app, ["check", "--help"]).output
