"""A month of twenty rules replayed, and the same rules evaluated one time after the other, with the ratio.

``python benchmarks/bench_backtest.py [--days 30] [--series 50] [--hours 6]``. The store holds three metrics of that
many series with a sample a minute. The replay goes over all days; the peer, which asks every rule at every time with
an instant query as a server does, over the last hours. What is compared is the time for one evaluation of one rule.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import tempfile
import time
from pathlib import Path

from mirante.formats import remote_write
from mirante.server.backtest.overlay import Overlay, OverlayReader
from mirante.server.backtest.replay import Question, Source, replay
from mirante.server.notify.config import default_config
from mirante.server.promql.engine import Engine
from mirante.server.rules.evaluation import RuleOptions
from mirante.server.rules.group import Group
from mirante.server.rules.query import Budgets, StoreQuery
from mirante.server.rules.read import parse_rules
from mirante.server.store.api import QueryBudget
from mirante.server.store.client import Engine as Store
from mirante.server.store.client import EngineLimits
from mirante.server.store.migrations import migrate
from mirante.server.store.reader import StoreReader
from mirante.server.store.user_sql import UserSql
from mirante.server.store.writer import LogWriter

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PROMISED = 60.0
HOOK = "http://127.0.0.1:9/"


def rules() -> str:
    """Twenty: a ratio that is recorded, thresholds of rates, and averages."""
    found: list[dict[str, object]] = [
        {
            "record": "job:errors:ratio_rate5m",
            "expr": "sum by (job) (rate(errors_total[5m])) / sum by (job) (rate(requests_total[5m]))",
        },
        {"record": "job:requests:rate5m", "expr": "sum by (job) (rate(requests_total[5m]))"},
        {"alert": "Errors", "expr": "job:errors:ratio_rate5m > 0.05", "for": "5m"},
        {"alert": "Down", "expr": "up == 0", "for": "2m", "annotations": {"summary": "{{ $labels.instance }} is down"}},
    ]
    for number in range(8):
        found.append(
            {"alert": f"Rate{number}", "expr": f"rate(errors_total[{5 + number}m]) > {number + 1}", "for": "5m"}
        )
        found.append({"alert": f"Flaky{number}", "expr": f"avg_over_time(up[{5 + 5 * number}m]) < 0.5"})
    return json.dumps({"groups": [{"name": "g", "interval": "1m", "rules": found}]})


def load(writer: LogWriter, series: int, start: int, end: int) -> None:
    """Now and then one is down for some minutes, and every day one job has errors for four hours."""
    for number in range(series):
        minutes = range((end - start) // MINUTE + 1)
        bad = 20.0 if number % 10 == 0 else 0.0
        values = {
            "up": [float((at // 7 + number * 31) % 997 != 0) for at in minutes],
            "requests_total": [at * 100.0 for at in minutes],
            "errors_total": [at + max(0, at % 1440 - 1200) * bad for at in minutes],
        }
        for name, found in values.items():
            labels = remote_write.labels({"__name__": name, "job": f"j{number % 5}", "instance": f"i{number}"})
            samples = b"".join(remote_write.sample(value, start + at * MINUTE) for at, value in enumerate(found))
            writer.append("remote_write", [remote_write.series(labels, samples)])
    assert writer.wait_until_loaded(600)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("days", 30), ("series", 50), ("hours", 6)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench_backtest"))
    store = Store(f"chdb://{folder / 'mirante'}", EngineLimits(readers=3))
    try:
        migrate(store)
        writer = LogWriter(store, folder / "log")
        end = int(time.time()) * 1000 // MINUTE * MINUTE
        load(writer, options.series, end - options.days * DAY, end)
        ours = replayed(store, end - options.days * DAY, end)
        theirs = one_by_one(store, end - options.hours * HOUR, end)
        print(f"one time after the other: {theirs * 1e6:.0f} us an evaluation, {theirs / ours:.0f} times as much")
        writer.close()
    finally:
        store.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def replayed(store: Store, start: int, end: int) -> float:
    """Seconds for one evaluation of one rule in a backtest."""
    question = Question(parse_rules(rules(), "rules.yml"), default_config(slack_webhook=HOOK), start, end)
    begun = time.perf_counter()
    report = replay(question, Source(StoreReader(store)), QueryBudget(time.monotonic() + 3600))
    taken = time.perf_counter() - begun
    fired, told = sum(rule.fired for rule in report.rules), sum(one.notifications for one in report.receivers)
    assert not report.failures, report.failures
    print(f"replayed {report.evaluations:,} evaluations in {taken:.1f} s, promised {PROMISED:.0f} s")
    print(f"{taken / report.evaluations * 1e6:.0f} us each; {fired:,} alerts fired, {told:,} messages")
    return taken / report.evaluations


def one_by_one(store: Store, start: int, end: int) -> float:
    """The same of a group as a server has it."""
    specs = parse_rules(rules(), "rules.yml")
    overlay = Overlay()
    engine = Engine(OverlayReader(StoreReader(store), overlay, {}, start))
    query = StoreQuery(engine, UserSql(store), Budgets(120, 50_000_000, store.cancel))
    groups = [Group(spec, overlay, RuleOptions()) for spec in specs]
    begun, times = time.perf_counter(), range(start, end, MINUTE)
    for at in times:
        for group in groups:
            group.evaluate(at, query)
    return (time.perf_counter() - begun) / len(times) / sum(len(spec.rules) for spec in specs)


if __name__ == "__main__":
    main()
