"""What a configuration says, as frozen values. Times are milliseconds, sizes bytes; a limit of 0 is no limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mirante.server.scrape.relabel import RelabelRule

Scheme = Literal["http", "https"]
Protocol = Literal["PrometheusText0.0.4", "PrometheusText1.0.0", "OpenMetricsText0.0.1", "OpenMetricsText1.0.0"]


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
class Limits:
    """What one scrape may bring; a scrape that brings more fails as a whole.

    Attributes:
        body_size: bytes of the page, uncompressed.
        samples: samples after metric relabeling.
        targets: targets of the job; when there are more, all of them fail.
        labels: labels of one series.
        label_name_length: characters of a label's name.
        label_value_length: characters of a label's value.
    """

    body_size: int = 0
    samples: int = 0
    targets: int = 0
    labels: int = 0
    label_name_length: int = 0
    label_value_length: int = 0


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """Targets with what they have in common, as every kind of discovery finds them.

    Attributes:
        source: names the group within its job; a later group of the same source takes its place.
        targets: the labels of each target, at least ``__address__``.
        labels: labels of all of them.
    """

    source: str
    targets: tuple[Mapping[str, str], ...]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScrapeJob:
    """One entry of ``scrape_configs``, with the global defaults filled in.

    Attributes:
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
    follow_redirects: bool = True
    protocols: tuple[Protocol, ...] = (
        "OpenMetricsText1.0.0",
        "OpenMetricsText0.0.1",
        "PrometheusText1.0.0",
        "PrometheusText0.0.4",
    )
    fallback_protocol: Protocol = "PrometheusText0.0.4"
    authorization: Authorization | None = None
    tls: Tls = Tls()
    limits: Limits = Limits()
    relabel: tuple[RelabelRule, ...] = ()
    metric_relabel: tuple[RelabelRule, ...] = ()
    static: tuple[TargetGroup, ...] = ()
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
