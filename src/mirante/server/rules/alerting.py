"""Alerting rules: what is inactive, pending and firing, and what is told of it.

Source: Prometheus 3, ``rules/alerting.go``. Times are milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote_plus

from mirante.errors import QueryError, QueryLimitError
from mirante.server.alert import NAME as ALERT_NAME
from mirante.server.alert import Alert
from mirante.server.rules.evaluation import NAME, LabelKey, Point, RuleOptions, RuleQuery, RuleSample, key_of, relabeled
from mirante.server.rules.model import AlertingRule, Expression
from mirante.server.rules.template import expand

State = Literal["inactive", "pending", "firing"]
RESOLVED_RETENTION = 15 * 60_000
"""How long an alert that ended is told of again, so that whoever was away hears it."""

_ORDER: tuple[State, ...] = ("inactive", "pending", "firing")
_AMBIGUOUS = "vector contains metrics with the same labelset after applying alert labels"


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """One alert of a rule, as it stands after an evaluation.

    Attributes:
        labels: its identity, ``alertname`` included.
        annotations: with their templates filled in.
        value: of the expression, when it last held.
        active_at: since when the expression holds.
        state: ``inactive`` for one that ended and is still told of.
        fired_at: since when it fires or, ended, since when it fired; 0 before.
        resolved_at: when it ended, 0 before.
        keep_firing_since: since when it fires although the expression no longer holds; 0 when it holds.
        sent_at: when it was last sent; 0 for never.
        valid_until: until when whoever was told takes it to fire.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    value: float
    active_at: int
    state: State = "pending"
    fired_at: int = 0
    resolved_at: int = 0
    keep_firing_since: int = 0
    sent_at: int = 0
    valid_until: int = 0


Active = Mapping[LabelKey, ActiveAlert]
Restore = Callable[[ActiveAlert, AlertingRule, int], ActiveAlert]
"""Gives a new alert, at a time, the state that it had before a restart."""


def advanced(alert: ActiveAlert, rule: AlertingRule, now: int, *, holds: bool) -> ActiveAlert | None:
    """The alert after an evaluation in which its expression held or did not; None when it is forgotten.

    Example:
        >>> rule = AlertingRule("Down", Expression("up == 0"), hold=60_000)
        >>> advanced(ActiveAlert({}, {}, 1.0, active_at=0), rule, 60_000, holds=True).state
        'firing'
    """
    if not holds:
        since = alert.keep_firing_since or now
        if alert.state == "firing" and now - since < rule.keep_firing_for:
            return replace(alert, keep_firing_since=since)
        if alert.state == "pending" or (alert.resolved_at and now - alert.resolved_at > RESOLVED_RETENTION):
            return None
        return alert if alert.state == "inactive" else replace(alert, state="inactive", resolved_at=now)
    if alert.state == "pending" and now - alert.active_at >= rule.hold:
        return replace(alert, state="firing", fired_at=alert.fired_at or now)
    return replace(alert, keep_firing_since=0) if alert.keep_firing_since else alert


def worth_sending(alert: ActiveAlert, now: int, resend_delay: int) -> bool:
    """Whether others are to be told now: of what fires and what ended, again after the delay."""
    if alert.state == "pending":
        return False
    return alert.resolved_at > alert.sent_at or alert.sent_at + resend_delay <= now or not alert.sent_at


class Alerting:
    """An alerting rule and its alerts. Evaluated by one thread at a time; ``active`` may be read by any.

    Args:
        rule: the rule, with the labels of its group.
        options: see RuleOptions.
        active: alerts to go on with.

    Attributes:
        active: all that is pending, fires or ended not long ago; replaced as a whole.
        restore: while not None, what new alerts go through.
    """

    def __init__(self, rule: AlertingRule, options: RuleOptions, active: Active | None = None) -> None:
        self.rule = rule
        self.active: Active = active or {}
        self.restore: Restore | None = None
        self._options = options
        url = options.external_url.rstrip("/")
        link = f"{url}/graph?g0.expr={quote_plus(rule.expression.text)}&g0.tab=1"
        self._url = link if rule.expression.language == "promql" else url  # no page shows SQL

    @property
    def state(self) -> State:
        """The most urgent state of its alerts."""
        return max((alert.state for alert in self.active.values()), key=_ORDER.index, default="inactive")

    def evaluate(self, query: RuleQuery, now: int, at: int, limit: int) -> list[RuleSample]:
        """Evaluate at ``now`` what the expression gives for ``at``.

        Returns:
            Samples of ALERTS and ALERTS_FOR_STATE with the time ``at``.

        Raises:
            QueryError: the rule cannot be evaluated, or yields more alerts than ``limit`` (0 for any).
            StoreError: the store failed.
        """
        found = self._found(query, now, at)
        active: dict[LabelKey, ActiveAlert] = {}
        for key, alert in {**self.active, **found}.items():
            after = advanced(alert, self.rule, now, holds=key in found)
            if after is not None:
                active[key] = after
        alive = [alert for alert in active.values() if alert.state != "inactive"]
        if limit and len(alive) > limit:
            self.active = {}
            raise QueryLimitError(f"exceeded limit of {limit} with {len(alive)} alerts")
        self.active = active
        return [sample for alert in alive for sample in _samples(alert, at)]

    def to_send(self, now: int, interval: int) -> list[Alert]:
        """What others are to be told now, noted as sent.

        Args:
            now: the time of the evaluation.
            interval: between two evaluations; two may fail before an alert counts as ended.
        """
        delay = self._options.resend_delay
        sent = {
            key: replace(alert, sent_at=now, valid_until=now + 4 * max(interval, delay))
            for key, alert in self.active.items()
            if worth_sending(alert, now, delay)
        }
        if sent:
            self.active = {**self.active, **sent}
        return [self._outgoing(alert, now) for alert in sent.values()]

    def _outgoing(self, alert: ActiveAlert, now: int) -> Alert:
        return Alert(
            labels={**self._options.external_labels, **alert.labels},
            annotations=alert.annotations,
            starts_at=alert.fired_at,
            ends_at=alert.resolved_at or alert.valid_until,
            updated_at=now,
            generator_url=self._url,
        )

    def _found(self, query: RuleQuery, now: int, at: int) -> dict[LabelKey, ActiveAlert]:
        """What the expression yields, each with the state in which it enters this evaluation."""
        found: dict[LabelKey, ActiveAlert] = {}
        for point in query.vector(self.rule.expression, at):
            filled = self._filled(self.rule.labels, point, query, now)
            labels = relabeled(point.labels, {**filled, ALERT_NAME: self.rule.alert})
            key = key_of(labels)
            if key in found:
                raise QueryError(_AMBIGUOUS)
            annotations = self._filled(self.rule.annotations, point, query, now)
            before = self.active.get(key)
            if before is not None and before.state != "inactive":
                found[key] = replace(before, value=point.value, annotations=annotations)
                continue
            alert = ActiveAlert(labels, annotations, point.value, active_at=now)
            found[key] = alert if self.restore is None else self.restore(alert, self.rule, now)
        return found

    def _filled(self, templates: Mapping[str, str], point: Point, query: RuleQuery, now: int) -> dict[str, str]:
        return {name: self._expanded(text, point, query, now) for name, text in templates.items()}

    def _expanded(self, text: str, point: Point, query: RuleQuery, now: int) -> str:
        return expand(
            text,
            labels=point.labels,
            value=point.value,
            external_labels=self._options.external_labels,
            external_url=self._options.external_url,
            now_ms=now,
            query=lambda asked, time: query.vector(Expression(asked), time),
        )


def _samples(alert: ActiveAlert, at: int) -> tuple[RuleSample, RuleSample]:
    named = {**alert.labels, NAME: "ALERTS", "alertstate": alert.state}
    since = {**alert.labels, NAME: "ALERTS_FOR_STATE"}
    return RuleSample(named, at, 1.0), RuleSample(since, at, float(alert.active_at // 1000))
