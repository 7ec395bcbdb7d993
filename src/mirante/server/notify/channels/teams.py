"""``msteams_configs`` (the old connectors' message card) and ``msteamsv2_configs`` (workflows' adaptive card).

Source: learn.microsoft.com, "Legacy actionable message card reference", "Create incoming webhooks with Workflows",
and adaptivecards.io, "Schema Explorer".
"""

from __future__ import annotations

from typing import Any

from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message

_RED, _GREEN = "8C1A1A", "2DC72D"


async def send(message: Message, caller: Caller) -> str:
    """Post a message card.

    Raises:
        DeliveryError: it did not arrive, or was refused.
    """
    return await _post(message, caller, card(message))


async def send_v2(message: Message, caller: Caller) -> str:
    """Post an adaptive card.

    Raises:
        DeliveryError: it did not arrive, or was refused.
    """
    return await _post(message, caller, adaptive_card(message))


async def _post(message: Message, caller: Caller, body: dict[str, Any]) -> str:
    return str(await caller.post_json(message.url("webhook_url"), body, message.notification.id))


def card(message: Message) -> dict[str, Any]:
    """A message card."""
    return {
        "@context": "http://schema.org/extensions",
        "@type": "MessageCard",
        "type": "MessageCard",
        "title": message.text("title"),
        "summary": message.text("summary"),
        "text": message.with_notice(message.text("text")),
        "themeColor": _RED if message.firing else _GREEN,
    }


def adaptive_card(message: Message) -> dict[str, Any]:
    """A message with an adaptive card; runbooks become buttons."""
    title = {
        "type": "TextBlock",
        "text": message.text("title"),
        "weight": "Bolder",
        "size": "Medium",
        "wrap": True,
        "style": "heading",
        "color": "Attention" if message.firing else "Good",
    }
    text = {"type": "TextBlock", "text": message.with_notice(message.text("text")), "wrap": True}
    buttons = [{"type": "Action.OpenUrl", "title": "Runbook", "url": url} for url in message.runbooks()]
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": [title, text],
        **({"actions": buttons} if buttons else {}),
        "msteams": {"width": "full"},
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}
