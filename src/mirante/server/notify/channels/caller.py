"""The HTTP requests of a channel: made as its ``http_config`` says, and told apart by whether a retry can help."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp

from mirante.errors import DeliveryError, HttpClientError
from mirante.server.http_client.connection import Connection
from mirante.server.http_client.failure import explain
from mirante.server.http_client.model import HttpClient

_ANSWER_BYTES = 65_536
_TOLD_CHARACTERS = 300
_TRANSIENT = frozenset({408, 425, 429})
_URL = "%/:?#[]@!$&'()*+,;="  # what a template put in beyond these is quoted, what was quoted already is left
FORM = "application/x-www-form-urlencoded"


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    content_type: str = ""

    def __str__(self) -> str:
        """In one line, for the history."""
        said = " ".join(self.body.decode("utf-8", "replace").split())
        return f"{self.status} {said[:_TOLD_CHARACTERS]}".strip()

    def json(self) -> dict[str, Any]:
        """The body's JSON object; empty when it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class Caller:
    """Makes the requests of one integration.

    Attributes:
        kept: what a channel needs from one notification to the next, such as an access token.

    Raises:
        OSError: a certificate file cannot be read.
    """

    def __init__(self, http: HttpClient) -> None:
        self._connection = Connection(http)
        self.kept: dict[str, str] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def post_json(
        self,
        url: str,
        body: object,
        key: str,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        retryable: Collection[int] = (),
    ) -> Answer:
        """Send a JSON body, or none; see ``call``."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        data = None if body is None else json.dumps(body).encode()
        return await self.call(method, url, key, sent, data, retryable)

    async def post_form(self, url: str, fields: Mapping[str, str], key: str, headers: Mapping[str, str]) -> Answer:
        """Send the fields of a form; see ``call``."""
        return await self.call("POST", url, key, {"Content-Type": FORM, **headers}, urlencode(fields).encode())

    async def call(
        self,
        method: str,
        url: str,
        key: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        retryable: Collection[int] = (),
    ) -> Answer:
        """Make a request and give its answer, whose status is 2xx.

        Args:
            method: of HTTP.
            url: where to.
            key: the same for every attempt to do the same, so that a receiver that knows the header does it once.
            headers: beside those of the configuration.
            body: what is sent.
            retryable: statuses below 500 for which a retry can help, beside 408, 425 and 429.

        Raises:
            DeliveryError: it did not arrive, or was refused.
        """
        sent = {"Idempotency-Key": key, **headers} if key else headers
        try:
            async with self._connection.request(method, quote(url, safe=_URL), sent, body) as reply:
                answer = Answer(reply.status, await _read(reply), reply.content_type)
                wait = retry_after(reply.headers.get("Retry-After", ""), datetime.now(UTC))
        except (ValueError, aiohttp.NonHttpUrlClientError) as error:  # whose words hold the URL, a secret
            raise DeliveryError("the configured URL or a header is none that HTTP can send", permanent=True) from error
        except (HttpClientError, aiohttp.ClientError, OSError) as error:
            raise DeliveryError(explain(error)) from error
        if 200 <= answer.status < 300:
            return answer
        refused = answer.status < 500 and answer.status not in {*_TRANSIENT, *retryable}
        raise DeliveryError(f"unexpected status {answer}", retry_after=wait, permanent=refused)


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    """The beginning of the body, which is all that anybody looks at."""
    try:
        return await reply.content.readexactly(_ANSWER_BYTES)
    except asyncio.IncompleteReadError as error:
        return error.partial


def retry_after(header: str, now: datetime) -> float | None:
    """Seconds to wait: the header has a number of them or a date (RFC 9110, 10.2.3).

    Example:
        >>> retry_after("7", datetime.now(UTC))
        7.0
    """
    if header.strip().isdecimal():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())
