"""What can be found wrong with an ``alertmanager.yml`` before it is put in force: its files too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from glob import glob
from pathlib import Path

from mirante.errors import ConfigError, TemplateError
from mirante.server.http_client.check import unreadable, unusable
from mirante.server.http_client.model import Secret
from mirante.server.notify.config import read_config
from mirante.server.notify.model import NotifyConfig, Route
from mirante.server.notify.templates import Templates


def check_config(path: Path) -> tuple[list[str], list[str]]:
    """Check an ``alertmanager.yml`` and every file that it names.

    Returns:
        What is wrong, and what merely deserves a look.

    Raises:
        ConfigError: the configuration itself cannot be used.
    """
    config = read_config(path)
    try:
        templates = Templates(config.templates, "")
    except ConfigError as error:
        return [str(error)], [*_missing(config), *_unused(config)]
    return [], [*_missing(config), *_failing(config, templates), *_unused(config)]


def _missing(config: NotifyConfig) -> Iterator[str]:
    """Files that are not there, which may be so only on the machine that checks."""
    for pattern in config.templates:
        if not glob(str(pattern)):  # noqa: PTH207 - patterns may be absolute
            yield f"templates: no file matches {pattern}"
    for receiver in config.receivers.values():
        for one in receiver.integrations:
            for text in (*unusable(one.http), *_unreadable(one.options)):
                yield f'receiver "{receiver.name}": {one.kind}_configs[{one.index}]: {text}'
    for runbook in config.runbooks:
        yield from (f'runbook "{runbook.name}": {text}' for text in unusable(runbook.http))
    for program in config.allowed_commands:
        if not Path(program).is_file():
            yield f"allowed_commands: {program} is no file"


def _failing(config: NotifyConfig, templates: Templates) -> Iterator[str]:
    """Templates of receivers that will fail; Alertmanager takes them all the same."""
    for receiver in config.receivers.values():
        for one in receiver.integrations:
            for key, text in _texts(one.options):
                try:
                    templates.check(text)
                except TemplateError as error:
                    yield f'receiver "{receiver.name}": {one.kind}_configs[{one.index}]{key}: {error}'


def _texts(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """All texts that may be templates, and where they stand; those that a file hides are no templates."""
    if isinstance(value, str):
        yield from [(key, value)] if "{{" in value else ()
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _texts(part, f"{key}.{name}")
    elif isinstance(value, tuple):
        for place, part in enumerate(value):
            yield from _texts(part, f"{key}[{place}]")


def _unreadable(value: object) -> Iterator[str]:
    if isinstance(value, Secret):
        yield from unreadable(value)
    elif isinstance(value, Mapping | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _unreadable(part)


def _unused(config: NotifyConfig) -> Iterator[str]:
    """Receivers and intervals that nothing refers to."""
    routes = list(_walk(config.route))
    levels = [level for policy in config.escalations.values() for level in policy.levels]
    told = {route.receiver for route in routes}.union(
        *(level.receivers for level in levels),
        *((*rota.people, *(one.person for one in rota.overrides)) for rota in config.on_call.values()),
    )
    yield from (f'receiver "{name}" is told of nothing' for name in config.receivers if name not in told)
    timed = {name for route in routes for name in (*route.mute, *route.active)}
    timed |= {name for window in config.maintenance for name in window.intervals}
    yield from (f'time interval "{name}" is used nowhere' for name in config.intervals if name not in timed)


def _walk(route: Route) -> Iterator[Route]:
    yield route
    for child in route.children:
        yield from _walk(child)
