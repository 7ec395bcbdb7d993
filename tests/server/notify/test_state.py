"""The dispatcher's memory survives restarts, failures and kills; nothing is decided twice and nothing forgotten."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import StoreError, StoreFullError
from mirante.server.alert import Alert
from mirante.server.notify.dispatcher import Dispatcher
from mirante.server.notify.group import Target
from mirante.server.notify.model import Route
from mirante.server.notify.notification import Attempt, Notification
from mirante.server.notify.state import FILE, MEMORY, State
from mirante.server.notify.tables import notification_of, notification_row
from tests.server.notify import steps
from tests.server.notify.world import HOUR, INTERVAL, MINUTE, REPEAT, START, WAIT, World, alert, config, receiver, told

Worlds = Callable[..., World]
DAY = 24 * HOUR
OK, FAILED = Attempt(START, "ok", ok=True), Attempt(START, "timeout", ok=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a file that is not there yet."""
    return tmp_path / FILE


@pytest.fixture
def state() -> Iterator[State]:
    """One in memory."""
    with closing(State(MEMORY)) as found:
        yield found


def decide(state: State, number: int, *, receiver: str = "team", group: str = "g", at: int = START) -> Notification:
    """A notification in the outbox."""
    one = Notification(f"n{number}", receiver, "webhook", 0, group, {"a": "b"}, (alert(f"Down{number}"),), "firing", at)
    book = state.load().book
    book.changes.notifications.append(one)
    state.save(book)
    return one


def test_a_restart_repeats_nothing_and_forgets_nothing(world: Worlds, path: Path) -> None:
    """Groups, what was told, silences and acknowledgements go on."""
    w = world(config(), path)
    w.fire("Down", "Slow", "Late")
    w.wait(WAIT)
    silence = w.silence("alertname=Slow", lasts=DAY)
    w.dispatcher.acknowledge([w.id("Down")], "ann", "on it", w.now, until=w.now + 9 * HOUR)
    w.fire("Other")
    before = w.dispatcher.status(w.now)
    w.restart()
    after = w.dispatcher.status(w.now)
    assert [(one.id, one.muted, one.acknowledgement) for one in after.alerts()] == [
        (one.id, one.muted, one.acknowledgement) for one in before.alerts()
    ]
    assert [(one.key, one.next_flush) for one in after.groups()] == [
        (one.key, one.next_flush) for one in before.groups()
    ]
    assert [one.id for one in w.dispatcher.silences()] == [silence]
    assert w.wait(INTERVAL) == [("team", "firing", "Other", "")]
    assert w.wait(REPEAT) == [("team", "repeat", "Late", ""), ("team", "repeat", "Other", "")]


def test_alerts_do_not_resolve_because_nobody_listened(world: Worlds, path: Path) -> None:
    """After an outage they may stay unheard of for the resolve timeout; then they have ended."""
    w = world(config(), path)
    w.fire("Down", "Slow")
    w.wait(WAIT)
    w.now += DAY
    w.restart()
    w.forget("Slow")
    assert sorted(w.wait(5 * MINUTE - 1)) == [("team", "repeat", "Down", ""), ("team", "repeat", "Slow", "")]
    assert w.wait(2 * INTERVAL) == [("team", "resolved", "", "Slow")]


def test_an_end_far_away_is_kept(world: Worlds, path: Path) -> None:
    """Also when it was moved there without other news."""
    w = world(config(), path)
    w.dispatcher.put([alert("Down", starts_at=START, ends_at=START + HOUR)], START)
    w.dispatcher.put([alert("Down", starts_at=START, ends_at=START + 9 * HOUR)], START + MINUTE)
    w.restart()
    assert w.wait(WAIT + 8 * HOUR)[-1] == ("team", "repeat", "Down", "")


def test_hearing_of_an_alert_again_writes_nothing(world: Worlds, path: Path) -> None:
    """The file stays as it is; changed annotations are written."""
    w = world(config(), path)
    w.fire("Down")
    w.wait(WAIT)
    with closing(sqlite3.connect(path)) as reader:
        version = reader.execute("PRAGMA data_version").fetchone()
        w.wait(4 * MINUTE)
        assert reader.execute("PRAGMA data_version").fetchone() == version
        w.dispatcher.put([replace(alert("Down", starts_at=START), annotations={"summary": "worse"})], w.now)
        assert reader.execute("PRAGMA data_version").fetchone() != version
    w.restart()
    assert w.dispatcher.status(w.now).alerts()[0].alert.annotations == {"summary": "worse"}


def test_an_alert_that_left_one_of_its_groups_does_not_come_back(world: Worlds, path: Path) -> None:
    """It has ended, one route was told of it and the other was not yet; the first is not told again."""
    slow = Route("slow", group_by=("alertname",), group_interval=HOUR, index=1)
    quick = Route("team", group_by=("alertname",), continues=True, repeat_interval=10 * MINUTE)
    w = world(config(Route("team", children=(quick, slow)), receiver("team"), receiver("slow")), path)
    w.fire("Down", instance="1")
    w.fire("Down", instance="2")
    w.wait(WAIT)
    w.resolve("Down", instance="2")
    w.wait(16 * MINUTE)
    assert [told(one)[:2] for one in w.sent][-1] == ("team", "repeat")
    w.restart()
    assert w.wait(8 * MINUTE) == []
    w.reconfigure(config(Route("team", children=(quick,))))
    assert len(w.dispatcher.status(w.now).alerts()) == 1


def test_a_route_that_is_gone_takes_its_ended_alerts_along(world: Worlds, path: Path) -> None:
    """Nobody is left to be told of their end."""
    w = world(config(), path)
    w.fire("Down")
    w.wait(WAIT)
    w.resolve("Down")
    w.reconfigure(config(Route("team", group_by=("instance",))))
    assert w.state.load().book.alerts == {}
    w.reconfigure(config())
    w.fire("Down")
    assert w.wait(WAIT) == [("team", "firing", "Down", "")]


def test_the_outbox_keeps_the_order_of_each_queue(state: State) -> None:
    """Of one receiver and group only the oldest is given; the next when that one is settled."""
    first, second, other = decide(state, 1), decide(state, 2), decide(state, 3, group="h")
    assert state.waiting(START) == [first, other]
    assert state.waits(Target("team", "webhook", 0), "g")
    state.attempted(first, FAILED, START + MINUTE)
    assert state.waiting(START) == [other]
    assert state.next_at() == START
    state.attempted(other, OK, None)
    assert state.next_at() == START + MINUTE
    assert state.waiting(START + MINUTE) == [first]
    state.attempted(first, OK, None)
    assert state.waiting(START) == [second]
    state.attempted(second, FAILED, None)
    assert (state.waiting(START + DAY), state.next_at()) == ([], None)
    assert not state.waits(Target("team", "webhook", 0), "g")


def test_history_tells_every_try(state: State) -> None:
    """Newest first, by receiver, group, alert and time."""
    first, second = decide(state, 1), decide(state, 2, receiver="other", group="h", at=START + HOUR)
    state.attempted(first, FAILED, START + 1)
    state.attempted(first, OK, None)
    newest, oldest = state.history()
    assert (newest.notification, newest.attempts, newest.settled_at, newest.arrived) == (second, (), None, False)
    assert (oldest.notification, oldest.attempts, oldest.settled_at, oldest.arrived) == (
        first,
        (FAILED, OK),
        START,
        True,
    )
    assert [one.notification.id for one in state.history(limit=1)] == ["n2"]
    assert [one.notification.id for one in state.history(receiver="team")] == ["n1"]
    assert [one.notification.id for one in state.history(group_key="h")] == ["n2"]
    assert [one.notification.id for one in state.history(since=START + 1)] == ["n2"]
    assert [one.notification.id for one in state.history(until=START)] == ["n1"]
    assert [one.notification.id for one in state.history(alert_id=alert("Down1").id)] == ["n1"]


def test_history_is_forgotten_when_it_is_old_and_settled(world: Worlds) -> None:
    """After ninety days; what still waits stays."""
    w = world(config(Route("team", group_by=("alertname",), repeat_interval=1000 * DAY)))
    w.fire("Down")
    w.wait(WAIT)
    stuck = decide(w.state, 1)
    w.now += 90 * DAY
    w.dispatcher.tick(w.now)
    assert [one.notification.reason for one in w.state.history()] == ["resolved", "firing", "firing"]
    w.now += HOUR
    w.dispatcher.tick(w.now)
    assert [one.notification.reason for one in w.state.history()] == ["resolved", "firing"]
    assert stuck in w.state.waiting(w.now)


def test_history_may_be_kept_for_ever(state: State) -> None:
    """With 0 nothing is forgotten."""
    state.attempted(decide(state, 1), OK, None)
    dispatcher = Dispatcher(config(), state, START, history=0)
    dispatcher.tick(START + 1000 * DAY)
    assert len(state.history()) == 1


def test_old_silences_are_forgotten_on_disk_too(world: Worlds) -> None:
    """Five days after their end."""
    w = world(config())
    silence = w.silence("alertname=Down", lasts=HOUR)
    w.dispatcher.expire(silence, w.now)
    w.wait(119 * HOUR)
    assert [one.id for one in w.state.load().book.silences.all()] == [silence]
    w.wait(2 * HOUR)
    assert w.state.load().book.silences.all() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"this is no database, but it is long enough to be taken for one" * 100, "file is not a database"),
        (None, "written by a later release"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(path: Path, content: bytes | None, message: str) -> None:
    """With its name and the reason; nothing is overwritten."""
    if content is None:
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 99")
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=message) as caught:
        State(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_a_place_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    """A folder that is not there."""
    with pytest.raises(StoreError, match="unable to open database file"):
        State(tmp_path / "missing" / FILE)


LABELS = st.dictionaries(st.text(), st.text(), max_size=3)
TIMES = st.integers(-(2**62), 2**62)
ALERTS = st.builds(Alert, LABELS, LABELS, TIMES, TIMES, TIMES, st.text())
NOTIFICATIONS = st.builds(
    Notification,
    st.text(),
    st.text(),
    st.text(),
    st.integers(0, 9),
    st.text(),
    LABELS,
    st.lists(ALERTS, max_size=3).map(tuple),
    st.sampled_from(["firing", "changed", "runbook"]),
    TIMES,
    st.integers(0, 9),
    st.text(),
    st.text(),
    st.integers(0, 9),
)


@given(NOTIFICATIONS)
def test_a_notification_comes_back_as_it_was(notification: Notification) -> None:
    """Whatever is in it."""
    assert notification_of(notification_row(notification)) == notification


class Failing(sqlite3.Connection):
    """A connection of which a statement that writes fails, after so many others."""

    left = 1_000_000
    error = sqlite3.OperationalError("disk I/O error")

    def _count(self, sql: str) -> None:
        if steps.writes(sql) and sql != "ROLLBACK":
            self.left -= 1
            if self.left < 0:
                raise self.error

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        """One statement."""
        self._count(sql)
        return super().execute(sql, *args)

    def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
        """One statement, often."""
        self._count(sql)
        return super().executemany(sql, *args)


def failing(path: Path) -> tuple[State, Failing]:
    """A state of which statements can fail."""
    state = State(path)
    state._db.close()
    db = sqlite3.connect(path, isolation_level=None, factory=Failing)
    state._db = db
    return state, db


def test_a_statement_that_fails_changes_nothing(path: Path, tmp_path: Path) -> None:
    """Whichever statement of whichever step: file and memory are as before, and the step works afterwards."""
    dumps = steps.run(tmp_path / "whole")
    state, db = failing(path)
    failures = 0
    with closing(state):
        dispatcher = Dispatcher(steps.settings(), state, START)
        for index, (at, step) in enumerate(steps.HISTORY):
            db.left = number = 0
            while True:
                shown = [one.id for one in dispatcher.status(START + at).alerts()]
                try:
                    step(dispatcher, state, START + at)
                except StoreError as error:
                    assert "disk I/O error" in str(error)  # noqa: PT017 - some steps do not fail
                    assert steps.dump(state) == dumps[index]
                    assert [one.id for one in dispatcher.status(START + at).alerts()] == shown
                    number += 1
                    db.left = number
                else:
                    break
            failures += number
            db.left = 1_000_000
            assert steps.dump(state) == dumps[index + 1]
    assert failures > 100


def test_a_configuration_that_cannot_be_written_is_not_taken(path: Path) -> None:
    """The old one stays in force."""
    state, db = failing(path)
    with closing(state):
        dispatcher = Dispatcher(config(), state, START)
        dispatcher.put([alert("Down")], START)
        db.left = 0
        with pytest.raises(StoreError):
            dispatcher.reconfigure(config(Route("other"), receiver("other")), START)
        db.left = 1_000_000
        dispatcher.tick(START + WAIT)
        assert [one.receiver for one in state.waiting(START + WAIT)] == ["team"]


def test_memory_that_could_not_be_read_anew_is_read_before_the_next_step(path: Path) -> None:
    """Until then every step fails; nothing is decided on what may not be on the disk."""
    state, db = failing(path)
    with closing(state):
        dispatcher = Dispatcher(config(), state, START)
        db.left = 0
        state._db, working = Closed(), state._db  # type: ignore[assignment]
        for _ in range(2):
            with pytest.raises(StoreError, match="gone"):
                dispatcher.put([alert("Down")], START)
        state._db, db.left = working, 1_000_000
        dispatcher.tick(START + WAIT)
        assert dispatcher.status(START + WAIT).alerts() == []


class Closed:
    """A connection of which nothing works."""

    in_transaction = False

    def execute(self, *_: object) -> None:
        """Fail."""
        raise sqlite3.OperationalError("gone")


def test_a_full_disk_is_told_as_such(path: Path) -> None:
    """So that senders are told to come back."""
    with closing(State(path)) as state:
        state._db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StoreFullError, match="no room to write"):
            Dispatcher(config(), state, START).put([alert("x" * 100_000)], START)


@pytest.mark.slow
def test_killed_at_every_statement_it_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    """The file is as before the step or as after it, and the rest of the history ends as ever."""
    dumps = steps.run(tmp_path / "reference")
    command = [sys.executable, "-m", "tests.server.notify.steps", str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    count = int(done.stdout)
    assert count > 100
    found = set()
    for number in range(count):
        path = tmp_path / str(number)
        with closing(State(path)) as state:
            held = steps.dump(state)
        assert held in dumps, number
        done_steps = dumps.index(held)
        if done_steps < len(steps.HISTORY) and done_steps not in found:
            assert steps.run(path, first=done_steps)[-1] == dumps[-1], number
        found.add(done_steps)
    assert len(found) > 15
