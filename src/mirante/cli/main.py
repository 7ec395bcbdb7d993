"""The ``mirante`` command. Exit codes: 0 done, 1 it could not be done, 2 wrong usage or configuration."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mirante.cli import alert, backup, check, delete, import_, query, serve, silence, slo, test, token
from mirante.errors import ConfigError, MiranteError

app = typer.Typer(
    name="mirante",
    help="Observability in one place: metrics, logs, traces, alerts and dashboards.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.command)
app.add_typer(check.app, name="check")
app.add_typer(test.app, name="test")
app.add_typer(slo.app, name="slo")
app.add_typer(alert.app, name="alert")
app.add_typer(silence.app, name="silence")
app.add_typer(token.app, name="token")
app.add_typer(backup.app, name="backup")
app.add_typer(delete.app, name="delete")
app.command("import")(import_.command)
app.command("query")(query.command)


@app.command("run", context_settings={"ignore_unknown_options": True, "help_option_names": []})
def _run(arguments: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Start a Python program with metrics, traces and logs, without touching its code."""
    from mirante.cli.run import main as run_program  # the command itself comes to it without typer: see entry.py

    run_program(arguments or [])


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"mirante {version('mirante')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options that stand before the verb."""
    del version  # its callback has done the work


def main() -> None:
    """Run the command line; an error that we know is one line on standard error, not a traceback."""
    try:
        app()
    except ConfigError as error:
        typer.echo(f"mirante: {error}", err=True)
        sys.exit(2)
    except MiranteError as error:
        typer.echo(f"mirante: {error}", err=True)
        sys.exit(1)
