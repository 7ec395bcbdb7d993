"""Asks a running server's admin API; for the verbs that need it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from mirante._core.clock import SYSTEM_CLOCK
from mirante.errors import StoreError
from mirante.exporters.http import Connection

SERVER = Annotated[str, typer.Option(metavar="URL", envvar="MIRANTE_SERVER", help="The server to ask.")]
TOKEN = Annotated[
    str | None, typer.Option(metavar="TEXT", envvar="MIRANTE_TOKEN", help="A token with the right `admin`.")
]
DEFAULT_SERVER = "http://127.0.0.1:8503"


def ask(server: str, token: str | None, method: str, path: str, body: Mapping[str, Any] | bytes | None = None) -> Any:  # noqa: ANN401 - what the API answers
    """The ``data`` of the answer; None where it has no body.

    Args:
        server: its address.
        token: with the right ``admin``, where the server asks for one.
        method: the HTTP method.
        path: below ``/api/v1/admin/``.
        body: JSON as a mapping, or a form.

    Raises:
        DeliveryError: the server could not be asked.
        StoreError: it refused; the message is its own.
    """
    form = isinstance(body, bytes)
    headers = {"Content-Type": "application/x-www-form-urlencoded" if form else "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection = Connection(f"{server.rstrip('/')}/api/v1/admin/{path}", 900.0, headers, SYSTEM_CLOCK)
    sent = body if isinstance(body, bytes) else json.dumps(dict(body or {})).encode()
    response = connection.request(method, body=sent if method != "GET" else b"", accept=range(400, 600))
    if response.status in {202, 204} and not response.data:
        return None
    try:
        answer = json.loads(response.data)
    except ValueError:
        raise StoreError(f"{connection.url} answered {response.status}: {response.data[:200]!r}") from None
    if answer.get("status") != "success":
        raise StoreError(str(answer.get("error") or answer.get("detail") or f"the server answered {response.status}"))
    return answer["data"]
