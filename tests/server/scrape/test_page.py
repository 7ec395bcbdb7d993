"""A page becomes the samples that Prometheus would store, whatever the cache knows already."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import FormatError
from mirante.server.scrape.model import Limits, ScrapeJob
from mirante.server.scrape.page import Reading, SeriesCache
from mirante.server.scrape.relabel import RelabelRule, compile_regex
from tests.server.scrape.parts import NOW_MS
from tests.write_request import SeriesKey, Written, bits, read

TARGET = {"job": "node", "instance": "a:1"}
STALE = 0x7FF0000000000002


class Scraper:
    """A cache that reads page after page, each stored and a second after the last."""

    def __init__(self, target: dict[str, str] | None = None, **job: Any) -> None:
        self.cache = SeriesCache(ScrapeJob("node", **job), TARGET if target is None else target)
        self.now = NOW_MS
        self.reading = Reading()

    def read(self, page: str | bytes, *, openmetrics: bool = False) -> Written:
        """Read, store, and give what was written, staleness markers included."""
        body = page.encode() if isinstance(page, str) else page
        self.reading = self.cache.read(body, openmetrics=openmetrics, now=self.now)
        fields = [*self.reading.fields, *self.cache.stale(self.reading, self.now)]
        self.cache.commit(self.reading)
        self.now += 1000
        return read([b"".join(fields)])


def labels_of(written: Written) -> list[dict[str, str]]:
    """The label sets that were written, without the name."""
    return [{name: value for name, value in key if name != "__name__"} for key in written.samples]


LINES = st.sampled_from(
    ["x 1", "x 2", "x NaN", 'x{a="1"} 3', 'x{a="1"}  3', "y 4", "secret 5", f"y 6 {NOW_MS - 5}", "z 7", "",
     "# TYPE x gauge", "# TYPE x counter", "# HELP y Text.", "  x 8", "# a comment"]
)  # fmt: skip


@given(st.lists(st.lists(LINES, max_size=6), min_size=1, max_size=6), st.booleans())
def test_the_cache_changes_nothing(pages: list[list[str]], each_twice: bool) -> None:
    """Whatever pages follow one another, a scraper with a memory writes what one without writes, and the right ends."""
    drop = RelabelRule(("__name__",), regex=compile_regex("secret"), action="drop")
    scraper, live = Scraper(metric_relabel=(drop,)), set[SeriesKey]()
    for page in [page for page in pages for _ in range(2 if each_twice else 1)]:
        body, now = "\n".join(page) + "\n", scraper.now
        written, reading = scraper.read(body), scraper.reading
        fresh = Scraper(metric_relabel=(drop,))
        fresh.now = now
        expected = fresh.read(body)
        values = {key: [v for v in found if bits(v[1]) != STALE] for key, found in written.samples.items()}
        assert repr({key: found for key, found in values.items() if found}) == repr(expected.samples)
        ended = {key for key, found in written.samples.items() if bits(found[-1][1]) == STALE}
        watched = {key for key, found in expected.samples.items() if any(at == now for at, _ in found)}
        assert ended == live - watched
        assert (reading.scraped, reading.kept, reading.refused) == (
            fresh.reading.scraped, fresh.reading.kept, fresh.reading.refused
        )  # fmt: skip
        live = watched


@given(st.lists(st.floats(), min_size=1, max_size=5), st.booleans())
def test_values_keep_their_bits(values: list[float], openmetrics: bool) -> None:
    """In both formats, for the first page and for those that differ from it in their values only."""
    scraper = Scraper()
    for value in values:
        page = f'x{{a="1"}} {value}\n' + ("# EOF\n" if openmetrics else "")
        ((_, written),) = scraper.read(page, openmetrics=openmetrics).of("x")
        assert bits(written) == (0x7FF8000000000001 if math.isnan(value) else bits(value))


def test_a_line_gets_the_targets_labels_and_the_scrapes_time() -> None:
    """The series has its own labels and the target's."""
    written = Scraper().read('x{a="1"} 5\n')
    assert written.samples == {(("__name__", "x"), ("a", "1"), ("instance", "a:1"), ("job", "node")): [(NOW_MS, 5.0)]}


@pytest.mark.parametrize(
    ("honor", "page", "expected"),
    [
        (False, 'x{job="own"} 1', {**TARGET, "exported_job": "own"}),
        (False, 'x{job="own",exported_job="b"} 1', {**TARGET, "exported_job": "b", "exported_exported_job": "own"}),
        (False, 'x{job=""} 1', TARGET),
        (True, 'x{job="own"} 1', {**TARGET, "job": "own"}),
        (True, 'x{job=""} 1', {"instance": "a:1"}),
    ],
)
def test_a_label_that_the_target_has_too(honor: bool, page: str, expected: dict[str, str]) -> None:
    """The target's wins and the page's is renamed, unless ``honor_labels`` says otherwise."""
    assert labels_of(Scraper(honor_labels=honor).read(page)) == [dict(sorted(expected.items()))]


def test_metric_relabeling_drops_and_renames() -> None:
    """Dropped samples are counted as scraped and not as kept, the second time too."""
    rules = (
        RelabelRule(("__name__",), regex=compile_regex("secret.*"), action="drop"),
        RelabelRule(("__name__",), regex=compile_regex("x"), target_label="__name__", replacement="y"),
    )
    scraper = Scraper(metric_relabel=rules)
    for _ in range(2):
        assert scraper.read("secret 1\nx 2\nsecret2 3 1700000000000\n").names() == {"y"}
        assert (scraper.reading.scraped, scraper.reading.kept) == (3, 1)


def test_relabeling_away_the_name_is_an_error() -> None:
    """There is no series without one."""
    with pytest.raises(FormatError, match="metric relabeling left no name to x"):
        Scraper(metric_relabel=(RelabelRule(target_label="__name__", replacement=""),)).read("x 1")


def test_relabeling_everything_away_drops_the_sample() -> None:
    """As in Prometheus, a set without labels is dropped."""
    scraper = Scraper(metric_relabel=(RelabelRule(regex=compile_regex("none"), action="labelkeep"),))
    assert scraper.read("x 1").samples == {}


def test_a_series_that_disappears_ends() -> None:
    """The next page without it writes the marker, bit for bit, and the one after nothing."""
    scraper = Scraper()
    scraper.read("x 1\ny 1\n")
    assert [bits(v) for _, v in scraper.read("y 2\n").of("x")] == [STALE]
    assert scraper.read("y 3\n").names() == {"y"}


def test_a_nan_is_a_value() -> None:
    """It has Prometheus's one bit pattern, in the usual way and beside a timestamp."""
    scraper = Scraper()
    written = scraper.read(f"x NaN\ny nan {NOW_MS}\n")
    assert {bits(v) for name in "xy" for _, v in written.of(name)} == {0x7FF8000000000001}
    assert bits(scraper.read("x NaN\n").of("x")[0][1]) == 0x7FF8000000000001


def test_a_nan_beside_other_values_changes_only_itself() -> None:
    """Infinities have an N of their own."""
    written = Scraper().read("x NaN\ny +Inf\nz 1\n")
    assert (written.of("y"), written.of("z")) == ([(NOW_MS, math.inf)], [(NOW_MS, 1.0)])


def test_a_series_that_stands_twice_counts_once() -> None:
    """The first one counts, the rest is refused; the same set in another order is the same series."""
    scraper = Scraper()
    written = scraper.read(
        'x{a="1",b="2"} 1\nx{b="2",a="1"} 2\nx{a="1",b="2"} 3 # no exemplar in text\n'.replace(
            " # no exemplar in text", " "
        )
    )
    assert list(written.samples.values()) == [[(NOW_MS, 1.0)]]
    assert scraper.reading.refused == {"duplicate": 2}


def test_own_timestamps_are_honored() -> None:
    """The sample has its time, and staleness does not watch over it."""
    scraper = Scraper()
    assert scraper.read(f"x 1 {NOW_MS - 5000}\n").of("x") == [(NOW_MS - 5000, 1.0)]
    assert scraper.read("").samples == {}


def test_own_timestamps_can_be_watched_for_staleness() -> None:
    """``track_timestamps_staleness`` ends such series too."""
    scraper = Scraper(track_timestamps_staleness=True)
    scraper.read(f"x 1 {NOW_MS - 5000}\n")
    assert len(scraper.read("").of("x")) == 1


def test_own_timestamps_can_be_ignored() -> None:
    """Without ``honor_timestamps`` the scrape's time counts, and staleness watches."""
    scraper = Scraper(honor_timestamps=False)
    assert scraper.read("x 1 5\n").of("x") == [(NOW_MS, 1.0)]
    assert len(scraper.read("").of("x")) == 1


@pytest.mark.parametrize("timestamp", [0, -5, NOW_MS + 600_001, 2**62])
def test_a_timestamp_out_of_bounds_is_refused_alone(timestamp: int) -> None:
    """Too old for the store or too far in the future: the other samples count."""
    scraper = Scraper()
    assert scraper.read(f"x 1 {timestamp}\ny 1\n").names() == {"y"}
    assert scraper.reading.refused == {"out_of_bounds": 1}


def test_an_exemplar_is_written_until_it_changes() -> None:
    """A page repeats its exemplars: the store gets each once."""
    scraper = Scraper()
    page = 'x_total 5 # {trace_id="a"} 0.5\n# EOF\n'
    (first,) = scraper.read(page, openmetrics=True).exemplars.values()
    assert first == [({"trace_id": "a"}, 0.5, NOW_MS)]
    assert scraper.read(page, openmetrics=True).exemplars == {}
    (changed,) = scraper.read(page.replace('"a"', '"b"'), openmetrics=True).exemplars.values()
    assert changed == [({"trace_id": "b"}, 0.5, NOW_MS + 2000)]


def test_metadata_is_written_when_it_changes() -> None:
    """Type, help and unit of a family once, then only of the family that changed."""
    scraper = Scraper()
    page = "# TYPE x counter\n# HELP x Things.\nx 1\n# TYPE y gauge\ny 1\n"
    assert scraper.read(page).metadata == [(1, "x", "Things.", ""), (2, "y", "", "")]
    assert scraper.read(page).metadata == []
    assert scraper.read(page.replace("Things", "Stuff")).metadata == [(1, "x", "Stuff.", "")]


def test_what_was_not_stored_is_written_again() -> None:
    """Metadata and the end of a series wait for a reading that is safe."""
    scraper = Scraper()
    scraper.read("x 1\n")
    page = b"# TYPE y gauge\ny 1\n"
    lost = scraper.cache.read(page, openmetrics=False, now=scraper.now)
    assert len(lost.fields) == 2
    written = scraper.read(page)
    assert written.metadata == [(2, "y", "", "")]
    assert len(written.of("x")) == 1


def test_a_failed_scrape_keeps_what_is_known_of_families() -> None:
    """Every series ends; metadata need not be sent again."""
    scraper = Scraper()
    scraper.read("# TYPE x gauge\nx 1\n")
    nothing = scraper.cache.nothing()
    assert len(list(scraper.cache.stale(nothing, scraper.now))) == 1
    scraper.cache.commit(nothing)
    assert scraper.read("# TYPE x gauge\nx 1\n").metadata == []


def test_a_page_without_memory_of_old_series() -> None:
    """When most known series are gone, the cache starts anew and still writes the right thing."""
    scraper = Scraper()
    for generation in range(4):
        page = "".join(f'x{{g="{generation}",i="{i}"}} 1\n' for i in range(600))
        assert len([v for v in scraper.read(page).samples.values() if v[0][1] == 1.0]) == 600


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(labels=3), r"label_limit exceeded \(metric: x, labels: 4, limit: 3\)"),
        (Limits(label_name_length=8), r"name_length_limit exceeded \(.*label: a_long_name, size: 11, limit: 8\)"),
        (Limits(label_value_length=4), r"value_length_limit exceeded \(.*label: a_long_name, size: 6, limit: 4\)"),
    ],
)  # fmt: skip
def test_label_limits(limits: Limits, message: str) -> None:
    """A series that breaks a limit fails the scrape, whose error says which."""
    with pytest.raises(FormatError, match=message):
        Scraper(limits=limits).read('x{a_long_name="värde"} 1\n')
    Scraper(limits=Limits(labels=4, label_name_length=11, label_value_length=6)).read('x{a_long_name="värde"} 1\n')


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("x 1\ny one\n", 'line 2: expected a number as the value, got "one"'),
        ("x 1\ny 1.2.3\n", 'line 2: expected a number as the value, got "1.2.3"'),
        ("x 1\ny{ 1\n", "line 2: the labels are not closed"),
        ("# TYPE x nothing\nx 1\n", 'line 1: invalid metric type "nothing"'),
    ],
)
def test_an_error_names_the_line(page: str, message: str) -> None:
    """Whether the series is known or not."""
    scraper = Scraper()
    for _ in range(2):
        with pytest.raises(FormatError, match=message):
            scraper.read(page)
        scraper.read("x 1\ny 1\n")


def test_a_blank_line_in_openmetrics_is_an_error() -> None:
    """The exact parser says where."""
    with pytest.raises(FormatError, match="line 2"):
        Scraper().read("x 1\n\ny 1\n# EOF\n", openmetrics=True)


def test_a_clock_before_its_time_is_an_error() -> None:
    """A machine that believes in 1970 writes no samples that nobody finds."""
    scraper = Scraper()
    scraper.now = 5
    with pytest.raises(ValueError, match="timestamp 5 is not between"):
        scraper.read("x 1\n")
