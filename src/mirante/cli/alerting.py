"""What the verbs about alerts and silences share: what a user names, times and tables."""

from __future__ import annotations

import getpass
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mirante.cli.query import moment
from mirante.errors import ConfigError
from mirante.formats.duration import parse_duration

if TYPE_CHECKING:
    from mirante.server.notify.model import Matcher

AUTHOR = Annotated[
    str | None, typer.Option("--author", "-a", metavar="NAME", help="Who does it; the name of your login by default.")
]
AS_JSON = Annotated[bool, typer.Option("--json", help="Print the answer as the API gives it.")]
MATCHERS = Annotated[
    list[str] | None,
    typer.Argument(metavar="MATCHER", help='Such as DiskFull or env=~"prod.*".', show_default=False),
]

_ID = re.compile(r"[0-9a-f]{16}")


def parsed(arguments: Sequence[str]) -> tuple[Matcher, ...]:
    """Matchers of a command line; the first may be the bare name of an alert.

    Raises:
        ConfigError: one is none.
    """
    from mirante.server.notify.matchers import parse_arguments  # here, so that --help does not load the server

    try:
        return parse_arguments(arguments)
    except ValueError as error:
        raise ConfigError(str(error), key="matcher") from None


def named(arguments: Sequence[str]) -> dict[str, list[str]]:
    """Which alerts are meant: by their ids, or by matchers.

    Raises:
        ConfigError: an argument is neither.

    Example:
        >>> named(["0123456789abcdef"]), named(["DiskFull"])
        ({'alerts': ['0123456789abcdef']}, {'matchers': ['alertname="DiskFull"']})
    """
    if all(map(_ID.fullmatch, arguments)):
        return {"alerts": list(arguments)}
    return {"matchers": list(map(str, parsed(arguments)))}


def who(author: str | None) -> str:
    """The author, or whoever is logged in."""
    return author or getpass.getuser()


def milliseconds(span: str, key: str) -> int:
    """Of a duration such as ``2h``.

    Raises:
        ConfigError: it is none, or nothing.
    """
    try:
        found = parse_duration(span)
    except ValueError as error:
        raise ConfigError(f"--{key}: {error}", key=key) from None
    if not found:
        raise ConfigError(f"--{key} must be more than nothing", key=key)
    return found


def api_time(text: str) -> str:
    """A time as the API takes it, from RFC 3339, ``now``, a Unix time, or a duration with a sign such as ``+1h``."""
    said = moment(text)
    try:
        return written(round(float(said) * 1000))
    except (ValueError, OverflowError, OSError):
        return said


def written(stamp: int) -> str:
    """Milliseconds since 1970 as RFC 3339."""
    return datetime.fromtimestamp(stamp / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local(text: str) -> str:
    """A time of the API in the time zone of whoever reads."""
    stamp = datetime.fromisoformat(text).timestamp()
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(stamp))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with the columns below their names.

    Example:
        >>> list(table(["ID", "NAME"], [["17", "x"]]))
        ['ID  NAME', '17  x']
    """
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        yield "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()


def shown_labels(labels: Mapping[str, str], *without: str) -> str:
    """Labels in one line.

    Example:
        >>> shown_labels({"alertname": "Down", "job": "api"}, "alertname")
        'job="api"'
    """
    return ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name not in without)
