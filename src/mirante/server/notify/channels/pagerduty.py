"""``pagerduty_configs``: the Events API, version 2 with ``routing_key`` and 1 with ``service_key``.

Source: developer.pagerduty.com, "Events API v2 Overview", "Send an Event", "Events API v1".
"""

from __future__ import annotations

import json
from typing import Any

from mirante.errors import DeliveryError
from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message, filled, without_empty

_MOST_BYTES = 512_000
_SUMMARY_CHARACTERS = 1024
URL_V1 = "https://events.pagerduty.com/generic/2010-04-15/create_event.json"
_TOO_LARGE = {"error": "Custom details have been removed because the original event exceeds the maximum size of 512KB"}


async def send(message: Message, caller: Caller) -> str:
    """Trigger, acknowledge or resolve the incident of the group.

    Raises:
        DeliveryError: it did not arrive, or was refused.
    """
    key = message.notification.id
    if message.secret("service_key"):
        return str(await caller.post_json(URL_V1, _bounded(body_v1(message), "details"), key, retryable=(403,)))
    event = body_v2(message)
    if len(json.dumps(event)) > _MOST_BYTES:
        event["payload"]["custom_details"] = _TOO_LARGE
    return str(await caller.post_json(message.url("url"), event, key))


def _bounded(event: dict[str, Any], details: str) -> dict[str, Any]:
    return {**event, details: _TOO_LARGE} if len(json.dumps(event)) > _MOST_BYTES else event


def _action(message: Message) -> str:
    if not message.firing:
        return "resolve"
    return "acknowledge" if message.acknowledged else "trigger"


def _key(message: Message, option: str) -> str:
    key = message.render(message.secret(option))
    if not key:
        raise DeliveryError(f"{option} is empty", permanent=True)
    return key


def _details(message: Message) -> dict[str, Any]:
    notice = {"notice": message.notice} if message.notice else {}
    return {**notice, **{name: filled(message, value) for name, value in message.get("details", {}).items()}}


def body_v1(message: Message) -> dict[str, Any]:
    """An event of version 1."""
    action = _action(message)
    client = {key: message.text(key) for key in ("client", "client_url")} if action == "trigger" else {}
    return without_empty(
        {
            "service_key": _key(message, "service_key"),
            "event_type": action,
            "incident_key": message.key,
            "description": message.text("description", _SUMMARY_CHARACTERS),
            "details": _details(message),
            **client,
        }
    )


def body_v2(message: Message) -> dict[str, Any]:
    """An event of version 2; an acknowledgement or resolution finds its incident by the same ``dedup_key``."""
    runbooks = [{"href": url, "text": "Runbook"} for url in message.runbooks()]
    return {
        "routing_key": _key(message, "routing_key"),
        "dedup_key": message.key,
        "event_action": _action(message),
        "payload": _payload(message),
        **without_empty(
            {
                "client": message.text("client"),
                "client_url": message.text("client_url"),
                "images": _items(message, "images", "src", "alt", "href"),
                "links": _items(message, "links", "href", "text") or runbooks,
            }
        ),
    }


def _payload(message: Message) -> dict[str, Any]:
    options = {key: message.text(key) for key in ("class", "component", "group")}
    return {
        "summary": message.text("description", _SUMMARY_CHARACTERS),
        "source": message.text("source") or message.text("client"),
        "severity": message.text("severity") or "error",
        **without_empty({**options, "custom_details": _details(message)}),
    }


def _items(message: Message, option: str, needed: str, *others: str) -> list[dict[str, str]]:
    """Images or links; those whose address is empty when filled in are left out."""
    found = [
        {key: message.render(str(item.get(key) or "")) for key in (needed, *others)} for item in message.get(option, ())
    ]
    return [item for item in found if item[needed]]
