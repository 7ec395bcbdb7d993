"""Who is told of the alerts of our rules: people, and the Alertmanagers of flags and of ``prometheus.yml``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirante.errors import ConfigError, StoreError
from mirante.server.alert import Alert
from mirante.server.application_settings import ALERTS, ApplicationSettings
from mirante.server.notify.state import FILE, State
from mirante.server.notifying import Notifying, NotifySources
from mirante.server.scrape.config import read_config
from mirante.server.settings import AlertingSettings, ServerSettings
from tests.server.notify.receivers import PAGE, Receiver, Reply, receiving
from tests.waiting import eventually


class House:
    """The files of a server.

    Attributes:
        folder: where they are.
        hook: whom ``alertmanager.yml`` tells.
        manager: an Alertmanager.
    """

    def __init__(self, folder: Path, hook: Receiver, manager: Receiver) -> None:
        self.folder, self.hook, self.manager = folder, hook, manager
        self.people(hook)
        self.prometheus("{}")

    def people(self, hook: Receiver) -> None:
        """Write who is told."""
        (self.folder / "alertmanager.yml").write_text(
            "route: {receiver: team, group_wait: 0s, group_by: ['...']}\n"
            f"receivers: [{{name: team, webhook_configs: [{{url: '{hook.url}'}}]}}]\n"
        )

    def prometheus(self, text: str) -> None:
        """Write the ``prometheus.yml``."""
        (self.folder / "prometheus.yml").write_text(text)

    def managers(self, more: str = "", relabel: str = "[]") -> None:
        """Let it name the Alertmanager."""
        self.prometheus(f"""
global: {{external_labels: {{region: eu, alertname: unused}}}}
alerting:
  alert_relabel_configs: {relabel}
  alertmanagers:
    - static_configs: [{{targets: ["{self.address}"]}}]
      path_prefix: /prefix
      {more}
""")

    @property
    def address(self) -> str:
        """Of the Alertmanager."""
        return self.manager.url.removeprefix("http://")

    def sources(self, **settings: Any) -> NotifySources:
        """What they say; settings beyond the two files."""
        given = ServerSettings(alertmanager_config=self.folder / "alertmanager.yml")
        config = self.folder / "prometheus.yml"
        applications = ApplicationSettings(self.folder)
        return NotifySources(replace(given, **settings), lambda: read_config(config), applications, PAGE)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """With real receivers."""
    with receiving() as hook, receiving() as manager:
        yield House(tmp_path, hook, manager)


@asynccontextmanager
async def at_work(sources: NotifySources, folder: Path) -> AsyncIterator[Notifying]:
    """One that was started."""
    with Notifying(sources, folder) as notifying:
        notifying.start()
        try:
            yield notifying
        finally:
            await notifying.stop()


def down(notifying: Notifying, **labels: str) -> Alert:
    """An alert that fires now."""
    at = notifying.notifier.now()
    return Alert({"alertname": "Down", **labels}, {}, at, at + 240_000, at)


def posted(receiver: Receiver) -> Sequence[dict[str, str]]:
    """Labels of what an Alertmanager got."""
    return [alert["labels"] for got in list(receiver.got) for alert in got.json]


def told(receiver: Receiver) -> Sequence[dict[str, str]]:
    """Labels of what people were told of."""
    return [alert["labels"] for got in list(receiver.got) for alert in got.json["alerts"]]


def urls(notifying: Notifying) -> list[str]:
    """Of the Alertmanagers, as ``/api/v1/alertmanagers`` gives them."""
    listed = notifying.alertmanagers()
    assert listed["droppedAlertmanagers"] == []
    return [one["url"] for one in listed["activeAlertmanagers"]]


def test_people_and_alertmanagers_get_what_leaves(house: House) -> None:
    """With the external labels that an alert lacks, relabeled."""
    house.managers(relabel="[{regex: internal, action: labeldrop}]")

    async def main() -> None:
        async with at_work(house.sources(), house.folder) as notifying:
            assert urls(notifying) == [f"{house.manager.url}/prefix/api/v2/alerts"]
            notifying.put([down(notifying, internal="x")])
            await eventually(lambda: bool(house.hook.got and house.manager.got))

    asyncio.run(main())
    assert told(house.hook) == posted(house.manager) == [{"alertname": "Down", "region": "eu"}]
    assert house.manager.got[0].path == "/prefix/api/v2/alerts"


def test_an_alert_that_relabeling_drops_is_told_to_nobody(house: House) -> None:
    """For all of them, or for one Alertmanager alone."""
    drop = "[{source_labels: [env], regex: %s, action: drop}]"
    house.managers(more=f"alert_relabel_configs: {drop % 'test'}", relabel=drop % "dev")

    async def main() -> None:
        async with at_work(house.sources(), house.folder) as notifying:
            notifying.put([down(notifying, env=env) for env in ("dev", "test", "prod")])
            await eventually(lambda: len(told(house.hook)) == 2 and len(posted(house.manager)) == 1)

    asyncio.run(main())
    assert {labels["env"] for labels in told(house.hook)} == {"test", "prod"}
    assert [labels["env"] for labels in posted(house.manager)] == ["prod"]


def test_alertmanagers_of_the_command_line_come_first(house: House) -> None:
    """And are told once, however often they are named."""
    house.managers()
    sources = house.sources(alertmanager=(house.manager.url, house.manager.url))
    with Notifying(sources, house.folder) as notifying:
        assert urls(notifying) == [f"{house.manager.url}{path}/api/v2/alerts" for path in ("", "/prefix")]


def test_a_reload_tells_others(house: House) -> None:
    """People, Alertmanagers, labels: all that the files say now; the old Alertmanager gets no more."""
    house.managers()

    async def main(others: Receiver, another: Receiver) -> None:
        async with at_work(house.sources(), house.folder) as notifying:
            house.people(others)
            first, house.manager = house.manager, another
            house.managers(relabel="[{target_label: site, replacement: lisbon}]")
            commit = await asyncio.to_thread(notifying.prepare)
            assert urls(notifying) == [f"{first.url}/prefix/api/v2/alerts"]
            await commit()
            assert urls(notifying) == [f"{another.url}/prefix/api/v2/alerts"]
            notifying.put([down(notifying)])
            await eventually(lambda: bool(others.got and another.got))
            assert not house.hook.got
            assert not first.got

    with receiving() as others, receiving() as another:
        asyncio.run(main(others, another))
        assert told(others) == posted(another) == [{"alertname": "Down", "region": "eu", "site": "lisbon"}]


def test_a_reload_that_changes_no_alertmanager_keeps_what_waits_for_it(house: House) -> None:
    """An alert that it has not taken yet is sent when it does."""
    house.managers(more="alert_relabel_configs: [{target_label: to, replacement: am}]")

    async def main() -> None:
        async with at_work(house.sources(), house.folder) as notifying:
            house.manager.reply(Reply(503), Reply())
            notifying.put([down(notifying)])
            await eventually(lambda: len(house.manager.got) == 1)
            queue = notifying._forwarder
            await (await asyncio.to_thread(notifying.prepare))()
            assert notifying._forwarder is queue
            await eventually(lambda: len(house.manager.got) == 2)

    asyncio.run(main())
    assert posted(house.manager) == [{"alertname": "Down", "region": "eu", "to": "am"}] * 2


def test_a_reload_before_the_start_sends_nothing_yet(house: House) -> None:
    """The new Alertmanagers begin with everything else."""

    async def main() -> None:
        with Notifying(house.sources(), house.folder) as notifying:
            house.managers()
            await notifying.prepare()()
            assert urls(notifying) == [f"{house.manager.url}/prefix/api/v2/alerts"]
            await notifying.stop()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("alertmanager.yml", "route: {receiver: nobody}", "nobody"),
        ("prometheus.yml", "alerting: {alertmanager: []}", "alertmanager"),
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing(house: House, file: str, text: str, sentence: str) -> None:
    """Neither at the start nor at a reload; the state is closed again."""
    with Notifying(house.sources(), house.folder) as notifying:
        before = notifying.notifier.config
        (house.folder / file).write_text(text)
        with pytest.raises(ConfigError, match=sentence):
            notifying.prepare()
        assert notifying.notifier.config is before
    with pytest.raises(ConfigError, match=sentence):
        Notifying(house.sources(), house.folder)


def test_a_certificate_that_is_none_is_refused(house: House) -> None:
    """Of an Alertmanager."""
    (house.folder / "ca.pem").write_text("none")
    house.managers(more="tls_config: {ca_file: ca.pem}")
    with pytest.raises(ConfigError):
        Notifying(house.sources(), house.folder)


def test_a_state_that_cannot_be_read_stops_the_start(house: House) -> None:
    """With its path; nothing of it stays open."""
    with Notifying(house.sources(), house.folder) as notifying:
        notifying.notifier.dispatcher.put([down(notifying)], notifying.notifier.now())
    state = State(house.folder / FILE)
    state._db.execute("DROP TABLE told")
    state.close()
    with pytest.raises(StoreError, match=FILE):
        Notifying(house.sources(), house.folder)


def test_without_a_file_settings_say_who_is_told(house: House) -> None:
    """Flags and environment first, then applications."""
    nothing = house.sources(alertmanager_config=None)
    assert nothing.read().receivers["default"].integrations == ()
    nothing.applications.replace(ALERTS, json.dumps({"slack_webhook": "https://hooks.slack.com/services/a"}))
    assert [one.kind for one in nothing.read().receivers["default"].integrations] == ["slack"]
    both = house.sources(alertmanager_config=None, alerting=AlertingSettings(email="ops@example.com"))
    assert {one.kind for one in both.read().receivers["default"].integrations} == {"slack", "email"}


def test_a_webhook_beside_a_file_is_told_to_have_no_effect(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Or somebody waits in vain for what that channel would hear."""
    house.sources().read()
    assert not caplog.messages
    house.sources(alerting=AlertingSettings(slack_webhook="https://hooks.slack.com/services/s3cr3t")).read()
    path = house.folder / "alertmanager.yml"
    assert caplog.messages == [f"{path} says who is told: ALERT_SLACK_WEBHOOK and alerting.email have no effect"]


def test_what_was_told_is_remembered_over_a_restart(house: House) -> None:
    """In the data directory."""

    async def main() -> None:
        async with at_work(house.sources(), house.folder) as notifying:
            notifying.put([down(notifying)])
            await eventually(lambda: any(one.arrived for one in notifying.notifier.state.history()))

    asyncio.run(main())
    with Notifying(house.sources(), house.folder) as again:
        assert [one.notification.receiver for one in again.notifier.state.history()] == ["team"]
        assert [one.alert.name for one in again.notifier.dispatcher.status(again.notifier.now()).alerts()] == ["Down"]


def test_metrics_of_both_are_collected(house: House) -> None:
    """Of telling people, and of handing alerts on."""
    with Notifying(house.sources(), house.folder) as notifying:
        names = {family.name for family in notifying.collect()}
    assert {"alertmanager_alerts", "prometheus_notifications_alertmanagers_discovered"} <= names
