"""Finding series by their labels."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirante.errors import BadQueryError, QueryLimitError, QueryTimeoutError
from mirante.formats import remote_write
from mirante.formats.protobuf import blob, string
from mirante.server.store.api import Labels, Matcher, MatchOp, MetricReader, QueryBudget
from mirante.server.store.series import SeriesIndex
from tests.server.store.conftest import NOW, Store, body, budget

DAY = 86_400_000
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
NASTY = [
    "it's",
    "\\",
    "\\'",
    "a\nb\tc",
    "\x00",
    "{x}",
    "{p0:String}",
    "%s",
    "$1",
    "\u00e9\U0001f600",
    '"',
    "--",
    ";",
    "`",
]
VALUES = st.one_of(st.sampled_from([*NASTY, "a", "b", "ab"]), TEXT)
NAMES = st.sampled_from(["a", "b", "job", "it's", "\u00e9"])
PATTERNS = st.sampled_from(["", ".*", ".+", "a|b", "(?i)A", "[^a]*", "a."])
LABEL_SETS = st.lists(
    st.dictionaries(NAMES, VALUES.filter(bool), max_size=3),
    max_size=4,
    unique_by=lambda labels: str(sorted(labels.items())),
)
COUNTER = itertools.count()


def matches(matcher: Matcher, labels: Labels) -> bool:
    """What PromQL says, with Python's regular expressions."""
    value = labels.get(matcher.name, "")
    hit = value == matcher.value if "~" not in matcher.op else bool(re.fullmatch(matcher.value, value, re.DOTALL))
    return hit == (matcher.op in {"=", "=~"})


def write(store: Store, *label_sets: Mapping[str, str], at: int = NOW) -> None:
    """One sample of each series."""
    series = (remote_write.series(remote_write.labels(labels), remote_write.sample(1.0, at)) for labels in label_sets)
    store.write("remote_write", b"".join(series))


def find(store: Store, *matchers: Matcher, start: int = NOW, end: int = NOW, **limits: int) -> list[Labels]:
    """The labels of what was found, sorted."""
    found = store.reader.series(matchers, start, end, budget(**limits))
    assert list(found.ids) == sorted(set(found.ids.tolist()))
    assert len(found) == len(found.ids)
    return sorted(found.labels, key=lambda labels: sorted(labels.items()))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    label_sets=LABEL_SETS,
    matchers=st.lists(
        st.one_of(
            st.builds(Matcher, NAMES, st.sampled_from(["=", "!="]), VALUES),
            st.builds(Matcher, NAMES, st.sampled_from(["=~", "!~"]), VALUES.map(re.escape)),
            st.builds(Matcher, NAMES, st.sampled_from(["=~", "!~"]), PATTERNS),
        ),
        max_size=3,
    ),
)  # fmt: skip
def test_finds_what_promql_says(store: Store, label_sets: list[dict[str, str]], matchers: list[Matcher]) -> None:
    """Whatever stands in labels and matchers, exactly the series that match are found, with their labels."""
    name = f"m{next(COUNTER)}"
    mine = [{**labels, "__name__": name} for labels in label_sets]
    write(store, *mine)
    wanted = [labels for labels in mine if all(matches(matcher, labels) for matcher in matchers)]
    got = find(store, Matcher("__name__", "=", name), *matchers)
    assert got == sorted(wanted, key=lambda labels: sorted(labels.items()))


@pytest.mark.parametrize(
    ("op", "value", "hits"),
    [("=", "", 1), ("!=", "", 1), ("=~", "", 1), ("=~", ".*", 2), ("=~", ".+", 1), ("!~", ".+", 1), ("=~", "x|", 2)],
)
def test_an_absent_label_is_empty(store: Store, op: MatchOp, value: str, hits: int) -> None:
    """A label that a series has not is the empty string, for every operator."""
    write(store, {"__name__": "absent"}, {"__name__": "absent", "l": "x"})
    assert len(find(store, Matcher("__name__", "=", "absent"), Matcher("l", op, value))) == hits


def test_a_metric_can_be_found_by_any_matcher_of_its_name(store: Store) -> None:
    """The name is a label like any other."""
    write(store, {"__name__": "name_one"}, {"__name__": "name_two"})
    assert len(find(store, Matcher("__name__", "=~", "name_(one|two)"))) == 2
    assert find(store, Matcher("__name__", "=~", "name_.*"), Matcher("__name__", "!=", "name_two")) == [
        {"__name__": "name_one"}
    ]


def test_label_order_and_empty_labels_make_no_other_series(store: Store) -> None:
    """A series is its set of labels: order does not matter, an empty value is no label."""
    pairs = [("__name__", "same"), ("b", "2"), ("a", "1"), ("empty", "")]

    def one(chosen: Sequence[tuple[str, str]], at: int) -> bytes:
        labels = b"".join(blob(1, string(1, k) + string(2, v)) for k, v in chosen)
        return remote_write.series(labels, remote_write.sample(1.0, at))

    store.write("remote_write", one(pairs, NOW) + one(pairs[::-1], NOW + 1) + one(pairs[:3], NOW + 2))
    assert find(store, Matcher("__name__", "=", "same")) == [{"__name__": "same", "a": "1", "b": "2"}]
    assert store.one("SELECT uniqExact(series_id) FROM series WHERE name = 'same'") == 1


def test_only_days_with_samples_count(store: Store) -> None:
    """A range finds the series that have samples on its days, and no others."""
    write(store, {"__name__": "day", "l": "old"}, at=NOW - 40 * DAY)
    write(store, {"__name__": "day", "l": "new"})
    name = Matcher("__name__", "=", "day")
    assert [labels["l"] for labels in find(store, name, start=NOW - 41 * DAY, end=NOW - 39 * DAY)] == ["old"]
    assert [labels["l"] for labels in find(store, name)] == ["new"]
    assert len(find(store, name, start=-(10**18), end=10**18)) == 2
    reader: MetricReader = store.reader
    assert reader.label_values("l", [[name]], NOW - 41 * DAY, NOW - 39 * DAY, budget()) == ["old"]


def test_limits(store: Store) -> None:
    """Too many series, a wrong expression and a passed deadline are errors of their own."""
    write(store, *({"__name__": "limit", "l": str(i)} for i in range(5)))
    name = Matcher("__name__", "=", "limit")
    assert len(find(store, name, max_series=5)) == 5
    with pytest.raises(QueryLimitError, match="more than 4 series"):
        find(store, name, max_series=4)
    with pytest.raises(BadQueryError):
        find(store, name, Matcher("l", "=~", "("))
    with pytest.raises(QueryTimeoutError):
        store.reader.series([name], NOW, NOW, QueryBudget(deadline=time.monotonic() - 1))


def test_labels_are_fetched_once(store: Store) -> None:
    """The labels of a known series are the same object again; a small cache stays small."""
    write(store, *({"__name__": "cached", "l": str(i)} for i in range(20)))
    index = SeriesIndex(store.engine, cached=10)
    few = [Matcher("__name__", "=", "cached"), Matcher("l", "=~", ".")]
    everything = few[:1]
    first = index.series([*few, Matcher("l", "!=", "9")], NOW, NOW, budget())
    again = index.series(few, NOW, NOW, budget())  # one of ten is new
    assert len(again) == 10
    known = {id(labels) for labels in first.labels}
    assert sum(id(labels) in known for labels in again.labels) == 9
    for _ in range(2):
        found = index.series(everything, NOW, NOW, budget())
        assert sorted(int(labels["l"]) for labels in found.labels) == list(range(20))
    assert len(index._cache) <= 10


def test_a_series_that_goes_between_two_reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A series that was dropped after it was found, and before its labels were read, is left out."""
    write(store, {"__name__": "going", "l": "a"}, {"__name__": "going", "l": "b"})
    index = SeriesIndex(store.engine)
    arrow = store.engine.arrow

    def drop_then_read(sql: str, *rest: Any) -> Any:
        if "mapKeys" in sql:
            drop = "ALTER TABLE series DELETE WHERE name = 'going' AND labels['l'] = 'b' SETTINGS mutations_sync = 1"
            store.engine.connect().command(drop)
        return arrow(sql, *rest)

    monkeypatch.setattr(store.engine, "arrow", drop_then_read)
    found = index.series([Matcher("__name__", "=", "going")], NOW, NOW, budget())
    assert [labels["l"] for labels in found.labels] == ["a"]
    assert found.ids.dtype == np.uint64


def test_label_names_and_values(store: Store) -> None:
    """Names and values come sorted, without repetition, of the series that match any of the sets."""
    write(
        store,
        {"__name__": "names_a", "x": "2", "only_a": "1"},
        {"__name__": "names_b", "x": "1"},
        {"__name__": "names_c", "y": "3"},
    )
    sets = [[Matcher("__name__", "=", "names_a")], [Matcher("__name__", "=", "names_b")]]
    reader = store.reader
    assert reader.label_names(sets, NOW, NOW, budget()) == ["__name__", "only_a", "x"]
    assert reader.label_values("x", sets, NOW, NOW, budget()) == ["1", "2"]
    assert reader.label_values("__name__", sets, NOW, NOW, budget()) == ["names_a", "names_b"]
    assert reader.label_values("nothing", sets, NOW, NOW, budget()) == []
    assert {"__name__", "only_a", "x", "y"} <= set(reader.label_names([], NOW, NOW, budget()))
    assert {"names_a", "names_b", "names_c"} <= set(reader.label_values("__name__", [], NOW, NOW, budget()))


def test_metadata(store: Store) -> None:
    """Metadata comes by family, the newest first, and as many families as were asked for."""
    insert = "INSERT INTO metric_metadata VALUES ('md_a_total', 'counter', 'Old words.', 's', now() - 100)"
    store.engine.connect().command(insert)
    store.write(
        "remote_write",
        remote_write.metadata("md_a_total", "counter", "New words."),
        remote_write.metadata("md_b", "histogram", "It's.", "bytes"),
        remote_write.metadata("md_b", "histogram", "It's.", "bytes"),
    )
    old, new = ({"type": "counter", "help": f"{age} words.", "unit": unit} for age, unit in (("Old", "s"), ("New", "")))
    assert store.reader.metadata("md_a_total", None) == {"md_a_total": [new, old]}
    assert store.reader.metadata("md_b", 5) == {"md_b": [{"type": "histogram", "help": "It's.", "unit": "bytes"}]}
    assert store.reader.metadata("unknown", None) == {}
    assert list(store.reader.metadata(None, 1)) == ["md_a_total"]
    assert {"md_a_total", "md_b"} <= set(store.reader.metadata(None, None))
    assert store.reader.metadata(None, 0) == {}


def test_nothing_is_found_in_nothing(store: Store) -> None:
    """A metric that is not there is an empty result."""
    assert find(store, Matcher("__name__", "=", "nowhere")) == []
    store.write("remote_write", body("somewhere"))
    assert find(store, Matcher("__name__", "=", "somewhere"), Matcher("job", "=", "none")) == []
