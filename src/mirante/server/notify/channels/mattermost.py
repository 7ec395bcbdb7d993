"""``mattermost_configs``: incoming webhooks of Mattermost.

Source: developers.mattermost.com, "Incoming webhooks: Parameters", "Message attachments", "Message priority".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message, cut, without_empty
from mirante.server.notify.channels.slack import fields

_TEXT_CHARACTERS = 16_383
_PARTS = (
    "fallback", "color", "pretext", "text", "author_name", "author_link", "author_icon", "title", "title_link",
    "thumb_url", "footer", "footer_icon", "image_url",
)  # fmt: skip
_PRIORITIES = ("urgent", "important", "standard")


async def send(message: Message, caller: Caller) -> str:
    """Post the message.

    Raises:
        DeliveryError: it did not arrive, or was refused.
    """
    return str(await caller.post_json(message.url("webhook_url"), body(message), message.notification.id))


def body(message: Message) -> dict[str, Any]:
    """The message as Mattermost's webhooks take it; the keys beside ``attachments`` make one attachment themselves."""
    whole = {**message.options, "text": ""}  # the text stands above the attachment
    attachments = [_attachment(message, entry) for entry in message.get("attachments", ()) or (whole,)]
    card = message.rendered(message.get("props", {}), "card")
    return {
        "text": cut(message.with_notice(message.text("text")), _TEXT_CHARACTERS),
        **message.rendered(message.options, "channel", "username", "icon_url", "icon_emoji", "type"),
        "attachments": [attachment for attachment in attachments if attachment],
        **without_empty({"props": card, "priority": _priority(message)}),
    }


def _attachment(message: Message, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**message.rendered(entry, *_PARTS), **without_empty({"fields": fields(message, entry)})}


def _priority(message: Message) -> dict[str, Any]:
    """Only an urgent message may ring again and again, and a standard one asks for no acknowledgement."""
    options: Mapping[str, Any] = message.get("priority", {})
    found = message.render(str(options.get("priority") or "")).lower()
    if not found:
        return {}
    priority = found if found in _PRIORITIES else "standard"
    return {
        "priority": priority,
        "requested_ack": bool(options.get("requested_ack")) and priority != "standard",
        "persistent_notifications": bool(options.get("persistent_notifications")) and priority == "urgent",
    }
