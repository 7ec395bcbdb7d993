"""``mirante backup``: make, list, check and restore backups.

Making and listing ask the running server, or work on the data directory of a stopped one; checking and restoring need
nothing but the backup's folder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from mirante.cli.asking import DEFAULT_SERVER, SERVER, TOKEN, ask_admin
from mirante.config import resolve
from mirante.errors import BackupError, ConfigError
from mirante.formats.size import format_size
from mirante.server.settings import ServerSettings

app = typer.Typer(help="Make, list, check and restore backups of the store.", no_args_is_help=True)

_POLL_SECONDS = 0.3

_DATA = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Work on this data directory, which no server has open."),
]
_CONFIG = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", envvar="MIRANTE_CONFIG", help="The server's mirante.toml.")
]
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_FOLDER = Annotated[Path, typer.Argument(metavar="BACKUP", help="The backup's folder.")]


@app.command("create")
def create(
    signal: Annotated[str | None, typer.Option(help="Only this one: metrics, logs or traces.")] = None,
    kind: Annotated[
        str, typer.Option("--format", help="native can be restored; parquet is for other programs.")
    ] = "native",
    server: SERVER = DEFAULT_SERVER,
    token: TOKEN = None,
    data: _DATA = None,
    config: _CONFIG = None,
    as_json: _JSON = False,
) -> None:
    """Make a backup of everything that was acknowledged before, and print its folder.

    Where backups go is the server's setting `backup.directory`.
    """
    if signal not in {None, "metrics", "logs", "traces"}:
        raise ConfigError(f"--signal = {signal!r} is none of metrics, logs and traces", key="signal")
    if kind not in {"native", "parquet"}:
        raise ConfigError(f"--format = {kind!r} is neither native nor parquet", key="format")
    if data is not None:
        made = _create_offline(data, config, signal, kind)
    else:
        made = _create_online(server, token, signal, kind)
    if as_json:
        typer.echo(json.dumps(made))
    else:
        typer.echo(made["path"])
        typer.echo(f"{format_size(made['bytes'])} in {made['files']} files", err=True)


def _create_online(server: str, token: str | None, signal: str | None, kind: str) -> dict[str, Any]:
    name = ask_admin(server, token, "POST", "backups", {"signal": signal, "format": kind})["name"]
    with _progress("copying") as told:
        done = 0
        while True:
            state = ask_admin(server, token, "GET", "backups")
            running = state["running"]
            if running is None or running["name"] != name:
                break
            told(running["bytes"] - done)
            done = running["bytes"]
            time.sleep(_POLL_SECONDS)
    for one in state["backups"]:
        if one["name"] == name:
            return {**one, "path": str(Path(state["directory"]) / name)}
    raise BackupError(state["last_error"] or f"the backup {name} was not made; the server's log says why")


def _create_offline(data: Path, config: Path | None, signal: str | None, kind: str) -> dict[str, Any]:
    from mirante.server.keeping import extra_files, open_store
    from mirante.server.store.backup.snapshot import Snapshotter, Wanted
    from mirante.server.store.retention import Keeper
    from mirante.server.store.space import Ballast

    settings = resolve(ServerSettings, code={"data": data}, file=config, flags=True)
    if not data.is_dir():
        raise BackupError(f"{data} is no data directory")
    home = data.absolute()
    directory = (settings.backup.directory or home / "backups").absolute()
    with ExitStack() as closing, _progress("copying") as told:
        engine, writer, _ = open_store(settings, closing, readers=1)
        keeper = Keeper(engine, writer, settings.retention, home, Ballast(home / "ballast", 0))
        of = Snapshotter(engine, writer, keeper, home, directory, extra_files(settings))
        wanted = Wanted(kind=kind) if signal is None else Wanted((signal,), kind)  # type: ignore[arg-type] # checked
        manifest = of.create(of.new_name(), wanted, told)
    return {**manifest.summary(), "path": str(directory / manifest.name)}


@app.command("list")
def show(
    server: SERVER = DEFAULT_SERVER,
    token: TOKEN = None,
    directory: Annotated[
        Path | None, typer.Option(metavar="DIR", help="List the backups in this folder, without a server.")
    ] = None,
    as_json: _JSON = False,
) -> None:
    """List the backups, oldest first: name, time, size, kind, what is in it."""
    if directory is None:
        rows = ask_admin(server, token, "GET", "backups")["backups"]
    else:
        from mirante.server.store.backup.service import listed

        rows = [manifest.summary() for manifest in listed(directory)]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        made = datetime.fromtimestamp(row["created"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        signals = "everything" if len(row["signals"]) == 3 else ", ".join(row["signals"])
        typer.echo(f"{row['name']}  {made}  {format_size(row['bytes']):>10}  {row['kind']:7}  {signals}")


@app.command("verify")
def check(backup: _FOLDER) -> None:
    """Check that every file of a backup is there and is what it was: exit code 1 where one is not."""
    from mirante.server.store.backup.manifest import verify

    with _progress("checking") as told:
        manifest = verify(backup, told)
    typer.echo(f"{manifest.name} is whole: {format_size(manifest.bytes)} in {len(manifest.files)} files")


@app.command("restore")
def bring_back(
    backup: _FOLDER,
    into: Annotated[Path, typer.Option(metavar="DIR", help="The data directory to be made; empty or not there.")],
) -> None:
    """Make a data directory of a native backup, which is checked whole before anything is written."""
    from mirante.server.store.backup.snapshot import restore

    with _progress("checking and copying") as told:
        manifest = restore(backup, into, told)
    typer.echo(f"restored {manifest.name} into {into}: {format_size(manifest.bytes)} in {len(manifest.files)} files")
    if manifest.origins:
        typer.echo(f"files of the configuration are in {into / 'restored-files'}; put them where they belong:")
        for path, origin in manifest.origins.items():
            typer.echo(f"  {into / 'restored-files' / path.partition('/')[2]}  came from  {origin}")
    typer.echo(f"start it with: mirante serve --data {into}")


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    """Shows how much is done, on a terminal only."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda more: shown.advance(task, more)
