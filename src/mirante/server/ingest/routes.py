"""The paths of the receivers."""

from __future__ import annotations

from starlette.routing import Route

from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.endpoint import Endpoint, plain
from mirante.server.ingest.exchange import Bounds
from mirante.server.ingest.otlp import SIGNALS, OtlpReceiver, refuse
from mirante.server.ingest.remote_write import RemoteWriteReceiver
from mirante.server.store.api import BodyLog


def routes(log: BodyLog, bounds: Bounds | None = None, counts: IngestCounts | None = None) -> list[Route]:
    """``/api/v1/write`` and ``/v1/{metrics,traces,logs}``.

    Args:
        log: where checked bodies go.
        bounds: sizes and times that are acceptable.
        counts: the receivers' own metrics.
    """
    bounds, counts = bounds or Bounds(), counts or IngestCounts()
    remote_write = RemoteWriteReceiver(log, bounds, counts)
    made = [
        Route(
            "/api/v1/write",
            Endpoint("remote_write", remote_write.receive, plain, bounds, counts).handle,
            methods=["POST"],
        )
    ]
    for signal in SIGNALS:
        receiver = OtlpReceiver(signal, log, bounds, counts)
        endpoint = Endpoint(f"otlp_{signal}", receiver.receive, refuse, bounds, counts)
        made.append(Route(f"/v1/{signal}", endpoint.handle, methods=["POST"]))
    return made
