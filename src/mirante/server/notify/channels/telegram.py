"""``telegram_configs``: ``sendMessage`` of the Bot API.

Source: core.telegram.org, "Telegram Bot API: sendMessage" and "Making requests".
"""

from __future__ import annotations

import html
from typing import Any

from mirante.errors import DeliveryError
from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message, cut

_CHARACTERS = 4096
_FORMATTED_BYTES = 32_768  # before the entities are parsed


async def send(message: Message, caller: Caller) -> str:
    """Send the message.

    Raises:
        DeliveryError: it did not arrive, or Telegram refused it.
    """
    url = f"{message.url('api_url').rstrip('/')}/bot{message.secret('bot_token')}/sendMessage"
    answer = await caller.post_json(url, body(message), message.notification.id)
    if not answer.json().get("ok"):
        raise DeliveryError(f"Telegram answered {answer}", permanent=True)
    return str(answer)


def body(message: Message) -> dict[str, Any]:
    """The message as Telegram's interface takes it."""
    mode = str(message.get("parse_mode"))
    thread = message.get("message_thread_id", 0)
    return {
        "chat_id": _chat(message),
        "text": _html(message) if mode == "HTML" else _text(message),
        "disable_web_page_preview": True,
        **({"disable_notification": True} if message.get("disable_notifications", False) else {}),
        **({"parse_mode": mode} if mode else {}),
        **({"message_thread_id": thread} if thread else {}),
    }


def _chat(message: Message) -> int | str:
    found = message.secret("chat_id")
    return int(found) if found.lstrip("-").isdecimal() else found


def _text(message: Message) -> str:
    return cut(message.with_notice(message.text("message")), _CHARACTERS)


def _html(message: Message) -> str:
    """HTML cannot be cut in the middle of a tag: what is too long is sent as its beginning, with the tags shown."""
    notice = f"{html.escape(message.notice)}\n\n" if message.notice else ""
    text = notice + message.html("message")
    if len(text) <= _CHARACTERS or (len(text.encode()) <= _FORMATTED_BYTES and _visible(text) <= _CHARACTERS):
        return text
    return html.escape(cut(_without_tags(text), _CHARACTERS), quote=False)


def _visible(text: str) -> int:
    return len(_without_tags(text))


def _without_tags(text: str) -> str:
    """What people see of it: Telegram knows a handful of tags, and no bare ``<``."""
    parts = text.split("<")
    return html.unescape(parts[0] + "".join(part.partition(">")[2] for part in parts[1:]))
