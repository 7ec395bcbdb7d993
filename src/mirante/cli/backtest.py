"""``mirante alert backtest``: what rules and routes would have done, over the history of a running server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mirante._core.clock import SYSTEM_CLOCK
from mirante.cli.alerting import AS_JSON, api_time, milliseconds, written
from mirante.cli.asking import DEFAULT_SERVER, READ_TOKEN, SERVER
from mirante.cli.backtest_view import show
from mirante.errors import ConfigError, QueryError
from mirante.exporters.http import Connection

if TYPE_CHECKING:
    import urllib3
    from rich.progress import Progress

_PATH = "/api/v1/alerting/backtest"
_PATIENCE = 300.0
"""Seconds between two lines of the answer."""


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Rule files.")],
    since: Annotated[str, typer.Option(metavar="DURATION", help="How much of history.")] = "30d",
    until: Annotated[str, typer.Option(metavar="TIME", help="Its end: RFC 3339, Unix seconds, now, or -1d.")] = "now",
    alertmanager_config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The alertmanager.yml to replay; the one in force when not given."),
    ] = None,
    step: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Between evaluations, in the place of the groups' own intervals."),
    ] = None,
    silences: Annotated[
        bool, typer.Option("--silences/--no-silences", help="Heed the silences that the server remembers.")
    ] = True,
    daily: Annotated[bool, typer.Option("--daily", help="Also show every day on which something fired.")] = False,
    as_json: AS_JSON = False,
    server: SERVER = DEFAULT_SERVER,
    token: READ_TOKEN = None,
) -> None:
    """Replay rules and routes over the stored history: how often would they have fired, and who would have been told.

    Nobody is told anything, and nothing is written.
    """
    end = _stamp(until)
    document: dict[str, Any] = {
        "rules": [{"name": str(file.resolve()), "text": _text(file)} for file in dict.fromkeys(files)],
        "from": written(end - milliseconds(since, "since")),
        "to": written(end),
        "silences": silences,
    }
    if alertmanager_config is not None:
        document["alertmanager"] = _text(alertmanager_config)
    if step is not None:
        document["step"] = milliseconds(step, "step") / 1000
    result = ask(server, token, document)
    if as_json:
        typer.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        from rich.console import Console

        show(Console(highlight=False), result, daily=daily)


def ask(server: str, token: str | None, document: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a backtest; on a terminal a bar shows how far it is.

    Raises:
        DeliveryError: the server could not be asked.
        QueryError: it refused, or could not finish; the message is its own.
    """
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    connection = Connection(server, _PATIENCE, headers, SYSTEM_CLOCK)
    body = json.dumps(document).encode()
    response = connection.request("POST", _PATH, body=body, accept=range(400, 600), stream=True)
    try:
        with _progress() as shown:
            task = shown.add_task("replaying", total=1.0)
            for said in _lines(response):
                if "result" in said:
                    result: dict[str, Any] = said["result"]
                    return result
                reason = said.get("error") or said.get("detail")
                if reason:
                    raise QueryError(reason)
                shown.update(task, completed=said.get("progress", 0.0))
    finally:
        response.close()
        connection.close()
    raise QueryError(f"{connection.url}{_PATH} answered {response.status} and broke off: its log says more")


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[dict[str, Any]]:
    for line in response:
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise QueryError(f"the server answered {response.status} and no JSON: is it a mirante server?")
        yield said


@contextmanager
def _progress() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield shown


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}", source=str(file)) from None


def _stamp(text: str) -> int:
    """Milliseconds of a time."""
    try:
        return round(datetime.fromisoformat(api_time(text)).timestamp() * 1000)
    except ValueError:
        raise ConfigError(f"--until: {text!r} is no time", key="until") from None
