"""``mirante check``: look files over before they are put in force. Exit codes: 0 all good, 1 something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirante.errors import ConfigError

app = typer.Typer(help="Check files without starting anything.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _root() -> None:
    """Keep the name of the thing to check even while there is only one."""


@app.command("config")
def config(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="prometheus.yml files.")],
) -> None:
    """Check prometheus.yml files and the files that they name: targets, secrets, certificates.

    Exits with 1 when something is wrong, and says what, where and in which line.
    """
    from mirante.server.scrape.check import check_config  # here, so that --help does not load the server

    good = True
    for file in files:
        typer.echo(f"Checking {file}")
        try:
            errors, warnings = check_config(file)
        except ConfigError as error:
            errors, warnings = [str(error)], []
        for text in warnings:
            typer.echo(f"  WARNING: {text}", err=True)
        for text in errors:
            typer.echo(f"  FAILED: {text}", err=True)
        if not errors:
            typer.echo(f"  SUCCESS: {file} is a valid configuration")
        good = good and not errors
    if not good:
        raise typer.Exit(1)
