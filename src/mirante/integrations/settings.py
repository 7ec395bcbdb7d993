"""What can be said about web applications."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mirante.config import lenient, resolve, setting

OWN_ENDPOINTS = "^/livez$,^/readyz$,^/healthz$,^/startupz$,^/metrics$"
"""What supervisors and scrapers ask again and again, as mirante's own endpoints are called."""


def patterns(value: object) -> str:
    """Regular expressions separated by commas, checked here and used by ``incoming.exclusion``.

    Raises:
        ValueError: one of them is none.

    Example:
        >>> patterns("^/healthz$,internal")
        '^/healthz$,internal'
    """
    for text in str(value).split(","):
        try:
            re.compile(text.strip())
        except re.error as error:
            raise ValueError(f"{text.strip()!r} is no regular expression: {error}") from None
    return str(value)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """What an application can say about its web frameworks."""

    web_excluded_urls: str = setting(
        OWN_ENDPOINTS,
        "Requests that are neither traced nor measured: regular expressions separated by commas, searched for in the "
        "path; `none` for none.",
        env=(lenient("OTEL_PYTHON_EXCLUDED_URLS", patterns, OWN_ENDPOINTS),),
        parse=patterns,
    )


class _Configured:
    """What ``mirante.configure`` was told."""

    excluded: str | None = None


def set_excluded_urls(patterns: str | None) -> None:
    """What middlewares leave alone that are made from now on, where they are told nothing else.

    Args:
        patterns: regular expressions separated by commas; None for what the environment says.

    Example:
        >>> set_excluded_urls("^/internal/")
        >>> excluded_urls()
        '^/internal/'
        >>> set_excluded_urls(None)
    """
    _Configured.excluded = patterns


def excluded_urls() -> str:
    """The patterns in force: ``configure``'s, else the environment's, else the default.

    Raises:
        ConfigError: those of the environment cannot be used.
    """
    return resolve(WebSettings).web_excluded_urls if _Configured.excluded is None else _Configured.excluded
