"""``webex_configs``: a message to a room; the bot's token stands in ``http_config``.

Source: developer.webex.com, "Create a Message".
"""

from __future__ import annotations

from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message

_MARKDOWN_BYTES = 7439


async def send(message: Message, caller: Caller) -> str:
    """Post the message.

    Raises:
        DeliveryError: it did not arrive, or was refused.
    """
    text = message.with_notice(message.text("message"))
    if len(text.encode()) > _MARKDOWN_BYTES:
        text = text.encode()[: _MARKDOWN_BYTES - 3].decode("utf-8", "ignore") + "…"
    body = {"markdown": text, "roomId": message.text("room_id")}
    return str(await caller.post_json(message.url("api_url"), body, message.notification.id))
