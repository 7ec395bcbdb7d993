"""The route that took a request, as a template: a raw path may hold anything, and makes a new series each time."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any


def route_template(scope: MutableMapping[str, Any], root_path: str = "") -> str:
    """The template of the route that took the request, prefixes of mounts and included routers with it.

    Args:
        scope: the request's scope after the application has run, with the ``route`` that Starlette leaves in it.
        root_path: what it was before the application ran.

    Returns:
        Such as ``/items/{item}``; the empty string where no route is known.

    Example:
        >>> route_template({"path": "/nowhere"})
        ''
    """
    route = scope.get("route")
    template: str | None = getattr(route, "path_format", None)
    if template is not None and "app_root_path" not in scope:  # not in a mount, so its path is the whole one
        included = scope.get("fastapi")
        context = included.get("effective_route_context") if included else None  # of a router that FastAPI included
        return template if context is None else context.path_format or template
    path: str = scope["path"]
    if root_path and path.startswith(root_path):
        path = path[len(root_path) :]
    values = scope.get("path_params", {})
    if template is not None:
        return template if path == template else _with_prefix(path, route, values)
    if "endpoint" not in scope:
        return ""
    # Taken by something whose route is not told: of the path all is fixed but the parameters, or what a mount took.
    names = {str(value): name for name, value in values.items()}
    mounted = str(scope.get("root_path", ""))[len(root_path) :]
    return _named(mounted, names) + "/{path}" if mounted else _named(path, names)


def _with_prefix(path: str, route: Any, values: Mapping[str, Any]) -> str:  # noqa: ANN401 - a route of any framework
    """The route's template behind what comes before it in the path.

    A route inside a mount or an included router knows only its own part. It is found as the part of the path that gives
    exactly the route's parameters; in what precedes it the other parameters' values are replaced by their names.
    """
    start = 0
    while start >= 0:
        found = route.path_regex.match(path[start:])
        if found and _same(found.groupdict(), route.param_convertors, values):
            others = {str(value): name for name, value in values.items() if name not in route.param_convertors}
            return _named(path[:start], others) + str(route.path_format)
        start = path.find("/", start + 1)
    return str(route.path_format)


def _same(texts: Mapping[str, str], convertors: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return all(convertors[name].convert(text) == values[name] for name, text in texts.items() if name in values)


def _named(prefix: str, names: Mapping[str, str]) -> str:
    """The prefix with values replaced by names; nothing if a value is not there as it stands, so that none can stay."""
    segments = prefix.split("/")
    if any(value not in segments for value in names):
        return ""
    return "/".join("{" + names[segment] + "}" if segment in names else segment for segment in segments)
