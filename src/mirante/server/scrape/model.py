"""What a configuration says, as frozen values. Times are milliseconds, sizes bytes; a limit of 0 is no limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mirante.server.http_client.model import PLAIN, HttpClient
from mirante.server.scrape.relabel import RelabelRule

Scheme = Literal["http", "https"]
Protocol = Literal[
    "PrometheusProto", "PrometheusText0.0.4", "PrometheusText1.0.0", "OpenMetricsText0.0.1", "OpenMetricsText1.0.0"
]
NameValidation = Literal["utf8", "legacy"]
DnsType = Literal["A", "AAAA", "MX", "NS", "SRV"]
KubernetesRole = Literal["node", "service", "pod", "endpoints", "endpointslice", "ingress"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one scrape may bring; a scrape that brings more fails as a whole.

    Attributes:
        body_size: bytes of the page, uncompressed.
        samples: samples after metric relabeling.
        targets: targets of the job; when there are more, all of them fail.
        labels: labels of one series.
        label_name_length: characters of a label's name.
        label_value_length: characters of a label's value.
        native_buckets: buckets of a native histogram; one that has more is kept in wider ones.
        native_factor: the least factor by which the buckets of a native histogram grow.
    """

    body_size: int = 0
    samples: int = 0
    targets: int = 0
    labels: int = 0
    label_name_length: int = 0
    label_value_length: int = 0
    native_buckets: int = 0
    native_factor: float = 0.0


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """Targets with what they have in common, as every kind of discovery finds them.

    Attributes:
        source: where the group was found, for messages.
        targets: the labels of each target, at least ``__address__``.
        labels: labels of all of them.
    """

    source: str
    targets: tuple[Mapping[str, str], ...]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StaticSd:
    """``static_configs``: the targets stand in the configuration."""

    groups: tuple[TargetGroup, ...]


@dataclass(frozen=True, slots=True)
class FileSd:
    """One entry of ``file_sd_configs``: patterns of JSON and YAML files, read again when one changes."""

    patterns: tuple[str, ...]
    refresh: int = 300_000


@dataclass(frozen=True, slots=True)
class HttpSd:
    """One entry of ``http_sd_configs``: a URL that answers with target groups as JSON."""

    url: str
    refresh: int = 60_000
    http: HttpClient = PLAIN


@dataclass(frozen=True, slots=True)
class DnsSd:
    """One entry of ``dns_sd_configs``; records other than SRV need a port."""

    names: tuple[str, ...]
    type: DnsType = "SRV"
    port: int = 0
    refresh: int = 30_000


@dataclass(frozen=True, slots=True)
class Selector:
    """Which objects of a role are wanted, in Kubernetes's own notation."""

    role: KubernetesRole
    label: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class KubernetesSd:
    """One entry of ``kubernetes_sd_configs``.

    Attributes:
        role: what becomes a target.
        api_server: URL; without it and without ``kubeconfig`` the pod's own service account is used.
        http: how the API server is reached, with ``api_server`` only.
        namespaces: all of them when empty.
        own_namespace: the server's own namespace besides.
        attach_node: give pods and endpoints the labels of their node (``attach_metadata``).
    """

    role: KubernetesRole
    api_server: str = ""
    kubeconfig: Path | None = None
    http: HttpClient = PLAIN
    namespaces: tuple[str, ...] = ()
    own_namespace: bool = False
    selectors: tuple[Selector, ...] = ()
    attach_node: bool = False


Sd = StaticSd | FileSd | HttpSd | DnsSd | KubernetesSd
"""What a job says of one discovery."""


@dataclass(frozen=True, slots=True)
class ScrapeJob:
    """One entry of ``scrape_configs``, with the global defaults filled in.

    Attributes:
        classic_histograms: keep the classic buckets of a histogram that has native ones too.
        name_validation: whether names may have any characters, or letters, digits, ``_`` and ``:`` only.
        start_at_once: scrape when started and not first at the target's own time slot: for built-in jobs.
    """

    name: str
    interval: int = 60_000
    timeout: int = 10_000
    scheme: Scheme = "http"
    path: str = "/metrics"
    params: tuple[tuple[str, tuple[str, ...]], ...] = ()
    honor_labels: bool = False
    honor_timestamps: bool = True
    track_timestamps_staleness: bool = False
    enable_compression: bool = True
    classic_histograms: bool = False
    name_validation: NameValidation = "utf8"
    protocols: tuple[Protocol, ...] = (
        "OpenMetricsText1.0.0",
        "OpenMetricsText0.0.1",
        "PrometheusText1.0.0",
        "PrometheusText0.0.4",
    )
    fallback_protocol: Protocol = "PrometheusText0.0.4"
    http: HttpClient = PLAIN
    limits: Limits = Limits()
    relabel: tuple[RelabelRule, ...] = ()
    metric_relabel: tuple[RelabelRule, ...] = ()
    discoveries: tuple[Sd, ...] = ()
    start_at_once: bool = False


@dataclass(frozen=True, slots=True)
class AlertmanagerGroup:
    """One entry of ``alertmanagers``: Alertmanagers that are told of every alert.

    Attributes:
        groups: its ``static_configs``.
        path_prefix: stands before the path of the API.
        timeout: of one request.
        relabel: decides which of the targets are told.
        alert_relabel: changes the labels of alerts for these Alertmanagers, after the rules for all of them.
    """

    groups: tuple[TargetGroup, ...] = ()
    scheme: Scheme = "http"
    path_prefix: str = ""
    timeout: int = 10_000
    http: HttpClient = PLAIN
    relabel: tuple[RelabelRule, ...] = ()
    alert_relabel: tuple[RelabelRule, ...] = ()


@dataclass(frozen=True, slots=True)
class PrometheusConfig:
    """What mirante takes from a ``prometheus.yml``.

    Attributes:
        jobs: the ``scrape_configs``.
        external_labels: for what leaves this server; nothing stored has them.
        evaluation_interval: for rules.
        rule_query_offset: how far before the present rules look, unless their group says otherwise.
        rule_files: absolute patterns of rule files.
        alertmanagers: who is told of alerts.
        alert_relabel: changes or drops alerts on their way to any Alertmanager.
    """

    jobs: tuple[ScrapeJob, ...] = ()
    external_labels: Mapping[str, str] = field(default_factory=dict)
    evaluation_interval: int = 60_000
    rule_query_offset: int = 0
    rule_files: tuple[str, ...] = ()
    alertmanagers: tuple[AlertmanagerGroup, ...] = ()
    alert_relabel: tuple[RelabelRule, ...] = ()

    def with_builtin(self, *jobs: ScrapeJob) -> PrometheusConfig:
        """The same with the server's own jobs before it; a job of the file takes the place of its namesake."""
        named = {job.name for job in self.jobs}
        return replace(self, jobs=(*(job for job in jobs if job.name not in named), *self.jobs))
