"""The paths of the receivers."""

from __future__ import annotations

from collections.abc import Collection

from starlette.routing import Route

from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.endpoint import Endpoint, plain
from mirante.server.ingest.exchange import Bounds, Request
from mirante.server.ingest.importer import ImportLines
from mirante.server.ingest.json_lines import JsonLines
from mirante.server.ingest.lines import LineEndpoint
from mirante.server.ingest.loki import LokiReceiver
from mirante.server.ingest.otlp import SIGNALS, OtlpReceiver, refuse
from mirante.server.ingest.remote_write import RemoteWriteReceiver
from mirante.server.store.api import BodyLog


def routes(
    log: BodyLog, bounds: Bounds | None = None, counts: IngestCounts | None = None, promoted: Collection[str] = ()
) -> list[Route]:
    """``/api/v1/write``, ``/v1/{metrics,traces,logs}`` and the paths of other systems' senders.

    Args:
        log: where checked bodies go.
        bounds: sizes and times that are acceptable.
        counts: the receivers' own metrics.
        promoted: OpenTelemetry's resource attributes that become labels of every series.
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
        receiver = OtlpReceiver(signal, log, bounds, counts, promoted)
        endpoint = Endpoint(f"otlp_{signal}", receiver.receive, refuse, bounds, counts)
        made.append(Route(f"/v1/{signal}", endpoint.handle, methods=["POST"]))
        if signal == "logs":  # where Loki takes them
            made.append(Route("/otlp/v1/logs", endpoint.handle, methods=["POST"]))
    return made + _push_routes(log, bounds, counts)


def _push_routes(log: BodyLog, bounds: Bounds, counts: IngestCounts) -> list[Route]:
    """What other systems' senders push."""
    loki = Endpoint("loki", LokiReceiver(log, bounds, counts).receive, plain, bounds, counts)

    def json_lines(request: Request) -> JsonLines:
        return JsonLines(request, log, bounds, counts)

    def imported(request: Request) -> ImportLines:
        return ImportLines.of(request, log, bounds, counts)

    return [
        Route("/loki/api/v1/push", loki.handle, methods=["POST"]),
        Route(
            "/insert/jsonline", LineEndpoint("json_lines", json_lines, bounds, counts).handle, methods=["POST", "PUT"]
        ),
        Route(
            "/api/v1/import/prometheus",
            LineEndpoint("import", imported, bounds, counts).handle,
            methods=["POST", "PUT"],
        ),
    ]
