"""What discovery finds becomes a target with Prometheus's labels and URL."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mirante.server.scrape.model import ScrapeJob
from mirante.server.scrape.relabel import RelabelRule, compile_regex
from mirante.server.scrape.target import Target, discovered_labels, make_target

PARAMS = (("module", ("http", "tcp")), ("empty", ()))


def target(job: ScrapeJob, **found: str) -> Target | None:
    """The target of what was found."""
    return make_target(discovered_labels({"__address__": "127.0.0.1:9100", **found}, job), job)


def setting(label: str, value: str) -> ScrapeJob:
    """A job that sets one label by relabeling."""
    return ScrapeJob("node", relabel=(RelabelRule(target_label=label, replacement=value),))


def test_the_settings_of_the_job_are_labels_before_relabeling() -> None:
    """Rules can read and change all of them."""
    found = target(ScrapeJob("node", params=PARAMS, interval=15_000), env="test")
    assert found is not None
    assert found.discovered == {
        "__address__": "127.0.0.1:9100",
        "__metrics_path__": "/metrics",
        "__scheme__": "http",
        "__scrape_interval__": "15s",
        "__scrape_timeout__": "10s",
        "__param_module": "http",
        "job": "node",
        "env": "test",
    }
    assert found.labels == {"job": "node", "instance": "127.0.0.1:9100", "env": "test"}
    assert found.url == "http://127.0.0.1:9100/metrics?module=http&module=tcp"
    assert (found.interval, found.timeout) == (15_000, 10_000)


@pytest.mark.parametrize(
    ("label", "value", "url"),
    [
        ("__address__", "[::1]:80", "http://[::1]:80/metrics"),
        ("__metrics_path__", "a b?c", "http://127.0.0.1:9100/a%20b%3Fc"),
        ("__metrics_path__", "", "http://127.0.0.1:9100"),
        ("__scheme__", "https", "https://127.0.0.1:9100/metrics"),
        ("__param_x", "a&b", "http://127.0.0.1:9100/metrics?x=a%26b"),
    ],
)
def test_relabeling_changes_the_url(label: str, value: str, url: str) -> None:
    """Address, path, scheme and parameters are what the rules left."""
    found = target(setting(label, value))
    assert found is not None
    assert found.url == url


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        ("__address__", "", "no address"),
        ("__address__", "a/b", '"a/b" is not a valid hostname'),
        ("__scheme__", "ftp", '__scheme__ must be http or https, got "ftp"'),
        ("__scrape_interval__", "soon", "__scrape_interval__: not a valid duration"),
        ("__scrape_timeout__", "0s", "__scrape_timeout__ cannot be 0"),
        ("__scrape_timeout__", "2m", "scrape timeout cannot be greater than scrape interval"),
    ],
)
def test_what_cannot_be_scraped_is_named(label: str, value: str, message: str) -> None:
    """Rules can also break a target."""
    with pytest.raises(ValueError, match=message):
        target(setting(label, value))


def test_relabeling_can_drop_a_target() -> None:
    """The rules said so: that is no error."""
    rule = RelabelRule(("__address__",), regex=compile_regex("127.*"), action="drop")
    assert target(ScrapeJob("node", relabel=(rule,))) is None


def test_the_identity_is_that_of_labels_and_url() -> None:
    """Equal targets are one, whatever discovery said besides; others differ."""
    job = ScrapeJob("node")
    targets = [target(job), target(job, __meta_x="1"), target(job, env="a"), target(ScrapeJob("node", path="/x"))]
    first, meta, labelled, elsewhere = (t.identity for t in targets if t is not None)
    assert first == meta
    assert len({first, labelled, elsewhere}) == 3


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:9100", "http://box:9100/metrics"),
        ("localhost", "http://box/metrics"),
        ("[::1]:1", "http://box:1/metrics"),
        ("10.0.0.1:9100", "http://10.0.0.1:9100/metrics"),
    ],
)
def test_the_global_url_names_this_machine(address: str, expected: str) -> None:
    """Loopback means something else to whoever reads the URL elsewhere."""
    found: Mapping[str, str] = {"__address__": address}
    made = make_target(discovered_labels(found, ScrapeJob("a")), ScrapeJob("a"))
    assert made is not None
    assert made.global_url("box") == expected
