"""From settings to a door."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from mirante.metrics import Registry
from mirante.server.access.guard import Access
from mirante.server.access.limits import SenderLimits
from mirante.server.access.sessions import Sessions
from mirante.server.access.tokens import TokenStore
from mirante.server.settings import LimitSettings, ServerSettings


def loopback(host: str) -> bool:
    """Whether only this machine reaches the address.

    Example:
        >>> loopback("127.0.0.1"), loopback("::1"), loopback("localhost"), loopback("0.0.0.0")
        (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def tokens_needed(settings: ServerSettings) -> bool:
    """Whether who asks must show a token."""
    return settings.auth == "on" or (settings.auth == "auto" and not loopback(settings.host))


def logs_access(settings: ServerSettings) -> bool:
    """Whether every request is logged."""
    return settings.access_log == "on" or (settings.access_log == "auto" and tokens_needed(settings))


def make_access(settings: ServerSettings, data: Path, registry: Registry) -> Access:
    """The door of a data directory.

    Raises:
        AccessError: the directory's tokens cannot be read.
    """
    tokens = TokenStore(data)
    tokens.known()  # now, rather than with the first request
    return Access(tokens, Sessions(tokens), needed=tokens_needed(settings), registry=registry)


def make_limits(settings: LimitSettings, registry: Registry) -> SenderLimits:
    """What one sender may send."""
    rates = {
        "bytes": settings.bytes_per_second,
        "metrics": settings.samples_per_second,
        "traces": settings.spans_per_second,
        "logs": settings.log_records_per_second,
    }
    return SenderLimits(rates, settings.series, registry)
