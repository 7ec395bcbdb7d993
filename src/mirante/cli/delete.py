"""``mirante delete``: remove series, log records or spans from a running server."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

import typer

from mirante.cli.asking import DEFAULT_SERVER, SERVER, TOKEN, ask_admin
from mirante.cli.query import moment
from mirante.errors import ConfigError

app = typer.Typer(
    help="Remove series, log records or spans; the server must have been started with --admin-api.",
    no_args_is_help=True,
)

_WHERE = Annotated[
    list[str],
    typer.Option(metavar="NAME=VALUE", help="An attribute that it has; all that are given must be there."),
]
_START = Annotated[str | None, typer.Option("--from", metavar="TIME", help="First time, such as -7d.")]
_END = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Last time.")]
_DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")]
_YES = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("logs")
def logs(
    where: _WHERE,
    start: _START = None,
    end: _END = None,
    dry_run: _DRY_RUN = False,
    yes: _YES = False,
    server: SERVER = DEFAULT_SERVER,
    token: TOKEN = None,
) -> None:
    """Remove the log records that have all those attributes, from the disk too."""
    _records("logs", "log records", where, start, end, server, token, dry_run=dry_run, yes=yes)


@app.command("traces")
def traces(
    where: _WHERE,
    start: _START = None,
    end: _END = None,
    dry_run: _DRY_RUN = False,
    yes: _YES = False,
    server: SERVER = DEFAULT_SERVER,
    token: TOKEN = None,
) -> None:
    """Remove the spans that have all those attributes, from the disk too."""
    _records("traces", "spans", where, start, end, server, token, dry_run=dry_run, yes=yes)


def _records(
    signal: str,
    noun: str,
    where: list[str],
    start: str | None,
    end: str | None,
    server: str,
    token: str | None,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    wanted = {"signal": signal, "where": dict(map(_pair, where))}
    wanted |= {name: moment(text) for name, text in (("start", start), ("end", end)) if text is not None}
    count = ask_admin(server, token, "POST", "delete", {**wanted, "dry_run": True})["matched"]
    if dry_run or not count:
        typer.echo(f"{count} {noun} match")
        return
    if not yes:
        typer.confirm(f"remove {count} {noun} for good?", abort=True)
    removal = ask_admin(server, token, "POST", "delete", wanted)
    state = "gone from the disk" if removal["state"] == "gone" else "no longer found; the disk follows shortly"
    typer.echo(f"{removal['matched']} {noun} are {state}")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--where = {text!r} is no name=value, such as user.id=42", key="where")
    return name, value


@app.command("series")
def series(
    selectors: Annotated[list[str], typer.Argument(metavar="SELECTOR...", help="Such as 'up{job=\"gone\"}'.")],
    start: _START = None,
    end: _END = None,
    yes: _YES = False,
    server: SERVER = DEFAULT_SERVER,
    token: TOKEN = None,
) -> None:
    """Remove the samples of the series that match any of the selectors, from the disk too."""
    form = [("match[]", selector) for selector in selectors]
    form += [(name, moment(text)) for name, text in (("start", start), ("end", end)) if text is not None]
    if not yes:
        typer.confirm(f"remove the samples of {', '.join(selectors)} for good?", abort=True)
    ask_admin(server, token, "POST", "tsdb/delete_series", urlencode(form).encode())
    ask_admin(server, token, "POST", "tsdb/clean_tombstones", b"")
    typer.echo("removed")
