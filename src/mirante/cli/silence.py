"""``mirante silence``: for some time nobody is told of alerts that match. Flags are amtool's.

Exit codes: 0 done, 1 refused, 2 wrong usage.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from mirante.cli.alerting import (
    AS_JSON,
    AUTHOR,
    MATCHERS,
    api_time,
    local,
    milliseconds,
    parsed,
    table,
    who,
    written,
)
from mirante.cli.asking import DEFAULT_SERVER, READ_TOKEN, SERVER, TOKEN, ask
from mirante.errors import ConfigError, MiranteError

app = typer.Typer(
    help="Make, change and end silences.\n\nExit codes: 0 done, 1 refused, 2 wrong usage.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_ID = Annotated[str, typer.Argument(metavar="ID", help="From `mirante silence list`.")]
_START = Annotated[
    str | None, typer.Option(metavar="TIME", help="From when: RFC 3339, or such as +1h; now by default.")
]
_END = Annotated[str | None, typer.Option(metavar="TIME", help="Until when, instead of a duration.")]

Document = Mapping[str, Any]


@app.command("add")
def add(
    matchers: Annotated[list[str], typer.Argument(metavar="MATCHER", help='Such as DiskFull or env=~"prod.*".')],
    comment: Annotated[str, typer.Option("--comment", "-c", metavar="TEXT", help="Why.")],
    author: AUTHOR = None,
    duration: Annotated[str, typer.Option("--duration", "-d", metavar="DURATION", help="How long.")] = "1h",
    start: _START = None,
    end: _END = None,
    server: SERVER = DEFAULT_SERVER,
    token: TOKEN = None,
) -> None:
    """Make a silence and print its id."""
    starts_at = api_time(start or "now")
    document = {
        "matchers": [_matcher(one) for one in parsed(matchers)],
        "startsAt": starts_at,
        "endsAt": api_time(end) if end else _after(starts_at, duration),
        "createdBy": who(author),
        "comment": comment,
    }
    _keep(server, token, document)


@app.command("edit")
def edit(
    silence: _ID,
    comment: Annotated[str | None, typer.Option("--comment", "-c", metavar="TEXT", help="Another reason.")] = None,
    author: AUTHOR = None,
    duration: Annotated[
        str | None, typer.Option("--duration", "-d", metavar="DURATION", help="Another length, from its start.")
    ] = None,
    start: _START = None,
    end: _END = None,
    server: SERVER = DEFAULT_SERVER,
    token: TOKEN = None,
) -> None:
    """Change a silence and print its id; it is another one where the past would have changed."""
    document = ask(server, token, "GET", f"/api/v2/silence/{silence}")
    said = {
        "comment": comment,
        "createdBy": author,
        "startsAt": start and api_time(start),
        "endsAt": end and api_time(end),
    }
    document |= {name: text for name, text in said.items() if text is not None}
    if duration is not None and end is None:
        document["endsAt"] = _after(document["startsAt"], duration)
    _keep(server, token, document)


@app.command("list")
def listed(
    matchers: MATCHERS = None,
    expired: Annotated[bool, typer.Option("--expired", help="Those that have ended lately instead.")] = False,
    as_json: AS_JSON = False,
    server: SERVER = DEFAULT_SERVER,
    token: READ_TOKEN = None,
) -> None:
    """List silences that are in force or to come; with matchers those that have all of them."""
    wanted = [_matcher(one) for one in parsed(matchers or [])]
    silences = [
        one
        for one in ask(server, token, "GET", "/api/v2/silences")
        if (one["status"]["state"] == "expired") is expired and all(each in one["matchers"] for each in wanted)
    ]
    if as_json:
        typer.echo(json.dumps(silences, indent=2, ensure_ascii=False))
    elif not silences:
        typer.echo("no silence")
    else:
        head = ["ID", "MATCHERS", "STATE", "FROM", "UNTIL", "BY", "COMMENT"]
        typer.echo("\n".join(table(head, [_row(one) for one in silences])))


@app.command("expire")
def expire(
    silences: Annotated[list[str], typer.Argument(metavar="ID", help="From `mirante silence list`.")],
    server: SERVER = DEFAULT_SERVER,
    token: TOKEN = None,
) -> None:
    """End silences."""
    for silence in silences:
        ask(server, token, "DELETE", f"/api/v2/silence/{silence}")


@app.command("import")
def take(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Standard input when not given.")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Make new ones even of those that exist.")] = False,
    server: SERVER = DEFAULT_SERVER,
    token: TOKEN = None,
) -> None:
    """Take silences as `mirante silence list --json` and `amtool silence query -o json` print them.

    One that cannot be taken does not keep the others out; the exit code is 1 then.
    """
    failed = 0
    for document in _read(file):
        wanted = {name: value for name, value in document.items() if name != "id" or not force}
        try:
            _keep(server, token, wanted)
        except MiranteError as error:
            failed += 1
            typer.echo(f"mirante: {document.get('id', 'a silence without id')}: {error}", err=True)
    if failed:
        raise typer.Exit(1)


def _read(file: Path | None) -> list[Document]:
    try:
        documents = json.loads(sys.stdin.read() if file is None else file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file or 'standard input'} cannot be read as JSON: {error}") from None
    if not isinstance(documents, list) or not all(isinstance(one, dict) for one in documents):
        raise ConfigError(f"{file or 'standard input'} must be a list of silences")
    return documents


def _keep(server: str, token: str | None, document: Document) -> None:
    typer.echo(ask(server, token, "POST", "/api/v2/silences", document)["silenceID"])


def _after(start: str, duration: str) -> str:
    try:
        stamp = datetime.fromisoformat(start).timestamp()
    except ValueError:
        raise ConfigError(f"{start!r} is no time such as 2026-01-02T15:04:05Z", key="start") from None
    return written(round(stamp * 1000) + milliseconds(duration, "duration"))


def _matcher(matcher: Any) -> dict[str, Any]:  # noqa: ANN401 - of the server, which --help must not load
    negative, regex = matcher.type.startswith("!"), matcher.type.endswith("~")
    return {"isEqual": not negative, "isRegex": regex, "name": matcher.name, "value": matcher.value}


def _row(silence: Document) -> list[str]:
    return [
        silence["id"],
        " ".join(map(_shown, silence["matchers"])),
        silence["status"]["state"],
        local(silence["startsAt"]),
        local(silence["endsAt"]),
        silence["createdBy"],
        silence["comment"],
    ]


def _shown(matcher: Document) -> str:
    operator = ("=" if matcher["isEqual"] else "!") + ("~" if matcher["isRegex"] else "" if matcher["isEqual"] else "=")
    return f'{matcher["name"]}{operator}"{matcher["value"]}"'
