"""Files of measurements, as JSON lines or Parquet, that rotate and keep below a limit together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante._core.convert import records_of
from mirante._core.extras import require
from mirante._core.guard import REPORTER
from mirante._core.protocols import Exportable
from mirante._core.record import to_json
from mirante.errors import DeclarationError, DeliveryError

_ROWS = 10_000
"""Rows of a Parquet row group: what is turned from text into columns at a time."""


class FileExporter:
    """Writes measurements into files of a directory.

    Each file is named after the moment it was begun. JSON lines are written as they come. A Parquet file can only be
    read once it is complete, so what comes is written as JSON lines first and turned into Parquet when the file is
    rotated or closed; files that a killed process left behind are turned by the next one. So nothing that was exported
    is lost with the process. Several processes may write to one directory.

    Args:
        directory: made when it is missing.
        format: ``jsonl``, or ``parquet``, which needs the extra ``mirante[parquet]``.
        prefix: first part of the files' names; different ones are independent of each other.
        max_bytes: a file that has reached this size is followed by a new one.
        max_age: so is one that is this many seconds old, when the next batch comes.
        max_total_bytes: what all files of this prefix may take together; beyond it the oldest are deleted.
        clock: the source of time.

    Raises:
        DeclarationError: a limit or the prefix makes no sense.
        ConfigError: the extra is not installed.

    Example:
        >>> import tempfile
        >>> from mirante.telemetry import Metric
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     out = FileExporter(folder)
        ...     out.export([Metric("jobs", 1.0, datetime(2026, 1, 1, tzinfo=UTC))])
        ...     print(out.path.read_text(), end="")
        ...     out.close()
        {"timestamp":"2026-01-01T00:00:00+00:00","name":"jobs","value":1.0}
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        format: Literal["jsonl", "parquet"] = "jsonl",
        prefix: str = "telemetry",
        max_bytes: int = 64 << 20,
        max_age: float = 3600.0,
        max_total_bytes: int = 1 << 30,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not prefix or "/" in prefix or not 0 < max_bytes <= max_total_bytes or not max_age > 0:
            raise DeclarationError(
                "FileExporter: needs a prefix without slash, 0 < max_bytes <= max_total_bytes and max_age > 0"
            )
        if format not in ("jsonl", "parquet"):
            raise DeclarationError(f"FileExporter: format must be jsonl or parquet, not {format!r}")
        self._parquet = Parquet() if format == "parquet" else None
        self._directory = Path(directory)
        self._prefix = prefix
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._max_total_bytes = max_total_bytes
        self._clock = clock
        self._fd = -1
        self._pid = 0
        self._size = 0
        self._begun = 0.0
        self._path = self._directory

    @property
    def path(self) -> Path:
        """The file being written; before the first export the directory."""
        return self._path

    def export(self, batch: Sequence[Exportable]) -> None:
        """Write the batch, whole or not at all.

        Raises:
            DeliveryError: the disk did not take it.
        """
        now = datetime.fromtimestamp(self._clock.time_ns() / 1e9, UTC)
        rows = [json.dumps(to_json(one), separators=(",", ":"), default=str) for one in records_of(batch, now)]
        if not rows:
            return
        try:
            self._make_ready(now)
            self._append(("\n".join(rows) + "\n").encode())
        except OSError as error:
            raise DeliveryError(f"cannot write to {self._directory}: {error.strerror or error}") from error

    def close(self) -> None:
        """Complete the file being written; the next export begins another."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        if self._pid == os.getpid():
            self._complete(self._path)

    def _make_ready(self, now: datetime) -> None:
        full = self._size >= self._max_bytes or self._clock.monotonic() - self._begun >= self._max_age
        if self._fd >= 0 and (full or self._pid != os.getpid()):
            self.close()  # a forked child leaves the parent's file alone
        if self._fd >= 0:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        self._pid, self._size, self._begun = os.getpid(), 0, self._clock.monotonic()
        name = f"{self._prefix}-{now:%Y%m%dT%H%M%S.%f}-{self._pid}"
        self._path = self._directory / f"{name}.jsonl"
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        _lock(self._fd)
        for path in self._others(".jsonl") if self._parquet else ():
            self._complete(path)
        self._delete_oldest()

    def _append(self, block: bytes) -> None:
        view = memoryview(block)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise
        self._size += len(block)

    def _others(self, suffix: str) -> Iterator[Path]:
        """Files that no process is writing, oldest first."""
        for path in sorted(self._directory.glob(f"{self._prefix}-*{suffix}")):
            if path != self._path and not _in_use(path):
                yield path

    def _complete(self, path: Path) -> None:
        if self._parquet:
            with suppress(FileNotFoundError):  # another process was faster
                self._parquet.write(path)

    def _delete_oldest(self) -> None:
        """Make room for the file that was just begun."""
        others = [(path, path.stat().st_size) for path in self._others("")]
        total = sum(size for _, size in others) + self._max_bytes
        for path, size in others:
            if total <= self._max_total_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size


class Parquet:
    """Turns files of JSON lines into Parquet files with the columns of ``to_json``; metadata stays JSON text.

    Raises:
        ConfigError: pyarrow is not installed.
    """

    def __init__(self) -> None:
        self._arrow = arrow = require("pyarrow", extra="parquet", purpose="FileExporter(format='parquet')")
        self._files = require("pyarrow.parquet", extra="parquet", purpose="FileExporter(format='parquet')")
        number, text = arrow.float64(), arrow.string()
        self._schema = arrow.schema(
            {
                "timestamp": arrow.timestamp("us", "UTC"),
                "name": text,
                "value": number,
                "tags": arrow.map_(text, text),
                "metadata": text,
                **dict.fromkeys(("count", "sum", "min", "max", "last"), number),
                "quantiles": arrow.map_(number, number),
            }
        )

    def write(self, path: Path) -> None:
        """Put a Parquet file in the place of a file of JSON lines.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: the disk failed.
        """
        unfinished = path.with_suffix(".tmp")
        with path.open(encoding="utf-8") as lines:
            rows = map(_row, lines)
            with self._files.ParquetWriter(unfinished, self._schema, compression="zstd") as out:
                while chunk := list(islice(rows, _ROWS)):
                    out.write_table(self._arrow.Table.from_pylist([r for r in chunk if r], schema=self._schema))
        unfinished.replace(path.with_suffix(".parquet"))
        path.unlink(missing_ok=True)


def _row(line: str) -> dict[str, Any]:
    """One line as Arrow wants it; empty when it is the half line of a killed process."""
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError:
        REPORTER.warn("FileExporter", "a line that is not whole was left out; a process was killed while writing it")
        return {}
    row["timestamp"] = datetime.fromisoformat(row["timestamp"])
    row["tags"] = list(row.get("tags", {}).items())
    row["metadata"] = json.dumps(row["metadata"]) if "metadata" in row else None
    row["quantiles"] = [(float(share), value) for share, value in row.get("quantiles", {}).items()]
    return row


def _lock(fd: int) -> None:
    """Mark a file as being written, for as long as it is open."""
    import fcntl

    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _in_use(path: Path) -> bool:
    """Whether a living process is writing it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True  # deleted at this moment: nothing to do with it
    try:
        _lock(fd)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)
