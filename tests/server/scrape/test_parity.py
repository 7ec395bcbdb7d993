"""The real Prometheus and our scraper, given one ``prometheus.yml`` and one target, see the same series."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mirante.server.scrape.config import read_config
from mirante.server.scrape.manager import ScrapeManager
from tests.peers import Peer, free_port, program, running, wait_for
from tests.server.scrape.parts import Exposer, MemoryLog, serving
from tests.waiting import eventually
from tests.write_request import SeriesKey, bits, read

PAGE = r"""# HELP plain A gauge.
# TYPE plain gauge
plain 1
conflict{job="own",instance="there"} 2
conflict_twice{job="own",exported_job="other"} 3
empty_label{a="",b="x"} 4
escaped{path="C:\\dir\n\"quoted\""} 5
spaced  { a = "1" , b = "2" , }   6
not_a_number NaN
infinite -Inf
exponent 1.5e-9
# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.1"} 1
latency_seconds_bucket{le="+Inf"} 3
latency_seconds_sum 0.7
latency_seconds_count 3
secret_token{kind="a"} 7
renamed_metric{a="b"} 8
unicode_value{city="Århus"} 9
"""

CONFIG = """
global: {{scrape_interval: 2s, scrape_timeout: 2s}}
scrape_configs:
- job_name: as_it_comes
  static_configs: [{{targets: ['{target}'], labels: {{env: test, a: target}}}}]
- job_name: honored
  honor_labels: true
  static_configs: [{{targets: ['{target}']}}]
- job_name: relabeled
  metrics_path: /other
  params: {{module: [one, two]}}
  static_configs: [{{targets: ['{target}', 'dropped.invalid:80'], labels: {{__meta_zone: eu-1, team_a: x}}}}]
  relabel_configs:
  - {{action: drop, source_labels: [__address__], regex: 'dropped.*'}}
  - {{source_labels: [__meta_zone], regex: '(.+)-(.+)', target_label: 'zone', replacement: '$2.$1.${{1}}x$3'}}
  - {{source_labels: [__address__, job], separator: '@', target_label: instance}}
  - {{action: labelmap, regex: 'team_(.+)', replacement: 'squad_$1'}}
  - {{action: hashmod, source_labels: [zone], modulus: 97, target_label: shard}}
  - {{source_labels: [__param_module], target_label: module}}
  - {{action: uppercase, source_labels: [zone], target_label: loud}}
  metric_relabel_configs:
  - {{action: drop, source_labels: [__name__], regex: 'secret_.*'}}
  - {{source_labels: [__name__], regex: 'renamed_(.*)', target_label: __name__, replacement: 'new_$1'}}
  - {{action: labeldrop, regex: 'squad_.*'}}
  - {{action: keep, source_labels: [__name__], regex: '(new|unicode|latency|plain|conflict).*'}}
- job_name: limited
  sample_limit: 3
  static_configs: [{{targets: ['{target}']}}]
- job_name: broken
  metrics_path: /broken
  static_configs: [{{targets: ['{target}']}}]
"""
VARYING = {"scrape_duration_seconds", "scrape_series_added"}


def of_prometheus(peer: Peer) -> dict[SeriesKey, str]:
    """The present value of every series, in Prometheus's notation."""
    return {tuple(sorted(found["metric"].items())): found["value"][1] for found in peer.query('{__name__!=""}')}


def of_ours(log: MemoryLog) -> dict[SeriesKey, float]:
    """The last value of every series that has not ended."""
    last = {key: found[-1][1] for key, found in read(log.bodies).samples.items()}
    return {key: value for key, value in last.items() if bits(value) != 0x7FF0000000000002}


@pytest.mark.slow
def test_the_same_series_with_the_same_values(tmp_path: Path) -> None:
    """Labels, conflicts, relabeling, dropped targets, limits, failures and the reports on each scrape."""
    port, path = free_port(), tmp_path / "prometheus.yml"
    command = [
        program("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip

    async def main() -> tuple[dict[SeriesKey, str], dict[SeriesKey, float]]:
        log = MemoryLog()
        async with serving(Exposer(PAGE, broken="/broken")) as address:
            path.write_text(CONFIG.format(target=address))
            manager = ScrapeManager(read_config(path), log)
            await manager.start()
            theirs = await asyncio.to_thread(scrape_with_prometheus)
            await eventually(lambda: len(of_ours(log)) >= len(theirs))
            ours = of_ours(log)
            await manager.stop()
            return theirs, ours

    def scrape_with_prometheus() -> dict[SeriesKey, str]:
        with running(command, f"http://127.0.0.1:{port}", "/-/ready", tmp_path / "prometheus.log") as peer:
            wait_for(lambda: len(peer.query("up")) == 5, what="a scrape of every job")
            return of_prometheus(peer)

    theirs, ours = asyncio.run(main())
    compared = {key: value for key, value in ours.items() if dict(key)["__name__"] not in VARYING}
    assert len(theirs) > 60
    assert {key for key in theirs if dict(key)["__name__"] not in VARYING} == set(compared)
    for key, value in compared.items():
        assert repr(float(theirs[key])) == repr(value), key
