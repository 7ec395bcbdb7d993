"""Silences are kept, changed and ended as Alertmanager does it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mirante.errors import SilenceError
from mirante.server.notify.matchers import parse_matchers
from mirante.server.notify.silence import RETENTION, Silence, Silences

NOW = 1_000_000
SILENCE = Silence(parse_matchers("alertname=Down"), NOW, NOW + 1000, "ann", "why")


def kept(silences: Silences, wanted: Silence = SILENCE, now: int = NOW) -> Silence:
    """A silence as it is after it was put."""
    return silences.put(wanted, now)[-1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (replace(SILENCE, matchers=()), "at least one matcher"),
        (replace(SILENCE, matchers=parse_matchers('{a="",b=~".*",c!="x"}')), "would silence everything"),
        (replace(SILENCE, ends_at=NOW), "start time must be before end time"),
        (replace(SILENCE, starts_at=NOW - 10, ends_at=NOW - 1), "end time can't be in the past"),
        (replace(SILENCE, id="x"), "there is no silence x"),
    ],
)
def test_a_silence_that_makes_no_sense_is_refused(wrong: Silence, message: str) -> None:
    """With the reason; nothing is kept."""
    silences = Silences()
    with pytest.raises(SilenceError, match=re.escape(message)) as caught:
        silences.put(wrong, NOW)
    assert silences.all() == []
    assert caught.value.missing is (wrong.id == "x")


def test_a_silence_holds_from_its_start_until_its_end() -> None:
    """The start belongs to it, the end does not; a start in the past is moved to now."""
    silence = kept(Silences(), replace(SILENCE, starts_at=NOW - 500))
    assert silence.starts_at == NOW
    assert [silence.state(NOW + at) for at in (-1, 0, 999, 1000)] == ["pending", "active", "active", "expired"]
    assert silence.matches({"alertname": "Down", "job": "x"})
    assert not silence.matches({"job": "x"})


def test_end_author_and_comment_of_an_active_silence_can_be_changed() -> None:
    """It stays the same silence."""
    silences = Silences()
    first = kept(silences)
    changed = replace(first, ends_at=NOW + 5000, author="bob", comment="longer")
    assert silences.put(changed, NOW + 10) == [replace(changed, updated_at=NOW + 10)]
    assert silences.all() == [silences.get(first.id)]


@pytest.mark.parametrize(
    "change",
    [
        {"matchers": parse_matchers("alertname=Other")},
        {"starts_at": NOW - 5000},
        {"starts_at": NOW + 1000, "ends_at": NOW + 5000},
    ],
)
def test_what_was_silenced_cannot_be_changed_afterwards(change: dict[str, object]) -> None:
    """Other matchers or another start end an active silence and begin another."""
    silences = Silences()
    first = kept(silences)
    now = NOW + 10
    ended, begun = silences.put(replace(first, **change), now)  # type: ignore[arg-type]
    assert (ended.id, ended.ends_at, ended.state(now)) == (first.id, now, "expired")
    assert begun.id not in {"", first.id}
    assert begun.starts_at >= now
    assert {one.id for one in silences.all()} == {first.id, begun.id}


def test_the_start_of_a_pending_silence_can_be_moved_into_the_future_only() -> None:
    """Into the past it becomes another one."""
    silences = Silences()
    first = kept(silences, replace(SILENCE, starts_at=NOW + 100))
    assert kept(silences, replace(first, starts_at=NOW + 200)).id == first.id
    ended, begun = silences.put(replace(first, starts_at=NOW - 1), NOW)
    assert ended.starts_at == ended.ends_at == NOW
    assert (begun.starts_at, begun.state(NOW)) == (NOW, "active")


def test_an_expired_silence_that_is_changed_begins_anew() -> None:
    """The old one stays as it was."""
    silences = Silences()
    first = kept(silences)
    [begun] = silences.put(replace(first, ends_at=NOW + 9000), NOW + 2000)
    assert begun.id != first.id
    assert begun.starts_at == NOW + 2000
    assert silences.get(first.id) == first


def test_a_silence_can_be_ended_once() -> None:
    """An unknown one, and one that has ended, are told apart."""
    silences = Silences()
    first = kept(silences)
    assert silences.expire(first.id, NOW + 5).ends_at == NOW + 5
    with pytest.raises(SilenceError, match="already expired") as twice:
        silences.expire(first.id, NOW + 6)
    with pytest.raises(SilenceError, match="there is no silence x") as unknown:
        silences.expire("x", NOW)
    assert (twice.value.missing, unknown.value.missing) == (False, True)


def test_silences_are_forgotten_five_days_after_their_end() -> None:
    """As long they are shown."""
    silences = Silences()
    first = kept(silences)
    assert silences.forget(first.ends_at + RETENTION - 1) == []
    assert silences.forget(first.ends_at + RETENTION) == [first.id]
    assert silences.all() == []
