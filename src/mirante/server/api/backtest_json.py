"""A backtest's report as JSON: times are RFC 3339, spans are seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mirante.formats.duration import format_duration
from mirante.formats.rfc3339 import rfc3339
from mirante.server.backtest.report import (
    DayReport,
    Episode,
    FailureReport,
    ReceiverReport,
    Report,
    RuleReport,
    Told,
)


def report_json(report: Report) -> dict[str, Any]:
    """The whole report."""
    return {
        "from": rfc3339(report.start),
        "to": rfc3339(report.end),
        "evaluations": report.evaluations,
        "rules": [_rule(one) for one in report.rules],
        "receivers": [_receiver(one) for one in report.receivers],
        "runbooks": dict(report.runbooks),
        "days": [_day(one) for one in report.days],
        "failures": [_failure(one) for one in report.failures],
    }


def _rule(rule: RuleReport) -> dict[str, Any]:
    return {
        "name": rule.name,
        "group": rule.group,
        "file": rule.file,
        "line": rule.line,
        "query": rule.expression,
        "for": format_duration(rule.hold),
        "fired": rule.fired,
        "firingAtEnd": rule.ongoing,
        "onlyPending": rule.pending_only,
        "flapped": rule.flapped,
        "differentAlerts": rule.series,
        "seconds": {
            "total": rule.total / 1000,
            "longest": rule.longest / 1000,
            "median": rule.median / 1000,
            "anyFiring": rule.any_firing / 1000,
        },
        "notifications": rule.notifications,
        "receivers": dict(rule.receivers),
        "timeline": {"firing": _seconds(rule.firing), "pending": _seconds(rule.pending)},
        "episodes": [_episode(one) for one in rule.episodes],
        "episodesOmitted": rule.omitted,
    }


def _seconds(spans: Sequence[int]) -> list[float]:
    return [span / 1000 for span in spans]


def _episode(episode: Episode) -> dict[str, Any]:
    return {
        "labels": dict(episode.labels),
        "annotations": dict(episode.annotations),
        "value": str(episode.value),
        "activeAt": rfc3339(episode.active_at),
        "firingAt": _time(episode.fired_at),
        "endedAt": _time(episode.ended_at),
    }


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else rfc3339(milliseconds)


def _receiver(receiver: ReceiverReport) -> dict[str, Any]:
    return {
        "name": receiver.name,
        "notifications": receiver.notifications,
        "integrations": dict(sorted(receiver.kinds.items())),
        "reasons": dict(sorted(receiver.reasons.items())),
        "first": [_told(one) for one in receiver.first],
    }


def _told(told: Told) -> dict[str, Any]:
    return {
        "at": rfc3339(told.at),
        "integration": told.kind,
        "reason": told.reason,
        "level": told.level,
        "groupLabels": dict(told.group_labels),
        "alerts": list(told.alerts),
    }


def _day(day: DayReport) -> dict[str, Any]:
    return {
        "day": rfc3339(day.day)[:10],
        "fired": dict(sorted(day.fired.items())),
        "notifications": dict(sorted(day.notifications.items())),
    }


def _failure(failure: FailureReport) -> dict[str, Any]:
    return {"group": failure.group, "rule": failure.rule, "count": failure.count, "error": failure.error}
