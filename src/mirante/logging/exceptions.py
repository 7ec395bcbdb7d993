"""Exceptions as fields of a log line."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType
from typing import Any, TypeAlias

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

_CHARACTERS = 32_768
"""Of a stack trace, which is cut in the middle: its two ends say most."""


def exc_info_of(value: object) -> ExcInfo | None:
    """What ``exc_info=`` means: an exception, what ``sys.exc_info()`` gave, or true for the one being handled.

    Example:
        >>> exc_info_of(ValueError("no"))[1], exc_info_of(False)
        (ValueError('no'), None)
    """
    if isinstance(value, BaseException):
        return type(value), value, value.__traceback__
    if isinstance(value, tuple) and len(value) == 3 and isinstance(value[1], BaseException):
        return type(value[1]), value[1], value[2]
    if not value or isinstance(value, tuple):
        return None
    kind, error, trace = sys.exc_info()
    return None if kind is None or error is None else (kind, error, trace)


def exception_field(info: ExcInfo) -> dict[str, Any]:
    """Type, message and stack trace; the names are OpenTelemetry's, ``exception.`` before them.

    Example:
        >>> exception_field((KeyError, KeyError("sku"), None))
        {'type': 'KeyError', 'message': "'sku'", 'stacktrace': "KeyError: 'sku'"}
    """
    kind, error, trace = info
    text = "".join(traceback.format_exception(kind, error, trace)).rstrip("\n")
    if len(text) > _CHARACTERS:
        half = _CHARACTERS // 2
        text = f"{text[:half]}\n… {len(text) - 2 * half} characters …\n{text[-half:]}"
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        message = str(error)
    except Exception as broken:  # noqa: BLE001 - the host's own __str__ may do anything
        message = f"<cannot be shown: {type(broken).__name__}>"
    return {"type": name, "message": message, "stacktrace": text}
