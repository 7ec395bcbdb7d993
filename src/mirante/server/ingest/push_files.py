"""Groups of a Pushgateway on disk."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import orjson

from mirante._core.files import replace_file
from mirante.errors import StoreError, StoreFullError
from mirante.server.ingest.push_group import Group, GroupKey, from_json, to_json

_log = logging.getLogger(__name__)


class GroupFiles:
    """A file a group, replaced as a whole.

    Args:
        directory: made when it is missing.

    Raises:
        StoreError: it cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot use {directory}: {error.strerror or error}") from None

    def read(self) -> Iterator[Group]:
        """The groups that were kept; a file that cannot be read is told and left alone."""
        for path in sorted(self._directory.glob("*.json")):
            try:
                yield from_json(orjson.loads(path.read_bytes()))
            except (OSError, ValueError, KeyError, TypeError) as error:
                _log.error("%s holds no group of pushed metrics and is left out: %r", path, error)

    def write(self, group: Group) -> None:
        """Keep a group. Raises StoreFullError."""
        path = self._path(group.key)
        try:
            replace_file(path, orjson.dumps(to_json(group)))
        except OSError as error:
            raise StoreFullError(f"cannot write {path}: {error.strerror or error}") from None

    def remove(self, key: GroupKey) -> None:
        """Forget it. Raises StoreError."""
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"cannot remove {path}: {error.strerror or error}") from None

    def _path(self, key: GroupKey) -> Path:
        return self._directory / f"{hashlib.sha256(orjson.dumps(key)).hexdigest()}.json"
