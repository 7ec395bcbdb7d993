"""Asks a running server, for the verbs that need one."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from mirante._core.clock import SYSTEM_CLOCK
from mirante.errors import QueryError
from mirante.exporters.http import Connection

SERVER = Annotated[str, typer.Option(metavar="URL", envvar="MIRANTE_SERVER", help="The server to ask.")]
TOKEN = Annotated[
    str | None, typer.Option(metavar="TEXT", envvar="MIRANTE_TOKEN", help="A token with the right `admin`.")
]
READ_TOKEN = Annotated[
    str | None, typer.Option("--token", metavar="TEXT", envvar="MIRANTE_TOKEN", help="A token with the right `read`.")
]
DEFAULT_SERVER = "http://127.0.0.1:8503"
_ADMIN_SECONDS = 900.0  # to delete may take that long


def ask(server: str, token: str | None, method: str, path: str, body: object = None, *, patience: float = 60.0) -> Any:  # noqa: ANN401 - JSON
    """The JSON of the answer; None where it has no body.

    Args:
        server: its address.
        token: where the server asks for one.
        method: the HTTP method.
        path: with its parameters.
        body: sent as JSON, or bytes that are a form.
        patience: how long an answer may take, in seconds.

    Raises:
        DeliveryError: the server could not be asked.
        QueryError: it refused; the message is its own.
    """
    form = isinstance(body, bytes)
    headers = {"Content-Type": "application/x-www-form-urlencoded" if form else "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection = Connection(server.rstrip("/"), patience, headers, SYSTEM_CLOCK)
    sent = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    response = connection.request(method, path, body=sent, accept=range(400, 600))
    where = f"{connection.url}{path} answered {response.status}"
    try:
        answer = json.loads(response.data) if response.data else None
    except ValueError:
        raise QueryError(f"{where} and no JSON: is it a mirante server?") from None
    if response.status >= 400:
        raise QueryError(_reason(answer) or where)
    return answer


def ask_admin(server: str, token: str | None, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
    """The ``data`` of an answer of the admin API, below ``/api/v1/admin/``; see ``ask``."""
    answer = ask(server, token, method, f"/api/v1/admin/{path}", body, patience=_ADMIN_SECONDS)
    return None if answer is None else answer["data"]


def _reason(answer: object) -> str:
    """Alertmanager's API says it in a text, ours as ``detail``, Prometheus's and the door as ``error``."""
    if isinstance(answer, dict):
        answer = answer.get("detail") or answer.get("error")
    return answer if isinstance(answer, str) else ""
