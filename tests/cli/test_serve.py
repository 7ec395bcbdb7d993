"""``mirante serve`` as its user meets it: one clear line and the right exit code when it cannot be done."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mirante.cli.main import app, main
from tests.peers import free_port, mirante


def serve(*flags: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "mirante", "serve", *flags],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **(env or {})},
    )  # fmt: skip


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """What was printed on standard error, which must be a single line of ours."""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("mirante: ")
    return lines[0]


def test_help_shows_every_flag_with_its_variable_and_default() -> None:
    """The table of settings is the help text."""
    shown = CliRunner().invoke(app, ["serve", "--help"], terminal_width=200).output
    assert "--port N" in shown
    assert "MIRANTE_QUERY_TIMEOUT" in shown
    assert "--host-metrics / --no-host-metrics" in shown


def test_the_version_is_printed() -> None:
    """As every program does."""
    assert CliRunner().invoke(app, ["--version"]).output.startswith("mirante 0.")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", ['unknown key "prot"', 'did you mean "port"', "mirante.toml"]),
        ("port = 70000", ["port = 70000", "0 for any free one"]),
    ],
)
def test_a_wrong_configuration_names_key_and_file_and_exits_with_2(
    tmp_path: Path, text: str, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is started on a half-understood configuration."""
    file = tmp_path / "mirante.toml"
    file.write_text(text)
    monkeypatch.setattr(sys, "argv", ["mirante", "serve", "--config", str(file)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith("mirante: ")
    assert all(word in printed for word in words)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--port", "x"),
        ("--query-timeout", "0"),
        ("--query-max-samples", "-1"),
        ("--log-level", "loud"),
        ("--query-lookback-delta", "1 day"),
    ],
)
def test_a_wrong_flag_is_named_and_exits_with_2(
    flag: str, value: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the flag as it was typed."""
    monkeypatch.setattr(sys, "argv", ["mirante", "serve", flag, value])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert f"mirante: {flag}: " in capsys.readouterr().err


@pytest.mark.slow
def test_an_unknown_key_of_prometheus_yml_is_named_with_file_and_line_and_exits_with_2(tmp_path: Path) -> None:
    """The file is refused whole, before anything is opened."""
    file = tmp_path / "prometheus.yml"
    file.write_text("scrape_configs:\n- job_name: a\n  metric_path: /x\n")
    result = serve("--prometheus-config", str(file), "--data", str(tmp_path / "data"))
    assert result.returncode == 2
    assert all(word in one_line(result) for word in ("metric_path", "prometheus.yml", "3"))
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_a_used_port_is_one_line_and_exits_with_1(tmp_path: Path) -> None:
    """It says which address and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = serve("--port", str(port), "--data", str(tmp_path / "data"))
    assert result.returncode == 1
    assert f"127.0.0.1:{port}" in one_line(result)
    assert "--port" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_one_line_and_exits_with_1(tmp_path: Path, host: str) -> None:
    """A name that nobody knows, an address of another machine."""
    result = serve("--host", host, "--data", str(tmp_path / "data"))
    assert result.returncode == 1
    assert f"cannot listen on {host}" in one_line(result)


@pytest.mark.slow
def test_a_data_directory_that_another_process_holds_is_one_line_and_exits_with_1(tmp_path: Path) -> None:
    """The second server names the first one's process id and leaves its data alone."""
    with mirante(tmp_path) as first:
        result = serve("--port", str(free_port()), "--data", str(tmp_path / "data"))
        assert result.returncode == 1
        assert str(first.process.pid) in one_line(result)
        assert first.answers("/-/ready")


@pytest.mark.slow
def test_a_data_directory_that_cannot_be_made_is_one_line_and_exits_with_1(tmp_path: Path) -> None:
    """A file stands where the directory should be."""
    (tmp_path / "data").write_text("")
    result = serve("--port", str(free_port()), "--data", str(tmp_path / "data"))
    assert result.returncode == 1
    assert "data" in one_line(result)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_ends_it_cleanly_with_0(tmp_path: Path, number: signal.Signals) -> None:
    """It says where it listens when it starts, and leaves nothing behind when it stops."""
    with mirante(tmp_path) as server:
        assert f"listens on {server.url}" in server.output.read_text()
        assert server.stop(number) == 0
    assert "Traceback" not in server.output.read_text()
