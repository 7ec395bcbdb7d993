"""What rule files say, as frozen values. Times are milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Language = Literal["promql", "sql"]


@dataclass(frozen=True, slots=True)
class Expression:
    """What a rule asks.

    Attributes:
        text: as the file has it.
        language: ``promql``, or ``sql`` for a question about logs and traces (key ``sql`` instead of ``expr``).
    """

    text: str
    language: Language = "promql"


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """A rule that writes what its expression yields as a series of another name.

    Attributes:
        record: name of the series.
        expression: what is recorded.
        labels: added, or put in the place of those of the same name.
        line: where it stands in its file.
    """

    record: str
    expression: Expression
    labels: Mapping[str, str] = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True, slots=True)
class AlertingRule:
    """A rule that raises an alert for every series that its expression yields.

    Attributes:
        alert: its name.
        expression: when.
        hold: ``for``: how long the expression must hold before it fires.
        keep_firing_for: how long it goes on firing when the expression no longer holds.
        labels: templates by label name.
        annotations: templates by annotation name.
        line: where it stands in its file.
    """

    alert: str
    expression: Expression
    hold: int = 0
    keep_firing_for: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    line: int = 0


Rule = RecordingRule | AlertingRule


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that are evaluated one after the other at one time.

    Attributes:
        name: unique in its file.
        file: path of the file; with the name it is the group's identity.
        rules: in order; a rule sees what those before it recorded.
        interval: between two evaluations; 0 for the global evaluation interval.
        limit: most alerts or series that a rule may yield; 0 for any.
        query_offset: how far before the present the rules look; None for the server's default.
        labels: of all its rules; a rule's own win.
        line: where it stands in its file.
    """

    name: str
    file: str
    rules: tuple[Rule, ...]
    interval: int = 0
    limit: int = 0
    query_offset: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    line: int = 0
