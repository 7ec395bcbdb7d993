"""The real Prometheus and our scraper, given one ``prometheus.yml``, find the same targets with the same labels."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from mirante.server.scrape.config import read_config
from mirante.server.scrape.manager import ScrapeManager
from tests.peers import Peer, free_port, program, running, wait_for
from tests.server.scrape.parts import MemoryLog, serving
from tests.waiting import eventually

CONFIG = """
global: {{scrape_interval: 45s, scrape_timeout: 7s}}
scrape_configs:
- job_name: files
  file_sd_configs:
  - files: ['{folder}/*.json', '{folder}/one.yml']
  relabel_configs:
  - {{action: drop, source_labels: [team], regex: quiet}}
  - {{source_labels: [__meta_filepath], regex: '.*/(.*)', target_label: file}}
  - {{action: labelmap, regex: 'label_(.+)'}}
  - {{source_labels: [path], regex: '(.+)', target_label: __metrics_path__}}
  - {{source_labels: [every], regex: '(.+)', target_label: __scrape_interval__}}
- job_name: http
  params: {{module: [a, b]}}
  http_sd_configs:
  - {{url: 'http://{address}/targets?x=1', refresh_interval: 30s}}
  static_configs: [{{targets: ['static:8080'], labels: {{from: file}}}}]
  relabel_configs:
  - {{source_labels: [__address__], target_label: __param_target}}
  - {{source_labels: [__meta_url], regex: 'http://.*(/.*)', target_label: url}}
  - {{action: hashmod, source_labels: [__address__], modulus: 7, target_label: __tmp_hash}}
  - {{source_labels: [__tmp_hash], target_label: hash}}
  - {{target_label: __scheme__, replacement: https}}
  - {{action: keep, source_labels: [__address__], regex: '(static|h1|h2).*'}}
- job_name: limited
  scrape_interval: 20s
  target_limit: 1
  file_sd_configs: [{{files: ['{folder}/one.yml']}}]
- job_name: plain
  file_sd_configs: [{{files: ['{folder}/*.json', '{folder}/one.yml']}}]
  http_sd_configs: [{{url: 'http://{address}/', refresh_interval: 30s}}]
- job_name: none
  file_sd_configs: [{{files: ['{folder}/nowhere.json']}}]
"""
FILES = {
    "a.json": json.dumps([
        {"targets": ["a1:9100", "a2:9100"], "labels": {"team": "loud", "label_zone": "x", "empty": ""}},
        {"targets": ["a3:9100"], "labels": {"team": "quiet", "__meta_own": "1"}},
        {"targets": [], "labels": {"team": "nobody"}},
    ]),
    "b.json": json.dumps([{"targets": ["a1:9100"], "labels": {"team": "loud", "path": "/probe", "every": "10s"}}]),
    "one.yml": "- targets: ['y1:8080', '[::1]:8080']\n  labels: {job: renamed, instance: own, number: 7}\n"
               "- targets: ['y2:8080']\n",
}  # fmt: skip
LISTED = [{"targets": ["h1:8080", "h2:8080", "other:8080"], "labels": {"__meta_dc": "eu", "env": "test"}}]
VARYING = {"lastError", "lastScrape", "lastScrapeDuration", "health", "globalUrl"}
TARGETS, DROPPED = 22, 2


def comparable(listed: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Active and dropped targets without what differs from scrape to scrape, as texts in order.

    Where rules make labels, version 2.42 writes some of them over what was discovered: its lists say so, later versions
    do not. There the discovered labels are left out.
    """
    active = [{key: value for key, value in one.items() if key not in VARYING} for one in listed["activeTargets"]]
    for one in active:
        if one["scrapePool"] == "files":
            del one["discoveredLabels"]
    return _texts(active), _texts([one["discoveredLabels"] for one in listed["droppedTargets"]])


def _texts(found: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(one, sort_keys=True) for one in found)


@pytest.mark.slow
def test_the_same_targets(tmp_path: Path) -> None:
    """Discovered labels, labels, URLs, intervals and what relabeling dropped."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    port, path = free_port(), tmp_path / "prometheus.config"
    command = [program("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
               f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip

    async def directory(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0)
        return web.Response(text=json.dumps(LISTED), content_type="application/json")

    def of_prometheus() -> dict[str, Any]:
        with running(command, f"http://127.0.0.1:{port}", "/-/ready", tmp_path / "prometheus.log") as peer:
            return dict(wait_for(lambda: complete(listed(peer)), what="all targets"))

    def listed(peer: Peer) -> dict[str, Any]:
        found: dict[str, Any] = peer.get("/api/v1/targets")["data"]
        return found

    def complete(found: dict[str, Any]) -> dict[str, Any] | None:
        counts = len(found["activeTargets"]), len(found["droppedTargets"])
        return found if counts == (TARGETS, DROPPED) else None

    async def main() -> tuple[dict[str, Any], dict[str, Any]]:
        async with serving(directory) as address:
            path.write_text(CONFIG.format(folder=tmp_path, address=address))
            manager = ScrapeManager(read_config(path), MemoryLog())
            await manager.start()
            try:
                theirs = await asyncio.to_thread(of_prometheus)
                await eventually(lambda: complete(dict(manager.targets())))
                return theirs, dict(manager.targets())
            finally:
                await manager.stop()

    theirs, ours = asyncio.run(main())
    assert comparable(ours) == comparable(theirs)
