"""From an alert to whoever is told, through all parts: file, decisions, disk, delivery, a real receiver."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mirante.server.notify.config import read_config
from mirante.server.notify.delivery import Delivery
from mirante.server.notify.dispatcher import Dispatcher
from mirante.server.notify.state import State
from mirante.server.notify.templates import Templates
from tests.peers import wait_for
from tests.server.notify.receivers import NOW_MS, PAGE, Got, Receiver, Reply, alert, receiving
from tests.waiting import eventually

CONFIG = """
route: {{receiver: team, group_by: [alertname], group_wait: 1s, group_interval: 10s}}
receivers:
  - name: team
    webhook_configs: [{{url: '{url}/hook'}}]
    pagerduty_configs: [{{url: '{url}/pagerduty', routing_key: R0}}]
"""


@asynccontextmanager
async def server(folder: Path, hook: Receiver, more: str = "") -> AsyncIterator[tuple[Dispatcher, Delivery, State]]:
    """The parts of a server that tell people, with what they kept of the time before; more stands in their file."""
    path = folder / "alertmanager.yml"
    path.write_text(CONFIG.format(url=hook.url) + more)
    config = read_config(path)
    state = State(folder / "alerting.sqlite")
    dispatcher = Dispatcher(config, state, NOW_MS)
    delivery = Delivery(state, Delivery.prepare(config, Templates(config.templates, PAGE)))
    delivery.start()
    try:
        yield dispatcher, delivery, state
    finally:
        await delivery.stop()
        state.close()


async def settled(state: State, number: int) -> None:
    """Wait until so many were settled."""
    await eventually(lambda: sum(one.settled_at is not None for one in state.history()) >= number)


def test_an_alert_reaches_everybody_once(tmp_path: Path) -> None:
    """It fires, is acknowledged where that counts, and ends; a restart in between repeats and forgets nothing."""
    first = replace(alert(severity="critical"), starts_at=NOW_MS, ends_at=NOW_MS + 3_600_000)

    async def main(hook: Receiver) -> None:
        async with server(tmp_path, hook) as (dispatcher, delivery, state):
            dispatcher.put([first], NOW_MS)
            dispatcher.tick(NOW_MS + 1000)
            delivery.wake()
            await settled(state, 2)
        async with server(tmp_path, hook) as (dispatcher, delivery, state):
            dispatcher.put([first], NOW_MS + 2000)
            dispatcher.tick(NOW_MS + 2000)
            dispatcher.acknowledge([first.id], "ana", "on it", NOW_MS + 3000)
            delivery.wake()
            await settled(state, 3)
            dispatcher.put([replace(first, ends_at=NOW_MS + 4000)], NOW_MS + 4000)
            dispatcher.tick(NOW_MS + 20_000)
            delivery.wake()
            await settled(state, 5)
            assert {one.attempts[0].answer for one in state.history()} == {"200 ok"}

    with receiving() as hook:
        asyncio.run(main(hook))
    actions = [got.json["event_action"] for got in hook.got if got.path == "/pagerduty"]
    states = [got.json["status"] for got in hook.got if got.path == "/hook"]
    assert actions == ["trigger", "acknowledge", "resolve"]
    assert states == ["firing", "resolved"]


def test_every_runbook_that_matches_is_run(tmp_path: Path) -> None:
    """Wherever it stands in the list."""

    async def main(hook: Receiver) -> None:
        books = [f"{{name: {one}, matchers: [alertname!=none], url: '{hook.url}/{one}'}}" for one in "abc"]
        text = f"runbooks: [{', '.join(books)}]"
        async with server(tmp_path, hook, text) as (dispatcher, delivery, state):
            dispatcher.put([replace(alert(), ends_at=NOW_MS + 3_600_000)], NOW_MS)
            dispatcher.tick(NOW_MS + 1000)
            delivery.wake()
            await settled(state, 5)

    with receiving() as hook:
        asyncio.run(main(hook))
    assert {got.path for got in hook.got} >= {"/a", "/b", "/c"}


def test_what_could_not_be_sent_is_sent_after_a_restart(tmp_path: Path) -> None:
    """With the key of the first attempt."""

    async def main(hook: Receiver) -> None:
        async with server(tmp_path, hook) as (dispatcher, _, state):
            dispatcher.put([replace(alert(), ends_at=NOW_MS + 3_600_000)], NOW_MS)
            dispatcher.tick(NOW_MS + 1000)
            await eventually(lambda: (told := state.history()) and all(one.attempts for one in told))
        hook.reply(Reply())
        async with server(tmp_path, hook) as (_, _, state):
            await settled(state, 2)

    with receiving() as hook:
        hook.reply(Reply(503, b"down"))
        asyncio.run(main(hook))
    for path in ("/hook", "/pagerduty"):
        assert len({got.headers["idempotency-key"] for got in hook.got if got.path == path}) == 1


@pytest.mark.slow
def test_a_server_that_is_killed_while_it_tells(tmp_path: Path) -> None:
    """Who was told is not told again; who was being told is, with the same key, so that it can know."""
    config, gate = tmp_path / "alertmanager.yml", threading.Event()
    command = [sys.executable, "-m", "tests.server.notify.teller", str(config), str(tmp_path / "state"), str(NOW_MS)]
    root = Path(__file__).parents[3]

    def answer(got: Got) -> Reply:
        if got.path == "/pagerduty":
            gate.wait(60)
        return Reply()

    with receiving() as hook:
        hook.answer = answer
        config.write_text(CONFIG.format(url=hook.url))
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as teller:
            assert teller.stdout is not None
            while teller.stdout.readline() != "1\n":
                assert teller.poll() is None
            wait_for(lambda: len(hook.got) == 2, what="both to be told")
            teller.kill()
        gate.set()
        subprocess.run(command, cwd=root, check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert sorted(got.path for got in hook.got) == ["/hook", "/pagerduty", "/pagerduty"]
    assert len({got.headers["idempotency-key"] for got in hook.got if got.path == "/pagerduty"}) == 1
