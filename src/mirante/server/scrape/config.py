"""Reads ``prometheus.yml`` as it is: the ``global`` section and ``scrape_configs``, by Prometheus 3's own rules.

What Prometheus knows and this version of mirante does not yet is refused by name; what Prometheus does not know is an
unknown key. Source: prometheus.io, "Configuration".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from mirante.server.scrape.http_config import read_http
from mirante.server.scrape.model import Limits, PrometheusConfig, Protocol, Scheme, ScrapeJob, TargetGroup
from mirante.server.scrape.relabel import ACTIONS, DEFAULT_REGEX, Action, RelabelRule, compile_regex
from mirante.server.yaml_reader import Section, Value, read_yaml

_SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
_PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
_PROTOBUF: Literal["PrometheusProto"] = "PrometheusProto"
_LATER_TOP = (
    "scrape_config_files",
    "rule_files",
    "alerting",
    "remote_write",
    "remote_read",
    "storage",
    "tracing",
    "otlp",
)
_LATER_GLOBAL = ("query_log_file", "scrape_failure_log_file", "convert_classic_histograms_to_nhcb")
# Settings of native histograms, which text pages cannot carry, and of Prometheus's own process: nothing here changes.
_WITHOUT_EFFECT = (
    "always_scrape_classic_histograms",
    "keep_dropped_targets",
    "metric_name_escaping_scheme",
    "metric_name_validation_scheme",
    "scrape_classic_histograms",
    "scrape_native_histograms",
)
_NO_LABELS: Mapping[str, str] = {}
_DISCOVERIES = (
    "azure", "consul", "digitalocean", "dns", "docker", "dockerswarm", "ec2", "eureka", "file", "gce", "hetzner",
    "http", "ionos", "kubernetes", "kuma", "lightsail", "linode", "marathon", "nerve", "nomad", "openstack", "ovhcloud",
    "puppetdb", "scaleway", "serverset", "stackit", "triton", "uyuni", "vultr",
)  # fmt: skip


def read_config(path: Path) -> PrometheusConfig:
    """Read and check a ``prometheus.yml``.

    Raises:
        ConfigError: the file cannot be used; the message names file, line and key.
    """
    top = read_yaml(path)
    default = top.take("global", Value.section, None)
    defaults, config = _read_global(default) if default else (ScrapeJob(""), PrometheusConfig())
    jobs = top.take("scrape_configs", lambda v: _read_jobs(v, defaults, path.parent), ())
    top.take("runtime", lambda v: v, None)  # tunes the garbage collector of a Go program
    top.refuse(*_LATER_TOP)
    top.finish()
    return replace(config, jobs=jobs)


def _read_global(section: Section) -> tuple[ScrapeJob, PrometheusConfig]:
    """What every job starts from, and the settings of the server itself."""
    interval = section.take("scrape_interval", _positive_duration, 60_000)
    timeout = section.take("scrape_timeout", _positive_duration, None)
    if timeout is not None and timeout > interval:
        section.value.fail("global scrape timeout greater than scrape interval")
    evaluation = section.take("evaluation_interval", _positive_duration, 60_000)
    external = section.take("external_labels", _read_labels, _NO_LABELS)
    defaults = ScrapeJob(
        "",
        interval=interval,
        timeout=min(10_000, interval) if timeout is None else timeout,
        protocols=section.take("scrape_protocols", _read_protocols, ScrapeJob("").protocols),
        limits=_read_limits(section, Limits()),
    )
    section.take("rule_query_offset", Value.duration, 0)
    _take_without_effect(section)
    section.refuse(*_LATER_GLOBAL)
    section.finish()
    return defaults, PrometheusConfig(external_labels=external, evaluation_interval=evaluation)


def _read_jobs(value: Value, defaults: ScrapeJob, folder: Path) -> tuple[ScrapeJob, ...]:
    jobs: dict[str, ScrapeJob] = {}
    for item in value.items():
        job = _read_job(item.section(), defaults, folder)
        if job.name in jobs:
            item.fail(f'found multiple scrape configs with job name "{job.name}"')
        jobs[job.name] = job
    return tuple(jobs.values())


def _read_job(section: Section, defaults: ScrapeJob, folder: Path) -> ScrapeJob:
    name = section.take("job_name", Value.text, "")
    if not name:
        section.value.fail("job_name is empty")
    interval, timeout = _read_times(section, name, defaults)
    http = read_http(section, folder)
    job = ScrapeJob(
        name,
        interval=interval,
        timeout=timeout,
        scheme=section.take("scheme", lambda v: v.one_of(_SCHEMES), "http"),
        path=section.take("metrics_path", Value.text, "/metrics"),
        params=section.take("params", _read_params, ()),
        honor_labels=section.take("honor_labels", Value.flag, False),
        honor_timestamps=section.take("honor_timestamps", Value.flag, True),
        track_timestamps_staleness=section.take("track_timestamps_staleness", Value.flag, False),
        enable_compression=section.take("enable_compression", Value.flag, True),
        follow_redirects=http.follow_redirects,
        protocols=section.take("scrape_protocols", _read_protocols, defaults.protocols),
        fallback_protocol=section.take("fallback_scrape_protocol", _read_protocol, "PrometheusText0.0.4"),
        authorization=http.authorization,
        tls=http.tls,
        limits=_read_limits(section, defaults.limits),
        relabel=section.take("relabel_configs", _read_rules, ()),
        metric_relabel=section.take("metric_relabel_configs", _read_rules, ()),
        static=section.take("static_configs", _read_static, ()),
    )
    section.take("native_histogram_bucket_limit", Value.count, 0)
    section.take("native_histogram_min_bucket_factor", Value.text, "")
    _take_without_effect(section)
    section.refuse("scrape_failure_log_file", "convert_classic_histograms_to_nhcb")
    section.refuse(*(f"{kind}_sd_configs" for kind in _DISCOVERIES))
    section.finish()
    return job


def _read_times(section: Section, name: str, defaults: ScrapeJob) -> tuple[int, int]:
    """Interval and timeout; an interval below the global timeout shortens it, as in Prometheus."""
    interval = section.take("scrape_interval", _positive_duration, defaults.interval)
    timeout = section.take("scrape_timeout", _positive_duration, min(defaults.timeout, interval))
    if timeout > interval:
        section.value.fail(f'scrape timeout greater than scrape interval for scrape config with job name "{name}"')
    return interval, timeout


def _read_limits(section: Section, defaults: Limits) -> Limits:
    return Limits(
        body_size=section.take("body_size_limit", Value.size, defaults.body_size),
        samples=section.take("sample_limit", Value.count, defaults.samples),
        targets=section.take("target_limit", Value.count, defaults.targets),
        labels=section.take("label_limit", Value.count, defaults.labels),
        label_name_length=section.take("label_name_length_limit", Value.count, defaults.label_name_length),
        label_value_length=section.take("label_value_length_limit", Value.count, defaults.label_value_length),
    )


def _take_without_effect(section: Section) -> None:
    for key in _WITHOUT_EFFECT:
        section.take(key, Value.text, "")


def _positive_duration(value: Value) -> int:
    return value.duration() or value.fail("expected a duration above zero")


def _read_protocols(value: Value) -> tuple[Protocol, ...]:
    """The protocols in order of preference; protobuf is passed over as long as another is left."""
    named = [(item, item.one_of((*_PROTOCOLS, _PROTOBUF))) for item in value.items()]
    found: list[Protocol] = []
    for item, protocol in named:
        if protocol in found:
            item.fail(f'duplicated protocol "{protocol}"')
        if protocol != _PROTOBUF:
            found.append(protocol)
    if named and not found:
        value.fail(f"{_PROTOBUF} is not supported yet by this version of mirante; add {_PROTOCOLS[0]}")
    return tuple(found) or value.fail("expected at least one protocol")


def _read_protocol(value: Value) -> Protocol:
    if value.text() == _PROTOBUF:
        value.fail(f"{_PROTOBUF} is not supported yet by this version of mirante")
    return value.one_of(_PROTOCOLS)


def _read_params(value: Value) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((name, texts.texts()) for name, texts in value.section().rest())


def _read_labels(value: Value) -> Mapping[str, str]:
    labels = {}
    for name, text in value.section().rest():
        if not name:
            text.fail("a label needs a name")
        labels[name] = text.text()
    return labels


def _read_static(value: Value) -> tuple[TargetGroup, ...]:
    return tuple(_read_group(item, source=str(i)) for i, item in enumerate(value.items()))


def _read_group(value: Value, *, source: str) -> TargetGroup:
    section = value.section()
    targets = section.take("targets", lambda v: tuple(_read_address(item) for item in v.items()), ())
    labels = section.take("labels", _read_labels, _NO_LABELS)
    section.finish()
    return TargetGroup(source, targets, labels)


def _read_address(value: Value) -> Mapping[str, str]:
    address = value.text()
    if "/" in address:
        value.fail(f'"{address}" is not a valid hostname; write host:port, and the path as metrics_path')
    return {"__address__": address}


def _read_rules(value: Value) -> tuple[RelabelRule, ...]:
    return tuple(_read_rule(item) for item in value.items())


def _read_rule(value: Value) -> RelabelRule:
    section = value.section()
    read = partial(
        RelabelRule,
        source_labels=section.take("source_labels", Value.texts, ()),
        separator=section.take("separator", Value.text, ";"),
        regex=section.take("regex", _read_regex, DEFAULT_REGEX),
        modulus=section.take("modulus", Value.count, 0),
        target_label=section.take("target_label", Value.text, ""),
        replacement=section.take("replacement", Value.text, "$1"),
        action=section.take("action", _read_action, "replace"),
    )
    section.finish()
    try:
        return read()
    except ValueError as error:
        value.fail(str(error))


def _read_action(value: Value) -> Action:
    action = value.text().lower()
    known = next((a for a in ACTIONS if a == action), None)
    return known or value.fail(f'unknown relabel action "{action}"; there are {", ".join(ACTIONS)}')


def _read_regex(value: Value) -> re.Pattern[str]:
    try:
        return compile_regex(value.text())
    except ValueError as error:
        value.fail(str(error))
