"""``sns_configs``: ``Publish`` of Amazon's Simple Notification Service.

Source: docs.aws.amazon.com, "Amazon SNS API Reference: Publish" and "AWS STS API Reference: AssumeRole".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from mirante.errors import DeliveryError
from mirante.server.http_client.model import Secret
from mirante.server.notify.channels.caller import FORM, Answer, Caller
from mirante.server.notify.channels.message import Message
from mirante.server.notify.channels.sigv4 import Credentials, find_credentials, sign

_TOPIC_BYTES, _PHONE_BYTES = 256 * 1024, 1600
_SUBJECT_CHARACTERS = 100


async def send(message: Message, caller: Caller) -> str:
    """Publish to a topic, a telephone number or an endpoint.

    Raises:
        DeliveryError: it did not arrive, was refused, or nothing says who signs it.
    """
    settings: Mapping[str, Any] = message.get("sigv4", {})
    region = str(settings.get("region") or "") or _region_of(message.text("topic_arn") or message.text("target_arn"))
    url = (message.text("api_url") or f"https://sns.{region}.amazonaws.com").rstrip("/") + "/"
    signer = _Signer(caller, region, message.now)
    credentials = _credentials(settings)
    if settings.get("role_arn"):
        credentials = await signer.assume(_sts(settings, region), settings, credentials)
    answer = await signer.post("sns", url, fields(message), credentials, message.notification.id)
    return _element(answer, "MessageId") or str(answer)


def fields(message: Message) -> dict[str, str]:
    """The parameters of ``Publish``."""
    found = {"Action": "Publish", "Version": "2010-03-31"}
    target = {"TopicArn": "topic_arn", "PhoneNumber": "phone_number", "TargetArn": "target_arn"}
    found |= {name: text for name, option in target.items() if (text := message.text(option))}
    most = _PHONE_BYTES if "PhoneNumber" in found else _TOPIC_BYTES
    whole = message.with_notice(message.text("message"))
    found["Message"] = whole.encode()[:most].decode("utf-8", "ignore")
    if subject := " ".join(message.text("subject").split())[:_SUBJECT_CHARACTERS]:
        found["Subject"] = subject
    attributes = {name: message.render(str(text)) for name, text in message.get("attributes", {}).items()}
    if found["Message"] != whole:
        attributes["truncated"] = "true"
    for number, (name, text) in enumerate(sorted(attributes.items()), 1):
        entry = f"MessageAttributes.entry.{number}"
        found |= {f"{entry}.Name": name, f"{entry}.Value.DataType": "String", f"{entry}.Value.StringValue": text}
    if found.get("TopicArn", "").endswith(".fifo"):
        found |= {"MessageGroupId": message.key, "MessageDeduplicationId": message.notification.id}
    return found


class _Signer:
    """Posts signed forms."""

    def __init__(self, caller: Caller, region: str, now: int) -> None:
        self._caller, self._region, self._now = caller, region, now

    async def post(
        self, service: str, url: str, fields: Mapping[str, str], credentials: Credentials, key: str
    ) -> Answer:
        body = urlencode(fields).encode()
        headers = {"Content-Type": f"{FORM}; charset=utf-8"}
        signed = sign(credentials, self._region, service, url, headers, body, self._now)
        return await self._caller.call("POST", url, key, signed, body)

    async def assume(self, url: str, settings: Mapping[str, Any], credentials: Credentials) -> Credentials:
        """Credentials of a role, for this one request."""
        role = str(settings["role_arn"])
        form = {"Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": role, "RoleSessionName": "mirante"}
        if settings.get("external_id"):
            form["ExternalId"] = str(settings["external_id"])
        answer = await self.post("sts", url, form, credentials, "")
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        found = Credentials(*(_element(answer, name) for name in names))
        if not found.secret_key:
            raise DeliveryError(f"no credentials of the role {role}: {answer}")
        return found


def _credentials(settings: Mapping[str, Any]) -> Credentials:
    secret = settings.get("secret_key")
    try:
        if settings.get("access_key"):
            key = secret.read() if isinstance(secret, Secret) else str(secret or "")
            return Credentials(str(settings["access_key"]), key)
        found = find_credentials(str(settings.get("profile") or ""))
    except OSError as error:
        raise DeliveryError(f"Amazon's credentials cannot be read: {error}") from error
    if found is None:
        raise DeliveryError(
            "no credentials of Amazon: give sigv4 access_key and secret_key, a profile of ~/.aws/credentials, or the "
            "variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            permanent=True,
        )
    return found


def _sts(settings: Mapping[str, Any], region: str) -> str:
    """Where roles are asked for; Amazon's own variable names another place."""
    kind = "sts-fips" if settings.get("use_fips_sts_endpoint") else "sts"
    return os.environ.get("AWS_ENDPOINT_URL_STS") or f"https://{kind}.{region}.amazonaws.com/"


def _region_of(arn: str) -> str:
    """``arn:aws:sns:REGION:ACCOUNT:TOPIC``."""
    parts = arn.split(":")
    return parts[3] if len(parts) > 3 else "us-east-1"


def _element(answer: Answer, name: str) -> str:
    """Text of an element of a flat XML answer; no XML parser is let near bytes from the network for this."""
    found = re.search(rf"<{name}>([^<]*)</{name}>", answer.body.decode("utf-8", "replace"))
    return found[1] if found else ""
