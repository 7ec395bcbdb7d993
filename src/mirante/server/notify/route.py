"""Which routes an alert takes, and in which group of each it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mirante.server.notify.matchers import in_order
from mirante.server.notify.model import Route

_ESCAPES = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}
_ESCAPES |= {"\\": r"\\", '"': r"\""}


class RoutingTree:
    """A route with everything below it, and what identifies it.

    Attributes:
        route: what the configuration says.
        key: Alertmanager's key: the matchers from the root down; two siblings may have the same.
        id: the key with the places among siblings, which no other route has.
        children: in order.
    """

    def __init__(self, route: Route, parent: RoutingTree | None = None, place: int = 0) -> None:
        own = "{" + ",".join(map(str, in_order(route.matchers))) + "}"
        self.route = route
        self.key: str = own if parent is None else f"{parent.key}/{own}"
        self.id: str = own if parent is None else f"{parent.id}/{own}/{place}"
        self.children = [RoutingTree(child, self, at) for at, child in enumerate(route.children)]

    def find(self, labels: Mapping[str, str]) -> list[RoutingTree]:
        """The routes that an alert with these labels takes; none when not even this one matches."""
        if not all(matcher.matches(labels) for matcher in self.route.matchers):
            return []
        found: list[RoutingTree] = []
        for child in self.children:
            below = child.find(labels)
            found += below
            if below and not child.route.continues:
                break
        return found or [self]

    def walk(self) -> Iterator[RoutingTree]:
        """This route and all below it, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()


def find_routes(route: Route, labels: Mapping[str, str]) -> list[tuple[Route, str]]:
    """The routes that an alert takes, each with Alertmanager's key of it.

    Source: https://prometheus.io/docs/alerting/latest/configuration/#route

    Args:
        route: root of the tree.
        labels: of the alert.

    Example:
        >>> from mirante.server.notify.model import Matcher
        >>> root = Route("all", children=(Route("team", (Matcher("severity", "=", "critical"),)),))
        >>> [(route.receiver, key) for route, key in find_routes(root, {"severity": "critical"})]
        [('team', '{}/{severity="critical"}')]
    """
    return [(found.route, found.key) for found in RoutingTree(route).find(labels)]


def group_labels(route: Route, labels: Mapping[str, str]) -> dict[str, str]:
    """Those of an alert's labels that say in which group of the route it is."""
    if route.group_by_all:
        return dict(labels)
    return {name: labels[name] for name in route.group_by if name in labels}


def group_key(key: str, labels: Mapping[str, str]) -> str:
    """Alertmanager's key of a group.

    Args:
        key: of the route.
        labels: of the group.

    Example:
        >>> print(group_key("{}", {"job": "api", "alertname": "Down"}))
        {}:{alertname="Down", job="api"}
    """
    pairs = ", ".join(f"{name}={_go_quoted(labels[name])}" for name in sorted(labels))
    return f"{key}:{{{pairs}}}"


def _go_quoted(text: str) -> str:
    """As Go's ``%q`` writes it."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    number = ord(char)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
