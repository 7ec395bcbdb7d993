"""``discord_configs``: a webhook message with one embed.

Source: discord.com/developers, "Webhook Resource", "Message Resource: Embed Limits".
"""

from __future__ import annotations

from typing import Any

from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message, cut

_TITLE_CHARACTERS, _TEXT_CHARACTERS, _CONTENT_CHARACTERS = 256, 4096, 2000
_RED, _GREEN = 0x992D22, 0x2ECC71


async def send(message: Message, caller: Caller) -> str:
    """Post the message.

    Raises:
        DeliveryError: it did not arrive, or was refused.
    """
    url = message.url("webhook_url")
    return str(await caller.post_json(url, body(message), message.notification.id))


def body(message: Message) -> dict[str, Any]:
    """The message as Discord's interface takes it."""
    embed = {
        "title": message.text("title", _TITLE_CHARACTERS),
        "description": message.text("message", _TEXT_CHARACTERS),
        "color": _RED if message.firing else _GREEN,
    }
    content = cut(message.with_notice(message.text("content")), _CONTENT_CHARACTERS)
    names = message.rendered(message.options, "username", "avatar_url")
    return {"content": content, "embeds": [embed], **names}
