"""Rules in a real server: restarts, kills, reloads, and the same answers as the real Prometheus."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import cramjam
import pytest

from tests.peers import Peer, fetch, free_port, mirante, program, running, wait_for
from tests.write_request import write_request

pytestmark = pytest.mark.slow

RULES = """
groups:
  - name: queue
    interval: 1s
    rules:
      - record: queue:double
        expr: queue_length * 2
      - alert: Long
        expr: queue:double > 6
        labels: {severity: page}
        annotations: {summary: "{{ $value }} wait"}
      - alert: LongForAnHour
        expr: queue:double > 6
        for: 1h
"""


def files(folder: Path, rules: str = RULES) -> tuple[str, str]:
    """Both files, and the flags that name them."""
    (folder / "rules.yml").write_text(rules)
    (folder / "prometheus.yml").write_text("rule_files: [rules.yml]\n")
    return "--prometheus-config", str(folder / "prometheus.yml")


def push(server: Peer, length: int) -> None:
    """Say how long the queue is; the server writes it again and again."""
    assert fetch(f"{server.url}/metrics/job/shop", data=f"queue_length {length}\n".encode(), method="PUT")[0] == 200


def alerts(server: Peer) -> dict[str, dict[str, Any]]:
    """What is pending or fires, by name."""
    return {one["labels"]["alertname"]: one for one in server.get("/api/v1/alerts")["data"]["alerts"]}


def both(server: Peer) -> dict[str, dict[str, Any]]:
    """The two alerts, once they are there and their states are stored."""

    def there() -> Any:
        found = alerts(server)
        stored = {row["metric"]["alertname"] for row in server.query("ALERTS_FOR_STATE")}
        return found if found.keys() == stored == {"Long", "LongForAnHour"} else None

    found: dict[str, dict[str, Any]] = wait_for(there, what="both alerts")
    return found


def waited(server: Peer, since: float = 0) -> list[float]:
    """Seconds for which the pending alert had been active, at every evaluation since that time."""
    (row,) = server.query('ALERTS_FOR_STATE{alertname="LongForAnHour"}[1h]')
    return [time - float(value) for time, value in row["values"] if time > since]


def test_alerts_live_through_kills_and_reloads(tmp_path: Path) -> None:
    """They are written as series, go on after SIGKILL as they were, are kept by a reload, and end with their reason."""
    port, flags = free_port(), files(tmp_path)
    with mirante(tmp_path, *flags, port=port) as server:
        push(server, 5)
        before = both(server)
        assert before["Long"]["state"] == "firing"
        assert before["Long"]["annotations"] == {"summary": "10 wait"}
        assert before["Long"]["labels"]["severity"] == "page"
        assert before["LongForAnHour"]["state"] == "pending"
        wait_for(lambda: len(server.query("ALERTS")) == 2, what="the series of both alerts")
        wait_for(lambda: waited(server)[-1] >= 3, what="three seconds of pending")
        server.stop(signal.SIGKILL)
        killed = time.time()
    with mirante(tmp_path, *flags, port=port) as server:
        after = both(server)
        assert after["Long"]["state"] == "firing"
        # Stored in whole seconds, as Prometheus does.
        assert after["Long"]["activeAt"][:19] == before["Long"]["activeAt"][:19]
        assert wait_for(lambda: waited(server, killed), what="an evaluation after the restart")[0] >= 2

        files(tmp_path, RULES.replace("queue:double > 6", "queue:double >", 1))
        status, text = fetch(f"{server.url}/-/reload", data=b"", method="POST")
        assert (status, b"rules.yml, line " in text) == (500, True)
        assert alerts(server).keys() == after.keys()

        files(tmp_path, RULES.replace("queue:double", "queue_length").replace("record: queue_length", "record: other"))
        assert fetch(f"{server.url}/-/reload", data=b"", method="POST")[0] == 200
        wait_for(lambda: server.query("other") and not server.query("queue:double"), what="the series of the new rule")
        assert alerts(server).keys() <= after.keys()

        push(server, 8)
        wait_for(lambda: "Long" in alerts(server), what="the alert by its new expression")
        push(server, 0)
        wait_for(lambda: not alerts(server) and not server.query("ALERTS"), what="the end of both alerts")


def test_a_rule_file_that_cannot_be_used_keeps_the_server_from_starting(tmp_path: Path) -> None:
    """It names file, line and reason."""
    flags = files(tmp_path, RULES.replace("queue:double > 6", "sum(", 1))
    with pytest.raises(AssertionError, match=r"(?s)rules\.yml, line 9.*parse error"), mirante(tmp_path, *flags):
        pass


def test_sql_about_logs_raises_alerts(tmp_path: Path) -> None:
    """A rule that asks SQL fires for the service that has errors in its log; SQL that may not run refuses the file."""
    rules = """
groups:
  - name: logs
    interval: 1s
    rules:
      - alert: Errors
        sql: >-
          SELECT ServiceName AS service, count() AS value FROM otel_logs
          WHERE SeverityNumber >= 17 AND Timestamp > {now:DateTime64(3)} - INTERVAL 1 HOUR GROUP BY service
        annotations: {summary: "{{ $value }} errors of {{ $labels.service }}"}
"""
    with mirante(tmp_path, *files(tmp_path, rules)) as server:
        line = {"timeUnixNano": str(time.time_ns()), "severityNumber": 17, "body": {"stringValue": "oh"}}
        service = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
        body = {"resourceLogs": [{"resource": service, "scopeLogs": [{"logRecords": [line]}]}]}
        headers = {"Content-Type": "application/json"}
        assert fetch(f"{server.url}/v1/logs", data=json.dumps(body).encode(), headers=headers)[0] == 200
        found = wait_for(lambda: alerts(server).get("Errors"), what="the alert")
        assert (found["state"], found["annotations"]) == ("firing", {"summary": "1 errors of shop"})
        files(tmp_path, rules.replace("FROM otel_logs", "FROM file('/etc/passwd')"))
        status, text = fetch(f"{server.url}/-/reload", data=b"", method="POST")
        assert (status, b"no table functions are allowed" in text) == (500, True)


PARITY = """
groups:
  - name: parity
    interval: 1s
    limit: 3
    rules:
      - {record: "job:load:sum", expr: "sum by (job) (load)", labels: {team: core}}
      - {alert: High, expr: "load > 1", labels: {severity: "{{ $labels.job }}"}, annotations: {summary: "{{ $value }}"}}
      - {alert: Held, expr: "job:load:sum > 2", for: 2s, annotations: {of: "{{ query `load` | len }}"}}
      - {alert: Later, expr: "load > 2", for: 1h, keep_firing_for: 1m}
      - {alert: Never, expr: "load > 100"}
      - {alert: TooMany, expr: "{__name__=~'load|other'}"}
      - {alert: Same, expr: "load", labels: {instance: all, job: all}}
      - {record: "wrong:match", expr: "load + on (job) other"}
      - {alert: Always, expr: "vector(3)", annotations: {text: "{{ $value | printf \\"%.2f\\" }} {{ .ExternalURL }}"}}
"""


def shown(server: Peer) -> Any:
    """Rules and alerts without times, durations and the words of errors."""
    groups = server.get("/api/v1/rules")["data"]["groups"]
    dropped = {"evaluationTime", "lastEvaluation", "lastError", "alerts", "keepFiringFor"}
    rules = [{key: rule[key] for key in rule.keys() - dropped} for group in groups for rule in group["rules"]]
    failed = [bool(rule.get("lastError")) for group in groups for rule in group["rules"]]
    active = [{**one, "activeAt": ""} for one in server.get("/api/v1/alerts")["data"]["alerts"]]
    for rule in rules:
        rule.setdefault("labels", {})
        rule["query"] = ""  # Prometheus writes it in its own way
    recorded = [(row["metric"], row["value"][1]) for row in server.query("job:load:sum")]
    return {
        "rules": rules,
        "failed": failed,
        "alerts": sorted(active, key=lambda one: sorted(one["labels"].items())),
        "recorded": sorted(recorded, key=str),
        "states": sorted((row["metric"] for row in server.query("ALERTS")), key=str),
    }


def test_rules_and_alerts_are_those_of_the_real_prometheus(tmp_path: Path) -> None:
    """The same rule file over the same samples gives the same rules, alerts and series in both."""
    (tmp_path / "parity.yml").write_text(PARITY)
    config = tmp_path / "prometheus.yml"
    config.write_text("global: {external_labels: {dc: eu}}\nrule_files: [parity.yml]\n")
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--web.external-url=http://monitoring.example/",
        "--web.route-prefix=/",
        "--web.enable-remote-write-receiver",
    ]
    flags = ("--prometheus-config", str(config), "--web-external-url", "http://monitoring.example/")
    with (
        running(command, url, "/-/ready", tmp_path / "prometheus.log") as theirs,
        mirante(tmp_path, *flags, "--no-host-metrics") as ours,
    ):
        now = int(time.time() * 1000)
        series = [
            *({"__name__": "load", "job": job, "instance": instance} for job, instance in (("a", "1"), ("b", "1"))),
            {"__name__": "other", "job": "a", "n": "1"},
            {"__name__": "other", "job": "a", "n": "2"},
        ]
        body = write_request((labels, [(now, 1.5 + number)]) for number, labels in enumerate(series))
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        for one in (theirs, ours):
            packed = bytes(cramjam.snappy.compress_raw(body))
            assert fetch(f"{one.url}/api/v1/write", data=packed, headers=headers)[0] in {200, 204}

        def settled() -> bool:
            found = {one["labels"]["alertname"] for one in shown(theirs)["alerts"] if one["state"] == "firing"}
            return found == {"High", "Held", "Always"}

        wait_for(settled, what="the alerts in Prometheus")
        wait_for(lambda: shown(ours) == shown(theirs), what="the same rules, alerts and series in both")
        assert len(shown(ours)["alerts"]) == 5
