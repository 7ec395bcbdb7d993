"""What has changed in the store since a look at it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from mirante.server.store import changes as changes_module
from mirante.server.store.api import Matcher
from mirante.server.store.changes import ANY_TIME, Changes, Moment
from mirante.server.store.series import SeriesIndex
from tests.server.store.conftest import NOW, Store, body, budget
from tests.server.store.test_deletion import deleter, named

pytestmark = pytest.mark.slow

SECOND = NOW // 1000 * 1000


@dataclass
class Looking:
    """Changes of a store, and one look at it."""

    changes: Changes
    then: Moment

    def oldest(self) -> int | None:
        """The time of the oldest sample since that look."""
        self.now()
        return self.changes.oldest_since(self.then)

    def now(self) -> Moment:
        """Another look."""
        moment = self.changes.now(budget())
        assert moment is not None
        return moment


@pytest.fixture
def looking(store: Store, monkeypatch: pytest.MonkeyPatch) -> Looking:
    """A look at a store that has samples and series; another one only after a write, however slow the machine is."""
    monkeypatch.setattr(changes_module, "_LONGEST", 1e9)
    monkeypatch.setattr(changes_module, "_FORGOTTEN", 1e9)
    store.write("remote_write", body("first", at=SECOND))
    changes = Changes(store.engine)
    then = changes.now(budget())
    assert then is not None
    return Looking(changes, then)


def test_nothing_has_changed(looking: Looking) -> None:
    """No time is told, and the look is the same one."""
    assert looking.oldest() is None
    assert looking.now() == looking.then


def test_the_oldest_sample_of_all_that_came_since(store: Store, looking: Looking) -> None:
    """Whatever came later, on whatever day, and whether its part was merged meanwhile; each look has its own answer."""
    store.write("remote_write", body("later", at=SECOND - 5_000), body("later", at=SECOND - 90_000_000, job="x"))
    assert looking.oldest() == SECOND - 90_000_000
    between = looking.now()
    store.write("remote_write", body("later", at=SECOND - 60_000))
    store.write("remote_write", body("later", at=SECOND - 30_000))
    store.engine.connect().command("OPTIMIZE TABLE samples FINAL")
    assert looking.oldest() == SECOND - 90_000_000
    assert looking.changes.oldest_since(between) == SECOND - 60_000
    store.engine.connect().command("OPTIMIZE TABLE samples FINAL")
    assert looking.changes.oldest_since(looking.now()) is None


def test_series_have_changed_only_when_one_was_registered(store: Store, looking: Looking) -> None:
    """New samples of a known series change nothing in the table of series."""
    store.write("remote_write", body("first", at=SECOND + 1))
    assert looking.now().series == looking.then.series
    store.write("remote_write", body("second", at=SECOND))
    assert looking.now().series != looking.then.series


def test_after_a_deletion_everything_may_have_changed(store: Store, looking: Looking) -> None:
    """Samples that are hidden, taken from the disk or dropped by day: for those who looked before, not for others."""
    of = deleter(store)
    steps = (
        lambda: of.series([named("first")], SECOND - 10, SECOND + 10),
        of.clean_tombstones,
        lambda: store.engine.connect().command("ALTER TABLE samples DROP PARTITION ID '20230101'"),
    )
    store.write("remote_write", body("first", at=1_672_574_400_000), body("first", at=SECOND))
    for step in steps:
        before = looking.now()
        step()
        looking.now()
        assert looking.changes.oldest_since(before) == ANY_TIME
        store.write("remote_write", body("first", at=SECOND))
        assert looking.changes.oldest_since(looking.now()) is None


def test_times_that_the_list_of_parts_cannot_hold(store: Store, looking: Looking) -> None:
    """A sample of the year 2150 says nothing of how old it is."""
    store.write("remote_write", body("far", at=5_680_000_000_000))
    assert looking.oldest() == ANY_TIME


def test_a_look_every_second_and_none_for_too_long(
    store: Store, looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody told this process of is seen in a second; after minutes without a look nothing is sure any more."""
    number = looking.now().number
    assert looking.now().number == number
    monkeypatch.setattr(changes_module, "_LONGEST", -1.0)
    assert looking.oldest() is None
    assert looking.now().number > number
    monkeypatch.setattr(changes_module, "_FORGOTTEN", -1.0)
    assert looking.oldest() == ANY_TIME


def test_only_so_many_looks_are_remembered(store: Store, looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looked before the ones that are remembered has to take everything for changed."""
    monkeypatch.setattr(changes_module, "_REMEMBERED", 2)
    moments = []
    for second in range(4):
        store.write("remote_write", body("first", at=SECOND + 1_000 * second))
        moments.append(looking.now())
    told = [looking.changes.oldest_since(moment) for moment in (looking.then, *moments)]
    assert told == [ANY_TIME, ANY_TIME, ANY_TIME, SECOND + 3_000, None]


def test_of_a_server_nothing_is_known(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may write to it: selectors are looked up every time."""
    monkeypatch.setattr(store.engine, "_formats", None)
    assert Changes(store.engine).now(budget()) is None
    index = SeriesIndex(store.engine)
    store.write("remote_write", body("shared", l="1"))
    shared = [Matcher("__name__", "=", "shared")]
    assert len(index.series(shared, NOW, NOW, budget())) == 1


def test_a_selector_is_looked_up_once_until_series_change(store: Store) -> None:
    """The same series are the same object, even when others were registered; new ones are found at once."""
    index = SeriesIndex(store.engine)
    wanted = [Matcher("__name__", "=", "again")]
    store.write("remote_write", body("again", l="1"))
    found = index.series(wanted, NOW, NOW, budget())
    store.write("remote_write", body("again", 2.0, l="1"))
    assert index.series(wanted, NOW, NOW, budget()) is found
    store.write("remote_write", body("another", l="1"))
    assert index.series(wanted, NOW, NOW, budget()) is found
    store.write("remote_write", body("again", l="2"))
    assert len(index.series(wanted, NOW, NOW, budget())) == 2
