"""How bad a log record is, told from the words that its sender used.

Numbers are OpenTelemetry's: 1 trace, 5 debug, 9 info, 13 warn, 17 error, 21 fatal, 0 where nobody knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import orjson


class Severity(NamedTuple):
    """A severity.

    Attributes:
        number: OpenTelemetry's severity number, 0 when it is not known.
        text: the level in the sender's own word, or the empty string.
    """

    number: int = 0
    text: str = ""


UNKNOWN = Severity()

LEVEL_FIELDS = ("detected_level", "level", "severity", "severity_text", "lvl", "log.level", "loglevel")
"""Fields that hold a level, also in capitals; the first one counts."""

_NUMBERS = {
    **dict.fromkeys(("trace", "trc", "verbose"), 1),
    **dict.fromkeys(("debug", "dbg"), 5),
    **dict.fromkeys(("info", "inf", "information", "informational"), 9),
    "notice": 10,
    **dict.fromkeys(("warn", "wrn", "warning"), 13),
    **dict.fromkeys(("error", "err"), 17),
    "alert": 19,
    **dict.fromkeys(("critical", "crit", "fatal", "panic", "emerg", "emergency"), 21),
}
_RANKS = {
    spelling: rank
    for rank, name in enumerate(LEVEL_FIELDS)
    for spelling in (name, name.upper(), name.capitalize(), name.title(), name.title().replace("_", ""))
}
_WORDS = "|".join(sorted(_NUMBERS, key=len, reverse=True))
# In prose a level's word says nothing ("no error was found"): it counts in capitals, in brackets and before a colon.
_SHOUTED = re.compile(rf"\b({_WORDS.upper()})\b|\[ *(?i:({_WORDS})) *\]|\b(?i:({_WORDS})):")
_PAIR = re.compile(r'(?:^|\s)(?:level|lvl|severity|log\.level)=(?:"([^"]*)"|([^\s"]+))', re.IGNORECASE)
_BEGINNING = 256


def named(level: str) -> Severity:
    """The severity of a level's name.

    Example:
        >>> named("Warning"), named("loud")
        (Severity(number=13, text='Warning'), Severity(number=0, text='loud'))
    """
    return Severity(_NUMBERS.get(level.strip().lower(), 0), level)


def of_fields(fields: Mapping[str, object]) -> Severity:
    """The severity that a field of the record tells, or UNKNOWN.

    Example:
        >>> of_fields({"Level": "error", "code": 7})
        Severity(number=17, text='error')
    """
    ranked = [(rank, name) for name in fields if (rank := _RANKS.get(name)) is not None]
    for _, name in sorted(ranked):
        value = fields[name]
        if isinstance(value, str) and value:
            return named(value)
    return UNKNOWN


def of_line(line: str) -> Severity:
    """The severity that a line tells: as JSON, as ``level=...``, or by a word that stands out at its beginning.

    Example:
        >>> of_line('{"level":"debug","msg":"x"}'), of_line("at=3 level=warn"), of_line("12:01 ERROR no disk").number
        (Severity(number=5, text='debug'), Severity(number=13, text='warn'), 17)
    """
    if line.lstrip()[:1] == "{" and (fields := _json(line)):
        return of_fields(fields)
    if (pair := _PAIR.search(line)) is not None:
        return named(pair[1] if pair[1] is not None else pair[2])
    shouted = _SHOUTED.search(line[:_BEGINNING])
    return UNKNOWN if shouted is None else named(shouted[1] or shouted[2] or shouted[3])


def _json(line: str) -> Mapping[str, object]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
