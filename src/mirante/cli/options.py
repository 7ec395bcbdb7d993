"""Turns a table of settings into command-line options, so that a flag cannot miss its variable or its key."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mirante.config import Entry, entries


def with_settings(table: type[Any], extra: Mapping[str, Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option for each setting of the table.

    The command is called with ``settings``, a mapping of dotted keys to what the user gave (None: not given), and with
    the options of ``extra`` (name to annotated type) under their own names.
    """
    rows = {row.key.replace(".", "_"): row for row in entries(table)}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def call(**arguments: Any) -> None:  # noqa: ANN401 - options have any type
            own = {name: arguments[name] for name in extra}
            command(settings={row.key: arguments[name] for name, row in rows.items()}, **own)

        annotations = {**extra, **{name: _option(row) for name, row in rows.items()}}
        call.__doc__ = command.__doc__
        call.__name__ = command.__name__
        call.__annotations__ = annotations
        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined] # typer reads it
            [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
                for name, kind in annotations.items()
            ]
        )
        return call

    return decorate


def _option(row: Entry) -> Any:  # noqa: ANN401 - an annotation made at run time
    names = ", ".join(name.name for name in row.env)
    help_text = f"{row.help} [env: {names}; default: {'none' if row.default is None else row.default}]"
    if row.type is bool:
        return Annotated[
            bool | None, typer.Option(f"{row.flag}/--no-{row.flag[2:]}", help=help_text, show_default=False)
        ]
    # Numbers stay text here: the table's own parser also takes "2m", and words the error the same for every source.
    kind = Path if row.type in {Path, Path | None} else str
    metavar = {int: "N", float: "DURATION"}.get(row.type, "FILE" if row.type == Path | None else "TEXT")
    metavar = "DIR" if row.type is Path else metavar
    return Annotated[kind | None, typer.Option(row.flag, help=help_text, metavar=metavar, show_default=False)]
