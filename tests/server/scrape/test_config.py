"""``prometheus.yml`` is taken as it is; what cannot be taken is named with its file, line and key.

The corpus beside this file holds files that are good, and bad ones whose first line is the expected message.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mirante.errors import ConfigError
from mirante.server.http_client.model import Authorization, HttpClient, OAuth2, Proxy, Secret, Tls
from mirante.server.scrape.alerting import alertmanager_urls
from mirante.server.scrape.config import read_config
from mirante.server.scrape.model import (  # fmt: skip
    AlertmanagerGroup,
    DnsSd,
    FileSd,
    HttpSd,
    KubernetesSd,
    Limits,
    PrometheusConfig,
    ScrapeJob,
    Selector,
    StaticSd,
    TargetGroup,
)
from mirante.server.scrape.relabel import RelabelRule, compile_regex

CORPUS = Path(__file__).parent / "corpus"
BAD = sorted(CORPUS.glob("*.bad.yml"))


@pytest.mark.parametrize("path", BAD, ids=[path.name for path in BAD])
def test_a_bad_file_is_refused_with_its_message(path: Path) -> None:
    """File, line, key and what is wrong, in one sentence."""
    expected = path.read_text().splitlines()[0].removeprefix("# ")
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).removeprefix(str(path)).lstrip(",: ").startswith(expected)
    assert caught.value.source == str(path)


def test_every_key_that_is_supported_is_read() -> None:
    """All of a job's settings arrive, relative files beside the configuration."""
    config = read_config(CORPUS / "everything.good.yml")
    assert config.external_labels == {"cluster": "test", "replica": "1"}
    assert config.evaluation_interval == 30_000
    job, numbered, more = config.jobs
    assert job == ScrapeJob(
        "everything",
        interval=5_400_000,
        timeout=10_000,
        scheme="https",
        path="/probe",
        params=(("module", ("http_2xx", "tcp")), ("target", ("example.org",))),
        honor_labels=True,
        honor_timestamps=False,
        track_timestamps_staleness=True,
        enable_compression=False,
        classic_histograms=True,
        name_validation="legacy",
        protocols=("PrometheusText0.0.4",),
        fallback_protocol="PrometheusText0.0.4",
        http=HttpClient(
            authorization=Authorization("Basic", Secret(file=CORPUS / "secret.txt"), "user"),
            tls=Tls(
                ca_file=Path("/etc/ca.pem"),
                cert_file=CORPUS / "cert.pem",
                key_file=CORPUS / "key.pem",
                server_name="here",
                min_version="TLS12",
            ),
            proxy=Proxy("http://proxy:3128", "localhost,.internal", headers=(("X-Via", Secret("a")),)),
            follow_redirects=False,
            headers=(
                ("X-Tenant", Secret("t")),
                ("X-Tenant", Secret("s")),
                ("X-Tenant", Secret(file=CORPUS / "tenant")),
            ),
        ),
        limits=Limits(10 << 20, 500, 4, 30, 100, 200, 100, 1.1),
        relabel=(
            RelabelRule(("__address__",), regex=compile_regex(r"(?i)(.*):\d+"), target_label="host"),
            RelabelRule(("env",), regex=compile_regex("prod"), action="drop"),
            RelabelRule(("__address__",), modulus=8, target_label="__shard", action="hashmod"),
        ),
        metric_relabel=(RelabelRule(regex=compile_regex("secret_.*"), action="labeldrop"),),
        discoveries=(
            StaticSd(
                (
                    TargetGroup(
                        "0",
                        ({"__address__": "127.0.0.1:8000"}, {"__address__": "localhost"}),
                        {"env": "test", "answer": "42"},
                    ),
                    TargetGroup("1", ({"__address__": "[::1]:8000"},)),
                )
            ),
            FileSd((str(CORPUS / "targets/*.json"), "/etc/targets.yml"), 30_000),
            HttpSd(
                "http://127.0.0.1:1/targets",
                120_000,
                HttpClient(authorization=Authorization("Basic", Secret("b"), "a")),
            ),
            DnsSd(("_http._tcp.shop",), refresh=10_000),
            DnsSd(("a.shop", "b.shop"), "AAAA", 9100),
            KubernetesSd(
                "endpoints",
                "https://127.0.0.1:6443",
                http=HttpClient(authorization=Authorization("Bearer", Secret(file=CORPUS / "token"))),
                namespaces=("shop",),
                own_namespace=True,
                selectors=(Selector("pod", "app=shop"), Selector("endpoints", "", "metadata.name=shop")),
                attach_node=True,
            ),
            KubernetesSd("node", kubeconfig=CORPUS / "kube.yml"),
        ),
    )
    assert numbered == ScrapeJob(
        "7",
        interval=15_000,
        timeout=7_000,
        protocols=("PrometheusProto", "OpenMetricsText1.0.0", "PrometheusText0.0.4"),
        http=HttpClient(
            oauth2=OAuth2(
                "mirante",
                Secret("abc"),
                "https://127.0.0.1/token",
                ("a", "b"),
                (("audience", "c"),),
                Tls(insecure_skip_verify=True),
            )
        ),
        limits=Limits(samples=1000),
    )
    assert (more.name, more.interval, more.protocols[0]) == ("more", 15_000, "PrometheusProto")
    assert more.http.authorization == Authorization("Basic", Secret(file=CORPUS / "more" / "secret.txt"), "u")


def test_what_is_not_given_has_prometheus_defaults() -> None:
    """A minute between scrapes, ten seconds for each."""
    (job,) = read_config(CORPUS / "minimal.good.yml").jobs
    assert (job.interval, job.timeout, job.path, job.scheme) == (60_000, 10_000, "/metrics", "http")
    assert (job.honor_labels, job.honor_timestamps) == (False, True)


GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "scrape.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_of_the_guide_are_good(tmp_path: Path, text: str) -> None:
    """A reader can copy them."""
    path = tmp_path / "prometheus.yml"
    path.write_text(text)
    assert read_config(path).jobs


def test_who_evaluates_what_and_who_is_told() -> None:
    """Rule files beside the configuration, Alertmanagers with all their settings and Prometheus's defaults."""
    config = read_config(CORPUS / "alerting.good.yml")
    assert (config.evaluation_interval, config.rule_query_offset) == (30_000, 10_000)
    assert config.rule_files == (str(CORPUS / "rules/*.yml"), "/etc/rules.yml")
    assert config.alert_relabel == (RelabelRule(regex=compile_regex("replica"), action="labeldrop"),)
    first, second = config.alertmanagers
    assert (first.scheme, first.path_prefix, first.timeout) == ("https", "/am", 3_000)
    assert first.http.authorization == Authorization("Bearer", Secret(file=CORPUS / "token"))
    assert first.alert_relabel == (RelabelRule(("severity",), regex=compile_regex("info"), action="drop"),)
    group = TargetGroup("0", ({"__address__": "d:9093"},))
    assert second == AlertmanagerGroup((group,), "http", "", 10_000, HttpClient(), (), ())
    assert list(alertmanager_urls(first)) == ["https://a:9093/am/api/v2/alerts", "http://b:9093/am/api/v2/alerts"]
    assert list(alertmanager_urls(second)) == ["http://d:9093/api/v2/alerts"]


def test_an_empty_file_scrapes_nothing() -> None:
    """It is valid, as in Prometheus."""
    assert read_config(CORPUS / "empty.good.yml") == PrometheusConfig()


def test_anchors_and_merge_keys_work() -> None:
    """YAML's own ways of saying things once are resolved before keys are checked."""
    assert [(job.name, job.interval) for job in read_config(CORPUS / "anchors.good.yml").jobs] == [
        ("a", 5000),
        ("b", 5000),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scrape_interval: 5s", (5000, 5000)),
        ("scrape_interval: 1m", (60_000, 7_000)),
        ("scrape_timeout: 3s", (15_000, 3_000)),
    ],
)
def test_a_short_interval_shortens_the_timeout(tmp_path: Path, text: str, expected: tuple[int, int]) -> None:
    """The global timeout counts up to the job's interval."""
    path = tmp_path / "prometheus.yml"
    path.write_text("global: {scrape_interval: 15s, scrape_timeout: 7s}\nscrape_configs:\n- job_name: a\n  " + text)
    (job,) = read_config(path).jobs
    assert (job.interval, job.timeout) == expected


@pytest.mark.parametrize(
    ("http", "expected"),
    [
        ("bearer_token: t", Authorization("Bearer", Secret("t"))),
        ("authorization: {type: Token, credentials: t}", Authorization("Token", Secret("t"))),
        ("basic_auth: {username: u, password: p}", Authorization("Basic", Secret("p"), "u")),
    ],
)
def test_credentials_are_read_and_not_shown(tmp_path: Path, http: str, expected: Authorization) -> None:
    """Every way of giving them works, and no secret is in a representation."""
    path = tmp_path / "prometheus.yml"
    path.write_text(f"scrape_configs:\n- job_name: a\n  {http}")
    (job,) = read_config(path).jobs
    assert job.http.authorization == expected
    assert "Secret(file=None)" in repr(job)


def test_a_bearer_token_file_is_read_when_it_is_used(tmp_path: Path) -> None:
    """The file need not exist yet; its line end is not part of the token."""
    path = tmp_path / "prometheus.yml"
    path.write_text("scrape_configs:\n- job_name: a\n  bearer_token_file: token")
    (job,) = read_config(path).jobs
    (tmp_path / "token").write_text("t\n")
    assert job.http.authorization is not None
    assert job.http.authorization.secret.read() == "t"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """One line instead of a traceback."""
    with pytest.raises(ConfigError, match=r"none\.yml: cannot be read: No such file or directory"):
        read_config(tmp_path / "none.yml")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are no configuration."""
    path = tmp_path / "binary.yml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"binary\.yml: is not UTF-8 text"):
        read_config(path)


def test_a_job_of_the_file_takes_the_place_of_a_builtin_one() -> None:
    """The server's own jobs come first, unless the file has one of that name."""
    config = PrometheusConfig(jobs=(ScrapeJob("host", interval=1),))
    joined = config.with_builtin(ScrapeJob("host", interval=2), ScrapeJob("mirante"))
    assert [(job.name, job.interval) for job in joined.jobs] == [("mirante", 60_000), ("host", 1)]
