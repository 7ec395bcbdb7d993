"""``opsgenie_configs``: alerts are created, updated, acknowledged and closed by their alias.

Source: docs.opsgenie.com, "Alert API".
"""

from __future__ import annotations

from typing import Any

from mirante.server.notify.channels.caller import Answer, Caller
from mirante.server.notify.channels.message import Message, without_empty, words

_MESSAGE_CHARACTERS = 130
_PERSON = ("id", "name", "username", "type")


async def send(message: Message, caller: Caller) -> str:
    """Create, acknowledge or close the alert of the group.

    Raises:
        DeliveryError: it did not arrive, or was refused.
    """
    base = message.url("api_url").rstrip("/") + "/v2/alerts"
    headers = {"Authorization": f"GenieKey {message.render(message.secret('api_key')).strip()}"}

    async def call(method: str, verb: str, body: dict[str, Any]) -> Answer:
        url = f"{base}/{message.key}/{verb}?identifierType=alias" if verb else base
        key = f"{message.notification.id}-{verb}" if verb else message.notification.id
        return await caller.post_json(url, body, key, method=method, headers=headers)

    if not message.firing:
        return str(await call("POST", "close", {"source": message.text("source")}))
    if message.acknowledged:
        told = {"user": message.notification.author, "note": message.notice, "source": message.text("source")}
        return str(await call("POST", "acknowledge", told))
    body = create(message)
    answer = await call("POST", "", body)
    if message.get("update_alerts", False):
        await call("PUT", "message", {"message": body["message"]})
        await call("PUT", "description", {"description": body.get("description", "")})
    return str(answer)


def create(message: Message) -> dict[str, Any]:
    """The body that creates an alert."""
    details = {key: message.render(text) for key, text in message.get("details", {}).items()}
    lists = {key: words(message.text(key)) for key in ("tags", "actions")}
    return {
        "alias": message.key,
        "message": message.text("message", _MESSAGE_CHARACTERS),
        "details": {**message.common(lambda alert: alert.labels), **details},
        "source": message.text("source"),
        **without_empty(
            {
                "description": message.with_notice(message.text("description")),
                "responders": _people(message, "responders"),
                "visibleTo": _people(message, "visible_to"),
                **lists,
                **{key: message.text(key) for key in ("note", "priority", "entity")},
            }
        ),
    }


def _people(message: Message, option: str) -> list[dict[str, str]]:
    """Responders; of type ``teams`` the name is a list of them, and one that is empty when filled in is left out."""
    people: list[dict[str, str]] = []
    for entry in message.get(option, ()):
        person = message.rendered(entry, *_PERSON)
        if person.get("type") == "teams":
            people += [{"name": name, "type": "team"} for name in words(person.get("name", ""))]
        elif person:
            people.append(person)
    return people
