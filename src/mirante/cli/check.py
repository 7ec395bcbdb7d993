"""``mirante check``: look files over before they are put in force.

Exit codes: 0 all good, 1 something is wrong, 3 something deserves a look and that was asked to count (as promtool's).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mirante.cli import routes
from mirante.errors import ConfigError, DeliveryError, FormatError

if TYPE_CHECKING:
    from mirante.server.rules.lint import Lint

app = typer.Typer(help="Check files without starting anything.", no_args_is_help=True, rich_markup_mode=None)
app.command("routes")(routes.command)

_LINT_FOUND = 3


@app.command("config")
def config(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="prometheus.yml or alertmanager.yml files.")],
) -> None:
    """Check prometheus.yml and alertmanager.yml files and the files that they name.

    Those are targets, secrets, certificates, rules and templates.

    Exits with 1 when something is wrong, and says what, where and in which line.
    """
    good = True
    for file in files:
        typer.echo(f"Checking {file}")
        try:
            errors, warnings = _check_file(file)
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


def _check_file(file: Path) -> tuple[list[str], list[str]]:
    """What is wrong with a prometheus.yml or an alertmanager.yml, and what deserves a look."""
    from mirante.server.notify.check import check_config as check_notify_config  # here: --help loads no server
    from mirante.server.notify.config import is_notify_config
    from mirante.server.scrape.check import check_config
    from mirante.server.yaml_reader import read_yaml

    return (check_notify_config if is_notify_config(read_yaml(file)) else check_config)(file)


@app.command("rules")
def rules(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Rule files.")],
    lint: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="What to look for besides errors, separated by commas: duplicate-rules, names, severity, all or none.",
        ),
    ] = "duplicate-rules",
    lint_fatal: Annotated[bool, typer.Option("--lint-fatal", help="Exit with 3 when something was found.")] = False,
) -> None:
    """Check rule files: their shape, expressions, templates.

    Exits with 1 when something is wrong, and says what, where and in which line.
    """
    wanted = _lints(lint)
    findings = [_check_rules(file, wanted) for file in files]
    if None in findings:
        raise typer.Exit(1)
    if lint_fatal and any(findings):
        raise typer.Exit(_LINT_FOUND)


def _check_rules(file: Path, wanted: Sequence[Lint]) -> int | None:
    """Tell of a file; gives how many of its rules deserve a look, or None when something is wrong."""
    from mirante.server.rules.lint import lint_rules  # here, so that --help does not load the server
    from mirante.server.rules.read import read_rules

    typer.echo(f"Checking {file}")
    try:
        groups = read_rules([file])
    except ConfigError as error:
        for text in str(error).splitlines():
            typer.echo(f"  FAILED: {text}", err=True)
        return None
    findings = lint_rules(groups, wanted)
    for one in findings:
        typer.echo(f"  WARNING: {one.file}, line {one.line}: {one.message}", err=True)
    typer.echo(f"  SUCCESS: {sum(len(group.rules) for group in groups)} rules found")
    return len(findings)


def _lints(text: str) -> Sequence[Lint]:
    from mirante.server.rules.lint import LINTS

    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in {*LINTS, "all", "none"}]
    if unknown:
        known = ", ".join([*LINTS, "all", "none"])
        raise ConfigError(f'--lint: expected some of {known}, got "{unknown[0]}"', key="lint")
    return [lint for lint in LINTS if lint in names or "all" in names]


@app.command("metrics")
def metrics(
    source: Annotated[
        str, typer.Argument(metavar="[FILE|URL]", help="A page in the text format or OpenMetrics; - is standard input.")
    ] = "-",
) -> None:
    """Check the names, types and help texts of metrics, as promtool does.

    Exits with 3 when something deserves a change, with 1 when the page cannot be read.
    """
    from mirante.testing.metric_lint import lint_metrics

    try:
        problems = lint_metrics(_page(source))
    except (FormatError, DeliveryError, OSError) as error:
        typer.echo(f"error while linting: {error}", err=True)
        raise typer.Exit(1) from None
    for problem in problems:
        typer.echo(str(problem), err=True)
    if problems:
        raise typer.Exit(_LINT_FOUND)


def _page(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read()
    if source.startswith(("http://", "https://")):
        from mirante._core.clock import SYSTEM_CLOCK
        from mirante.exporters.http import Connection

        return Connection(source, 30.0, {"Accept": "text/plain"}, SYSTEM_CLOCK).request("GET").data
    return Path(source).read_bytes()
