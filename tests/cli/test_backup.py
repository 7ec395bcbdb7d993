"""Backups and removal as their user meets them: the command line against a real server, and without one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mirante.cli.main import app
from mirante.errors import MiranteError
from tests.peers import Peer, fetch, mirante, wait_for
from tests.server.store.bodies import log_body, span_body

pytestmark = pytest.mark.slow

PROTOBUF = {"Content-Type": "application/x-protobuf"}
DAY = 86_400


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """A server whose admin API is on, with logs and spans of two persons."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "mirante.toml").write_text('[retention]\nlogs = "2d"\n')
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    flags = ("--admin-api", "--config", str(folder / "mirante.toml"), "--backup-directory", str(folder / "backups"))
    with mirante(folder, *flags, "--prometheus-config", str(folder / "prometheus.yml")) as peer:
        now = int(time.time() * 1000)
        for user in ("1", "2"):
            for path, body in (
                ("logs", log_body("hello", now, user=user)),
                ("traces", span_body("go", now, user=user)),
            ):
                assert fetch(f"{peer.url}/v1/{path}", data=body, headers=PROTOBUF)[0] == 200
        wait_for(lambda: peer.query("up"), what="the first scrape")
        yield peer


def run(*arguments: str) -> Result:
    """The command's end."""
    return CliRunner().invoke(app, [*arguments])


def test_a_backup_from_making_to_a_server_on_it(server: Peer, tmp_path: Path) -> None:
    """Made while the server serves, listed, checked, restored, and served from."""
    made = run("backup", "create", "--server", server.url)
    assert made.exit_code == 0, made.output
    backup = Path(made.stdout.splitlines()[0])
    assert backup.parent == server.output.parent / "backups"
    shown = run("backup", "list", "--server", server.url)
    assert f"{backup.name}  " in shown.output
    assert "everything" in shown.output
    assert json.loads(run("backup", "list", "--directory", str(backup.parent), "--json").output)
    assert f"{backup.name} is whole" in run("backup", "verify", str(backup)).output
    restored = run("backup", "restore", str(backup), "--into", str(tmp_path / "data"))
    assert restored.exit_code == 0, restored.output
    assert f"came from  {server.output.parent / 'prometheus.yml'}" in restored.output
    with mirante(tmp_path, "--no-host-metrics") as second:
        store = second.get("/api/v1/status/store")["data"]
        assert store["signals"]["logs"]["rows"] > 0
        assert second.query("up", time=time.time() - 0.001), "the last samples of the first server"


def test_one_signal_for_other_programs(server: Peer) -> None:
    """A folder of Parquet files."""
    made = run("backup", "create", "--server", server.url, "--signal", "traces", "--format", "parquet", "--json")
    answer = json.loads(made.stdout)
    assert (answer["kind"], answer["signals"], answer["files"]) == ("parquet", ["traces"], 1)
    assert [path.suffix for path in Path(answer["path"]).rglob("*.*") if path.name != "manifest.json"] == [".parquet"]
    assert "traces" in run("backup", "list", "--server", server.url).output


def test_a_persons_records_are_removed(server: Peer) -> None:
    """Counted first, then gone."""
    at = ("--server", server.url)
    assert run("delete", "logs", "--where", "user=1", "--dry-run", *at).output == "1 log records match\n"
    assert run("delete", "logs", "--where", "user=1", "--to=-1h", *at).output == "0 log records match\n"
    assert run("delete", "logs", "--where", "user=1", *at).exit_code == 1, "nobody said yes"
    gone = run("delete", "logs", "--where", "user=1", "--where", "service.name=shop", "--yes", *at)
    assert gone.output == "1 log records are gone from the disk\n"
    assert run("delete", "logs", "--where", "user=1", "--dry-run", *at).output == "0 log records match\n"
    assert run("delete", "logs", "--where", "user=2", "--dry-run", *at).output == "1 log records match\n"
    assert "1 spans are gone" in run("delete", "traces", "--where", "user=2", "--yes", *at).output


def test_series_are_removed(server: Peer) -> None:
    """By selectors, as Prometheus's API has it; the disk follows at once."""
    text = b"# TYPE doomed gauge\ndoomed 1 %.3f\n# EOF\n" % time.time()
    openmetrics = {"Content-Type": "application/openmetrics-text; version=1.0.0; charset=utf-8"}
    assert fetch(f"{server.url}/api/v1/import/prometheus", data=text, headers=openmetrics)[0] == 200
    wait_for(lambda: server.query("doomed"), what="the sample")
    at = ("--server", server.url)
    assert run("delete", "series", "doomed", *at).exit_code == 1, "nobody said yes"
    assert run("delete", "series", 'doomed{job=""}', "--yes", "--from=-1d", *at).output == "removed\n"
    assert not server.query("doomed")


@pytest.mark.parametrize("what", [("logs", "--where", "user"), ("logs", "--where", "=1")])
def test_a_condition_that_is_none_is_refused(what: tuple[str, ...]) -> None:
    """Before anything is asked."""
    assert "is no name=value" in str(run("delete", *what).exception)


def test_the_retention_follows_the_settings_file(server: Peer) -> None:
    """Changed there and reloaded, it holds without a restart: for what is stored and for what comes."""
    old = log_body("old", int((time.time() - 1.5 * DAY) * 1000), user="old")
    status, reply = fetch(f"{server.url}/v1/logs", data=old, headers=PROTOBUF)
    assert (status, b"outside of" in reply) == (200, False)
    file = server.output.parent / "mirante.toml"
    file.write_text('[retention]\nlogs = "1h"\n')
    assert fetch(f"{server.url}/-/reload", data=b"")[0] == 200
    assert server.get("/api/v1/admin/retention")["data"]["logs"] == 3600
    assert b"outside of" in fetch(f"{server.url}/v1/logs", data=old, headers=PROTOBUF)[1]
    file.write_text("[retention]\nlogs = 'soon'\n")
    status, reply = fetch(f"{server.url}/-/reload", data=b"")
    assert status == 500
    assert b"retention.logs" in reply
    assert server.get("/api/v1/admin/retention")["data"]["logs"] == 3600


def test_a_stopped_servers_directory(server: Peer, tmp_path: Path) -> None:
    """The same without a server; a directory that one holds is refused."""
    held = run("backup", "create", "--data", str(server.output.parent / "data"))
    assert "in use by process" in str(held.exception)
    with mirante(tmp_path):
        pass
    made = run("backup", "create", "--data", str(tmp_path / "data"), "--signal", "metrics")
    assert made.exit_code == 0, made.exception
    assert run("backup", "verify", made.stdout.splitlines()[0]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("backup", "create", "--signal", "smells"), "none of metrics, logs and traces"),
        (("backup", "create", "--format", "zip"), "neither native nor parquet"),
        (("backup", "create", "--data", "/nowhere/at/all"), "is no data directory"),
        (("backup", "verify", "/nowhere"), "is no backup"),
        (("backup", "list", "--server", "http://127.0.0.1:9"), "127.0.0.1:9"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], words: str) -> None:
    """As an error of ours, which the command prints in one line."""
    error = run(*arguments).exception
    assert isinstance(error, MiranteError)
    assert words in str(error)


def test_without_the_setting_nothing_is_removed(tmp_path: Path) -> None:
    """The answer tells how to turn it on; backups go all the same."""
    with mirante(tmp_path, "--no-host-metrics") as peer:
        refused = run("delete", "series", "up", "--yes", "--server", peer.url)
        assert "--admin-api" in str(refused.exception)
        assert run("backup", "create", "--server", peer.url).exit_code == 0
