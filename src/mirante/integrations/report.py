"""The report of what is not monitored yet: ``print(mirante.report())``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mirante._core.seen import Sighting, sightings
from mirante.integrations.catalog import CATALOG, Status, statuses
from mirante.integrations.libraries import unmonitored

_MOST = 20
"""Things of one kind that the text names; ``as_dict`` has all of them."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was seen of this process, and what of it is not monitored.

    Attributes:
        seen: how many things the integrations have come across.
        findings: those of them that lack a metric, a span, a log line or a health check.
        integrations: how each integration stands.
        off: integrations whose library is imported and that are not installed, with the reason.
        libraries: imported libraries that only an OpenTelemetry package can instrument, and that package.
    """

    seen: int
    findings: tuple[Sighting, ...]
    integrations: dict[str, Status]
    off: dict[str, str]
    libraries: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON's own types."""
        findings = [{**one._asdict(), "lacks": list(one.lacks)} for one in self.findings]
        return {
            "seen": self.seen,
            "findings": findings,
            "integrations": dict(self.integrations),
            "off": dict(self.off),
            "libraries": dict(self.libraries),
        }

    def __str__(self) -> str:
        """For people: what lacks what, and what to do about it."""
        lines = [f"{self.seen - len(self.findings)} of {self.seen} things that were seen are monitored."]
        for kind in dict.fromkeys(one.kind for one in self.findings):
            found = [one for one in self.findings if one.kind == kind]
            lines += ["", f"{kind} ({len(found)})", *map(_line, found[:_MOST])]
            lines += [f"  … and {len(found) - _MOST} more"] if len(found) > _MOST else []
        if self.off:
            lines += ["", "integrations that are not at work", *(f"  {one}: {why}" for one, why in self.off.items())]
        if self.libraries:
            lines += ["", "libraries that OpenTelemetry has a package for"]
            lines += [f"  {library}: pip install {package}" for library, package in self.libraries.items()]
        return "\n".join(lines)


def _line(one: Sighting) -> str:
    lacks = ", ".join(f"no {signal}" for signal in one.lacks)
    return f"  {one.name}: {lacks}" + (f" ({one.hint})" if one.hint else "")


def report() -> Report:
    """What is not monitored yet in this process: routes, databases, clients, tasks, loggers and libraries.

    It knows what the integrations have come across since ``mirante.configure()``, so ask it when the program has done
    some of its work. Nothing is changed by asking.

    Example:
        >>> isinstance(report().findings, tuple)
        True
    """
    found = list(dict.fromkeys([*sightings(), *_loggers()]))
    stand = statuses()
    return Report(
        len(found),
        tuple(one for one in found if one.lacks),
        stand,
        {name: why for name, status in stand.items() if (why := _why_off(name, status))},
        unmonitored(sqlalchemy=stand.get("sqlalchemy") == "installed"),
    )


def _why_off(name: str, status: Status) -> str:
    if status == "failed":
        return "it could not be installed; the log says why"
    if status == "off" and CATALOG[name].library in sys.modules:
        return "not chosen by the setting integrations, or mirante.configure() was not called"
    return ""


def _loggers() -> Iterator[Sighting]:
    """Loggers of the standard library that keep their lines to themselves."""
    if not _reaches(logging.getLogger()):
        return  # logging was not taken over at all
    for name, logger in sorted(logging.getLogger().manager.loggerDict.items()):
        if not isinstance(logger, logging.Logger) or logger.propagate or _reaches(logger):
            continue
        if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):  # else nobody hears it
            yield Sighting("logger", name, ("log",), "set its propagate to True")


def _reaches(logger: logging.Logger) -> bool:
    from mirante.logging.handler import PipelineHandler

    return any(isinstance(handler, PipelineHandler) for handler in logger.handlers)
