"""``victorops_configs``: the REST endpoint of Splunk On-Call.

Source: help.victorops.com, "REST Endpoint Integration Guide", "Incident Fields Glossary".
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message, cut

_STATE_CHARACTERS = 20_480
_FIRING = frozenset({"INFO", "WARNING", "CRITICAL"})


async def send(message: Message, caller: Caller) -> str:
    """Trigger, acknowledge or resolve the incident of the group.

    Raises:
        DeliveryError: it did not arrive, or was refused.
    """
    base = message.url("api_url").rstrip("/")
    url = f"{base}/{message.secret('api_key')}/{quote(message.text('routing_key'))}"
    return str(await caller.post_json(url, body(message), message.notification.id))


def _type(message: Message) -> str:
    if not message.firing:
        return "RECOVERY"
    if message.acknowledged:
        return "ACKNOWLEDGEMENT"
    found = message.text("message_type")
    return found if found in _FIRING else "CRITICAL"


def body(message: Message) -> dict[str, Any]:
    """The event as the endpoint takes it."""
    custom = {key: message.render(str(text)) for key, text in message.get("custom_fields", {}).items()}
    return {
        "message_type": _type(message),
        "entity_id": message.key,
        "entity_display_name": message.text("entity_display_name"),
        "state_message": cut(message.with_notice(message.text("state_message")), _STATE_CHARACTERS),
        "monitoring_tool": message.text("monitoring_tool"),
        **({"ack_author": message.notification.author} if message.acknowledged else {}),
        **custom,
    }
