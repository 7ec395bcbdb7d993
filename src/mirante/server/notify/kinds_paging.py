"""Pagers and incident trackers: PagerDuty, Opsgenie, VictorOps, incident.io, Jira, Pushover.

Source: prometheus.io, "Alertmanager configuration", sections "Receiver integration settings".
"""

from __future__ import annotations

from typing import Any

from mirante.server.notify import config_values as read
from mirante.server.notify.options import (
    Entry,
    Kind,
    Option,
    many,
    named_template,
    secret,
    subsection,
    switch,
    template,
)
from mirante.server.yaml_reader import Value

_TIMEOUT = Option("timeout", read.go_duration, 0)
_PAGERDUTY_DETAILS = {
    "firing": '{{ template "pagerduty.default.instances" .Alerts.Firing }}',
    "resolved": '{{ template "pagerduty.default.instances" .Alerts.Resolved }}',
    "num_firing": "{{ .Alerts.Firing | len }}",
    "num_resolved": "{{ .Alerts.Resolved | len }}",
}


def _settle_pagerduty(entry: Entry) -> None:
    if not entry.has("routing_key") and not entry.has("service_key"):
        entry.fail("routing_key or service_key must be given")
    entry.options["details"] = _PAGERDUTY_DETAILS | entry.options["details"]
    entry.options["source"] = entry.options["source"] or entry.options["client"]


PAGERDUTY = Kind(
    "pagerduty",
    (
        secret("routing_key"),
        secret("service_key"),
        Option("url", read.url, inherited="pagerduty_url"),
        template("client", "pagerduty.default.client"),
        template("client_url", "pagerduty.default.clientURL"),
        template("description", "pagerduty.default.description"),
        Option("details", read.mapping, {}),
        Option("images", many(subsection(template("src"), template("alt"), template("href"))), ()),
        Option("links", many(subsection(template("href"), template("text"))), ()),
        template("source"),
        template("severity"),
        template("class"),
        template("component"),
        template("group"),
        _TIMEOUT,
    ),
    settle=_settle_pagerduty,
)

_RESPONDER = subsection(template("id"), template("name"), template("username"), template("type"))
_RESPONDERS = ("team", "teams", "user", "escalation", "schedule")


def _responder(value: Value) -> dict[str, Any]:
    found = _RESPONDER(value)
    if not (found["id"] or found["name"] or found["username"]):
        value.fail("one of id, name and username must be given")
    if "{{" not in found["type"] and found["type"].lower() not in _RESPONDERS:
        value.fail(f'type "{found["type"]}" is none of {", ".join(_RESPONDERS)}')
    return found


OPSGENIE = Kind(
    "opsgenie",
    (
        secret("api_key", inherited="opsgenie_api_key", required=True),
        Option("api_url", read.folder_url, inherited="opsgenie_api_url"),
        template("message", "opsgenie.default.message"),
        template("description", "opsgenie.default.description"),
        template("source", "opsgenie.default.source"),
        Option("details", read.pairs, {}),
        template("entity"),
        Option("responders", many(_responder), ()),
        template("actions"),
        template("tags"),
        template("note"),
        template("priority"),
        switch("update_alerts"),
    ),
)

_VICTOROPS_OWN = ("routing_key", "message_type", "state_message", "entity_display_name", "monitoring_tool", "entity_id",
                  "entity_state")  # fmt: skip


def _settle_victorops(entry: Entry) -> None:
    for name in _VICTOROPS_OWN:
        if name in entry.options["custom_fields"]:
            entry.fail(f'custom_fields cannot have "{name}", which is one of the fixed fields')


VICTOROPS = Kind(
    "victorops",
    (
        secret("api_key", inherited="victorops_api_key", required=True),
        Option("api_url", read.folder_url, inherited="victorops_api_url"),
        Option("routing_key", read.template, required=True),
        template("message_type", "CRITICAL"),
        template("state_message", "victorops.default.state_message"),
        template("entity_display_name", "victorops.default.entity_display_name"),
        template("monitoring_tool", "victorops.default.monitoring_tool"),
        Option("custom_fields", read.pairs, {}),
    ),
    settle=_settle_victorops,
)


def _settle_incidentio(entry: Entry) -> None:
    token = entry.has("alert_source_token")
    if entry.own_http is None or token is (entry.own_http.authorization is None):
        return
    entry.fail("exactly one of alert_source_token and http_config.authorization must be given")


INCIDENTIO = Kind(
    "incidentio",
    (
        secret("url", read.secret_url, required=True),
        secret("alert_source_token"),
        Option("max_alerts", read.count, 0),
        _TIMEOUT,
    ),
    settle=_settle_incidentio,
)

_UPDATED = switch("enable_update", default=True)
_JIRA_TEXT = subsection(template("template"), _UPDATED)
_JIRA_LABELS = subsection(Option("values", read.texts, ()), _UPDATED)


def _jira_text(value: Value) -> str | dict[str, Any]:
    return _JIRA_TEXT(value) if read.is_mapping(value) else read.template(value)


def _jira_labels(value: Value) -> tuple[str, ...] | dict[str, Any]:
    return _JIRA_LABELS(value) if read.is_mapping(value) else read.texts(value)


def _settle_jira(entry: Entry) -> None:
    """Part the values from whether they are written to an issue that is there already."""
    options = entry.options
    kept = []
    for name, key in (("summary", "template"), ("description", "template"), ("labels", "values")):
        if isinstance(options[name], dict):
            kept += [] if options[name]["enable_update"] else [name]
            options[name] = options[name][key]
    options["not_updated"] = tuple(kept)


JIRA = Kind(
    "jira",
    (
        Option("api_url", read.url, inherited="jira_api_url", required=True),
        Option("api_type", read.one_of("auto", "cloud", "datacenter", blank="auto"), "auto"),
        Option("project", read.template, required=True),
        Option("summary", _jira_text, named_template("jira.default.summary")),
        Option("description", _jira_text, named_template("jira.default.description")),
        Option("labels", _jira_labels, ()),
        template("priority", "jira.default.priority"),
        Option("issue_type", read.template, required=True),
        template("reopen_transition"),
        template("resolve_transition"),
        template("wont_fix_resolution"),
        Option("reopen_duration", Value.duration, 0),
        Option("fields", read.mapping, {}),
    ),
    settle=_settle_jira,
)


def _settle_pushover(entry: Entry) -> None:
    if entry.options["html"] and entry.options["monospace"]:
        entry.fail("at most one of html and monospace may be given")


PUSHOVER = Kind(
    "pushover",
    (
        secret("user_key", required=True),
        secret("token", required=True),
        template("title", "pushover.default.title"),
        template("message", "pushover.default.message"),
        template("url", "pushover.default.url"),
        template("url_title"),
        template("device"),
        template("sound"),
        template("priority", '{{ if eq .Status "firing" }}2{{ else }}0{{ end }}'),
        Option("retry", read.go_duration, 60_000),
        Option("expire", read.go_duration, 3_600_000),
        Option("ttl", read.go_duration, 0),
        switch("html"),
        switch("monospace"),
    ),
    settle=_settle_pushover,
)
