"""``mirante import``: metrics of the past, from a file of OpenMetrics text.

The file is sent in pieces, each of which is safe once it is answered: whatever ends an import, it says where to go on.
"""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import orjson
import typer

from mirante.config import resolve
from mirante.errors import DeliveryError, FormatError, MiranteError, StoreBusyError, StoreFullError
from mirante.server.settings import ServerSettings

if TYPE_CHECKING:
    from rich.progress import Progress

PIECE_BYTES = 4 << 20
PATIENCE = 60.0
"""Seconds that a piece is tried while the server is away or has no room."""

_MAX_ERRORS = 20
_CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Answer = Mapping[str, Any]
"""What became of a piece: ``accepted``, ``rejected`` and ``errors`` with ``line`` and ``reason``."""


class Piece(NamedTuple):
    """A part of the file: whole lines, the number of the first, and how many there are."""

    first: int
    lines: int
    text: bytes


def pieces(source: IO[bytes], size: int = PIECE_BYTES) -> Iterator[Piece]:
    r"""Cut a file behind samples, so that the comments of a family stay with its first sample.

    Raises:
        FormatError: there is no end of a line in many times ``size`` bytes.

    Example:
        >>> import io
        >>> [piece.text for piece in pieces(io.BytesIO(b"# TYPE a gauge\na 1 1\n# TYPE b gauge\nb 1 1\n"), 40)]
        [b'# TYPE a gauge\na 1 1\n', b'# TYPE b gauge\nb 1 1\n']
    """
    number, rest = 1, b""
    while more := source.read(size - len(rest) if len(rest) < size else size):
        rest += more
        end = _cut(rest)
        if end:
            lines = rest.count(b"\n", 0, end)
            yield Piece(number, lines, rest[:end])
            number, rest = number + lines, rest[end:]
        elif len(rest) >= 8 * size:
            raise FormatError(f"line {number}: no sample ends in {len(rest)} bytes; this is no OpenMetrics text")
    if rest:
        yield Piece(number, rest.count(b"\n") + (not rest.endswith(b"\n")), rest)


def _cut(text: bytes) -> int:
    end = text.rfind(b"\n") + 1
    while end:
        start = text.rfind(b"\n", 0, end - 1) + 1
        if text[start : start + 1] != b"#" or text[start:end] == b"# EOF\n":
            break
        end = start
    return end


class HttpTarget:
    """A running server.

    Args:
        server: its address.
        token: that may write, or None where the server asks for none.
        wait: sleeps for that many seconds.
        clock: seconds, of any beginning.
    """

    def __init__(
        self,
        server: str,
        token: str | None = None,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        import urllib3

        self._url = f"{server.rstrip('/')}/api/v1/import/prometheus"
        self._http = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=10, read=120))
        self._headers = {"Content-Type": _CONTENT_TYPE, **({"Authorization": f"Bearer {token}"} if token else {})}
        self._wait, self._clock = wait, clock

    def send(self, text: bytes) -> Answer:
        """Send a piece; waits while the server is away or has no room.

        Raises:
            DeliveryError: it did not come back in time, or refused the request as a whole.
        """
        deadline, pause = self._clock() + PATIENCE, 0.5
        while True:
            try:
                return self._post(text)
            except DeliveryError as error:
                if error.permanent or self._clock() >= deadline:
                    raise
                self._wait(error.retry_after or pause)
                pause = min(2 * pause, 8.0)

    def _post(self, text: bytes) -> Answer:
        from urllib3.exceptions import HTTPError

        try:
            reply = self._http.request("POST", self._url, body=text, headers=self._headers)
        except HTTPError as error:
            raise DeliveryError(f"cannot reach {self._url}: {error}; is the server running?") from None
        try:
            answer = orjson.loads(reply.data)
        except orjson.JSONDecodeError:
            answer = None
        if reply.status in {200, 400} and isinstance(answer, dict) and "accepted" in answer:
            return answer
        told = answer if isinstance(answer, dict) else {}
        said = told.get("detail") or told.get("error") or reply.data[:200].decode("utf-8", "replace").strip()
        after = reply.headers.get("Retry-After", "")
        raise DeliveryError(
            f"{self._url} answered {reply.status}: {said}",
            retry_after=float(after) if after.isdecimal() else None,
            permanent=reply.status not in {429, 502, 503, 504},
        )


@contextmanager
def data_target(settings: ServerSettings) -> Iterator[Callable[[bytes], Answer]]:
    """A data directory that no server has open; all is loaded when it is left.

    Args:
        settings: say which directory, and how long it keeps metrics.

    Raises:
        StoreBusyError: a server has it open.
        StoreError: it cannot be used.
    """
    from mirante.server.ingest.counts import IngestCounts
    from mirante.server.ingest.exchange import Bounds
    from mirante.server.ingest.importer import ImportLines
    from mirante.server.keeping import open_store
    from mirante.server.store.retention import longest

    with ExitStack() as closing:
        try:
            writer = open_store(settings, closing, readers=1).writer
        except StoreBusyError as error:
            raise StoreBusyError(f"{error}, or send to the server that runs with --server") from None
        bounds = Bounds(past=longest(settings.retention, "metrics"))

        def take(text: bytes) -> Answer:
            # A new sink for each piece, as the server has: what a piece says counts for it alone.
            sink = ImportLines(writer, bounds, IngestCounts(), openmetrics=True)
            sink.take(1, text.removesuffix(b"\n").split(b"\n"))
            return sink.outcome.document()

        def send(text: bytes) -> Answer:
            try:
                return take(text)
            except StoreFullError:
                writer.wait_until_loaded(PATIENCE)
                return take(text)

        yield send
        writer.wait_until_loaded()


@dataclass
class Import:
    """One import.

    Attributes:
        name: of the file, for messages.
        send: takes a piece to where it is stored.
        from_line: first line to send.
        line: the last line that is stored.
        samples: samples stored.
        refused: lines refused.
        errors: the first of them, with line numbers.
        ended: whether ``# EOF`` was there.
    """

    name: str
    send: Callable[[bytes], Answer]
    from_line: int = 1
    line: int = 0
    samples: int = 0
    refused: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)
    ended: bool = False

    def run(self, source: IO[bytes], progress: Callable[[int], None]) -> None:
        """Send the file.

        Raises:
            FormatError: it goes on after its end, or has none.
            DeliveryError: the server did not take a piece.
            StoreError: the store did not.
        """
        for piece in pieces(source):
            if self.ended:
                raise FormatError(f'{self.name}:{piece.first}: there is text after "# EOF"')
            self._send(piece)
            self.ended = piece.text.rstrip(b"\n").endswith(b"\n# EOF") or piece.text.rstrip(b"\n") == b"# EOF"
            progress(self.line)
        if not self.ended:
            raise FormatError(f'{self.name} does not end with "# EOF": it may have been cut short')

    def _send(self, piece: Piece) -> None:
        last = piece.first + piece.lines - 1
        skip = min(max(self.from_line - piece.first, 0), piece.lines)
        text = piece.text.split(b"\n", skip)[skip] if skip else piece.text
        if text:
            answer = self.send(text)
            self.samples += answer["accepted"]
            self.refused += answer["rejected"]
            for error in answer["errors"][: _MAX_ERRORS - len(self.errors)]:
                self.errors.append((piece.first + skip + error["line"] - 1, error["reason"]))
        self.line = last


@contextmanager
def _opened(file: str) -> Iterator[tuple[IO[bytes], Callable[[], int], int | None]]:
    """The file to read, how far it was read on disk, and its size there."""
    if file == "-":
        yield sys.stdin.buffer, lambda: 0, None
        return
    path = Path(file)
    try:
        with path.open("rb") as raw:
            size = path.stat().st_size
            yield cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw, raw.tell, size
    except (OSError, EOFError) as error:
        raise FormatError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from None


def _shown(size: int | None) -> tuple[Progress, Callable[[int, int, float], None]]:
    """A progress bar on a terminal's standard error, and the function that moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    shown = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
    task = shown.add_task("", total=size)

    def move(at: int, lines: int, seconds: float) -> None:
        shown.update(task, completed=at, description=f"{lines:,} lines, {lines / max(seconds, 1e-9):,.0f}/s")

    return shown, move


def command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="OpenMetrics text, plain or .gz; - is standard input.")],
    server: Annotated[
        str, typer.Option(metavar="URL", envvar="MIRANTE_SERVER", help="The server to send it to.")
    ] = "http://127.0.0.1:8503",
    token: Annotated[
        str | None, typer.Option(metavar="TEXT", envvar="MIRANTE_TOKEN", help="A token that may write.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A data directory to write to instead, while no server runs.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", envvar="MIRANTE_CONFIG", help="The server's mirante.toml, for --data."),
    ] = None,
    from_line: Annotated[int, typer.Option(metavar="N", min=1, help="Begin with this line.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Import metrics of the past: OpenMetrics text in which every sample has its timestamp.

    The format is that of promtool tsdb create-blocks-from openmetrics. A sample that is sent twice counts once, so an
    import may be repeated. The exit code is 1 when a line was refused.
    """
    with ExitStack() as stack:
        source, position, size = stack.enter_context(_opened(file))
        send: Callable[[bytes], Answer] = HttpTarget(server, token).send
        if data is not None:
            settings = resolve(ServerSettings, code={"data": data}, file=config, flags=True)
            send = stack.enter_context(data_target(settings))
        job = Import("standard input" if file == "-" else file, send, from_line)
        bar, move = _shown(size)
        started = time.monotonic()
        with bar:
            try:
                job.run(source, lambda line: move(position(), line, time.monotonic() - started))
            except (MiranteError, KeyboardInterrupt) as error:
                _report_errors(job)
                stored = f"stored up to line {job.line}; go on with --from-line {job.line + 1}"
                if isinstance(error, KeyboardInterrupt):
                    raise MiranteError(f"interrupted; {stored}") from None
                raise MiranteError(str(error) if job.ended else f"{error}; {stored}") from None
    _report(job, time.monotonic() - started, as_json=as_json)


def _report_errors(job: Import) -> None:
    for line, reason in job.errors:
        typer.echo(f"{job.name}:{line}: {reason}", err=True)
    if job.refused > len(job.errors):
        typer.echo(f"and {job.refused - len(job.errors)} more", err=True)


def _report(job: Import, seconds: float, *, as_json: bool) -> None:
    _report_errors(job)
    lines = job.line - job.from_line + 1
    if as_json:
        document = {"samples": job.samples, "refused": job.refused, "lines": lines, "seconds": round(seconds, 3)}
        typer.echo(orjson.dumps(document).decode())
    else:
        speed = lines / max(seconds, 1e-9)
        typer.echo(
            f"{job.samples:,} samples stored, {job.refused:,} lines refused; {seconds:.1f} s, {speed:,.0f} lines/s"
        )
    if job.refused:
        raise typer.Exit(1)
