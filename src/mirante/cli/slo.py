"""``mirante slo``: look objectives over, and take them elsewhere. Exit codes: 0 done, 1 something is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mirante.errors import ConfigError

if TYPE_CHECKING:
    from mirante.server.slo.model import Slo

app = typer.Typer(help="Service level objectives, as files.", no_args_is_help=True, rich_markup_mode=None)

Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Files of objectives, ours or OpenSLO v1; agents is one that ships."),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there.")]


@app.command("check")
def check(files: Files) -> None:
    """Check objectives: their shape, their expressions, and the rules made of them.

    Exits with 1 when something is wrong, and says what, where and in which line.
    """
    from mirante.server.slo.model import spelled

    slos = _read(files)
    for slo in slos:
        typer.echo(f"{slo.service}: {slo.name}: {slo.percent:.10g} % over {spelled(slo.period)}")
    typer.echo(f"SUCCESS: {len(slos)} objectives found")


@app.command("rules")
def rules(files: Files, output: Output = None) -> None:
    """Print a Prometheus rule file: recording rules and burn-rate alerts of all objectives."""
    from mirante.server.slo.rules import rule_file

    _write(rule_file(_read(files)), output)


@app.command("dashboard")
def dashboard(
    files: Files,
    output: Output = None,
    title: Annotated[str, typer.Option(metavar="TEXT", help="Title of the dashboard.")] = "Service level objectives",
    uid: Annotated[str, typer.Option(metavar="ID", help="By which Grafana knows it again.")] = "mirante-slo",
) -> None:
    """Print a Grafana dashboard of all objectives, as JSON to import."""
    from mirante.server.slo.dashboard import dashboard as made

    _write(made(_read(files), title=title, uid=uid) + "\n", output)


def _read(files: Sequence[str]) -> Sequence[Slo]:
    from mirante.server.slo.read import read_slos, slo_files  # here, so that --help does not load the server

    try:
        return read_slos(slo_files(files))
    except ConfigError as error:
        for text in str(error).splitlines():
            typer.echo(f"FAILED: {text}", err=True)
        raise typer.Exit(1) from None


def _write(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}", key="output") from None
