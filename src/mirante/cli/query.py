"""``mirante query``: ask a server in PromQL, and see a table, a graph, JSON, CSV or how it was answered."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from mirante.cli.asking import DEFAULT_SERVER, READ_TOKEN, SERVER, ask
from mirante.cli.plot import chart, scale, short, span
from mirante.config import seconds
from mirante.errors import ConfigError
from mirante.formats.exposition import series as written

COLORS = ("cyan", "yellow", "green", "magenta", "blue", "red")
_HEIGHT = 12
_PATIENCE = 300.0  # the server ends a query that takes too long; its limit may be set high
_MOST_LINES = 6

Data = Mapping[str, Any]
"""The ``data`` object of the API's answer."""


def command(
    expression: Annotated[str, typer.Argument(metavar="EXPR", help="A PromQL expression.")],
    at: Annotated[str, typer.Option("--time", metavar="TIME", help="The time of an instant query.")] = "now",
    start: Annotated[str | None, typer.Option(metavar="TIME", help="First time of a range query, such as -1h.")] = None,
    end: Annotated[str, typer.Option(metavar="TIME", help="Last time of a range query.")] = "now",
    step: Annotated[str | None, typer.Option(metavar="DURATION", help="Its step; 250 steps when not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as the API gives it.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a row for every sample.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show the plan, its SQL, and what each part cost.")
    ] = False,
    server: SERVER = DEFAULT_SERVER,
    token: READ_TOKEN = None,
) -> None:
    """Ask a server in PromQL.

    TIME is a Unix time in seconds, RFC 3339, "now", or a duration before now such as -1h. With --start it is a range
    query, drawn as a graph in a terminal.
    """
    parameters = {"query": expression, **({"explain": "1"} if explain else {})}
    if start is None:
        path, parameters["time"] = "query", moment(at)
    else:
        first, last = moment(start), moment(end)
        path = "query_range"
        parameters |= {"start": first, "end": last, "step": step or default_step(first, last)}
    answer = ask(server, token, "POST", f"/api/v1/{path}", urlencode(parameters).encode(), patience=_PATIENCE)
    for note in [*answer.get("warnings", []), *answer.get("infos", [])]:
        typer.echo(f"mirante: {note}", err=True)
    data = answer["data"]
    if as_json:
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
    elif explain:
        typer.echo("\n".join(explained(data["explain"])))
    elif as_csv:
        typer.echo(rows_of(data), nl=False)
    elif data["resultType"] == "matrix" and sys.stdout.isatty():
        draw(data)
    else:
        typer.echo("\n".join(table(data)))


def moment(text: str) -> str:
    """A time as the API takes it; a duration with a sign counts from now.

    Raises:
        ConfigError: it is none.
    """
    if text == "now":
        return f"{time.time():.3f}"
    if text[:1] in "+-" and not text[1:].replace(".", "").isdigit():
        try:
            ago = seconds(text[1:])
        except ValueError as error:
            raise ConfigError(f"{text!r} is no time: {error}", key="time") from None
        return f"{time.time() + (ago if text[0] == '+' else -ago):.3f}"
    return text


def default_step(first: str, last: str) -> str:
    """A 250th of the range, one second at least; a minute where a bound is no plain number."""
    try:
        return f"{max(1.0, (float(last) - float(first)) / 250):.3f}"
    except ValueError:
        return "60"


def _name(metric: Mapping[str, str]) -> str:
    labels = {name: value for name, value in metric.items() if name != "__name__"}
    name = metric.get("__name__", "")
    return written(name, labels) if name else "{" + ", ".join(f'{k}="{v}"' for k, v in labels.items()) + "}"


def _when(stamp: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(stamp)) + f".{round(stamp % 1 * 1000):03d}"


def samples(data: Data) -> Iterator[tuple[str, float, str]]:
    """Every sample: series, time in seconds, value as printed."""
    if data["resultType"] in {"scalar", "string"}:
        stamp, value = data["result"]
        yield "", stamp, value
        return
    for one in data["result"]:
        for stamp, value in one.get("values", [one["value"]] if "value" in one else []):
            yield _name(one["metric"]), stamp, value


def table(data: Data) -> list[str]:
    """A line for every series, or for every sample of a range."""
    found = list(samples(data))
    if not found:
        return ["no series"]
    if data["resultType"] == "matrix":
        return [f"{name}  {_when(stamp)}  {value}" for name, stamp, value in found]
    room = max(len(name) for name, _, _ in found)
    return [f"{name.ljust(room)}  {value}".strip() for name, _, value in found]


def rows_of(data: Data) -> str:
    """CSV with a column for every label."""
    sets = [one["metric"] for one in data["result"]] if data["resultType"] in {"vector", "matrix"} else [{}]
    names = sorted({name for metric in sets for name in metric})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*names, "timestamp", "value"])
    results = (
        data["result"] if data["resultType"] in {"vector", "matrix"} else [{"metric": {}, "value": data["result"]}]
    )
    for one in results:
        for stamp, value in one.get("values", [one["value"]] if "value" in one else []):
            writer.writerow([*(one["metric"].get(name, "") for name in names), stamp, value])
    return out.getvalue()


def draw(data: Data) -> None:
    """A graph with its legend, as wide as the terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    shown = data["result"][:_MOST_LINES]
    lines = [[(stamp, float(value)) for stamp, value in one["values"]] for one in shown]
    if not lines:
        console.print("no series")
        return
    axis = scale(lines, _HEIGHT)
    width = max(20, console.width - len(axis[0]) - 2)
    for label, row in zip(axis, chart(lines, width, _HEIGHT), strict=True):
        text = Text(f"{label} ", style="dim")
        for cell in row:
            text.append(cell.text, style=COLORS[cell.line % len(COLORS)] if cell.line >= 0 else "")
        console.print(text)
    console.print(Text(" " * (len(axis[0]) + 1) + span(lines, width), style="dim"))
    for number, (one, points) in enumerate(zip(shown, lines, strict=True)):
        console.print(
            Text("● ", style=COLORS[number % len(COLORS)]) + Text(f"{_name(one['metric'])}  {summary(points)}")
        )
    if len(data["result"]) > len(shown):
        console.print(f"and {len(data['result']) - len(shown)} more series; --json and --csv give all")


def summary(points: Sequence[tuple[float, float]]) -> str:
    """Least, greatest and last value of a line."""
    values = [value for _, value in points]
    return f"min {short(min(values))}, max {short(max(values))}, last {short(values[-1])}"


def explained(step: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """A node, its statements and its parts, each deeper one further in."""
    indent = "  " * depth
    size = f", {step['series']} series, {step['points']} points" if step["series"] else ""
    kept = f", {step['pointsKept']:,} kept from before" if step.get("pointsKept") else ""
    yield f"{indent}{step['node']}  ({step['milliseconds']:g} ms{size}{kept})"
    for read in step["reads"]:
        yield f"{indent}  {read['milliseconds']:g} ms, {read['rows']:,} rows from {read['rowsScanned']:,} scanned:"
        yield from (f"{indent}    {line.strip()}" for line in read["sql"].splitlines())
    for part in step["parts"]:
        yield from explained(part, depth + 1)
