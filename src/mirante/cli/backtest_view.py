"""A backtest's result in a terminal: what fired, when, and who was told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mirante.cli.alerting import local

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

Document = Mapping[str, Any]

_BLOCKS = "▁▂▃▄▅▆▇█"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_FIRST_MESSAGES = 3
_WIDEST_NAME = 40


def show(console: Console, result: Document, *, daily: bool) -> None:
    """Print it all.

    Args:
        console: where.
        result: as the API gives it.
        daily: also every day on which something fired or was told.
    """
    rules = result["rules"]
    console.print(_head(result))
    loud = [rule for rule in rules if rule["fired"] or rule["onlyPending"]]
    if loud:
        console.print(_rules(loud))
        _timelines(console, loud, result)
    quiet = [rule["name"] for rule in rules if not rule["fired"] and not rule["onlyPending"]]
    if quiet:
        console.print(f"[green]never fired:[/] {_plain(', '.join(dict.fromkeys(quiet)))}\n")
    _told(console, result, any(rule["fired"] for rule in rules))
    if daily:
        console.print(_days(result["days"]))
    for one in result["failures"]:
        failed = f"{one['rule']} of {one['group']} failed {one['count']:,} times: {one['error']}"
        console.print(failed, style="red", markup=False)


def _head(result: Document) -> str:
    rules = len(result["rules"])
    return (
        f"[bold]{local(result['from'])[:16]} to {local(result['to'])[:16]}[/]"
        f"  {rules} alerting rule{'' if rules == 1 else 's'}, {result['evaluations']:,} evaluations\n"
    )


def _rules(rules: Iterable[Document]) -> Table:
    table = _table("rule", "fired", "in all", "longest", "median", "pending only", "flapped", "messages")
    for rule in rules:
        spans = rule["seconds"]
        table.add_row(
            _plain(_name(rule)),
            _count(rule["fired"]) + (" [red]●[/]" if rule["firingAtEnd"] else ""),
            *(rough(spans[key]) for key in ("total", "longest", "median")),
            _count(rule["onlyPending"]),
            _count(rule["flapped"]),
            _count(rule["notifications"]),
        )
    if any(rule["firingAtEnd"] for rule in rules):
        table.caption = "● fires at the end"
        table.caption_justify = "left"
    return table


def _timelines(console: Console, rules: Sequence[Document], result: Document) -> None:
    """A line of blocks for each rule: the higher, the more of that time something fired."""
    names = [_name(rule) for rule in rules]
    room = max(map(len, names))
    width = max(20, min(console.width - room - 2, len(rules[0]["timeline"]["firing"])))
    for name, rule in zip(names, rules, strict=True):
        line = blocks(rule["timeline"]["firing"], rule["timeline"]["pending"], seconds_of(result), width)
        console.print(_padded(name, room) + line)
    first, last = local(result["from"])[:16], local(result["to"])[:16]
    console.print(f"{'':{room + 2}}[dim]{first}{last:>{max(width - len(first), len(last) + 1)}}[/]\n")


def _padded(name: str, room: int) -> Text:
    from rich.text import Text

    return Text(f"{name:{room}}  ")


def seconds_of(result: Document) -> float:
    """How long the replayed time is."""
    from datetime import datetime

    start, end = (datetime.fromisoformat(result[key]) for key in ("from", "to"))
    return (end - start).total_seconds()


def blocks(firing: Sequence[float], pending: Sequence[float], whole: float, width: int) -> Text:
    """A line of blocks: red ones while something fires, yellow while something is only pending.

    Args:
        firing: seconds of each part of the time.
        pending: likewise.
        whole: the time, seconds.
        width: characters, at most as many as there are parts.

    Example:
        >>> blocks([0.0, 0.0, 30.0, 60.0], [0.0, 20.0, 0.0, 0.0], 240.0, 4).plain
        '·▁▄█'
    """
    from rich.text import Text

    text, parts = Text(), len(firing)
    for number in range(width):
        span = slice(number * parts // width, (number + 1) * parts // width)
        share = sum(firing[span]) / (whole * len(firing[span]) / parts)
        if share:
            text.append(_BLOCKS[min(7, max(0, round(share * 8) - 1))], style="red")
        elif any(pending[span]):
            text.append(_BLOCKS[0], style="yellow")
        else:
            text.append("·", style="dim")
    return text


def _told(console: Console, result: Document, fired: bool) -> None:
    receivers = result["receivers"]
    if fired and not receivers:
        console.print("[yellow]nobody would have been told[/]: no receiver of these alerts has a way to be told by\n")
    if receivers:
        table = _table("receiver", "messages", "why", "by", "first")
        for one in receivers:
            first = f"{local(one['first'][0]['at'])[:16]}"
            table.add_row(
                _plain(one["name"]),
                _count(one["notifications"]),
                _listed(one["reasons"]),
                _listed(one["integrations"]),
                first,
            )
        for column in table.columns[2:]:
            column.justify = "left"
        console.print(table)
        for one in receivers:
            for told in one["first"][:_FIRST_MESSAGES]:
                level = f", level {told['level']}" if told["level"] else ""
                what = f"{one['name']}  {told['reason']}{level}: {', '.join(told['alerts'])}"
                console.print(f"[dim]{local(told['at'])}[/]  {_plain(what)}")
        console.print()
    for name, count in result["runbooks"].items():
        console.print(f"runbook {name} would have been started {count:,} times\n", markup=False)


def _days(days: Iterable[Document]) -> Table:
    table = _table("day (UTC)", "fired", "messages", "what")
    for day in days:
        if day["fired"] or day["notifications"]:
            fired, told = sum(day["fired"].values()), sum(day["notifications"].values())
            table.add_row(day["day"], _count(fired), _count(told), _listed(day["fired"]))
    table.columns[-1].justify = "left"
    return table


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    return table


def _name(rule: Document) -> str:
    name: str = rule["name"]
    return name if len(name) <= _WIDEST_NAME else name[: _WIDEST_NAME - 1] + "…"


def _plain(text: str) -> str:
    """Square brackets in it are no markup."""
    from rich.markup import escape

    return escape(text)


def _count(number: int) -> str:
    return f"{number:,}" if number else "[dim]-[/]"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {_plain(name)}" for name, count in sorted(counts.items(), key=lambda pair: -pair[1]))


def rough(seconds: float) -> str:
    """A span of time in its two largest units.

    Example:
        >>> rough(93_784.0), rough(59.0), rough(0.0)
        ('1d 2h', '59s', '-')
    """
    left = round(seconds)
    place = next((place for place, (size, _) in enumerate(_UNITS) if left >= size), len(_UNITS))
    found = []
    for size, unit in _UNITS[place : place + 2]:
        if left >= size:
            found.append(f"{left // size}{unit}")
        left %= size
    return " ".join(found) or "-"
