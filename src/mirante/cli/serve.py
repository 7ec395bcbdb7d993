"""``mirante serve``: run the server until it is told to stop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mirante.cli.options import with_settings
from mirante.config import resolve
from mirante.server.lean import keep_out
from mirante.server.settings import ServerSettings

_CONFIG = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", envvar="MIRANTE_CONFIG", help="A mirante.toml with these settings."),
]


@with_settings(ServerSettings, {"config": _CONFIG})
def command(settings: Mapping[str, Any], config: Path | None) -> None:
    """Take telemetry in, store it, answer queries and show the page, in one process.

    A flag wins over its environment variable, that over the key in the file given by --config.
    """

    def read() -> ServerSettings:
        return resolve(ServerSettings, code=settings, file=config, flags=True)

    resolved = read()
    keep_out("pandas")
    from mirante.server.app import serve  # here, so that --help does not load the engine

    serve(resolved, read)
