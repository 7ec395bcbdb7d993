"""Messages that differ in their variable parts only, as one pattern."""

from __future__ import annotations

import re
from functools import lru_cache

_MASKS = (
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<uuid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<e-mail>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<ip>"),
    (re.compile(r"\"[^\"\n]*\"|(?<!\w)'[^'\n]*'(?!\w)"), "<text>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}\b"), "<hex>"),
    (re.compile(r"(?<![\w<])[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?"), "<n>"),
    (re.compile(r"(?<=[A-Za-z_-])\d+"), "<n>"),
)


@lru_cache(4096)
def pattern_of(message: str) -> str:
    """The message with its variable parts masked.

    Example:
        >>> pattern_of("order 17 of user-42 took 3.5ms from 10.0.0.7:8080: 'gone'")
        'order <n> of user-<n> took <n>ms from <ip>: <text>'
    """
    for regex, mask in _MASKS:
        message = regex.sub(mask, message)
    return message
