"""Where in the user's source something was declared."""

from __future__ import annotations

import sys
from pathlib import PurePath

_PACKAGE = str(PurePath(__file__).parent.parent)


def caller() -> str:
    """``file:line`` of the nearest calling frame outside this package."""
    frame = sys._getframe(1)  # noqa: SLF001 - the documented CPython way; `inspect` costs a 10 ms import
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
