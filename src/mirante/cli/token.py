"""``mirante token``: who may ask and send."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from mirante.config import resolve, seconds
from mirante.errors import ConfigError
from mirante.server.access.tokens import RIGHTS, TokenStore
from mirante.server.settings import ServerSettings

app = typer.Typer(help="Make, list and revoke the tokens that the server asks for.", no_args_is_help=True)

_DATA = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="The server's data directory [env: MIRANTE_DATA]."),
]
_CONFIG = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", envvar="MIRANTE_CONFIG", help="The server's mirante.toml.")
]


def _store(data: Path | None, config: Path | None) -> TokenStore:
    settings = resolve(ServerSettings, code={"data": data}, file=config, flags=True)
    return TokenStore(settings.data)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whom it is for: shown in the access log, and limits are by it.")],
    right: Annotated[list[str], typer.Option(help=f"What it may do, can be repeated: {', '.join(RIGHTS)}.")],
    expires: Annotated[str | None, typer.Option(metavar="DURATION", help="After which it is worthless.")] = None,
    data: _DATA = None,
    config: _CONFIG = None,
) -> None:
    """Make a token and print it. It is shown this once; the server takes it from the next request on."""
    try:
        lifetime = None if expires is None else seconds(expires)
    except ValueError as error:
        raise ConfigError(f"--expires = {expires!r} cannot be used: {error}", key="expires") from None
    typer.echo(_store(data, config).create(name, right, seconds=lifetime))


@app.command("list")
def show(data: _DATA = None, config: _CONFIG = None) -> None:
    """List the tokens: id, rights, when made, when they expire, name."""
    for token in _store(data, config).known():
        expires = _date(token.expires) if token.expires else "never"
        typer.echo(f"{token.id}  {','.join(token.rights):16}  {_date(token.created)}  {expires:10}  {token.name}")


@app.command("revoke")
def revoke(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="From `mirante token list`.")],
    data: _DATA = None,
    config: _CONFIG = None,
) -> None:
    """Make a token worthless, with the page's sessions that began with it."""
    token = _store(data, config).revoke(identifier)
    typer.echo(f"revoked {token.id} ({token.name})")


def _date(stamp: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(stamp))
