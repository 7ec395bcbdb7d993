"""``pushover_configs``: a push message to people's telephones.

Source: pushover.net, "Pushover Message API".
"""

from __future__ import annotations

from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message, cut

_TITLE_CHARACTERS, _MESSAGE_CHARACTERS, _URL_CHARACTERS = 250, 1024, 512
URL = "https://api.pushover.net/1/messages.json"


async def send(message: Message, caller: Caller) -> str:
    """Post the message.

    Raises:
        DeliveryError: it did not arrive, or was refused.
    """
    return str(await caller.post_form(URL, fields(message), message.notification.id, {}))


def fields(message: Message) -> dict[str, str]:
    """The parameters of a message; Pushover takes them in the body, where they stand in no proxy's log."""
    as_html = bool(message.get("html", False))
    text = cut(
        message.with_notice(message.html("message") if as_html else message.text("message")), _MESSAGE_CHARACTERS
    )
    seconds = {key: int(message.get(key, 0)) // 1000 for key in ("retry", "expire", "ttl")}
    flags = {"html": as_html, "monospace": bool(message.get("monospace", False))}
    return {
        "token": message.render(message.secret("token")),
        "user": message.render(message.secret("user_key")),
        "title": message.text("title", _TITLE_CHARACTERS),
        "message": text.strip() or "(no details)",
        "url": message.text("url", _URL_CHARACTERS),
        "url_title": message.text("url_title"),
        "priority": message.text("priority"),
        "retry": str(seconds["retry"]),
        "expire": str(seconds["expire"]),
        "device": message.text("device"),
        "sound": message.text("sound"),
        **({"ttl": str(seconds["ttl"])} if seconds["ttl"] else {}),
        **{key: "1" for key, on in flags.items() if on},
    }
