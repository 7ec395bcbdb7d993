"""One history of the dispatcher, step by step, for tests that interrupt it; as a program it is killed everywhere.

    python -m tests.server.notify.steps FOLDER

The program runs the history once for each statement that SQLite executes in it, each time in a process of its own with
a file of its own, which is killed by SIGKILL when it comes to that statement. It prints how many there were.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mirante.server.notify.dispatcher import Dispatcher
from mirante.server.notify.matchers import parse_matchers
from mirante.server.notify.model import (
    EscalationLevel,
    EscalationPolicy,
    InhibitRule,
    NotifyConfig,
    OnCallSchedule,
    Route,
    Runbook,
)
from mirante.server.notify.notification import Attempt
from mirante.server.notify.silence import Silence
from mirante.server.notify.state import State
from tests.server.notify.world import HOUR, MINUTE, START, alert, config, receiver, told

Step = Callable[[Dispatcher, State, int], object]
DOWN, SLOW = alert("Down").id, alert("Slow").id


def settings(storm_limit: int = 0) -> NotifyConfig:
    """A configuration that lets every table be written."""
    return config(
        Route("team", group_by=("alertname",), escalation="p"),
        receiver("team", "slack", "pagerduty"),
        receiver("ann"),
        inhibit=(InhibitRule(parse_matchers("alertname=Fire"), parse_matchers("alertname=Smoke")),),
        escalations={"p": EscalationPolicy("p", (EscalationLevel(10 * MINUTE, (), ("ops",)),))},
        on_call={"ops": OnCallSchedule("ops", ("ann",), datetime(2026, 1, 1, tzinfo=UTC))},
        runbooks=(Runbook("restart", parse_matchers("alertname=Down"), ("/bin/true",)),),
        storm_limit=storm_limit,
        resolve_timeout=5 * HOUR,
    )


def fire(*names: str) -> Step:
    """Alerts begin."""
    return lambda dispatcher, _, now: dispatcher.put([alert(name, starts_at=START) for name in names], now)


def resolve(*names: str) -> Step:
    """Alerts end."""
    return lambda dispatcher, _, now: dispatcher.put([alert(name, starts_at=START, ends_at=now) for name in names], now)


def tick(dispatcher: Dispatcher, _: State, now: int) -> None:
    """Decide."""
    dispatcher.tick(now)


def send(_: Dispatcher, state: State, now: int) -> None:
    """Send one, in vain the first time and for good the next."""
    first = min(state.waiting(now), key=lambda one: (told(one), one.kind))
    tried = next(one.attempts for one in state.history() if one.notification.id == first.id)
    state.attempted(first, Attempt(now, "", ok=bool(tried)), None if tried else now)


def silence(dispatcher: Dispatcher, _: State, now: int) -> None:
    """Silence an alert, once."""
    if not dispatcher.silences():
        dispatcher.silence(Silence(parse_matchers("alertname=Late"), now, now + HOUR, "ann", "why"), now)


def tighten(dispatcher: Dispatcher, _: State, now: int) -> None:
    """From here on one message a minute."""
    dispatcher.reconfigure(settings(storm_limit=1), now)


# When, and what. A group is looked at half a minute after its first alert, and every five minutes from then on.
HISTORY: tuple[tuple[int, Step], ...] = (
    (0, fire("Down", "Slow", "Fire", "Smoke", "Late")),
    (0, silence),
    (30_000, tick),
    (31_000, send),
    (31_000, send),
    (2 * MINUTE, tick),
    (6 * MINUTE, fire("Other")),
    (7 * MINUTE, tick),
    (8 * MINUTE, lambda dispatcher, _, now: dispatcher.acknowledge([SLOW], "ann", "", now, now + 2 * HOUR)),
    (12 * MINUTE, tick),
    (13 * MINUTE, resolve("Down", "Fire")),
    (18 * MINUTE, tick),
    (20 * MINUTE, lambda dispatcher, _, now: dispatcher.unacknowledge([SLOW], now)),
    (21 * MINUTE, tick),
    (22 * MINUTE, resolve("Slow", "Other", "Smoke", "Late")),
    (30 * MINUTE, tick),
    (31 * MINUTE, tick),
    (40 * MINUTE, tighten),
    (40 * MINUTE, fire("Last")),
    (41 * MINUTE, tick),
    (42 * MINUTE, tick),
)
TIGHT = [step for _, step in HISTORY].index(tighten)


def dump(state: State) -> list[str]:
    """Everything that the file holds, but for ids that are drawn at random and the ends that a restart grants."""
    tables = ("alert_group", "escalating", "told", "acknowledgement", "held")
    rows = [f"{table} {row}" for table in tables for row in state._rows(table)]
    rows += [f"alert {row[:4]} {row[6:]}" for row in state._rows("alert")]
    rows += [f"silence {one.matchers} {one.starts_at} {one.ends_at}" for one in state.load().book.silences.all()]
    for one, *became in state.history(limit=1000):
        rows.append(f"{told(one)} {replace(one, id='', alerts=())} {became}")
    return sorted(rows)


def run(path: Path, *, first: int = 0, until: Callable[[str], bool] = lambda _: False) -> list[list[str]]:
    """Go through the history, from its first step or a later one.

    Args:
        path: of the state.
        first: index of the first step.
        until: kills this process when it says so of a statement that is about to be executed.

    Returns:
        what the file held before the first step and after each one.
    """

    def watch(sql: str) -> None:
        if until(sql):
            os.kill(os.getpid(), signal.SIGKILL)

    with closing(State(path)) as state:
        state._db.set_trace_callback(watch)
        dispatcher = Dispatcher(settings(storm_limit=int(first > TIGHT)), state, START + HISTORY[first][0])
        dumps = [dump(state)]
        for at, step in HISTORY[first:]:
            step(dispatcher, state, START + at)
            dumps.append(dump(state))
        return dumps


def main(folder: Path) -> None:
    """Kill it everywhere."""
    written: list[str] = []

    def note(sql: str) -> bool:
        if writes(sql):
            written.append(sql)
        return False

    run(folder / "whole", until=note)
    for number in range(len(written)):
        if os.fork() == 0:
            run(folder / str(number), until=Countdown(number))
            os._exit(1)  # it was to be killed
        status = os.wait()[1]
        if status != signal.SIGKILL:
            sys.exit(f"run {number} ended with {status}")
    sys.stdout.write(f"{len(written)}")


class Countdown:
    """True at the statement that comes after so many others that write."""

    def __init__(self, left: int) -> None:
        self._left = left

    def __call__(self, sql: str) -> bool:
        """Count a statement."""
        self._left -= writes(sql)
        return self._left < 0


def writes(sql: str) -> bool:
    """Whether a statement may change the file."""
    return not sql.lstrip().startswith(("SELECT", "--", "PRAGMA"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
