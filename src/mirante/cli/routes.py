"""``mirante check routes``: the routing tree of an alertmanager.yml, and where an alert would go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mirante.errors import BadRequestError

if TYPE_CHECKING:
    from mirante.server.notify.model import Route

Branch = tuple[str, list["Branch"]]


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An alertmanager.yml.")],
    labels: Annotated[
        list[str] | None, typer.Argument(metavar="[LABEL=VALUE]...", help="Labels of an alert.", show_default=False)
    ] = None,
    tree: Annotated[bool, typer.Option("--tree", help="With labels: print the routes that match as a tree.")] = False,
    verify: Annotated[
        str, typer.Option("--verify-receivers", metavar="NAMES", help="Exit with 1 unless these receivers are told.")
    ] = "",
) -> None:
    """Print the routing tree; with labels, the receivers that an alert with these labels goes to.

    Output is that of `amtool config routes show` and `amtool config routes test`.
    """
    from mirante.server.notify.config import read_config  # here, so that --help does not load the server
    from mirante.server.notify.route import find_routes

    root = read_config(file).route
    if not labels and not verify:
        typer.echo("\n".join(["Routing tree:", ".", *_drawn([_whole(root)]), ""]))
        return
    alert = _parse_labels(labels or [])
    if tree:
        typer.echo("\n".join(["Matching routes:", ".", *_drawn([_matching(root, alert)]), "", ""]))
    told = ",".join(route.receiver for route, _ in find_routes(root, alert))
    typer.echo(told)
    if verify and verify != told:
        typer.echo(f"WARNING: expected {verify}", err=True)
        raise typer.Exit(1)


def _parse_labels(texts: Sequence[str]) -> Mapping[str, str]:
    from mirante.server.notify.matchers import parse_matcher

    found = {}
    for text in texts:
        try:
            matcher = parse_matcher(text)
        except ValueError as error:
            raise BadRequestError(f"cannot read the labels: {error}") from None
        if matcher.type != "=":
            raise BadRequestError(f"labels are written as name=value, not as {text}")
        found[matcher.name] = matcher.value
    return found


def _whole(route: Route) -> Branch:
    parts = [_matchers(route), *(["continue: true"] if route.continues else []), *_target(route)]
    return "  ".join(parts), [_whole(child) for child in route.children]


def _matching(route: Route, labels: Mapping[str, str]) -> Branch:
    """What matches below a route that matches; whoever is told stands at the ends."""
    below: list[Branch] = []
    for child in route.children:
        if all(matcher.matches(labels) for matcher in child.matchers):
            below.append(_matching(child, labels))
            if not child.continues:
                break
    return "  ".join([_matchers(route), *([] if below else _target(route))]), below


def _matchers(route: Route) -> str:
    return f"{{{','.join(map(str, route.matchers))}}}" if route.matchers else "default-route"


def _target(route: Route) -> Iterator[str]:
    yield f"receiver: {route.receiver}"
    if route.group_by:
        yield f"grouping: [{','.join(route.group_by)}]"


def _drawn(branches: Sequence[Branch], indent: str = "") -> Iterator[str]:
    for number, (text, below) in enumerate(branches, start=1):
        last = number == len(branches)
        yield f"{indent}{'└' if last else '├'}── {text}"
        yield from _drawn(below, indent + ("    " if last else "│   "))
