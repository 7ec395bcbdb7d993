"""What a channel is given: a notification, how it is to be sent, and the means to fill in its templates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from mirante.errors import DeliveryError
from mirante.formats.rfc3339 import NEVER, rfc3339
from mirante.server.alert import Alert
from mirante.server.http_client.model import Secret
from mirante.server.notify.model import Integration
from mirante.server.notify.notification import Notification

RUNBOOK = "runbook_url"
"""The annotation that says where an alert's runbook is."""


class Renderer(Protocol):
    """Fills in templates; what is wrong with one stands in the text in its place."""

    @property
    def external_url(self) -> str:
        """Where people find this server."""
        ...

    def data(self, notification: Notification) -> object:
        """What templates of that notification see."""
        ...

    def text(self, template: str, data: object) -> str:
        """A template as plain text."""
        ...

    def html(self, template: str, data: object) -> str:
        """The same, with what it puts in escaped."""
        ...


@dataclass
class Message:
    """One attempt to tell of a notification.

    Attributes:
        notification: what is told.
        integration: how.
        renderer: fills in templates.
        now: milliseconds.
        done: parts of it that arrived with an earlier attempt (one telephone number of several); senders add to it.
    """

    notification: Notification
    integration: Integration
    renderer: Renderer
    now: int
    done: set[str] = field(default_factory=set)

    @property
    def options(self) -> Mapping[str, Any]:
        """The configured entry, by Alertmanager's names of its keys."""
        return self.integration.options

    @property
    def firing(self) -> bool:
        """Whether any of its alerts fires."""
        return self.notification.status == "firing"

    @property
    def acknowledged(self) -> bool:
        """Whether it tells that somebody has taken care."""
        return self.notification.reason == "acknowledged"

    @cached_property
    def key(self) -> str:
        """What incidents elsewhere are known by: the SHA-256 of the group's key, in hexadecimal."""
        return hashlib.sha256(self.notification.group_key.encode()).hexdigest()

    @cached_property
    def data(self) -> object:
        """What templates see."""
        return self.renderer.data(self.notification)

    @cached_property
    def notice(self) -> str:
        """What no template of Alertmanager's tells: who acknowledged, which level is asked, what was held back."""
        told = self.notification
        said = []
        if self.acknowledged:
            said.append(f"Acknowledged by {told.author}" + (f": {told.comment}" if told.comment else "."))
        if told.level:
            said.append(f"Escalated to level {told.level}: nobody has acknowledged it.")
        if told.held_back:
            said.append(f"{told.held_back} notifications before this one were held back (storm_limit).")
        return " ".join(said)

    def with_notice(self, text: str) -> str:
        """A text below the notice, where there is one."""
        return f"{self.notice}\n\n{text}".strip() if self.notice else text

    def get(self, key: str, default: object = "") -> Any:  # noqa: ANN401 - each option has a type of its own
        """An option as it is; what is not there or null is the default."""
        found = self.options.get(key)
        return default if found is None else found

    def text(self, key: str, limit: int = 0) -> str:
        """A templated option, cut to a number of characters if there is a limit."""
        return cut(self.render(str(self.get(key))), limit)

    def render(self, template: str) -> str:
        """A template as plain text; most templates have nothing to fill in."""
        return self.renderer.text(template, self.data) if "{{" in template else template

    def rendered(self, entry: Mapping[str, Any], *keys: str) -> dict[str, str]:
        """Templates of a mapping, without what is empty when it is filled in."""
        found = {key: self.render(str(entry[key])) for key in keys if entry.get(key)}
        return {key: text for key, text in found.items() if text}

    def html(self, key: str) -> str:
        """A templated option as HTML."""
        return self.renderer.html(str(self.get(key)), self.data)

    def secret(self, key: str) -> str:
        """A secret, which may stand in a file that ``KEY_file`` names; the empty string where there is none.

        Raises:
            DeliveryError: the file cannot be read.
        """
        value = self.get(key, None) or self.get(f"{key}_file", None)
        if isinstance(value, Path):
            value = Secret(file=value)
        if isinstance(value, Secret):
            try:
                return value.read()
            except OSError as error:
                raise DeliveryError(f"{key} cannot be read from {value.file}: {error.strerror}") from error
        return str(value or "")

    def url(self, key: str) -> str:
        """A URL, which may be a secret.

        Raises:
            DeliveryError: there is none.
        """
        found = self.secret(key)
        if not found:
            raise DeliveryError(f"{key} is empty: give it in the receiver or in global", permanent=True)
        return found

    def common(self, part: Callable[[Alert], Mapping[str, str]]) -> dict[str, str]:
        """Labels or annotations that all of its alerts share."""
        return common(map(part, self.notification.alerts))

    def runbooks(self) -> list[str]:
        """Where the runbooks of its alerts are, each once."""
        return list(dict.fromkeys(filter(None, (a.annotations.get(RUNBOOK) for a in self.notification.alerts))))


def common(mappings: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """What all mappings agree on.

    Example:
        >>> common([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}])
        {'a': '1'}
    """
    first, *others = list(mappings) or [{}]
    return {key: value for key, value in sorted(first.items()) if all(other.get(key) == value for other in others)}


def cut(text: str, limit: int) -> str:
    """A text of at most so many characters, 0 for any number.

    Example:
        >>> cut("too long", 5)
        'too …'
    """
    return text if not limit or len(text) <= limit else f"{text[: limit - 1]}…"


def words(text: str) -> list[str]:
    """What stands between the commas.

    Example:
        >>> words("web, db,")
        ['web', ' db']
    """
    return [part for part in text.strip().split(",") if part]


def filled(message: Message, value: object) -> object:
    """Templates anywhere in a nested value, filled in."""
    if isinstance(value, dict):
        return {key: filled(message, part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [filled(message, part) for part in value]
    return message.render(value) if isinstance(value, str) else value


def inlined(message: Message, value: object) -> object:
    """The same, where a template that yields JSON (a number, a list, ``toJson``) stands for what that says."""
    if isinstance(value, Mapping):
        return {key: inlined(message, part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [inlined(message, part) for part in value]
    found = filled(message, value)
    with suppress(ValueError):
        parsed = json.loads(found) if isinstance(found, str) else found
        return found if isinstance(parsed, str) else parsed
    return found


def without_empty(body: Mapping[str, Any]) -> dict[str, Any]:
    """A body without the keys that say nothing."""
    return {key: value for key, value in body.items() if value not in ("", None, False, [], {})}


def alert_body(alert: Alert, now: int) -> dict[str, Any]:
    """An alert as the JSON of version 4 has it."""
    ended = alert.resolved(now)
    return {
        "status": "resolved" if ended else "firing",
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": rfc3339(alert.starts_at),
        "endsAt": rfc3339(alert.ends_at) if ended else NEVER,
        "generatorURL": alert.generator_url,
        "fingerprint": alert.id,
    }


def version4(message: Message, max_alerts: int = 0) -> dict[str, Any]:
    """The body that Alertmanager's webhooks receive.

    What it does not know stands under ``mirante``, in notifications that are more than Alertmanager would send.

    Source: prometheus.io, "Configuration" of alerting, ``webhook_config``.
    """
    told = message.notification
    alerts: Sequence[Alert] = told.alerts[:max_alerts] if max_alerts else told.alerts
    return {
        "receiver": told.receiver,
        "status": "firing" if any(not alert.resolved(told.created_at) for alert in alerts) else "resolved",
        "alerts": [alert_body(alert, told.created_at) for alert in alerts],
        "groupLabels": dict(told.group_labels),
        "commonLabels": common(alert.labels for alert in alerts),
        "commonAnnotations": common(alert.annotations for alert in alerts),
        "externalURL": message.renderer.external_url,
        "version": "4",
        "groupKey": told.group_key,
        "truncatedAlerts": len(told.alerts) - len(alerts),
        **({"mirante": _beyond(told)} if message.notice else {}),
    }


def _beyond(told: Notification) -> dict[str, Any]:
    return {
        "reason": told.reason,
        "level": told.level,
        "author": told.author,
        "comment": told.comment,
        "heldBack": told.held_back,
    }
