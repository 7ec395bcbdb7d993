"""The Pushgateway's protocol: ``/metrics/job/<job>{/<label>/<value>}``, and its API.

Source: the Pushgateway's README, "API" and "Query API".
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from itertools import groupby
from math import isfinite
from typing import Any

import orjson
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from mirante._core.model import Sample
from mirante.errors import DeclarationError, FormatError
from mirante.formats.exposition import TEXT_CONTENT_TYPE, encode, lines
from mirante.formats.rfc3339 import rfc3339_nano
from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.endpoint import Endpoint, plain
from mirante.server.ingest.exchange import Bounds, Refusal, Reply, Request, unpack
from mirante.server.ingest.push_body import Family, NativeSample, read_families
from mirante.server.ingest.push_group import FAILURE_TIME, PUSH_TIME, Group
from mirante.server.ingest.push_groups import PushGroups
from mirante.server.promql.gofloat import go_float

_LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_BASE64 = "@base64"


class PushgatewayReceiver:
    """Takes pushes and deletions.

    Args:
        groups: what they change.
        bounds: sizes that are acceptable.
        counts: the receivers' own metrics.
    """

    def __init__(self, groups: PushGroups, bounds: Bounds, counts: IngestCounts) -> None:
        self._groups = groups
        self._bounds = bounds
        self._counts = counts

    def receive(self, request: Request) -> Reply:
        """Take a push (PUT replaces the group, POST the metrics of the same names: 200) or a DELETE (202).

        Raises:
            Refusal: 400 for a path, a body or metrics that cannot be taken; 413 or 415.
            StoreError: it cannot be stored; nothing was changed.
        """
        labels = group_labels(request.path)
        if request.method == "DELETE":
            self._groups.delete(labels)
            return Reply(202)
        body = unpack(request, self._bounds.max_body)
        try:
            families = read_families(body, request.media_type)
        except FormatError as error:
            raise Refusal(400, f"The metrics cannot be read: {error}.") from None
        count = sum(len(family.samples) + len(family.natives) for family in families)
        try:
            self._groups.push(labels, families, replace=request.method == "PUT")
        except DeclarationError as error:
            self._counts.items("metrics", accepted=0, rejected=count)
            raise Refusal(400, f"pushed metrics are invalid or inconsistent with existing metrics: {error}.") from None
        self._counts.items("metrics", accepted=count, rejected=0)
        return Reply(200)


def group_labels(path: str) -> dict[str, str]:
    """The labels of the group that a path names.

    Raises:
        Refusal: 400, it names none.

    Example:
        >>> group_labels("/metrics/job/backup/path@base64/L3Zhci90bXA=/disk@base64/=")
        {'job': 'backup', 'path': '/var/tmp', 'disk': ''}
    """
    job_name, job, *rest = path.removeprefix("/metrics/").split("/")
    if rest == [""]:
        rest = []
    if len(rest) % 2:
        raise Refusal(400, f'odd number of components in label string "/{"/".join(rest)}"')
    labels: dict[str, str] = {"job": _value(job_name, job)}
    if not labels["job"]:
        raise Refusal(400, "job name is required")
    for name, value in zip(rest[::2], rest[1::2], strict=True):
        bare = name.removesuffix(_BASE64)
        if not _LABEL_NAME.fullmatch(bare):
            raise Refusal(400, f'improper label name "{bare}"')
        if bare != "job":
            labels[bare] = _value(name, value)
    return labels


def _value(name: str, value: str) -> str:
    if not name.endswith(_BASE64):
        return value
    text = value.rstrip("=")
    try:
        return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except ValueError as error:  # binascii.Error and UnicodeDecodeError are some
        raise Refusal(400, f'invalid base64 encoding for label {name}="{value}": {error}') from None


class PushgatewayApi:
    """What tells of the groups.

    Args:
        groups: whose.
        started: when the server started.
    """

    def __init__(self, groups: PushGroups, started: datetime) -> None:
        self._groups = groups
        self._started = started

    def metrics(self, _: HttpRequest) -> Response:
        """``/api/v1/metrics``: the groups with their metrics."""
        return _success([_group(group) for group in self._groups.groups()])

    def status(self, _: HttpRequest) -> Response:
        """``/api/v1/status``: what program this is."""
        build = {"version": version("mirante")}
        return _success({"build_information": build, "flags": {}, "start_time": self._started.isoformat()})

    def exposition(self, _: HttpRequest) -> Response:
        """``/metrics/pushgateway``: the groups for a Prometheus that scrapes them with ``honor_labels``."""
        found = [family for group in self._groups.groups() for family in group.families.values()]
        found.sort(key=lambda family: family.name)
        text = "".join(
            part for name, families in groupby(found, lambda family: family.name) for part in _text(name, [*families])
        )
        return Response(encode(text), media_type=TEXT_CONTENT_TYPE)


def _success(data: object) -> Response:
    return Response(orjson.dumps({"status": "success", "data": data}), media_type="application/json")


def _text(name: str, families: list[Family]) -> Iterator[str]:
    if families[0].help:
        text = families[0].help.replace("\\", r"\\").replace("\n", r"\n")
        yield f"# HELP {name} {text}\n"
    yield f"# TYPE {name} {families[0].type.removeprefix('gauge') or 'gauge'}\n"
    for family in families:
        samples = [*family.samples, *(part for native in family.natives for part in _totals(name, native))]
        yield from lines((sample._replace(exemplar=None) for sample in samples), openmetrics=False)


def _totals(name: str, native: NativeSample) -> Iterator[Sample]:
    """All that text has room for of a native histogram."""
    yield Sample(f"{name}_bucket", {**native.labels, "le": "+Inf"}, native.value.count)
    yield Sample(f"{name}_sum", native.labels, native.value.sum)
    yield Sample(f"{name}_count", native.labels, native.value.count)


def _group(group: Group) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "labels": group.labels,
        "last_push_successful": group.moment(PUSH_TIME) >= group.moment(FAILURE_TIME),
    }
    for name, family in group.families.items():
        shown[name] = {
            "time_stamp": rfc3339_nano(family.time),
            "type": family.type.upper().replace("GAUGEH", "GAUGE_H"),
            **({"help": family.help} if family.help else {}),
            "metrics": list(_SHAPES.get(family.type, _numbers)(family)),
        }
    return shown


def _numbers(family: Family) -> Iterator[dict[str, Any]]:
    for sample in family.samples:
        yield {"labels": sample.labels, "value": _go(sample.value)}


def _parts(family: Family, inner: str, label: str) -> Iterator[dict[str, Any]]:
    """Histograms and summaries: the samples that share all labels but one are one metric."""
    found: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in family.samples:
        key = tuple((name, value) for name, value in sample.labels.items() if name != label)
        found.setdefault(key, []).append(sample)
    for key, samples in found.items():
        metric: dict[str, Any] = {"labels": dict(key), inner: {}, "count": "0", "sum": "0"}
        for sample in samples:
            if label in sample.labels:
                metric[inner][sample.labels[label]] = _go(sample.value)
            else:
                metric[sample.name.rpartition("_")[2]] = _go(sample.value)
        yield metric


def _go(value: float) -> str:
    """A number as Go's ``fmt.Sprint`` prints it: with an exponent below 1e-4 and from 1e6 on."""
    if not isfinite(value) or value == 0 or 1e-4 <= abs(value) < 1e6:
        return go_float(value)
    mantissa, _, exponent = f"{Decimal(repr(float(value))).normalize():e}".partition("e")
    return f"{mantissa}e{exponent[0]}{exponent[1:]:0>2}"


def _histograms(family: Family) -> Iterator[dict[str, Any]]:
    yield from _parts(family, "buckets", "le")
    for labels, value, *_ in family.natives:
        # The first number says which bounds belong to the bucket: the upper, the lower, none or both.
        buckets = [
            [
                (1 if one.lower_inclusive else 2) if not one.upper_inclusive else 3 if one.lower_inclusive else 0,
                _go(one.lower),
                _go(one.upper),
                _go(one.count),
            ]
            for one in value.buckets()
        ]
        yield {"labels": labels, "buckets": buckets, "count": _go(value.count), "sum": _go(value.sum)}


_SHAPES: dict[str, Callable[[Family], Iterator[dict[str, Any]]]] = {
    "histogram": _histograms,
    "gaugehistogram": _histograms,
    "summary": lambda family: _parts(family, "quantiles", "quantile"),
}


def routes(groups: PushGroups, bounds: Bounds, counts: IngestCounts) -> list[Route]:
    """The paths of the protocol and of its API.

    Args:
        groups: what is pushed goes there.
        bounds: sizes that are acceptable.
        counts: the receivers' own metrics.
    """
    door = Endpoint("pushgateway", PushgatewayReceiver(groups, bounds, counts).receive, plain, bounds, counts)
    api = PushgatewayApi(groups, datetime.now(UTC))
    methods = ["PUT", "POST", "DELETE"]
    return [
        Route("/metrics/job/{group:path}", door.handle, methods=methods),
        Route("/metrics/job@base64/{group:path}", door.handle, methods=methods),
        Route("/metrics/pushgateway", api.exposition),
        Route("/api/v1/metrics", api.metrics),
        Route("/api/v1/status", api.status),
    ]
