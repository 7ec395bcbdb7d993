"""Reads ``prometheus.yml`` as it is: ``global``, ``scrape_configs``, ``rule_files``, ``alerting``, as Prometheus does.

What Prometheus knows and this version of mirante does not yet is refused by name; what Prometheus does not know is an
unknown key. Source: prometheus.io, "Configuration".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import get_args

from mirante.server.http_client.config import read_http
from mirante.server.scrape.alerting import read_alerting
from mirante.server.scrape.model import Limits, NameValidation, PrometheusConfig, Protocol, Scheme, ScrapeJob
from mirante.server.scrape.relabel_config import read_rules
from mirante.server.scrape.sd_config import positive_duration, read_discoveries, read_labels
from mirante.server.yaml_reader import Section, Value, read_yaml

_SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
_PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
_VALIDATIONS: tuple[NameValidation, ...] = get_args(NameValidation)
_WITH_NATIVE_HISTOGRAMS: tuple[Protocol, ...] = ("PrometheusProto", *ScrapeJob("").protocols)
_LATER_TOP = ("remote_write", "remote_read", "storage", "tracing", "otlp")
_LATER = ("scrape_failure_log_file", "convert_classic_histograms_to_nhcb")
# Settings of Prometheus's own process and of the way in which names are escaped: nothing here changes.
_WITHOUT_EFFECT = ("keep_dropped_targets", "metric_name_escaping_scheme")
_NO_LABELS: Mapping[str, str] = {}
_FILE_PATTERN = re.compile(r"[^*]*(\*[^/]*)?")


def read_config(path: Path) -> PrometheusConfig:
    """Read and check a ``prometheus.yml`` and the ``scrape_config_files`` that it names.

    Raises:
        ConfigError: the file cannot be used; the message names file, line and key.
    """
    top = read_yaml(path)
    default = top.take("global", Value.section, None)
    defaults, config = _read_global(default) if default else (ScrapeJob(""), PrometheusConfig())
    jobs: dict[str, ScrapeJob] = {}
    top.take("scrape_configs", lambda v: _add_jobs(jobs, v, defaults, path.parent), None)
    for pattern in top.take("scrape_config_files", lambda v: _read_patterns(v, path.parent), ()):
        for file in sorted(glob(pattern, include_hidden=True)):  # noqa: PTH207 - Path.glob takes no absolute pattern
            _add_file(jobs, Path(file), defaults)
    alertmanagers, alert_relabel = top.take("alerting", lambda v: read_alerting(v, path.parent), ((), ()))
    config = replace(
        config,
        jobs=tuple(jobs.values()),
        rule_files=top.take("rule_files", lambda v: _read_patterns(v, path.parent), ()),
        alertmanagers=alertmanagers,
        alert_relabel=alert_relabel,
    )
    top.take("runtime", lambda v: v, None)  # tunes the garbage collector of a Go program
    top.refuse(*_LATER_TOP)
    top.finish()
    return config


def _read_patterns(value: Value, folder: Path) -> tuple[str, ...]:
    return tuple(_read_pattern(item, folder.absolute()) for item in value.items())


def _read_pattern(value: Value, folder: Path) -> str:
    pattern = value.text()
    if not pattern or not _FILE_PATTERN.fullmatch(pattern):
        value.fail(f'invalid file path "{pattern}": only its last part may have a *')
    return str(folder / pattern)


def _add_file(jobs: dict[str, ScrapeJob], path: Path, defaults: ScrapeJob) -> None:
    top = read_yaml(path)
    top.take("scrape_configs", lambda v: _add_jobs(jobs, v, defaults, path.parent), None)
    top.finish()


def _read_global(section: Section) -> tuple[ScrapeJob, PrometheusConfig]:
    """What every job starts from, and the settings of the server itself."""
    interval = section.take("scrape_interval", positive_duration, 60_000)
    timeout = section.take("scrape_timeout", positive_duration, None)
    if timeout is not None and timeout > interval:
        section.value.fail("global scrape timeout greater than scrape interval")
    evaluation = section.take("evaluation_interval", positive_duration, 60_000)
    external = section.take("external_labels", read_labels, _NO_LABELS)
    defaults = _with_format(
        section,
        ScrapeJob(
            "",
            interval=interval,
            timeout=min(10_000, interval) if timeout is None else timeout,
            limits=_read_limits(section, Limits()),
        ),
    )
    offset = section.take("rule_query_offset", Value.duration, 0)
    section.refuse("query_log_file")
    section.finish()
    config = PrometheusConfig(external_labels=external, evaluation_interval=evaluation, rule_query_offset=offset)
    return defaults, config


def _add_jobs(jobs: dict[str, ScrapeJob], value: Value, defaults: ScrapeJob, folder: Path) -> None:
    for item in value.items():
        job = _read_job(item.section(), defaults, folder)
        if job.name in jobs:
            item.fail(f'found multiple scrape configs with job name "{job.name}"')
        jobs[job.name] = job


def _read_job(section: Section, defaults: ScrapeJob, folder: Path) -> ScrapeJob:
    name = section.take("job_name", Value.text, "")
    if not name:
        section.value.fail("job_name is empty")
    interval, timeout = _read_times(section, name, defaults)
    job = replace(
        _with_format(section, defaults),
        name=name,
        interval=interval,
        timeout=timeout,
        scheme=section.take("scheme", lambda v: v.one_of(_SCHEMES), "http"),
        path=section.take("metrics_path", Value.text, "/metrics"),
        params=section.take("params", _read_params, ()),
        honor_labels=section.take("honor_labels", Value.flag, False),
        honor_timestamps=section.take("honor_timestamps", Value.flag, True),
        track_timestamps_staleness=section.take("track_timestamps_staleness", Value.flag, False),
        enable_compression=section.take("enable_compression", Value.flag, True),
        fallback_protocol=section.take("fallback_scrape_protocol", _read_protocol, "PrometheusText0.0.4"),
        http=read_http(section, folder),
        limits=_read_limits(section, defaults.limits),
        relabel=section.take("relabel_configs", read_rules, ()),
        metric_relabel=section.take("metric_relabel_configs", read_rules, ()),
        discoveries=read_discoveries(section, folder),
    )
    section.finish()
    return job


def _with_format(section: Section, defaults: ScrapeJob) -> ScrapeJob:
    """The settings of what a page may be, which stand in ``global`` and in jobs alike."""
    native = section.take("scrape_native_histograms", Value.flag, False)
    protocols = _WITH_NATIVE_HISTOGRAMS if native else defaults.protocols
    classic = section.take("scrape_classic_histograms", Value.flag, defaults.classic_histograms)
    for key in _WITHOUT_EFFECT:
        section.take(key, Value.text, "")
    section.refuse(*_LATER)
    return replace(
        defaults,
        protocols=section.take("scrape_protocols", _read_protocols, protocols),
        classic_histograms=section.take("always_scrape_classic_histograms", Value.flag, classic),
        name_validation=section.take(
            "metric_name_validation_scheme", lambda v: v.one_of(_VALIDATIONS), defaults.name_validation
        ),
    )


def _read_times(section: Section, name: str, defaults: ScrapeJob) -> tuple[int, int]:
    """Interval and timeout; an interval below the global timeout shortens it, as in Prometheus."""
    interval = section.take("scrape_interval", positive_duration, defaults.interval)
    timeout = section.take("scrape_timeout", positive_duration, min(defaults.timeout, interval))
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
        native_buckets=section.take("native_histogram_bucket_limit", Value.count, defaults.native_buckets),
        native_factor=section.take("native_histogram_min_bucket_factor", Value.number, defaults.native_factor),
    )


def _read_protocols(value: Value) -> tuple[Protocol, ...]:
    """The protocols in order of preference."""
    found: list[Protocol] = []
    for item in value.items():
        protocol = _read_protocol(item)
        if protocol in found:
            item.fail(f'duplicated protocol "{protocol}"')
        found.append(protocol)
    return tuple(found) or value.fail("expected at least one protocol")


def _read_protocol(value: Value) -> Protocol:
    return value.one_of(_PROTOCOLS)


def _read_params(value: Value) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((name, texts.texts()) for name, texts in value.section().rest())
