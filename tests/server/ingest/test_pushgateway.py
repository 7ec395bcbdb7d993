"""The Pushgateway's protocol at the door, over groups on disk."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from mirante._core.model import Exemplar, MetricFamily, NativePoint
from mirante.errors import StoreError, StoreFullError
from mirante.formats.metric_family import CONTENT_TYPE, metric_family
from mirante.formats.pushgateway import group_path
from mirante.server.ingest.counts import IngestCounts
from mirante.server.ingest.exchange import Bounds, Refusal
from mirante.server.ingest.push_groups import PushGroups
from mirante.server.ingest.pushgateway import group_labels, routes
from mirante.server.store.protos import message_class
from mirante.testing.clock import FakeClock
from tests.server.asgi import Reply, call
from tests.server.ingest.conftest import MemoryLog
from tests.write_request import Written, bits, read

START = 1_700_000_000
STALE = 0x7FF0000000000002
GROUP = "/metrics/job/backup/disk/sda"


class Gateway:
    """The door over a directory; the groups are written again only when told."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = MemoryLog()
        self.clock = FakeClock(START)
        self.counts = IngestCounts()
        self.groups: PushGroups
        self.start()

    def start(self) -> None:
        """Start, again."""
        self.groups = PushGroups(self.directory, self.log, clock=self.clock, interval=1e6)
        self.groups.close()
        self.app = Starlette(routes=routes(self.groups, Bounds(max_body=10_000), self.counts))

    def send(self, method: str, path: str, body: str = "", content_type: str = "text/plain") -> Reply:
        """One request."""
        return asyncio.run(call(self.app, method, path, body.encode(), {"content-type": content_type}))

    def written(self) -> Written:
        """What was written since the last call."""
        bodies, self.log.bodies = self.log.bodies, []
        return read(body for _, body in bodies)

    def exposed(self) -> list[str]:
        """The samples of the exposition, without the two times."""
        lines = self.send("GET", "/metrics/pushgateway").text.splitlines()
        return [line for line in lines if line[0] != "#" and not line.startswith("push_")]

    def times(self, labels: str = 'disk="sda",instance="",job="backup"') -> tuple[float, float]:
        """When the group was changed last, and when that failed."""
        lines = self.send("GET", "/metrics/pushgateway").text.splitlines()
        found = dict(line.rsplit(" ", 1) for line in lines if line[0] != "#")
        return tuple(float(found[f"push_{name}time_seconds{{{labels}}}"]) for name in ("", "failure_"))  # type: ignore[return-value] # two


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A fresh one."""
    made = Gateway(tmp_path / "groups")
    yield made
    made.groups.close()


def values(written: Written) -> dict[str, list[int | float]]:
    """Series as text to values, staleness markers by their bits."""
    return {
        ",".join(f"{n}={v}" for n, v in key): [STALE if bits(v) == STALE else v for _, v in samples]
        for key, samples in written.samples.items()
        if not dict(key)["__name__"].startswith("push_")
    }


def test_put_replaces_the_group(gateway: Gateway) -> None:
    """A series that a PUT lacks ends; the others go on."""
    assert gateway.send("PUT", GROUP, "# TYPE a gauge\na 1\nb 2\n").status == 200
    assert values(gateway.written()) == {
        "__name__=a,disk=sda,job=backup": [1.0],
        "__name__=b,disk=sda,job=backup": [2.0],
    }
    gateway.clock.advance(5)
    assert gateway.send("PUT", GROUP, "a 3\nc 4\n").status == 200
    assert values(gateway.written()) == {
        "__name__=a,disk=sda,job=backup": [3.0],
        "__name__=b,disk=sda,job=backup": [STALE],
        "__name__=c,disk=sda,job=backup": [4.0],
    }
    assert gateway.exposed() == [
        'a{disk="sda",instance="",job="backup"} 3.0',
        'c{disk="sda",instance="",job="backup"} 4.0',
    ]


def test_post_replaces_metrics_of_the_same_names(gateway: Gateway) -> None:
    """Other metrics of the group stay; a series of a replaced metric that is not there any more ends."""
    gateway.send("POST", GROUP, 'a{x="1"} 1\na{x="2"} 1\nb 2\n')
    gateway.written()
    assert gateway.send("POST", GROUP, 'a{x="1"} 5\n').status == 200
    assert values(gateway.written()) == {
        "__name__=a,disk=sda,job=backup,x=1": [5.0],
        "__name__=a,disk=sda,job=backup,x=2": [STALE],
        "__name__=b,disk=sda,job=backup": [2.0],
    }


def test_delete_ends_the_group(gateway: Gateway) -> None:
    """Every series of the group ends, and no other one; what is not there can be deleted too."""
    gateway.send("PUT", GROUP, "a 1\n")
    gateway.send("PUT", "/metrics/job/other", "a 2\n")
    gateway.written()
    assert gateway.send("DELETE", GROUP).status == 202
    written = gateway.written()
    assert values(written) == {"__name__=a,disk=sda,job=backup": [STALE]}
    assert bits(written.of("push_time_seconds", disk="sda")[0][1]) == STALE
    assert gateway.exposed() == ['a{instance="",job="other"} 2.0']
    assert gateway.send("DELETE", GROUP).status == 202
    assert values(gateway.written()) == {}
    assert gateway.send("PUT", "/metrics/job/third", 'a{job="x"} 1\n').status == 200


def test_an_empty_push(gateway: Gateway) -> None:
    """It changes the time of the last push; by PUT it also removes all metrics."""
    gateway.send("PUT", GROUP, "a 1\n")
    gateway.clock.advance(5)
    assert gateway.send("POST", GROUP).status == 200
    assert gateway.exposed()
    assert gateway.send("PUT", GROUP).status == 200
    assert gateway.exposed() == []
    assert gateway.times() == (START + 5.0, 0.0)


def test_the_last_values_are_written_again(gateway: Gateway) -> None:
    """A query finds the values as if somebody scraped them, and never two samples at one time."""
    gateway.send("PUT", GROUP, "a 1\n")
    gateway.groups.write()
    gateway.clock.advance(15)
    gateway.groups.write()
    gateway.send("DELETE", GROUP)
    ms = START * 1000
    samples = gateway.written().of("a")
    assert [at for at, _ in samples] == [ms, ms + 1, ms + 15_000, ms + 15_001]
    assert [value for _, value in samples[:3]] == [1.0] * 3


def test_it_writes_by_itself(tmp_path: Path) -> None:
    """At an interval, without being told."""
    log = MemoryLog()
    groups = PushGroups(tmp_path, log, interval=0.001)
    try:
        groups.push({"job": "a"}, [], replace=True)
        waiting = 0
        while len(log.bodies) < 4:
            waiting += 1
            assert waiting < 6000, "it did not write for a minute"
            asyncio.run(asyncio.sleep(0.01))
    finally:
        groups.close()
    assert len(read(body for _, body in log.bodies).of("push_time_seconds")) >= 4


def test_groups_survive_a_restart(gateway: Gateway) -> None:
    """Groups, types, helps and odd numbers are as they were, and series that were there before still end."""
    gateway.send("PUT", GROUP, '# HELP a Help\\\\me.\n# TYPE a counter\na NaN\n# TYPE b gauge\nb{x="\\n"} -Inf\n')
    gateway.send("PUT", "/metrics/job/gone", "a 1\n")
    gateway.send("DELETE", "/metrics/job/gone")
    before = gateway.send("GET", "/metrics/pushgateway").text
    gateway.start()
    assert gateway.send("GET", "/metrics/pushgateway").text == before
    assert "# HELP a Help\\\\me.\n# TYPE a counter\n" in before
    gateway.written()
    gateway.send("PUT", GROUP, "a 1\n")
    assert values(gateway.written())["__name__=b,disk=sda,job=backup,x=\n"] == [STALE]


def test_a_damaged_file_harms_no_other(gateway: Gateway) -> None:
    """Groups that can be read are read."""
    gateway.send("PUT", GROUP, "a 1\n")
    for name, content in {"a": "{", "b": "{}", "c": '{"labels":{},"families":[]}', "d": "[]"}.items():
        (gateway.directory / f"{name}.json").write_text(content)
    gateway.start()
    assert gateway.exposed() == ['a{disk="sda",instance="",job="backup"} 1.0']


def test_metadata_and_exemplars(gateway: Gateway) -> None:
    """Type, help and exemplars go to the store with the push."""
    body = '# TYPE a counter\n# HELP a Helps.\na_total{k="v"} 1 # {trace_id="x"} 0.5\n# EOF\n'
    assert gateway.send("PUT", "/metrics/job/j", body, "application/openmetrics-text").status == 200
    written = gateway.written()
    assert (1, "a_total", "Helps.", "") in written.metadata
    ((key, exemplars),) = written.exemplars.items()
    assert dict(key) == {"__name__": "a_total", "job": "j", "k": "v"}
    assert exemplars == [({"trace_id": "x"}, 0.5, START * 1000)]


def test_labels_of_the_group_win(gateway: Gateway) -> None:
    """The group's labels overwrite those of the metrics; ``instance`` is kept empty unless somebody says it."""
    gateway.send("PUT", "/metrics/job/j/zone/b", 'a{job="x",zone="y",instance="i"} 1\nb 2\n')
    assert gateway.exposed() == [
        'a{instance="i",job="j",zone="b"} 1.0',
        'b{instance="",job="j",zone="b"} 2.0',
    ]
    assert set(values(gateway.written())) == {"__name__=a,instance=i,job=j,zone=b", "__name__=b,job=j,zone=b"}


INCONSISTENT = {
    "a 1 1700000000000\n": "pushed metrics must not have timestamps",
    'a{job="x"} 1\na{job="y"} 2\n': '"a" has two samples with the same labels ',
    "# TYPE known counter\nknown 1\n": "\"known\" is a counter here and a gauge in the group {'job': 'other'}",
    "# TYPE h histogram\nh_sum 1\n# TYPE h_count gauge\nh_count 1\n": '"h_count" is a metric and a part of the',
    'a{""="x"} 1\n': "a label of {'': 'x'} has no name",
    "known_h_sum 1\n": '"known_h_sum" is a metric and a part of the histogram "known_h"',
}


@pytest.mark.parametrize("body", INCONSISTENT)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_an_inconsistent_push_is_refused(gateway: Gateway, body: str, method: str) -> None:
    """The group stays as it was but for the time of the failure, and the answer gives the reason."""
    gateway.send(
        "PUT", "/metrics/job/other", "# TYPE known gauge\nknown 1\n# TYPE known_h histogram\nknown_h_count 1\n"
    )
    gateway.send("PUT", GROUP, "mine 1\n")
    gateway.clock.advance(5)
    gateway.written()
    reply = gateway.send(method, GROUP, body)
    assert reply.status == 400
    expected = f"pushed metrics are invalid or inconsistent with existing metrics: {INCONSISTENT[body]}"
    assert reply.text.startswith(expected)
    assert gateway.times() == (START, START + 5.0)
    assert 'mine{disk="sda",instance="",job="backup"} 1.0' in gateway.exposed()
    assert "a{" not in "".join(gateway.exposed())
    assert gateway.send(method, GROUP, "mine 2\n").status == 200
    assert gateway.times() == (START + 5.0, START + 5.0)


def test_the_series_of_another_group(gateway: Gateway) -> None:
    """Two groups cannot have the same series; once the other group is gone, the push is taken."""
    gateway.send("PUT", "/metrics/job/j", 'a{zone="b"} 1\n')
    reply = gateway.send("PUT", "/metrics/job/j/zone/b", "a 2\n")
    assert reply.status == 400
    assert "a series with the same name and labels is in the group {'job': 'j'} already." in reply.text
    assert gateway.times('instance="",job="j",zone="b"') == (0.0, START)
    gateway.send("PUT", "/metrics/job/j", "c 1\n")
    assert gateway.send("PUT", "/metrics/job/j/zone/b", "a 2\n").status == 200


def test_the_times_cannot_be_pushed(gateway: Gateway) -> None:
    """They are the gateway's own."""
    assert gateway.send("PUT", GROUP, "push_time_seconds 1\npush_failure_time_seconds 2\n").status == 200
    assert gateway.times() == (START, 0.0)


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("/metrics/job/", "", 400, "job name is required"),
        ("/metrics/job@base64/=", "", 400, "job name is required"),
        ("/metrics/job/a/b", "", 400, 'odd number of components in label string "/b"'),
        ("/metrics/job/a/b-c/d", "", 400, 'improper label name "b-c"'),
        ("/metrics/job/a/__b/d", "", 400, 'improper label name "__b"'),
        ("/metrics/job/a/b@base64/!", "", 400, 'invalid base64 encoding for label b@base64="!": '),
        ("/metrics/job@base64/a", "", 400, 'invalid base64 encoding for label job@base64="a": '),
        ("/metrics/job@base64/_w", "", 400, 'invalid base64 encoding for label job@base64="_w": '),
        (GROUP, "a{\n", 400, "The metrics cannot be read: line 1: "),
        (GROUP, "a 1\n" * 3000, 413, "The body has more than 10000 bytes; send smaller requests."),
    ],
)
def test_a_bad_request_is_told_in_one_line(gateway: Gateway, path: str, body: str, status: int, sentence: str) -> None:
    """Nothing is changed, and the answer says what is wrong."""
    reply = gateway.send("PUT", path, body)
    assert (reply.status, reply.text[: len(sentence)]) == (status, sentence)
    assert (gateway.log.bodies, gateway.groups.groups()) == ([], [])


@pytest.mark.parametrize("error", [StoreFullError("full"), StoreError("gone")])
def test_a_store_that_cannot_take_it(gateway: Gateway, error: StoreError) -> None:
    """Nothing is changed, the sender is asked to come again, and writing again and again bears it."""
    gateway.send("PUT", GROUP, "a 1\n")
    gateway.log.error = error
    for method in ("PUT", "POST", "DELETE"):
        reply = gateway.send(method, GROUP, "" if method == "DELETE" else "a 2\n")
        assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    gateway.groups.write()
    assert gateway.exposed() == ['a{disk="sda",instance="",job="backup"} 1.0']
    counted = {sample.name: sample.value for family in gateway.groups.collect() for sample in family.samples}
    assert counted == {
        "mirante_pushgateway_groups": 1, "mirante_pushgateway_series": 3, "mirante_pushgateway_write_failures_total": 1
    }  # fmt: skip


def test_a_disk_that_cannot_take_it(gateway: Gateway) -> None:
    """What could not be kept is not acknowledged."""
    gateway.send("PUT", GROUP, "a 1\n")
    (file,) = gateway.directory.glob("*.json")
    file.unlink()
    file.mkdir()
    assert gateway.send("PUT", GROUP, "a 2\n").status == 503
    assert gateway.send("DELETE", GROUP).status == 503
    assert gateway.exposed() == ['a{disk="sda",instance="",job="backup"} 1.0']


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    """It is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot use .*file"):
        PushGroups(tmp_path / "file", MemoryLog())


def test_requests_are_counted(gateway: Gateway) -> None:
    """By answer, and samples by outcome."""
    gateway.send("PUT", GROUP, "a 1\nb 2\n")
    gateway.send("PUT", GROUP, "a 1 5\n")
    samples = [sample for family in gateway.counts.collect() for sample in family.samples]
    assert {"/".join(sample.labels.values()): sample.value for sample in samples} == {
        "pushgateway/200": 1, "pushgateway/400": 1, "metrics/accepted": 2, "metrics/rejected": 1
    }  # fmt: skip


def test_the_api_shows_groups_as_the_pushgateway_does(gateway: Gateway) -> None:
    """Numbers are texts; histograms and summaries are taken apart."""
    body = """# HELP c Counts.
# TYPE c counter
c{k="v"} 1e21
# TYPE h histogram
h_bucket{le="0.5"} 1
h_bucket{le="+Inf"} 2
h_sum 1.5
h_count 2
# TYPE s summary
s{quantile="0.9"} 3
s_sum 4
s_count 5
"""
    gateway.send("PUT", GROUP, body)
    answer = gateway.send("GET", "/api/v1/metrics").json()
    labels = {"disk": "sda", "instance": "", "job": "backup"}
    stamp = "2023-11-14T22:13:20Z"
    (group,) = answer["data"]
    assert answer["status"] == "success"
    assert group["labels"] == {"job": "backup", "disk": "sda"}
    assert group["last_push_successful"] is True
    assert group["c"] == {
        "time_stamp": stamp, "type": "COUNTER", "help": "Counts.",
        "metrics": [{"labels": {**labels, "k": "v"}, "value": "1e+21"}],
    }  # fmt: skip
    assert group["h"]["metrics"] == [
        {"labels": labels, "buckets": {"0.5": "1", "+Inf": "2"}, "sum": "1.5", "count": "2"}
    ]
    assert group["s"]["metrics"] == [{"labels": labels, "quantiles": {"0.9": "3"}, "sum": "4", "count": "5"}]
    gateway.clock.advance(1)
    gateway.send("PUT", GROUP, "c 1 5\n")
    assert gateway.send("GET", "/api/v1/metrics").json()["data"][0]["last_push_successful"] is False
    status = gateway.send("GET", "/api/v1/status").json()
    assert set(status["data"]) == {"build_information", "flags", "start_time"}


label_names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,5}", fullmatch=True).filter(
    lambda name: not name.startswith("__") and name != "job"
)


@given(st.text(min_size=1), st.dictionaries(label_names, st.text(max_size=6), max_size=3))
def test_paths_survive_writing_and_reading(job: str, labels: dict[str, str]) -> None:
    """Whatever a client of ours puts into a path is read as it was."""
    assert group_labels(unquote(group_path(job, labels))) == {"job": job, **labels}


def test_the_job_of_a_path_comes_first() -> None:
    """A label ``job`` behind it changes nothing."""
    assert group_labels("/metrics/job/a/job/b/x/y") == {"job": "a", "x": "y"}
    assert group_labels("/metrics/job/a/") == {"job": "a"}


@given(st.text(alphabet="ab/@se64=_%", max_size=30))
def test_no_path_does_harm(rest: str) -> None:
    """Any path names a group, or is refused in words."""
    for prefix in ("/metrics/job/", "/metrics/job@base64/"):
        try:
            labels = group_labels(prefix + rest)
        except Refusal:
            continue
        assert labels["job"]


steps = st.tuples(
    st.sampled_from(["PUT", "POST", "DELETE", "restart", "write"]),
    st.sampled_from(["a", "b"]),
    st.dictionaries(st.tuples(st.sampled_from("xyz"), st.sampled_from("12")), st.integers(0, 9), max_size=4),
)
Series = tuple[str, str, str]


@settings(max_examples=40)
@given(st.lists(steps, max_size=8))
def test_any_sequence_of_requests(sequence: list[tuple[str, str, dict[tuple[str, str], int]]]) -> None:
    """What was written last of each series is its value while its group has it, and its end afterwards."""
    expected: dict[Series, int] = {}
    last: dict[Series, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        gateway = Gateway(Path(folder))
        for method, job, pushed in sequence:
            gateway.clock.advance(1)
            if method == "restart":
                gateway.start()
            elif method == "write":
                gateway.groups.write()
            else:
                body = "".join(f'{name}{{k="{k}"}} {value}\n' for (name, k), value in pushed.items())
                assert gateway.send(method, f"/metrics/job/{job}", body).status in {200, 202}
                names = {name for name, _ in pushed} if method == "POST" else set("xyz")
                expected = {key: value for key, value in expected.items() if key[1] != job or key[0] not in names}
                if method != "DELETE":
                    expected |= {(name, job, k): value for (name, k), value in pushed.items()}
            for key, samples in gateway.written().samples.items():
                labels = dict(key)
                if "k" in labels:
                    last[labels["__name__"], labels["job"], labels["k"]] = samples[-1][1]
            assert {key: value for key, value in last.items() if bits(value) != STALE} == expected
        shown = {f'{name}{{instance="",job="{job}",k="{k}"}} {value}.0' for (name, job, k), value in expected.items()}
        assert set(gateway.exposed()) == shown


def native(gateway: Gateway, method: str, *families: MetricFamily) -> int:
    """Push in protobuf; the status."""
    body = b"".join(map(metric_family, families))
    return asyncio.run(call(gateway.app, method, GROUP, body, {"content-type": CONTENT_TYPE})).status


def histograms(gateway: Gateway) -> list[tuple[int, int, float, list[int]]]:
    """Time, count, sum and deltas of the histograms written since the last call, all of one series."""
    bodies, gateway.log.bodies = gateway.log.bodies, []
    found = [one for _, body in bodies for one in message_class("remote_write").FromString(body).timeseries]  # type: ignore[attr-defined] # made at run time
    series = [one for one in found if one.histograms]
    assert all({pair.name: pair.value for pair in one.labels} == NATIVE for one in series)
    assert not any(one.samples for one in found if {pair.name: pair.value for pair in one.labels} == NATIVE)
    return [
        (value.timestamp, value.count_int, value.sum, [*value.negative_deltas, *value.positive_deltas])
        for one in series
        for value in one.histograms
    ]


NATIVE = {"__name__": "h", "disk": "sda", "job": "backup", "k": "v"}


def test_native_histograms(gateway: Gateway) -> None:
    """They are written again and again, survive a restart, are shown, and end as histograms."""
    point = NativePoint({"k": "v"}, 0, 0.5, 1, 7.0, {1: 2, 3: 1}, {0: 1}, (Exemplar({"trace_id": "x"}, 3.0, 1.0),))
    family = MetricFamily("h", "histogram", "H.", native=(point,))
    assert native(gateway, "PUT", family) == 200
    gateway.start()
    gateway.clock.advance(15)
    gateway.groups.write()
    ms = START * 1000
    written = read(body for _, body in gateway.log.bodies)
    assert written.exemplars[tuple(NATIVE.items())] == [({"trace_id": "x"}, 3.0, 1000)]
    assert histograms(gateway) == [(ms, 5, 7.0, [1, 2, -1]), (ms + 15_000, 5, 7.0, [1, 2, -1])]
    labels = {"disk": "sda", "instance": "", "job": "backup", "k": "v"}
    assert gateway.send("GET", "/api/v1/metrics").json()["data"][0]["h"]["metrics"] == [
        {
            "labels": labels, "count": "5", "sum": "7",
            "buckets": [[1, "-1", "-0.5", "1"], [3, "-0.5", "0.5", "1"], [0, "1", "2", "2"], [0, "4", "8", "1"]],
        }
    ]  # fmt: skip
    assert gateway.exposed() == [
        f'h_{part}{{disk="sda",instance="",job="backup",k="v"{le}}} {value}'
        for part, le, value in (("bucket", ',le="+Inf"', 5.0), ("sum", "", 7.0), ("count", "", 5.0))
    ]
    twice = tuple(point._replace(labels={"k": "v", "disk": disk}) for disk in "ab")
    assert native(gateway, "POST", MetricFamily("h", "histogram", native=twice)) == 400
    gateway.written()
    assert native(gateway, "PUT") == 200
    assert [bits(total) for _, _, total, _ in histograms(gateway)] == [STALE]


def test_json_is_what_is_kept(gateway: Gateway) -> None:
    """The file of a group can be read by people."""
    gateway.send("PUT", GROUP, "a 1\n")
    (file,) = gateway.directory.iterdir()
    assert json.loads(file.read_text())["labels"] == {"job": "backup", "disk": "sda"}
