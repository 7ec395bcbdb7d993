"""The real Prometheus with a data set, and its answers in a form that can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cramjam

from mirante.formats import remote_write
from mirante.server.store.api import Labels
from tests.peers import Peer, fetch, free_port, program, running

Series = tuple[Labels, list[tuple[int, float]]]
"""Labels, and samples as milliseconds and values."""


@contextmanager
def prometheus_with(folder: Path, series: Sequence[Series]) -> Iterator[Peer]:
    """Debian's Prometheus, to which the series were written."""
    config = folder / "prometheus.yml"
    config.write_text("global: {}\n")
    address = f"127.0.0.1:{free_port()}"
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        "--web.enable-remote-write-receiver",
        "--enable-feature=promql-negative-offset,promql-at-modifier",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with running(command, f"http://{address}", "/-/ready", folder / "log") as peer:
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        packed = bytes(cramjam.snappy.compress_raw(body_of(series)))
        status, text = fetch(f"{peer.url}/api/v1/write", data=packed, headers=headers)
        assert status == 204, text
        yield peer


def body_of(series: Sequence[Series]) -> bytes:
    """The series as a remote-write body."""
    return b"".join(
        remote_write.series(remote_write.labels(labels), *(remote_write.sample(value, time) for time, value in points))
        for labels, points in series
    )


def by_labels(data: dict[str, Any]) -> dict[str, list[tuple[float, str]]]:
    """The points of each series."""
    return {json.dumps(one["metric"], sort_keys=True): one["values"] for one in data["result"]}
