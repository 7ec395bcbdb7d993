"""Configurations are reloaded all together or not at all, over HTTP and by SIGHUP."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from starlette.applications import Starlette

from mirante.errors import ConfigError, StoreError
from mirante.server.reload import Commit, Reloading
from mirante.testing.clock import FakeClock
from tests.peers import Peer, fetch, free_port, mirante, program, running, wait_for
from tests.server.asgi import call


class Part:
    """A part of a server with a configuration."""

    def __init__(self, name: str, journal: list[str], error: str = "") -> None:
        self.name, self.journal, self.error = name, journal, error

    def prepare(self) -> Commit:
        """Read it."""
        self.journal.append(f"{self.name} read")
        if self.error:
            raise ConfigError(self.error)
        return self.commit

    async def commit(self) -> None:
        """Put it in force."""
        self.journal.append(f"{self.name} in force")


def values(reloading: Reloading) -> dict[str, float]:
    """Its metrics."""
    return {sample.name: sample.value for family in reloading.collect() for sample in family.samples}


def test_all_are_read_before_any_is_in_force() -> None:
    """In their order."""
    journal: list[str] = []
    clock = FakeClock()
    reloading = Reloading([Part("a", journal).prepare, Part("b", journal).prepare], clock)
    clock.advance(10)
    asyncio.run(reloading.reload())
    assert journal == ["a read", "b read", "a in force", "b in force"]
    at = clock.time_ns() / 1e9
    assert values(reloading) == {
        "mirante_config_last_reload_successful": 1.0,
        "mirante_config_last_reload_success_timestamp_seconds": at,
        "prometheus_config_last_reload_successful": 1.0,
        "prometheus_config_last_reload_success_timestamp_seconds": at,
    }


def test_a_disk_that_fails_stops_all() -> None:
    """The part that writes comes first, so that nothing is in force yet; SIGHUP ends nothing."""
    journal: list[str] = []

    async def fail() -> None:
        raise StoreError("no room")

    reloading = Reloading([lambda: fail, Part("b", journal).prepare])
    with pytest.raises(ConfigError, match="no room"):
        asyncio.run(reloading.reload())
    asyncio.run(reloading.on_signal())
    assert journal == ["b read", "b read"]
    assert values(reloading)["mirante_config_last_reload_successful"] == 0


def test_one_that_is_broken_stops_all(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is put in force; the metric says so until the next good one; the time stays that of the last good one."""
    journal: list[str] = []
    clock = FakeClock()
    good, broken = Part("a", journal), Part("b", journal, "b.yml, line 3: unknown key")
    reloading = Reloading([good.prepare, broken.prepare], clock)
    before = values(reloading)
    clock.advance(10)
    with pytest.raises(ConfigError, match=r"b\.yml, line 3"):
        asyncio.run(reloading.reload())
    asyncio.run(reloading.on_signal())
    assert "in force" not in " ".join(journal)
    assert values(reloading) == {name: 0.0 if name.endswith("successful") else value for name, value in before.items()}
    assert caplog.text.count("the configuration was not reloaded, the old one stays in force: b.yml, line 3") == 2
    broken.error = ""
    asyncio.run(reloading.on_signal())
    assert values(reloading)["mirante_config_last_reload_successful"] == 1.0


@pytest.mark.parametrize("path", ["/-/reload", "/reload"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_over_http_as_prometheus_answers(path: str, method: str) -> None:
    """200 without a word, 500 with the reason, 405 for a GET."""
    part = Part("a", [])
    app = Starlette(routes=Reloading([part.prepare]).routes())
    good = asyncio.run(call(app, method, path))
    assert (good.status, good.text) == (200, "")
    part.error = "a.yml, line 1: no"
    bad = asyncio.run(call(app, method, path))
    assert (bad.status, bad.text) == (500, "failed to reload config: a.yml, line 1: no\n")
    assert asyncio.run(call(app, "GET", path)).status == 405


def refused(server: Peer, path: Path) -> None:
    """Reload a broken file, and look at what comes back."""
    path.write_text("scrape_configs:\n- job_name: three\n  color: red\n")
    status, text = fetch(f"{server.url}/-/reload", data=b"")
    assert status == 500
    assert text.startswith(b"failed to reload config: ")
    assert all(word in text for word in (b"color", b"line 3"))
    assert "prometheus_config_last_reload_successful 0" in fetch(f"{server.url}/metrics")[1].decode()


@pytest.mark.slow
def test_a_server_takes_a_changed_file(tmp_path: Path) -> None:
    """By POST and by SIGHUP; a broken one is refused whole and named."""
    path = tmp_path / "prometheus.yml"
    path.write_text("scrape_configs: [{job_name: one}]")
    with mirante(tmp_path, "--prometheus-config", str(path), "--no-host-metrics") as server:

        def pools() -> list[str]:
            found: list[str] = server.get("/api/v1/scrape_pools")["data"]["scrapePools"]
            return found

        assert pools() == ["one"]
        path.write_text("scrape_configs: [{job_name: two}]")
        assert fetch(f"{server.url}/-/reload", data=b"") == (200, b"")
        assert pools() == ["two"]
        refused(server, path)
        assert pools() == ["two"]
        path.write_text("scrape_configs: [{job_name: three}]")
        os.kill(server.process.pid, signal.SIGHUP)
        wait_for(lambda: pools() == ["three"], what="the third job")


@pytest.mark.slow
def test_prometheus_answers_the_same(tmp_path: Path) -> None:
    """Statuses, words and metric."""
    port, path = free_port(), tmp_path / "prometheus.yml"
    path.write_text("scrape_configs: [{job_name: one}]")
    command = [program("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
               f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle"]  # fmt: skip
    with running(command, f"http://127.0.0.1:{port}", "/-/ready", tmp_path / "prometheus.log") as server:
        assert fetch(f"{server.url}/-/reload", data=b"") == (200, b"")
        assert fetch(f"{server.url}/-/reload")[0] == 405
        refused(server, path)
