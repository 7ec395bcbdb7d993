"""The notifier of a running server: alerts come in, people are told, whatever happens to disk and configuration."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mirante.errors import ConfigError, StoreError
from mirante.server.alert import Alert
from mirante.server.notify.config import read_config
from mirante.server.notify.matchers import parse_matchers
from mirante.server.notify.notifier import Notifier
from mirante.server.notify.silence import Silence
from mirante.server.notify.state import State
from tests.server.notify.passing import Time
from tests.server.notify.receivers import PAGE, Receiver, alert, receiving
from tests.waiting import eventually


def telling(folder: Path, hook: Receiver, *, wait: str = "0s", by: str = "alertname", more: str = "") -> Path:
    """An ``alertmanager.yml`` that tells that receiver."""
    path = folder / "alertmanager.yml"
    path.write_text(f"""
route: {{receiver: team, group_by: [{by}], group_wait: {wait}}}
receivers: [{{name: team, webhook_configs: [{{url: "{hook.url}"}}]}}]
{more}
""")
    return path


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """Where notifications arrive."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """On disk."""
    made = State(tmp_path / "alerting.sqlite")
    yield made
    made.close()


@asynccontextmanager
async def notifying(path: Path, state: State, time: Time) -> AsyncIterator[Notifier]:
    """One at work."""
    prepared = Notifier.prepare(read_config(path), PAGE)
    notifier = Notifier(prepared, state, clock=time, sleep=time.sleep)
    notifier.start()
    try:
        yield notifier
    finally:
        await notifier.stop()


def now(one: Alert, time: Time) -> Alert:
    """The alert, heard of just now."""
    at = round(time.now * 1000)
    return replace(one, starts_at=at, ends_at=at + 240_000)


def samples(notifier: Notifier, name: str) -> dict[str, float]:
    """Values of a metric by state."""
    families = {family.name: family for family in notifier.collect()}
    return {sample.labels["state"]: sample.value for sample in families[name].samples}


def test_an_alert_of_any_thread_is_told(tmp_path: Path, hook: Receiver, state: State) -> None:
    """Rules are evaluated elsewhere than in the event loop."""
    time = Time()

    async def main() -> None:
        async with notifying(telling(tmp_path, hook), state, time) as notifier:
            one = now(alert("Down"), time)
            thread = threading.Thread(target=notifier.put, args=(iter([one]),))
            thread.start()
            thread.join()
            await eventually(lambda: len(hook.got) == 1)
            await eventually(lambda: state.history()[0].arrived)

    asyncio.run(main())
    assert hook.got[0].json["alerts"][0]["labels"] == {"alertname": "Down"}


def test_what_is_due_later_is_told_later(tmp_path: Path, hook: Receiver, state: State) -> None:
    """When its group's time has come, without anything happening meanwhile."""
    time = Time()

    async def main() -> None:
        async with notifying(telling(tmp_path, hook, wait="2m"), state, time) as notifier:
            notifier.put([now(alert("Down"), time)])
            await eventually(lambda: bool(notifier.dispatcher.status(notifier.now()).alerts()))
            assert state.history() == []
            began = time.now
            await eventually(lambda: len(hook.got) == 1, lambda: time.advance(0.5))
            assert time.now - began >= 120

    asyncio.run(main())


def test_nothing_is_taken_before_the_start_and_after_the_end(tmp_path: Path, hook: Receiver, state: State) -> None:
    """Whoever evaluates rules says it again; a server that ends is not kept from it."""
    time = Time()
    prepared = Notifier.prepare(read_config(telling(tmp_path, hook)), PAGE)

    async def main() -> Notifier:
        notifier = Notifier(prepared, state, clock=time, sleep=time.sleep)
        notifier.put([now(alert("Early"), time)])
        notifier.start()
        notifier.put([now(alert("AtTheEnd"), time)])
        await notifier.stop()
        await asyncio.sleep(0)
        notifier.put([now(alert("Late"), time)])
        return notifier

    notifier = asyncio.run(main())
    assert notifier.dispatcher.status(notifier.now()).alerts() == []
    asyncio.run(notifier.stop())


def test_a_closed_loop_takes_nothing_and_breaks_nothing(tmp_path: Path, hook: Receiver, state: State) -> None:
    """Where the server was not stopped in order, a rule that fires at the end is no error."""
    prepared = Notifier.prepare(read_config(telling(tmp_path, hook)), PAGE)

    async def main() -> Notifier:
        notifier = Notifier(prepared, state)
        notifier.start()
        return notifier

    notifier = asyncio.run(main())
    notifier.put([alert("Down")])
    assert notifier.dispatcher.status(notifier.now()).alerts() == []


def test_what_was_decided_and_not_sent_is_sent_after_the_restart(tmp_path: Path, hook: Receiver, state: State) -> None:
    """Once."""
    time, path = Time(), telling(tmp_path, hook)
    stopped = Notifier(Notifier.prepare(read_config(path), PAGE), state, clock=time)
    stopped.dispatcher.put([now(alert("Down"), time)], stopped.now())
    stopped.dispatcher.tick(stopped.now())

    async def main() -> None:
        async with notifying(path, state, time):
            await eventually(lambda: bool(state.history()[0].arrived))

    asyncio.run(main())
    assert len(hook.got) == 1


def test_a_disk_that_fails_is_told_and_tried_again(
    tmp_path: Path, hook: Receiver, state: State, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes is not taken; what is due stays due until it can be written."""
    time = Time()

    async def main() -> None:
        async with notifying(telling(tmp_path, hook, wait="10s"), state, time) as notifier:
            notifier.put([now(alert("Down"), time)])
            await eventually(lambda: bool(notifier.dispatcher.status(notifier.now()).alerts()))
            state._db.execute("PRAGMA query_only = on")
            notifier.put([now(alert("Lost"), time)])
            await eventually(lambda: "1 alerts cannot be written down" in caplog.text)
            await eventually(
                lambda: "cannot be decided; it is tried again in 1 s" in caplog.text, lambda: time.advance(0.5)
            )
            assert state.history() == []
            state._db.execute("PRAGMA query_only = off")
            await eventually(lambda: len(hook.got) == 1, lambda: time.advance(0.5))

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert [one["labels"]["alertname"] for one in hook.got[0].json["alerts"]] == ["Down"]


def test_another_configuration_tells_others(tmp_path: Path, state: State) -> None:
    """From the next decision on; what stays as it is keeps its connections."""
    time = Time()

    async def main(before: Receiver, after: Receiver) -> None:
        async with notifying(telling(tmp_path, before), state, time) as notifier:
            notifier.put([now(alert("First"), time)])
            await eventually(lambda: len(before.got) == 1)
            config = read_config(telling(tmp_path, after))
            prepared = notifier.prepared(config, PAGE)
            (kept,) = notifier.prepared(notifier.config, PAGE).delivery.callers.values()
            assert kept is next(iter(prepared.delivery.callers.values()))
            notifier.commit(prepared)
            assert notifier.config is config
            notifier.put([now(alert("Second"), time)])
            await eventually(lambda: len(after.got) == 1)
            assert len(before.got) == 1

    with receiving() as before, receiving() as after:
        asyncio.run(main(before, after))


def test_a_configuration_that_cannot_be_used_changes_nothing(tmp_path: Path, hook: Receiver, state: State) -> None:
    """A template that is wrong is found before; a disk that fails keeps the old configuration in force."""
    time, path = Time(), telling(tmp_path, hook)
    notifier = Notifier(Notifier.prepare(read_config(path), PAGE), state, clock=time)
    before = notifier.config
    (tmp_path / "wrong.tmpl").write_text("{{ define ")
    with pytest.raises(ConfigError, match=r"wrong\.tmpl"):
        notifier.prepared(read_config(telling(tmp_path, hook, more="templates: [wrong.tmpl]")), PAGE)
    other = notifier.prepared(read_config(telling(tmp_path, hook, by="instance")), PAGE)
    notifier.dispatcher.put([now(alert("Down"), time)], notifier.now())
    state.close()
    with pytest.raises(StoreError):
        notifier.commit(other)
    assert notifier.config is before


def test_alerts_and_silences_are_counted(tmp_path: Path, hook: Receiver, state: State) -> None:
    """By state, under Alertmanager's names; a silence that ends by itself is seen too."""
    time = Time()

    async def main() -> None:
        async with notifying(telling(tmp_path, hook), state, time) as notifier:
            assert samples(notifier, "alertmanager_alerts") == {"active": 0, "suppressed": 0}
            at = notifier.now()
            quiet = Silence(parse_matchers("alertname=Quiet"), at, at + 90_000, "ann", "why")
            notifier.dispatcher.silence(quiet, at)
            notifier.dispatcher.put([now(alert(name), time) for name in ("Quiet", "Down")], at)
            notifier.changed()
            await eventually(
                lambda: samples(notifier, "alertmanager_alerts") == {"active": 1, "suppressed": 1},
                lambda: time.advance(0.5),
            )
            assert samples(notifier, "alertmanager_silences") == {"active": 1, "pending": 0, "expired": 0}
            await eventually(
                lambda: samples(notifier, "alertmanager_silences")["expired"] == 1, lambda: time.advance(0.5)
            )

    asyncio.run(main())


def test_what_was_sent_is_counted_too(tmp_path: Path, hook: Receiver, state: State) -> None:
    """The delivery's metrics are among those of the notifier."""
    notifier = Notifier(Notifier.prepare(read_config(telling(tmp_path, hook)), PAGE), state)
    assert "alertmanager_notifications" in {family.name for family in notifier.collect()}
