"""``mirante test``: unit tests of what a server would do. Exit codes: 0 all passed, 1 something failed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mirante.errors import ConfigError

if TYPE_CHECKING:
    from mirante.testing.ruletest_report import FileResult

app = typer.Typer(help="Test files without starting anything.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _root() -> None:
    """Keep the name of the thing to test even while there is only one."""


@app.command("rules")
def rules(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Unit tests in promtool's format.")],
    run: Annotated[
        list[str] | None,
        typer.Option("--run", metavar="REGEX", help="Run those tests alone in whose name this is found."),
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what differs instead of both sides.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the results as JUnit's XML too.")] = None,
) -> None:
    """Run unit tests of rule files, with the evaluation of the server and the time of the test.

    Exits with 1 when a test fails or a file cannot be used.
    """
    from mirante.testing.ruletest_report import write_junit  # here, so that --help does not load the server

    chosen = _pattern(run)
    results = []
    for file in files:
        typer.echo(f"Unit Testing:  {file}")
        results.append(_run(file, chosen))
        _tell(results[-1], diff=diff)
    if junit is not None:
        try:
            write_junit(junit, results)
        except OSError as error:
            raise ConfigError(f"{junit} cannot be written: {error.strerror}", key="junit") from None
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def _tell(result: FileResult, *, diff: bool) -> None:
    from mirante.testing.ruletest_report import shown_failure

    if result.passed:
        typer.echo("  SUCCESS")
        return
    lines = ["  FAILED:", *(f"    {line}" for line in result.error.splitlines())]
    for test in result.results:
        for failure in test.failures:
            lines += [f"    name: {test.name}", *(f"    {line}" for line in shown_failure(failure, diff=diff))]
    typer.echo("\n".join(lines), err=True)


def _pattern(run: list[str] | None) -> re.Pattern[str] | None:
    try:
        return re.compile("|".join(run)) if run else None
    except re.error as error:
        raise ConfigError(f"--run is no regular expression: {error}", key="run") from None


def _run(path: Path, chosen: re.Pattern[str] | None) -> FileResult:
    from mirante.testing.ruletest import read_rule_tests
    from mirante.testing.ruletest_report import FileResult
    from mirante.testing.ruletest_run import run_rule_tests

    try:
        file = read_rule_tests(path)
        for pattern in file.missing:
            typer.echo(f"  WARNING: no file match pattern {pattern}", err=True)
        return FileResult(path, run_rule_tests(file, chosen))
    except ConfigError as error:
        return FileResult(path, error=str(error))
