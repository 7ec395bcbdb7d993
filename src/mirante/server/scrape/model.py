"""What a configuration says, as frozen values. Times are milliseconds, sizes bytes; a limit of 0 is no limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mirante.server.scrape.relabel import RelabelRule

Scheme = Literal["http", "https"]
Protocol = Literal[
    "PrometheusProto", "PrometheusText0.0.4", "PrometheusText1.0.0", "OpenMetricsText0.0.1", "OpenMetricsText1.0.0"
]
NameValidation = Literal["utf8", "legacy"]
DnsType = Literal["A", "AAAA", "MX", "NS", "SRV"]
KubernetesRole = Literal["node", "service", "pod", "endpoints", "endpointslice", "ingress"]


@dataclass(frozen=True, slots=True)
class Secret:
    """A password or token, given in the configuration or in a file that is read anew for every request."""

    text: str = field(default="", repr=False)
    file: Path | None = None

    def read(self) -> str:
        """The secret itself; a file's line end is not part of it.

        Raises:
            OSError: the file cannot be read.
        """
        return self.text if self.file is None else self.file.read_text(encoding="utf-8").strip()


@dataclass(frozen=True, slots=True)
class Authorization:
    """The ``Authorization`` header: ``Basic`` where there is a user name, otherwise ``type`` and the secret."""

    type: str
    secret: Secret
    username: str = ""


@dataclass(frozen=True, slots=True)
class Tls:
    """``tls_config``: whom to trust and what to show."""

    ca: str = ""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""
    insecure_skip_verify: bool = False
    min_version: str = ""
    max_version: str = ""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Through what requests go.

    Attributes:
        url: of the proxy; the empty string for none.
        exceptions: ``no_proxy``: hosts that are reached directly, separated by commas.
        from_environment: take ``http_proxy``, ``https_proxy`` and ``no_proxy`` of the environment instead.
        headers: sent to the proxy with CONNECT.
    """

    url: str = field(default="", repr=False)  # may hold a password
    exceptions: str = ""
    from_environment: bool = False
    headers: tuple[tuple[str, Secret], ...] = ()


@dataclass(frozen=True, slots=True)
class OAuth2:
    """The client credentials grant: a token is fetched from ``token_url`` and renewed before it expires."""

    client_id: str
    secret: Secret
    token_url: str
    scopes: tuple[str, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    tls: Tls = Tls()
    proxy: Proxy = Proxy()


@dataclass(frozen=True, slots=True)
class HttpClient:
    """How requests are made: what Prometheus calls ``http_config``.

    Attributes:
        headers: sent with every request; a name may stand there more than once.
    """

    authorization: Authorization | None = None
    oauth2: OAuth2 | None = None
    tls: Tls = Tls()
    proxy: Proxy = Proxy()
    follow_redirects: bool = True
    headers: tuple[tuple[str, Secret], ...] = ()


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
    http: HttpClient = HttpClient()


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
    http: HttpClient = HttpClient()
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
    http: HttpClient = HttpClient()
    limits: Limits = Limits()
    relabel: tuple[RelabelRule, ...] = ()
    metric_relabel: tuple[RelabelRule, ...] = ()
    discoveries: tuple[Sd, ...] = ()
    start_at_once: bool = False


@dataclass(frozen=True, slots=True)
class PrometheusConfig:
    """What mirante takes from a ``prometheus.yml``.

    Attributes:
        jobs: the ``scrape_configs``.
        external_labels: for what leaves this server; nothing stored has them.
        evaluation_interval: for rules, in milliseconds.
    """

    jobs: tuple[ScrapeJob, ...] = ()
    external_labels: Mapping[str, str] = field(default_factory=dict)
    evaluation_interval: int = 60_000

    def with_builtin(self, *jobs: ScrapeJob) -> PrometheusConfig:
        """The same with the server's own jobs before it; a job of the file takes the place of its namesake."""
        named = {job.name for job in self.jobs}
        return replace(self, jobs=(*(job for job in jobs if job.name not in named), *self.jobs))
