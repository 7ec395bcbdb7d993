"""What a server does with rules and routes, evaluation by evaluation, under a clock that stands still in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mirante.server.backtest.replay import Question
from mirante.server.notify.dispatcher import Dispatcher
from mirante.server.notify.notification import Attempt
from mirante.server.notify.state import MEMORY, State
from mirante.server.rules.alerting import ActiveAlert, Alerting
from mirante.server.rules.group import Group
from mirante.server.rules.rounds import next_time, place_of
from tests.server.rules.parts import Memory

Labels = tuple[tuple[str, str], ...]
Episode = tuple[str, Labels, Labels, int, int | None, int | None]
"""Alert, labels, annotations, since when it was active, fired, was over."""
Message = tuple[int, str, str, str, tuple[str, ...]]
"""When, to whom, by which way, why, of which alerts."""


@dataclass
class Live:
    """A server for the time of a question.

    Attributes:
        episodes: of all alerts that fired.
        messages: everything that was told.
    """

    question: Question
    memory: Memory
    episodes: list[Episode] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    def run(self) -> None:
        """Let the time go by."""
        question = self.question
        groups = [Group(spec, self.memory, question.options) for spec in question.groups]
        times = [
            (time, number)
            for number, group in enumerate(groups)
            for time in range(next_time(question.start - 1, place_of(group)), question.end + 1, group.interval)
        ]
        state = State(MEMORY)
        dispatcher = Dispatcher(question.config, state, question.start)
        before: dict[tuple[int, int, object], ActiveAlert] = {}
        for now, number in sorted(times):
            alerts = groups[number].evaluate(now, self.memory)
            self._look(groups, before, now)
            self._wait(dispatcher, state, now - 1)
            dispatcher.put(alerts, now)
        self._wait(dispatcher, state, question.end)
        self.episodes += [_episode(alert, None) for alert in before.values() if alert.state == "firing"]
        state.close()

    def _look(self, groups: Sequence[Group], before: dict[tuple[int, int, object], ActiveAlert], now: int) -> None:
        for number, group in enumerate(groups):
            for place, one in enumerate(group.rules):
                active = one.rule.active if isinstance(one.rule, Alerting) else {}
                mine = {(number, place, key): alert for key, alert in active.items() if alert.state != "inactive"}
                for where, alert in list(before.items()):
                    if where[:2] == (number, place) and (where not in mine or mine[where].active_at != alert.active_at):
                        if alert.state == "firing":
                            self.episodes.append(_episode(alert, now))
                        del before[where]
                for where, alert in mine.items():
                    # What it said when it began to fire.
                    if where not in before or before[where].state == "pending":
                        before[where] = alert

    def _wait(self, dispatcher: Dispatcher, state: State, until: int) -> None:
        while dispatcher.due() <= until:
            now = dispatcher.due()
            dispatcher.tick(now)
            while waiting := state.waiting(now):
                for one in waiting:
                    state.attempted(one, Attempt(now, "ok", ok=True), None)
                    names = tuple(sorted({alert.name for alert in one.alerts}))
                    self.messages.append((one.created_at, one.receiver, one.kind, one.reason, names))


def _episode(alert: ActiveAlert, ended_at: int | None) -> Episode:
    labels, annotations = tuple(sorted(alert.labels.items())), tuple(sorted(alert.annotations.items()))
    return alert.labels["alertname"], labels, annotations, alert.active_at, alert.fired_at or None, ended_at
