"""``webhook_configs`` and ``incidentio_configs``: the body of version 4, or one of the user's own.

Source: prometheus.io, "Configuration" of alerting, ``webhook_config`` and ``incidentio_config``.
"""

from __future__ import annotations

from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message, inlined, version4


async def send(message: Message, caller: Caller) -> str:
    """Post the body.

    Raises:
        DeliveryError: it did not arrive, or was refused.
    """
    return await _post(message, caller, {})


async def send_incidentio(message: Message, caller: Caller) -> str:
    """Post the body with the token of an alert source.

    Raises:
        DeliveryError: it did not arrive, or was refused.
    """
    token = message.secret("alert_source_token")
    return await _post(message, caller, {"Authorization": f"Bearer {token}"} if token else {})


async def _post(message: Message, caller: Caller, headers: dict[str, str]) -> str:
    payload = message.get("payload", None)
    body = version4(message, int(message.get("max_alerts", 0))) if payload is None else inlined(message, payload)
    url = message.render(message.url("url"))
    return str(await caller.post_json(url, body, message.notification.id, headers=headers))
