"""Regular expressions of matchers: RE2's, as in Alertmanager, run by Arrow as those of PromQL."""

from __future__ import annotations

import re
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

_WORDS = re.compile(r"[\w -]*(\|[\w -]*)*", re.ASCII)


class Regex:
    """A regular expression that has to match the whole of a text.

    Raises:
        ValueError: it is no regular expression, or one that RE2 does not know.

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
            if r"\C" in pattern.replace(r"\\", ""):  # bytes: known to the engine, not to Go
                raise ValueError(f'regular expression "{pattern}" cannot be used: invalid escape sequence: \\C')
            try:
                _found(self._anchored, "")
            except pa.ArrowInvalid as error:
                reason = str(error).removeprefix("Invalid regular expression: ")
                raise ValueError(f'regular expression "{pattern}" cannot be used: {reason}') from None

    def fullmatch(self, text: str) -> bool:
        """Whether the whole text matches."""
        return text in self._words if self._words is not None else _found(self._anchored, text)


@lru_cache(maxsize=65_536)
def _found(anchored: str, text: str) -> bool:
    """Labels have few values and alerts come again and again, so most answers are known."""
    return bool(pc.match_substring_regex(pa.scalar(text), anchored).as_py())
