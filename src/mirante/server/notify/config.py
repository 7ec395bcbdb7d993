"""Reads ``alertmanager.yml`` as it is, by the rules of Alertmanager 0.33, and the keys that mirante adds to it.

Source: prometheus.io, "Alertmanager configuration".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from mirante.server.notify import config_values as read
from mirante.server.notify.config_global import DEFAULTS, read_global
from mirante.server.notify.config_intervals import Intervals, read_intervals
from mirante.server.notify.config_names import Names
from mirante.server.notify.config_own import (
    read_allowed,
    read_escalation,
    read_maintenance,
    read_runbook,
    read_schedule,
)
from mirante.server.notify.config_routes import Known, read_inhibitions, read_root
from mirante.server.notify.config_text import shown
from mirante.server.notify.kinds import KINDS
from mirante.server.notify.model import Integration, NotifyConfig, Receiver
from mirante.server.yaml_reader import Section, Value, parse_yaml, read_yaml_value

_BUILT_IN = "built-in configuration"
_SLACK_TEXT = """\
{{ range $at, $alert := .Alerts }}{{ if lt $at 20 }}\
• {{ if eq $alert.Status "resolved" }}resolved: {{ end }}\
{{ or $alert.Annotations.summary $alert.Annotations.description ($alert.Labels.Values | join " ") }}
{{ end }}{{ end }}{{ if gt (len .Alerts) 20 }}… {{ len .Alerts }} in all{{ end }}"""
# Alertmanager's default says nothing but the title; who has no file has nowhere to say more.


def read_config(path: Path) -> NotifyConfig:
    """Read and check an ``alertmanager.yml``; relative paths in it start at its folder.

    Raises:
        ConfigError: the file cannot be used; the message names file, line and key, and shows no secret.
    """
    return _read(read_yaml_value(path))


def parse_config(text: str, source: str) -> NotifyConfig:
    """Check the text of an ``alertmanager.yml``. No file that it names is opened.

    Args:
        text: the YAML.
        source: the file's name, for messages.

    Raises:
        ConfigError: it cannot be used; the message names line and key, and shows no secret.

    Example:
        >>> parse_config("{route: {receiver: ops}, receivers: [{name: ops}]}", "alertmanager.yml").route.receiver
        'ops'
    """
    return _read(parse_yaml(text, source))


def default_config(*, slack_webhook: str = "", email: str = "", smarthost: str = "127.0.0.1:25") -> NotifyConfig:
    """What is in force without a file: one route, which groups by the alert's name; nobody is told of the watchdog.

    Args:
        slack_webhook: URL of a Slack webhook that is told.
        email: addresses that are told, separated by commas.
        smarthost: where mail is handed in, without a password.

    Raises:
        ConfigError: an argument cannot be used.

    Example:
        >>> config = default_config(email="ops@example.com")
        >>> config.route.group_by, config.receivers["default"].integrations[0].options["to"]
        (('alertname',), 'ops@example.com')
    """
    receiver: dict[str, Any] = {"name": "default"}
    if slack_webhook:
        receiver["slack_configs"] = [{"api_url": slack_webhook, "send_resolved": True, "text": _SLACK_TEXT}]
    if email:
        mail = {"to": email, "from": "mirante@localhost", "smarthost": smarthost, "require_tls": False}
        receiver["email_configs"] = [{**mail, "send_resolved": True}]
    # The watchdog fires always: it is for a program that waits for it, and people would soon overlook it.
    watchdog = {"receiver": "nobody", "matchers": ['alertname="Watchdog"']}
    route = {"receiver": "default", "group_by": ["alertname"], "routes": [watchdog]}
    receivers = [receiver, {"name": "nobody"}]
    config = _read(parse_yaml(yaml.safe_dump({"route": route, "receivers": receivers}), _BUILT_IN))
    return replace(config, source="")


def is_notify_config(top: Section) -> bool:
    """Whether a file looks like an ``alertmanager.yml`` rather than a ``prometheus.yml``."""
    return any(map(top.gives, ("route", "receivers", "inhibit_rules", "time_intervals", "mute_time_intervals")))


def _read(value: Value) -> NotifyConfig:
    top = value.section()
    defaults = top.take("global", read_global, DEFAULTS)
    intervals = _read_intervals(top)
    receivers = top.take("receivers", lambda v: _read_receivers(v, defaults), {})
    names, interval_names = Names("receiver", receivers), Names("time interval", intervals)
    schedules = top.take("on_call", lambda v: read.named(v, lambda s, name: read_schedule(s, name, names)), {})
    known_schedules = Names("on_call schedule", schedules)
    escalations = top.take(
        "escalation_policies",
        lambda v: read.named(v, lambda s, name: read_escalation(s, name, names, known_schedules)),
        {},
    )
    known = Known(names, interval_names, Names("escalation policy", escalations))
    root = top.take("route", lambda v: read_root(v, known), None)
    allowed = top.take("allowed_commands", read_allowed, ())
    windows = top.take(
        "maintenance", lambda v: read.named(v, lambda s, name: read_maintenance(s, name, interval_names)), {}
    )
    runbooks = top.take("runbooks", lambda v: read.named(v, lambda s, name: read_runbook(s, name, allowed)), {})
    config = NotifyConfig(
        route=root or value.fail("no route is given: the file needs at least {route: {receiver: NAME}}"),
        receivers=receivers,
        inhibit=top.take("inhibit_rules", read_inhibitions, ()),
        intervals=intervals,
        templates=top.take("templates", _read_templates, ()),
        resolve_timeout=defaults["resolve_timeout"],
        escalations=escalations,
        on_call=schedules,
        maintenance=tuple(windows.values()),
        runbooks=tuple(runbooks.values()),
        allowed_commands=allowed,
        storm_limit=top.take("storm_limit", read.count, 0),
        text=shown(value.node),
        alertmanager_text=shown(value.node, own=False),
        source=value.source,
    )
    top.take("tracing", lambda v: v.section(), None)  # tells where Alertmanager's own spans go
    top.finish()
    return config


def _read_intervals(top: Section) -> Intervals:
    """The intervals of both keys, the older one of which is deprecated."""
    none: Intervals = {}
    old = top.take("mute_time_intervals", read_intervals, none)
    new = top.take("time_intervals", read_intervals, none)
    for name in new:
        if name in old:
            top.value.fail(f'time interval "{name}" is not unique: mute_time_intervals has it too')
    return {**old, **new}


def _read_receivers(value: Value, defaults: Mapping[str, Any]) -> Mapping[str, Receiver]:
    return read.named(value, lambda section, name: _read_receiver(section, name, defaults))


def _read_receiver(section: Section, name: str, defaults: Mapping[str, Any]) -> Receiver:
    integrations: list[Integration] = []
    for kind in KINDS.values():
        entries = section.take(f"{kind.name}_configs", lambda v: tuple(read.sections(v)), ())
        integrations += (kind.read(entry, index, defaults) for index, entry in enumerate(entries))
    section.finish()
    return Receiver(name, tuple(integrations))


def _read_templates(value: Value) -> tuple[Path, ...]:
    return tuple(read.folder_of(value) / text for text in read.texts(value))
