"""Regular expressions of matchers, which have to match the whole of a value."""

from __future__ import annotations

import re
from functools import lru_cache

from mirante.server import re2

_WORDS = re.compile(r"[\w -]*(\|[\w -]*)*", re.ASCII)


class Regex:
    """A regular expression of RE2 that has to match the whole of a text.

    Raises:
        ValueError: it is no regular expression.

    Source: Alertmanager, which compiles ``^(?:...)$``: ``.`` matches no line end.

    Example:
        >>> Regex("mysql|cass.*").fullmatch("cassandra"), Regex("mysql|cass").fullmatch("cassandra")
        (True, False)
    """

    __slots__ = ("_anchored", "_words")

    def __init__(self, pattern: str) -> None:
        self._anchored = f"^(?:{pattern})$"
        # Most are a choice of words, for which no engine is needed.
        self._words = frozenset(pattern.split("|")) if _WORDS.fullmatch(pattern) else None
        if self._words is None:
            _found(self._anchored, "")

    def fullmatch(self, text: str) -> bool:
        """Whether the whole text matches."""
        return text in self._words if self._words is not None else _found(self._anchored, text)


@lru_cache(maxsize=65_536)
def _found(anchored: str, text: str) -> bool:
    """Labels have few values, and alerts come again and again: most answers are known."""
    return re2.found(anchored, text)
