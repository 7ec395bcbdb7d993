"""``slack_configs``: incoming webhooks, and ``chat.postMessage`` as ``api_url`` with a token in ``http_config``.

Source: docs.slack.dev, "Reference: Secondary message attachments" and "Sending messages using incoming webhooks".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mirante.errors import DeliveryError
from mirante.server.notify.channels.caller import Answer, Caller
from mirante.server.notify.channels.message import Message, without_empty

_TITLE_CHARACTERS = 1024
_MOST_KEPT = 10_000
_MARKDOWN = ("fallback", "pretext", "text")
_TRANSIENT = frozenset({"rate_limited", "ratelimited", "service_unavailable", "internal_error", "fatal_error"})


async def send(message: Message, caller: Caller) -> str:
    """Post one message with one attachment, or change the one that the group has.

    Which message that is is known until the server ends; then a group has a new one.

    Raises:
        DeliveryError: it did not arrive, or Slack refused it.
    """
    url, sent = message.url("api_url"), body(message)
    place = f"{message.key} {sent.get('channel', '')}"
    first = caller.kept.get(place)
    if first is not None and message.get("update_message", False):
        url = url.replace("/chat.postMessage", "/chat.update")
        sent["channel"], sent["ts"] = first.split()
    elif first is not None:
        sent["thread_ts"] = first.split()[1]
    answer = await caller.post_json(url, sent, message.notification.id)
    _check(answer, message.text("channel"))
    _keep(message, caller, place, answer)
    return str(answer)


def _keep(message: Message, caller: Caller, place: str, answer: Answer) -> None:
    """The group's message, while the group has alerts that fire."""
    if not message.firing:
        caller.kept.pop(place, None)
    elif message.get("update_message", False) or message.get("post_updates_to_thread", False):
        found = answer.json()
        caller.kept.setdefault(place, f"{found.get('channel')} {found.get('ts')}")
        if len(caller.kept) > _MOST_KEPT:  # groups of which nobody hears the end, with send_resolved off
            del caller.kept[next(iter(caller.kept))]


def body(message: Message) -> dict[str, Any]:
    """The message as Slack's interface takes it."""
    names = ("channel", "username", "icon_emoji", "icon_url")
    return {
        **message.rendered(message.options, *names),
        **({"link_names": True} if message.get("link_names", False) else {}),
        **({"text": message.text("message_text")} if message.get("message_text") else {}),
        "attachments": [_attachment(message)],
    }


def _attachment(message: Message) -> dict[str, Any]:
    always = {key: message.text(key) for key in ("text", "fallback", "callback_id", "footer")}
    pretext = message.with_notice(message.text("pretext"))
    optional = message.rendered(message.options, "title_link", "image_url", "thumb_url", "color")
    return {
        **always,
        **without_empty({"title": message.text("title", _TITLE_CHARACTERS), "pretext": pretext}),
        **optional,
        "mrkdwn_in": list(message.get("mrkdwn_in", ()) or _MARKDOWN),
        **without_empty({"fields": fields(message, message.options), "actions": _actions(message)}),
    }


def fields(message: Message, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Fields as Slack and what is like it have them; ``short_fields`` says what a field itself does not."""
    short = message.get("short_fields", False)
    return [
        {**message.rendered(field, "title", "value"), "short": short if field.get("short") is None else field["short"]}
        for field in entry.get("fields") or ()
    ]


def _actions(message: Message) -> list[dict[str, Any]]:
    """The configured buttons; where there are none, one to every runbook."""
    configured = [_action(message, entry) for entry in message.get("actions", ())]
    return configured or [{"type": "button", "text": "Runbook", "url": url} for url in message.runbooks()]


def _action(message: Message, entry: Mapping[str, Any]) -> dict[str, Any]:
    action: dict[str, Any] = message.rendered(entry, "type", "text", "url", "style", "name", "value")
    if entry.get("confirm"):
        action["confirm"] = message.rendered(entry["confirm"], "title", "text", "ok_text", "dismiss_text")
    return action


def _check(answer: Answer, channel: str) -> None:
    """Slack refuses with status 200 too: an incoming webhook by any text but "ok", the others by their JSON."""
    if answer.content_type == "application/json":
        found = answer.json()
        error = "" if found.get("ok") else str(found.get("error") or answer)
    else:
        error = "" if answer.body.strip() == b"ok" else str(answer)
    if error:
        where = f'channel "{channel}": ' if channel else ""
        raise DeliveryError(f"{where}Slack answered {error}", permanent=error not in _TRANSIENT)
