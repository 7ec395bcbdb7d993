"""``wechat_configs``: application messages of WeCom.

Source: developer.work.weixin.qq.com, "Send application messages", "Get access_token", "Global error codes".
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from mirante.errors import DeliveryError
from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message

_STALE_TOKEN = frozenset({40014, 42001})
_BUSY = frozenset({-1, 45009})


async def send(message: Message, caller: Caller) -> str:
    """Send the message with the kept token, or with a new one when that has expired.

    Raises:
        DeliveryError: it did not arrive, or was refused.
    """
    base = message.url("api_url").rstrip("/")
    if "token" not in caller.kept:
        caller.kept["token"] = await _token(message, caller, base)
    url = f"{base}/message/send?{urlencode({'access_token': caller.kept['token']})}"
    answer = await caller.post_json(url, body(message), message.notification.id)
    code = answer.json().get("errcode")
    if code in _STALE_TOKEN:
        del caller.kept["token"]
    if code != 0:
        raise DeliveryError(f"WeChat answered {answer}", permanent=code not in _STALE_TOKEN | _BUSY)
    return str(answer)


async def _token(message: Message, caller: Caller, base: str) -> str:
    parameters = {"corpid": message.text("corp_id"), "corpsecret": message.render(message.secret("api_secret"))}
    answer = await caller.call("GET", f"{base}/gettoken?{urlencode(parameters)}", "", {})
    found = answer.json()
    if not found.get("access_token"):
        raise DeliveryError(f"WeChat gives no token: {found.get('errmsg') or answer}", permanent=True)
    return str(found["access_token"])


def body(message: Message) -> dict[str, Any]:
    """The message as WeCom's interface takes it."""
    kind = "markdown" if message.get("message_type", "text") == "markdown" else "text"
    return {
        "touser": message.text("to_user"),
        "toparty": message.text("to_party"),
        "totag": message.text("to_tag"),
        "agentid": message.text("agent_id"),
        "msgtype": kind,
        kind: {"content": message.with_notice(message.text("message"))},
        "safe": "0",
    }
