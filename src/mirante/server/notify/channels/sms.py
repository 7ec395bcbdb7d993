"""``sms_configs``: text messages, by Twilio or by any of apprise's services.

Source: twilio.com/docs, "Messages resource: Create a Message".
"""

from __future__ import annotations

import base64

from mirante.errors import DeliveryError
from mirante.server.notify.channels import apprise
from mirante.server.notify.channels.caller import Answer, Caller
from mirante.server.notify.channels.message import Message, cut

_CHARACTERS = 1600
_URL = "https://api.twilio.com"


async def send(message: Message, caller: Caller) -> str:
    """Send one message to every number; a number that was told already is not told again by a retry.

    Raises:
        DeliveryError: a number could not be told.
    """
    text = cut(message.with_notice(message.text("text")), _CHARACTERS)
    if address := message.secret("url"):
        return await apprise.tell([address], "", text, message.done, firing=message.firing)
    answers, failures = [], []
    for number in map(message.render, message.get("to", ())):
        if number in message.done:
            continue
        try:
            answers.append(f"{number}: {_told(await _post(message, caller, number, text))}")
            message.done.add(number)
        except DeliveryError as error:
            failures.append((number, error))
    if failures:
        raise DeliveryError(
            "; ".join([*(f"{number}: {error}" for number, error in failures), *answers]),
            retry_after=max((error.retry_after or 0.0 for _, error in failures), default=0.0) or None,
            permanent=all(error.permanent for _, error in failures),
        )
    return "; ".join(answers) or "every number was told before"


async def _post(message: Message, caller: Caller, number: str, text: str) -> Answer:
    account = message.text("account_sid")
    base = str(message.get("api_url", _URL)).rstrip("/")
    sender = message.text("from")
    # Messaging services are named by an id in place of a number.
    who = "MessagingServiceSid" if sender.startswith("MG") else "From"
    login = base64.b64encode(f"{account}:{message.secret('auth_token')}".encode()).decode()
    return await caller.post_form(
        f"{base}/2010-04-01/Accounts/{account}/Messages.json",
        {"To": number, who: sender, "Body": text},
        f"{message.notification.id}-{number.lstrip('+')}",
        {"Authorization": f"Basic {login}"},
    )


def _told(answer: Answer) -> str:
    """The message's id and state."""
    found = answer.json()
    return f"{found.get('sid', answer.status)} {found.get('status', '')}".strip()
