"""The alerts of this process."""

from __future__ import annotations

from collections.abc import Callable

from mirante.alerts.alert import Alert
from mirante.errors import DeclarationError


class _Registered:
    """Replaced whole, never changed in place: a reader on another thread sees one state or the other."""

    alerts: tuple[Alert, ...] = ()
    changed: Callable[[], object] | None = None


def register(alert: Alert) -> Alert:
    """Make an alert one of this process's: ``mirante.configure`` sends it to the server.

    Registering an equal one again does nothing.

    Returns:
        The same alert.

    Raises:
        DeclarationError: another alert of its group has the same name and labels, so that nobody could tell them apart.

    Example:
        >>> late = register(Alert("LatePayments", "payments_late > 10", "warning"))
        >>> late in registered()
        True
        >>> unregister(late)
    """
    for known in _Registered.alerts:
        if known == alert:
            return alert
        if _identity(known) == _identity(alert):
            raise DeclarationError(
                f"name: another alert of the group {alert.group!r} is called {alert.name!r} and has the same labels; "
                "unregister it first, or tell them apart by a label"
            )
    _put((*_Registered.alerts, alert))
    return alert


def unregister(alert: Alert) -> None:
    """Take it back; one that is not registered is passed over."""
    _put(tuple(known for known in _Registered.alerts if known != alert))


def registered() -> tuple[Alert, ...]:
    """All of them, in the order in which they came."""
    return _Registered.alerts


def at_change(told: Callable[[], object] | None) -> None:
    """Call that whenever an alert comes or goes; None to stop it."""
    _Registered.changed = told


def _put(alerts: tuple[Alert, ...]) -> None:
    _Registered.alerts = alerts
    if _Registered.changed is not None:
        _Registered.changed()


def _identity(alert: Alert) -> tuple[object, ...]:
    return alert.group, alert.name, alert.severity, dict(alert.labels)
