"""Levels by logger, changed while the process runs.

The standard library's tree of loggers is the one place where levels are kept: what is set here counts for its loggers
and for structlog's, and what is set there counts here.
"""

from __future__ import annotations

import logging

from mirante.logging.line import level_name, level_number


def set_level(logger: str, level: str | int | None) -> None:
    """Set the level from which on a logger, and those below it that have none of their own, let lines through.

    Args:
        logger: its dotted name; the empty string or ``root`` is the root.
        level: a name or number; None takes the logger's own level away again.

    Raises:
        ValueError: there is no such level.

    Example:
        >>> set_level("orders.db", "debug")
        >>> get_levels()["orders.db"]
        'debug'
        >>> set_level("orders.db", None)
    """
    logging.getLogger(logger).setLevel(logging.NOTSET if level is None else level_number(level))


def get_levels() -> dict[str, str]:
    """The loggers that have a level of their own, ``root`` among them, with its name."""
    own = {"root": level_name(logging.getLogger().level)}
    for name, logger in sorted(logging.getLogger().manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and logger.level:
            own[name] = level_name(logger.level)
    return own


def parse_levels(value: object) -> str:
    """Checks ``logger=level,logger=level``; ``level_map`` takes it apart.

    Raises:
        ValueError: a part is not like that.
    """
    level_map(str(value))
    return str(value)


def level_map(text: str) -> dict[str, int]:
    """Loggers to levels.

    Raises:
        ValueError: a part is no ``logger=level``.

    Example:
        >>> level_map("orders.db=debug, urllib3=warning")
        {'orders.db': 10, 'urllib3': 30}
    """
    found = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, level = part.partition("=")
        if not equals or not name.strip():
            raise ValueError("expected logger=level,logger=level")
        found[name.strip()] = level_number(level)
    return found
