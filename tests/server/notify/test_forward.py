"""Alerts handed to real Alertmanagers: which have them, and what happens while they are away."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mirante.server.alert import Alert
from mirante.server.http_client.model import Authorization, HttpClient, Secret
from mirante.server.notify.forward import BATCH, CAPACITY, Alertmanager, Forwarder
from tests.peers import free_port, program, running
from tests.server.notify.receivers import NOW_MS, Reply, alert, receiving
from tests.waiting import eventually


@asynccontextmanager
async def forwarding(*to: Alertmanager) -> AsyncIterator[Forwarder]:
    """A forwarder at work."""
    forwarder = Forwarder(to)
    forwarder.start()
    try:
        yield forwarder
    finally:
        await forwarder.stop()


def samples(forwarder: Forwarder) -> dict[str, float]:
    """The metrics by name."""
    return {
        sample.name.removeprefix("prometheus_notifications_"): sample.value
        for family in forwarder.collect()
        for sample in family.samples
        if "_created" not in sample.name
    }


def test_alerts_are_posted_in_batches() -> None:
    """As ``postAlerts`` takes them, with the credentials that the URL's ``http_config`` has."""
    with receiving() as manager:

        async def main() -> None:
            http = HttpClient(authorization=Authorization("Bearer", Secret("t")))
            to = Alertmanager(f"{manager.url}/x/api/v2/alerts", http)
            async with forwarding(to, to) as forwarder:
                forwarder.put(alert(instance=str(n)) for n in range(BATCH + 1))
                await eventually(lambda: len(manager.got) == 2)
                await eventually(lambda: samples(forwarder)["sent_total"] == BATCH + 1)
                assert forwarder.urls() == [f"{manager.url}/x/api/v2/alerts"]
                assert samples(forwarder) == {
                    "sent_total": BATCH + 1,
                    "errors_total": 0,
                    "dropped_total": 0,
                    "queue_length": 0,
                    "queue_capacity": CAPACITY,
                    "alertmanagers_discovered": 1,
                }

        asyncio.run(main())
        first, second = manager.got
    assert (first.path, first.headers["authorization"]) == ("/x/api/v2/alerts", "Bearer t")
    assert (len(first.json), len(second.json)) == (BATCH, 1)
    assert second.json == [
        {
            "labels": {"alertname": "DiskFull", "instance": str(BATCH)},
            "annotations": {"summary": f"DiskFull on {BATCH}"},
            "startsAt": "2023-11-14T22:08:20Z",
            "endsAt": "2023-11-14T22:17:20Z",
            "generatorURL": "http://prometheus.example/graph?g0.expr=up",
        }
    ]


def test_one_that_is_away_holds_up_no_other() -> None:
    """It has what it missed when it is back: the latest state of each alert."""
    with receiving() as good, receiving() as bad:
        bad.reply(Reply(503))

        async def main() -> None:
            async with forwarding(Alertmanager.at(good.url), Alertmanager.at(bad.url)) as forwarder:
                forwarder.put([alert()])
                await eventually(lambda: bool(good.got and bad.got))
                forwarder.put([replace(alert(), ends_at=NOW_MS)])
                await eventually(lambda: len(good.got) == 2)
                bad.reply(Reply())
                await eventually(lambda: samples(forwarder)["queue_length"] == 0)
                assert samples(forwarder)["errors_total"] >= 1

        asyncio.run(main())
    assert [got.json[0]["endsAt"] for got in good.got] == ["2023-11-14T22:17:20Z", "2023-11-14T22:13:20Z"]
    assert [one["endsAt"] for one in bad.got[-1].json] == ["2023-11-14T22:13:20Z"]


def test_what_is_refused_is_not_repeated() -> None:
    """But counted; the next alerts follow."""
    with receiving() as manager:
        manager.reply(Reply(400, b"bad label"), Reply())

        async def main() -> None:
            async with forwarding(Alertmanager.at(manager.url)) as forwarder:
                forwarder.put([alert()])
                await eventually(lambda: samples(forwarder)["dropped_total"] == 1)
                forwarder.put([alert("Next")])
                await eventually(lambda: samples(forwarder)["sent_total"] == 1)

        asyncio.run(main())
    assert [got.json[0]["labels"]["alertname"] for got in manager.got] == ["DiskFull", "Next"]


def test_the_queue_is_bounded() -> None:
    """The oldest go first, and are counted."""

    async def main() -> None:
        forwarder = Forwarder([Alertmanager.at(f"http://127.0.0.1:{free_port()}")])
        forwarder.put(alert(instance=str(n)) for n in range(CAPACITY + 10))
        assert (samples(forwarder)["dropped_total"], samples(forwarder)["queue_length"]) == (10, CAPACITY)
        forwarder.put([alert(instance=str(CAPACITY + 9))])
        assert samples(forwarder)["dropped_total"] == 10
        await forwarder.stop()

    asyncio.run(main())


def test_who_stops_sends_what_waits() -> None:
    """If it is taken; one that hangs is not waited for longer than its timeout."""
    with receiving() as manager:

        async def main() -> None:
            forwarder = Forwarder([Alertmanager.at(manager.url)])
            forwarder.put([alert()])
            forwarder.start()
            await forwarder.stop()

        asyncio.run(main())
        assert len(manager.got) == 1

        async def away() -> None:
            gone = Alertmanager(f"http://127.0.0.1:{free_port()}/api/v2/alerts", timeout=100)
            forwarder = Forwarder([gone])
            forwarder.start()
            forwarder.put([alert()])
            await forwarder.stop()

        asyncio.run(asyncio.wait_for(away(), 60))


def test_a_url_is_shown_without_its_password() -> None:
    """In metrics and logs."""

    async def main() -> None:
        forwarder = Forwarder([Alertmanager("http://me:pw@127.0.0.1:1/api/v2/alerts")])
        labels = [sample.labels for family in forwarder.collect() for sample in family.samples if sample.labels]
        assert {label["alertmanager"] for label in labels} == {"http://127.0.0.1:1/api/v2/alerts"}
        await forwarder.stop()

    asyncio.run(main())


@pytest.mark.slow
def test_a_real_alertmanager_has_our_alerts(tmp_path: Path) -> None:
    """``amtool alert query`` shows them with labels, annotations, start and origin; one that has ended is gone."""
    amtool, port = program("amtool"), free_port()
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    command = [
        program("prometheus-alertmanager"), f"--config.file={config}", f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"

    def query() -> dict[str, dict[str, object]]:
        asked = [amtool, f"--alertmanager.url={url}", "alert", "query", "-o", "json"]
        found = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout or b"[]") or []
        return {one["labels"]["alertname"]: one for one in found}

    async def main(first: Alert, ended: Alert) -> None:
        async with forwarding(Alertmanager.at(url)) as forwarder:
            forwarder.put([first, ended])
            await eventually(lambda: query().keys() == {"DiskFull", "Other"})
            forwarder.put([replace(ended, ends_at=round(time.time() * 1000))])
            await eventually(lambda: query().keys() == {"DiskFull"})

    now = round(time.time() * 1000)
    first = replace(alert(severity="critical", site='a "b"'), starts_at=now - 60_123, ends_at=now + 3_600_000)
    with running(command, url, "/-/ready", tmp_path / "log"):
        asyncio.run(main(first, replace(first, labels={"alertname": "Other"})))
        found = query()["DiskFull"]
    assert found["labels"] == first.labels
    assert found["annotations"] == first.annotations
    assert found["generatorURL"] == first.generator_url
    assert found["fingerprint"] == first.id
