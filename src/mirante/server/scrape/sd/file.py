"""``file_sd_configs``: target groups in JSON and YAML files, which are read again as soon as they change.

Files are watched by looking at them every few seconds: it works on network and overlay file systems, where
notifications do not, and costs one ``stat`` a file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from mirante.errors import ConfigError, FormatError
from mirante.server.scrape.discovery import Publish, Reporter, Sleep
from mirante.server.scrape.model import FileSd, TargetGroup
from mirante.server.scrape.sd.groups import groups_of_file

POLL_SECONDS = 2.0

_Signature = tuple[int, int, int]


@dataclass(slots=True)
class _File:
    """A file as it was last seen; ``groups`` are those that it had when it could be read."""

    signature: _Signature
    read_at: float
    groups: list[TargetGroup]


class FileDiscovery:
    """Watches the files of one ``file_sd_configs`` entry."""

    def __init__(self, sd: FileSd, reporter: Reporter, sleep: Sleep) -> None:
        self._sd, self._reporter, self._sleep = sd, reporter, sleep
        self._files: dict[str, _File] = {}
        self._published: list[TargetGroup] | None = None

    async def run(self, publish: Publish) -> None:
        """Publish what the files say, for ever."""
        while True:
            groups = await asyncio.to_thread(self._look)
            if groups != self._published:
                self._published = groups
                await publish(groups)
            await self._sleep(POLL_SECONDS)

    def _look(self) -> list[TargetGroup]:
        """All groups of all files; a file that is gone has none."""
        before, self._files = self._files, {}
        for path, signature in self._present():
            known = before.get(path)
            if known is None or known.signature != signature or self._is_due(known):
                known = _File(signature, time.monotonic(), self._read(path, known.groups if known else []))
            self._files[path] = known
        return [group for file in self._files.values() for group in file.groups]

    def _present(self) -> Iterator[tuple[str, _Signature]]:
        for pattern in self._sd.patterns:
            for path in sorted(glob(pattern, include_hidden=True)):  # noqa: PTH207 - Path.glob takes no absolute one
                try:
                    found = Path(path).stat()
                except OSError:
                    continue  # it went away in this moment
                yield path, (found.st_mtime_ns, found.st_ino, found.st_size)

    def _is_due(self, known: _File) -> bool:
        return time.monotonic() - known.read_at >= self._sd.refresh / 1000

    def _read(self, path: str, before: list[TargetGroup]) -> list[TargetGroup]:
        """The file's groups, or those it had before when it is broken."""
        try:
            groups = groups_of_file(Path(path), {"__meta_filepath": path})
        except FormatError as error:
            self._reporter.failed(path, str(error))
        except ConfigError as error:
            self._reporter.failed(path, str(error).removeprefix(path).lstrip(",: "))
        except OSError as error:
            self._reporter.failed(path, f"cannot be read: {error.strerror}")
        else:
            self._reporter.worked(path)
            return groups
        return before
