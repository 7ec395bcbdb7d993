"""The delivery: what is sent when, again and in order; with real receivers and a clock that moves when told."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mirante.errors import ConfigError
from mirante.server.http_client.model import PLAIN, HttpClient, Tls
from mirante.server.notify.delivery import AT_ONCE, EACH, GIVE_UP_MS, Delivery
from mirante.server.notify.model import Integration, NotifyConfig, Receiver, Route, Runbook
from mirante.server.notify.notification import Attempt, Notification
from mirante.server.notify.trouble import QUIET_MS
from tests.peers import free_port
from tests.server.notify.passing import Time
from tests.server.notify.receivers import NOW_MS, TEMPLATES, Got, Reply, alert, receiving, told
from tests.server.notify.receivers import Receiver as Hook
from tests.waiting import eventually


@dataclass
class Entry:
    """A notification in the outbox."""

    told: Notification
    due: int
    settled: bool = False
    attempts: list[Attempt] = field(default_factory=list)


@dataclass
class Box:
    """An outbox in memory, as the Protocol says; ``faults`` are raised first."""

    entries: list[Entry] = field(default_factory=list)
    reads: int = 0
    read_faults: list[Exception] = field(default_factory=list)
    write_faults: list[Exception] = field(default_factory=list)

    def add(self, *notifications: Notification) -> None:
        """Let some wait."""
        self.entries += [Entry(one, one.created_at) for one in notifications]

    def _first(self) -> list[Entry]:
        first: dict[object, Entry] = {}
        for entry in self.entries:
            if not entry.settled:
                one = entry.told
                first.setdefault((one.receiver, one.kind, one.index, one.group_key), entry)
        return list(first.values())

    def waiting(self, now: int) -> Sequence[Notification]:
        """Those that are due."""
        self.reads += 1
        if self.read_faults:
            raise self.read_faults.pop()
        return [entry.told for entry in self._first() if entry.due <= now]

    def next_at(self) -> int | None:
        """When the next one is."""
        return min((entry.due for entry in self._first()), default=None)

    def attempted(self, notification: Notification, attempt: Attempt, retry_at: int | None) -> None:
        """Note it."""
        if self.write_faults:
            raise self.write_faults.pop()
        entry = next(one for one in self.entries if one.told.id == notification.id)
        entry.attempts.append(attempt)
        entry.settled, entry.due = retry_at is None, retry_at or 0

    def answers(self) -> list[list[str]]:
        """Of each notification, what its attempts were answered."""
        return [[attempt.answer for attempt in entry.attempts] for entry in self.entries]


@dataclass
class Scene:
    """A delivery at work."""

    box: Box
    time: Time
    delivery: Delivery
    hook: Hook

    async def until(self, condition: Callable[[], bool], passing: float = 0.0) -> None:
        """Wait for what other threads do, while so many seconds pass again and again."""
        await eventually(condition, lambda: self.time.advance(passing))

    async def attempts(self, number: int, of: int = 0, passing: float = 0.0) -> Entry:
        """Wait until a notification had so many."""
        await self.until(lambda: len(self.box.entries[of].attempts) >= number, passing)
        return self.box.entries[of]

    def samples(self) -> dict[str, float]:
        """The metrics that are not zero."""
        return {
            f"{sample.name}{sorted(sample.labels.values())}": sample.value
            for family in self.delivery.collect()
            for sample in family.samples
            if sample.value and "latency" not in sample.name and "_created" not in sample.name
        }


def config(url: str, *, http: HttpClient = PLAIN, runbooks: tuple[Runbook, ...] = (), **options: Any) -> NotifyConfig:
    """A receiver ``team`` with a webhook."""
    hook = Integration("webhook", 0, {"url": url, **options}, http=http)
    odd = Integration("carrier_pigeon", 0, {})
    receivers = {f"team{number}": Receiver(f"team{number}", (hook,)) for number in range(AT_ONCE)}
    receivers |= {"team": Receiver("team", (hook,)), "odd": Receiver("odd", (odd,))}
    return NotifyConfig(Route("team"), receivers, runbooks=runbooks)


@asynccontextmanager
async def scene(hook: Hook, *waiting: Notification, **options: Any) -> AsyncIterator[Scene]:
    """A delivery that has begun."""
    box, time = Box(), Time()
    box.add(*waiting)
    prepared = Delivery.prepare(config(**{"url": hook.url, **options}), TEMPLATES)
    delivery = Delivery(box, prepared, clock=time, sleep=time.sleep, chance=lambda: 0.5)
    delivery.start()
    try:
        yield Scene(box, time, delivery, hook)
    finally:
        time.now += 3600
        stopping = asyncio.ensure_future(delivery.stop())
        while not stopping.done():
            time.advance(1)
            await asyncio.sleep(0.001)
        await stopping


def play(act: Callable[[Hook], Coroutine[Any, Any, None]]) -> None:
    """Run a test with a receiver."""
    with receiving() as hook:
        asyncio.run(act(hook))


def group(name: str, **changes: Any) -> Notification:
    """A notification of a group of that name."""
    return told([alert(name)], id=f"id-{name}", group_key=name, group_labels={"alertname": name}, **changes)


def test_what_waits_is_sent_and_settled() -> None:
    """Once; what comes later too, when it is told of."""

    async def act(hook: Hook) -> None:
        async with scene(hook, group("a"), group("b")) as on:
            await on.attempts(1, 1)
            on.box.add(group("c"))
            on.delivery.wake()
            await on.attempts(1, 2)
            assert on.box.answers() == [["200 ok"]] * 3
            assert all(entry.settled and entry.attempts[0].ok for entry in on.box.entries)
            assert sorted(got.json["groupKey"] for got in hook.got) == ["a", "b", "c"]
            assert on.samples() == {
                "mirante_notifications_total['sent', 'team', 'webhook']": 3,
                "mirante_notification_attempts_total['sent', 'team', 'webhook']": 3,
                "alertmanager_notifications_total['webhook']": 3,
                "alertmanager_notification_requests_total['webhook']": 3,
            }

    play(act)


def test_what_fails_is_tried_again_later_and_later() -> None:
    """With the same key, so that a receiver that took it without an answer knows it again."""

    async def act(hook: Hook) -> None:
        hook.reply(Reply(503, b"no"), Reply(500, b"no"), Reply(502, b"no"), Reply())
        async with scene(hook, group("a")) as on:
            due = NOW_MS
            for number, wait in enumerate((0.5, 0.75, 1.125), 1):
                entry = await on.attempts(number, passing=0.125)
                assert entry.attempts[-1].at >= due
                due = entry.due
                assert due == entry.attempts[-1].at + wait * 1000
            entry = await on.attempts(4, passing=0.125)
            assert [one.ok for one in entry.attempts] == [False, False, False, True]
            assert entry.settled
            assert {got.headers["idempotency-key"] for got in hook.got} == {"id-a"}
            assert on.samples()["alertmanager_notification_requests_failed_total['webhook']"] == 3
            assert "alertmanager_notifications_failed_total['clientError', 'webhook']" not in on.samples()

    play(act)


def test_waits_grow_to_a_minute_and_end_after_a_day() -> None:
    """Which the history and the metrics tell."""

    async def act(hook: Hook) -> None:
        hook.reply(Reply(503, b"no"))
        async with scene(hook, group("a")) as on:
            waits = []
            for number in range(1, 17):
                entry = await on.attempts(number, passing=60)
                waits.append(entry.due - entry.attempts[-1].at)
            assert waits == sorted(waits)
            assert waits[-2:] == [60_000, 60_000]
            on.time.advance(GIVE_UP_MS / 1000)
            entry = await on.attempts(17, passing=60)
            assert entry.settled
            assert entry.attempts[-1].answer == "given up after 24 h: unexpected status 503 no"
            assert on.samples()["mirante_notifications_total['expired', 'team', 'webhook']"] == 1
            assert on.samples()["alertmanager_notifications_failed_total['serverError', 'webhook']"] == 1

    play(act)


def test_the_log_tells_when_a_receiver_fails_and_when_it_works_again(caplog: pytest.LogCaptureFixture) -> None:
    """Not at every attempt of every group: a receiver that is down for a night would fill the disk."""
    caplog.set_level(logging.INFO, "mirante.server.notify")

    async def act(hook: Hook) -> None:
        hook.reply(*[Reply(503, b"no")] * 4, Reply())
        async with scene(hook, group("a"), group("b")) as on:
            await on.until(lambda: all(entry.settled for entry in on.box.entries), passing=0.125)

    play(act)
    place = 'webhook_configs[0] of receiver "team"'
    assert len(caplog.messages) == 2
    assert caplog.messages[0].startswith(f"{place} cannot be told of alerts and is tried again for a day; ")
    assert caplog.messages[0].endswith(": unexpected status 503 no")
    assert caplog.messages[1] == f"{place} is told of alerts again"


def test_the_log_tells_again_of_a_receiver_that_goes_on_failing(caplog: pytest.LogCaptureFixture) -> None:
    """Every ten minutes, so that whoever looks at the last lines sees it."""

    async def act(hook: Hook) -> None:
        hook.reply(Reply(503, b"no"))
        async with scene(hook, group("a")) as on:
            await on.attempts(2, passing=0.125)
            assert len(caplog.messages) == 1
            on.time.advance(QUIET_MS / 1000)
            await on.until(lambda: len(caplog.messages) == 2)

    play(act)


def test_the_log_tells_of_every_notification_that_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """Which receiver, which group, why, and where to look."""

    async def act(hook: Hook) -> None:
        hook.reply(Reply(403, b"invalid_token"))
        book = Runbook("heal", (), url=hook.url)
        runbook = replace(group("b"), receiver="heal", kind="runbook")
        async with scene(hook, group("a"), runbook, runbooks=(book,)) as on:
            await on.until(lambda: len(caplog.messages) == 2)

    play(act)
    end = ", and will not be: unexpected status 403 invalid_token; look at it in the configuration"
    assert sorted(caplog.messages) == [
        f'runbook "heal" was not told of the firing group {{alertname="b"}}{end}',
        f'webhook_configs[0] of receiver "team" was not told of the firing group {{alertname="a"}}{end}',
    ]


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
def test_what_is_refused_is_not_repeated(status: int) -> None:
    """Nor does it hold up what follows it."""

    async def act(hook: Hook) -> None:
        hook.reply(Reply(status, b"never"), Reply())
        async with scene(hook, group("a"), replace(group("a", reason="repeat"), id="second")) as on:
            entry = await on.attempts(1)
            assert entry.settled
            assert entry.attempts[0].answer == f"unexpected status {status} never"
            await on.attempts(1, 1)
            assert len(hook.got) == 2

    play(act)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("Tue, 14 Nov 2023 22:13:50 GMT", 0.5), ("1000000", 3600.0), ("soon", 0.5), ("-3", 0.5)],
)
def test_a_receiver_may_say_when(header: str, seconds: float) -> None:
    """By ``Retry-After``, within reason; a date that has passed or nonsense changes nothing."""

    async def act(hook: Hook) -> None:
        hook.reply(Reply(429, b"slow", {"Retry-After": header}))
        async with scene(hook, group("a")) as on:
            entry = await on.attempts(1)
            assert entry.due == NOW_MS + seconds * 1000

    play(act)


def test_a_group_is_told_in_order() -> None:
    """While the first waits the second does; other groups do not care."""

    async def act(hook: Hook) -> None:
        broken = [True]

        def answer(got: Got) -> Reply:
            return Reply(503) if broken[0] and got.json["groupKey"] == "a" else Reply()

        hook.answer = answer
        later = told([alert("a")], id="later", group_key="a", group_labels={}, reason="resolved")
        async with scene(hook, group("a"), later, group("b")) as on:
            await on.attempts(1, 0)
            await on.attempts(1, 2)
            assert not on.box.entries[1].attempts
            broken[0] = False
            await on.attempts(1, 1, passing=0.5)
        assert [got.headers["idempotency-key"] for got in hook.got if got.json["groupKey"] == "a"] == [
            "id-a",
            "id-a",
            "later",
        ]

    play(act)


def test_a_receiver_that_hangs_holds_up_nobody_else() -> None:
    """Its attempt ends with the ``timeout`` of the integration."""

    async def act(hook: Hook) -> None:
        gate = threading.Event()

        def answer(got: Got) -> Reply:
            if got.json["groupKey"] == "stuck":
                gate.wait(60)
            return Reply()

        hook.answer = answer
        async with scene(hook, group("stuck"), group("b"), timeout=200) as on:
            await on.attempts(1, 1)
            entry = await on.attempts(1, 0)
            assert entry.attempts[0].answer == "no answer within 0.2 s"
            assert not entry.settled
            gate.set()

    play(act)


def test_a_receiver_that_is_gone_is_tried_again() -> None:
    """Until it is back."""

    async def act(hook: Hook) -> None:
        async with scene(hook, group("a"), url=f"http://127.0.0.1:{free_port()}") as on:
            entry = await on.attempts(1)
            assert entry.attempts[0].answer == "connection refused"
            on.delivery.commit(Delivery.prepare(config(hook.url), TEMPLATES))
            assert (await on.attempts(2, passing=1)).settled

    play(act)


class Gate:
    """Answers nobody until it is opened, and counts who waits."""

    def __init__(self, hook: Hook, closed_for: str = "") -> None:
        self._open, self._lock, self.waiting, self.most = threading.Event(), threading.Lock(), 0, 0
        self._closed_for = closed_for
        hook.answer = self._answer

    def open(self) -> None:
        """Let all through."""
        self._open.set()

    def _answer(self, got: Got) -> Reply:
        if got.json["receiver"].startswith(self._closed_for):
            with self._lock:
                self.waiting += 1
                self.most = max(self.most, self.waiting)
            self._open.wait(60)
            with self._lock:
                self.waiting -= 1
        return Reply()


def test_one_that_hangs_leaves_room_for_the_others() -> None:
    """However much waits for it; and thousands that wait are not read anew for each that is sent."""

    async def act(hook: Hook) -> None:
        gate = Gate(hook, "team0")
        stuck = [group(f"s{n}", receiver="team0") for n in range(20)]
        fine = [group(f"f{n}", receiver="team1") for n in range(80)]
        async with scene(hook, *stuck, *fine) as on:
            await on.until(lambda: all(entry.settled for entry in on.box.entries[20:]))
            assert gate.most == EACH
            assert not any(entry.attempts for entry in on.box.entries[:20])
            assert on.box.reads < 40
            gate.open()
            await on.until(lambda: all(entry.settled for entry in on.box.entries))
        assert gate.most == EACH
        assert len(hook.got) == 100

    play(act)


def test_so_many_are_under_way_and_no_more() -> None:
    """To all receivers together; the others follow as soon as one has ended."""

    async def act(hook: Hook) -> None:
        gate = Gate(hook)
        told_all = [group(f"{n}-{m}", receiver=f"team{n}") for m in range(2) for n in range(AT_ONCE)]
        async with scene(hook, *told_all) as on:
            await on.until(lambda: gate.waiting == AT_ONCE)
            gate.open()
            await on.until(lambda: all(entry.settled for entry in on.box.entries))
        assert gate.most == AT_ONCE
        assert len(hook.got) == 2 * AT_ONCE

    play(act)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"receiver": "gone"}, 'receiver "gone" has no webhook number 0 any more'),
        ({"index": 3}, 'receiver "team" has no webhook number 3 any more'),
        ({"receiver": "odd", "kind": "carrier_pigeon"}, "internal error: KeyError: 'carrier_pigeon'"),
    ],
)
def test_what_can_never_be_sent_is_settled(changes: dict[str, Any], answer: str) -> None:
    """A receiver that a reload took away, or a fault of our own."""

    async def act(hook: Hook) -> None:
        async with scene(hook, group("a", **changes)) as on:
            entry = await on.attempts(1)
            assert entry.settled
            assert entry.attempts[0].answer == answer

    play(act)


def test_runbooks_are_run() -> None:
    """By the name that stands for the receiver; a reload may have taken them away."""

    async def act(hook: Hook) -> None:
        books = (Runbook("heal", (), url=f"{hook.url}/heal"),)
        heal = group("a", kind="runbook", receiver="heal")
        async with scene(hook, heal, group("b", kind="runbook", receiver="gone"), runbooks=books) as on:
            await on.attempts(1, 1)
            await on.attempts(1, 0)
            assert on.box.answers() == [["200 ok"], ['receiver "gone" has no runbook number 0 any more']]

    play(act)


def test_a_reload_keeps_connections_that_stay_the_same() -> None:
    """And what is under way ends on the connection on which it began."""

    async def act(hook: Hook) -> None:
        gate = threading.Event()

        def answer(got: Got) -> Reply:
            if got.json["groupKey"] == "slow":
                gate.wait(60)
            return Reply()

        hook.answer = answer
        first = Delivery.prepare(config(hook.url), TEMPLATES)
        same = Delivery.prepare(config(f"{hook.url}/new"), TEMPLATES, first)
        key = ("team", "webhook", 0)
        assert same.callers[key] is first.callers[key]
        async with scene(hook, group("slow")) as on:
            await on.until(lambda: len(hook.got) == 1)
            other = config(f"{hook.url}/new", http=HttpClient(follow_redirects=False))
            on.delivery.commit(Delivery.prepare(other, TEMPLATES, first))
            on.box.add(group("b"))
            on.delivery.wake()
            await on.attempts(1, 1)
            gate.set()
            assert (await on.attempts(1, 0)).attempts[0].ok
        assert [got.path for got in hook.got] == ["/", "/new"]

    play(act)


def test_a_configuration_that_cannot_be_used_is_refused_whole() -> None:
    """Its place is told."""
    http = HttpClient(tls=Tls(ca_file=Path("/nonexistent/ca.pem")))
    with pytest.raises(ConfigError, match=r'tls_config of webhook_configs\[0\] of receiver "team0" cannot be used'):
        Delivery.prepare(config("http://x", http=http), TEMPLATES)


def test_who_stops_waits_for_what_is_under_way() -> None:
    """For some seconds; what did not arrive by then still waits in the outbox."""

    async def act(hook: Hook) -> None:
        gates = {"soon": threading.Event(), "never": threading.Event()}

        def answer(got: Got) -> Reply:
            gates[got.json["groupKey"]].wait(60)
            return Reply()

        hook.answer = answer
        async with scene(hook, group("soon"), group("never")) as on:
            await on.until(lambda: len(hook.got) == 2)
            stopping = asyncio.ensure_future(on.delivery.stop())
            gates["soon"].set()
            assert (await on.attempts(1, 0)).settled
            assert not stopping.done()
            await on.until(stopping.done, passing=1)
            assert not on.box.entries[1].attempts
            assert not on.box.entries[1].settled
            gates["never"].set()

    play(act)


def test_an_outbox_that_cannot_be_read_is_read_later() -> None:
    """The delivery goes on."""

    async def act(hook: Hook) -> None:
        async with scene(hook) as on:
            on.box.read_faults.append(OSError("disk I/O error"))
            on.box.add(group("a"))
            on.delivery.wake()
            assert (await on.attempts(1, passing=1)).settled
            assert not on.box.read_faults

    play(act)


def test_what_arrived_is_not_sent_again_when_the_disk_is_full() -> None:
    """The attempt is written down as soon as that is possible."""

    async def act(hook: Hook) -> None:
        async with scene(hook, group("a")) as on:
            on.box.write_faults += [OSError("no space left on device")] * 2
            assert (await on.attempts(1, passing=1)).settled
            assert not on.box.write_faults
            assert len(hook.got) == 1

    play(act)
