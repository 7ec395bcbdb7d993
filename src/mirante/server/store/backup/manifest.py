"""What a backup holds, file by file, with checksums: written last, checked before anything is restored."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from mirante.errors import BackupError

NAME = "manifest.json"
_FORMAT = 1
_BLOCK = 1 << 20

Kind = Literal["native", "parquet"]
Progress = Callable[[int], None]
"""Told of every block: how many bytes more are done."""


@dataclass(frozen=True, slots=True)
class File:
    """One file.

    Attributes:
        size: in bytes.
        sha256: of its content.
    """

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands in a backup's ``manifest.json``.

    Attributes:
        name: the backup's name, which is its folder's.
        created: when, in seconds since the Unix epoch.
        release: of the program that made it.
        schema: version of the store's schema.
        kind: ``native`` can be restored; ``parquet`` is for other programs.
        signals: what is in it.
        scheduled: whether the server made it by itself.
        files: by path below the backup's folder.
        links: symbolic links: path to target.
        origins: where files of the configuration came from: path in the backup to path on the machine.
    """

    name: str
    created: float
    release: str
    schema: int
    kind: Kind
    signals: tuple[str, ...]
    scheduled: bool = False
    files: dict[str, File] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.size for file in self.files.values())

    def summary(self) -> dict[str, Any]:
        """What a list of backups shows."""
        shown = asdict(self)
        for heavy in ("files", "links", "origins"):
            del shown[heavy]
        return {**shown, "bytes": self.bytes, "files": len(self.files)}

    def write(self, folder: Path) -> None:
        """Write it into the backup's folder, and all names in it to the medium."""
        content = {"format": _FORMAT, **asdict(self)}
        text = orjson.dumps({**content, "sha256": _checksum(content)}, option=orjson.OPT_INDENT_2)
        with (folder / NAME).open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def read(folder: Path) -> Manifest:
    """The manifest of a backup.

    Raises:
        BackupError: there is none, or it is damaged.
    """
    path = folder / NAME
    try:
        content = orjson.loads(path.read_bytes())
        said = content.pop("sha256")
        whole = said == _checksum(content)
        whole &= content.pop("format") == _FORMAT
        content["files"] = {path: File(**file) for path, file in content["files"].items()}
        content["signals"] = tuple(content["signals"])
        manifest = Manifest(**content)
    except FileNotFoundError:
        raise BackupError(f"{folder} is no backup: it has no {NAME}") from None
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(f"{path} is damaged: {error}") from None
    if not whole:
        raise BackupError(f"{path} is damaged, or was written by a later release")
    return manifest


def verify(folder: Path, progress: Progress = lambda _: None) -> Manifest:
    """Check a backup: every file is there, of its size and with its checksum, and nothing else.

    Raises:
        BackupError: it is not whole; the message names what is wrong.
    """
    manifest = read(folder)
    found = {str(path.relative_to(folder)) for path in _files(folder)} - {NAME}
    faults = [f"{path} is missing" for path in sorted(manifest.files.keys() - found)]
    faults += [f"{path} does not belong to it" for path in sorted(found - manifest.files.keys())]
    for path in sorted(found & manifest.files.keys()):
        if digest(folder / path, progress) != manifest.files[path]:
            faults.append(f"{path} is damaged")
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise BackupError(f"the backup {folder} is not whole: {', '.join(faults[:3])}{more}")
    return manifest


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def digest(path: Path, progress: Progress = lambda _: None) -> File:
    """Size and checksum of a file.

    Raises:
        BackupError: it cannot be read.
    """
    return _stream(path, None, progress)


def copy(source: Path, target: Path, progress: Progress = lambda _: None) -> File:
    """Copy a file, force it to the medium, and give size and checksum of what was copied.

    Raises:
        BackupError: it cannot be read or written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    return _stream(source, target, progress)


def _stream(source: Path, target: Path | None, progress: Progress) -> File:
    checksum, size = hashlib.sha256(), 0
    try:
        with source.open("rb") as reading, target.open("wb") if target else open(os.devnull, "wb") as writing:  # noqa: PTH123
            while block := reading.read(_BLOCK):
                checksum.update(block)
                writing.write(block)
                size += len(block)
                progress(len(block))
            if target:
                writing.flush()
                os.fsync(writing.fileno())
    except OSError as error:
        raise BackupError(f"cannot copy {error.filename or target or source}: {error.strerror or error}") from error
    return File(size, checksum.hexdigest())
