"""Files that outlive a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: str | bytes, *, mode: int = 0o666) -> None:
    """Put a file in the place of another, so that a crash at any point leaves one of the two, and a power cut too.

    Args:
        path: of the file; its folder is there.
        content: what it holds from now on; text becomes UTF-8.
        mode: permissions, less the umask.

    Raises:
        OSError: it cannot be written; the file of before is still there.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "known.json"
        >>> replace_file(path, "{}")
        >>> path.read_text()
        '{}'
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # the CLI may write the server's file at the same time
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)  # the name is as lasting as the content


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the medium.

    Raises:
        OSError: it cannot be done.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
