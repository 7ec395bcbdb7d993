"""Which right a request needs."""

from __future__ import annotations

from mirante.server.access.tokens import Right

_PUBLIC = frozenset({"/-/healthy", "/-/ready", "/login", "/logout"})
_PUBLIC_FOLDERS = ("/assets/",)
_WRITE = frozenset(
    {
        "/api/v1/write", "/v1/metrics", "/v1/traces", "/v1/logs",
        "/api/v2/alerts", "/alertmanager/api/v2/alerts",
    }
)  # fmt: skip
_WRITE_FOLDERS = (
    "/metrics/job/",
    "/metrics/job@base64/",
    "/loki/api/v1/push",
    "/otlp/v1/",
    "/insert/",
    "/api/v1/import",
)
_CONFIGURE_FOLDER = "/api/v1/settings/"
_ASKING = frozenset(
    {
        "/api/v1/query", "/api/v1/query_range", "/api/v1/query_exemplars", "/api/v1/series", "/api/v1/labels",
        "/api/v1/format_query", "/api/v1/parse_query", "/api/v1/read", "/api/v1/alerting/backtest",
    }
)  # fmt: skip
"""Questions that are long enough to come by POST."""


def right_for(method: str, path: str) -> Right | None:
    """The right that a request needs, or None where anybody may.

    What changes something and is no known way to send telemetry needs ``admin``: a path that this list forgets is
    closed rather than open.

    Example:
        >>> right_for("POST", "/v1/traces"), right_for("GET", "/api/v1/query"), right_for("GET", "/-/ready")
        ('write', 'read', None)
        >>> right_for("POST", "/-/reload"), right_for("PUT", "/api/v1/settings/rules/shop")
        ('admin', 'configure')
    """
    if path in _PUBLIC or path.startswith(_PUBLIC_FOLDERS):
        return None
    if method in ("GET", "HEAD", "OPTIONS"):
        return "admin" if path.startswith("/api/v1/admin/") else "read"
    if path in _WRITE or path.startswith(_WRITE_FOLDERS):
        return "write"
    if path.startswith(_CONFIGURE_FOLDER):
        return "configure"
    return "read" if path in _ASKING else "admin"
