"""Reads the ``alerting`` section of a ``prometheus.yml``: which Alertmanagers are told, and of what.

Source: prometheus.io, "Configuration", section ``alertmanager_config``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from mirante.server.http_client.config import read_http
from mirante.server.scrape.model import AlertmanagerGroup, Scheme
from mirante.server.scrape.relabel import RelabelRule
from mirante.server.scrape.relabel_config import read_rules
from mirante.server.scrape.sd_config import positive_duration, read_discoveries, read_static
from mirante.server.yaml_reader import Value

_SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
_API = "/api/v2/alerts"


def read_alerting(value: Value, folder: Path) -> tuple[tuple[AlertmanagerGroup, ...], tuple[RelabelRule, ...]]:
    """The Alertmanagers, and the rules that change alerts for all of them; relative paths start at ``folder``."""
    section = value.section()
    groups = section.take("alertmanagers", lambda v: tuple(_read_group(item, folder) for item in v.items()), ())
    relabel = section.take("alert_relabel_configs", read_rules, ())
    section.finish()
    return groups, relabel


def alertmanager_urls(group: AlertmanagerGroup) -> Iterator[str]:
    """Where the alerts of the group are posted: the targets that its relabeling keeps, under the names it gives them.

    Example:
        >>> from mirante.server.scrape.model import TargetGroup
        >>> targets = TargetGroup("", ({"__address__": "am:9093"},))
        >>> list(alertmanager_urls(AlertmanagerGroup((targets,), path_prefix="x")))
        ['http://am:9093/x/api/v2/alerts']
    """
    path = "/" + f"{group.path_prefix}{_API}".lstrip("/")
    for targets in group.groups:
        for target in targets.targets:
            labels = {**targets.labels, **target, "__scheme__": group.scheme, "__alerts_path__": path}
            if all(rule.apply(labels) for rule in group.relabel) and labels.get("__address__"):
                yield f"{labels.get('__scheme__', '')}://{labels['__address__']}{labels.get('__alerts_path__', '')}"


def _read_group(value: Value, folder: Path) -> AlertmanagerGroup:
    section = value.section()
    section.take("api_version", lambda v: v.one_of(("v2",)), "v2")
    section.refuse("sigv4", "google_iam", "azuread")
    group = AlertmanagerGroup(
        groups=section.take("static_configs", read_static, ()),
        scheme=section.take("scheme", lambda v: v.one_of(_SCHEMES), "http"),
        path_prefix=section.take("path_prefix", Value.text, "").rstrip("/"),
        timeout=section.take("timeout", positive_duration, 10_000),
        http=read_http(section, folder),
        relabel=section.take("relabel_configs", read_rules, ()),
        alert_relabel=section.take("alert_relabel_configs", read_rules, ()),
    )
    if read_discoveries(section, folder):
        value.fail("Alertmanagers can be given by static_configs only; list their addresses there")
    section.finish()
    return group
