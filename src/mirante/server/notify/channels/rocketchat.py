"""``rocketchat_configs``: ``chat.postMessage`` with a personal token.

Source: developer.rocket.chat, "Post Message".
"""

from __future__ import annotations

from typing import Any

from mirante.errors import DeliveryError
from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message, without_empty
from mirante.server.notify.channels.slack import fields

_TITLE_CHARACTERS = 1024


async def send(message: Message, caller: Caller) -> str:
    """Post the message.

    Raises:
        DeliveryError: it did not arrive, or Rocket.Chat refused it.
    """
    url = message.url("api_url").rstrip("/") + "/api/v1/chat.postMessage"
    headers = {"X-Auth-Token": message.secret("token"), "X-User-Id": message.secret("token_id")}
    answer = await caller.post_json(url, body(message), message.notification.id, headers=headers)
    if not answer.json().get("success"):
        raise DeliveryError(f"Rocket.Chat answered {answer}", permanent=True)
    return str(answer)


def body(message: Message) -> dict[str, Any]:
    """The message as Rocket.Chat's interface takes it."""
    attachment = {
        "title": message.text("title", _TITLE_CHARACTERS),
        **message.rendered(message.options, "title_link", "text", "image_url", "thumb_url", "color"),
        "fields": fields(message, message.options),
        "actions": [
            {"type": "button", **message.rendered(action, "text", "url", "msg")}
            for action in message.get("actions", ())
        ],
    }
    names = {"channel": "channel", "emoji": "emoji", "avatar": "icon_url"}
    return {
        **without_empty({name: message.text(option) for name, option in names.items()}),
        **without_empty({"text": message.notice}),
        "attachments": [without_empty(attachment)],
    }
