"""What all channels have in common: any text can be told, faults are told apart, and no secret is."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.errors import DeliveryError
from mirante.server.alert import Alert
from mirante.server.http_client.model import PLAIN, Secret
from mirante.server.notify.channels import (
    discord,
    jira,
    mattermost,
    opsgenie,
    pagerduty,
    pushover,
    rocketchat,
    slack,
    sns,
    teams,
    telegram,
    victorops,
    wechat,
)
from mirante.server.notify.channels import email as mail
from mirante.server.notify.channels.caller import Caller, retry_after
from mirante.server.notify.channels.message import Message, cut, version4
from mirante.server.notify.channels.thread import in_thread
from mirante.server.notify.kinds import KINDS
from mirante.server.notify.notification import Notification
from tests.server.notify.receivers import NOW_MS, Reply, message, receiving, send, told

TEXTS = st.dictionaries(st.text(max_size=8), st.text(max_size=40), max_size=4)
MESSAGES = st.builds(
    told,
    st.lists(
        st.builds(
            Alert,
            TEXTS,
            TEXTS,
            st.just(NOW_MS - 1000),
            st.integers(NOW_MS - 500, NOW_MS + 500),
            st.just(NOW_MS),
            st.text(max_size=20),
        ),
        min_size=1,
        max_size=3,
    ),
    reason=st.sampled_from(["firing", "resolved", "acknowledged", "escalated"]),
    author=st.text(max_size=10),
    comment=st.text(max_size=10),
    level=st.integers(0, 2),
    group_key=st.text(max_size=20),
    group_labels=TEXTS,
)
EVERYTHING = (
    '{{ range .Alerts }}{{ .Labels.SortedPairs.Values | join " " }}{{ .Annotations }}{{ .GeneratorURL }}{{ end }}'
)
BODIES: dict[str, Callable[[Message], object]] = {
    "webhook": version4,
    "slack": slack.body,
    "pagerduty": pagerduty.body_v2,
    "opsgenie": opsgenie.create,
    "msteams": teams.card,
    "msteamsv2": teams.adaptive_card,
    "discord": discord.body,
    "telegram": telegram.body,
    "sns": sns.fields,
    "pushover": pushover.fields,
    "victorops": victorops.body,
    "wechat": wechat.body,
    "rocketchat": rocketchat.body,
    "mattermost": mattermost.body,
    "jira": jira.issue,
}


def options(kind: str) -> dict[str, Any]:
    """Every templated key of a kind with all that a template sees, beside what must be given."""
    needed = {"routing_key": Secret("k"), "api_url": "http://x", "parse_mode": "HTML"}
    return {**needed, **dict.fromkeys(KINDS[kind].templated - {"api_url", "routing_key"}, EVERYTHING)}


@pytest.mark.parametrize("kind", BODIES)
def test_any_alert_can_be_told(kind: str) -> None:
    """Whatever its labels and annotations say, the body is JSON or a form of texts."""

    @settings(max_examples=25)
    @given(MESSAGES)
    def holds(notification: Notification) -> None:
        body = BODIES[kind](message(options(kind), notification))
        assert json.loads(json.dumps(body)) == body
        if kind == "telegram":
            assert isinstance(body, dict)
            assert len(body["text"]) <= 32_768

    holds()


@given(MESSAGES)
def test_any_alert_can_be_mailed(notification: Notification) -> None:
    """No label can add a header."""
    given_options = {**options("email"), "from": "a@x.org", "headers": {"Subject": EVERYTHING, "X-Odd": EVERYTHING}}
    whole = mail.compose(message(given_options, notification), ["b@x.org"])
    head = whole.partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
    known = {b"From", b"To", b"Subject", b"X-Odd", b"Message-Id", b"Date", b"Auto-Submitted", b"MIME-Version"}
    assert {name for name in names if not name.startswith(b"Content-")} == known


@given(st.text(max_size=50), st.integers(1, 60))
def test_what_is_cut_is_not_too_long(text: str, limit: int) -> None:
    """And what fits is whole."""
    short = cut(text, limit)
    assert len(short) <= limit
    assert (short == text) is (len(text) <= limit)


@given(st.text(max_size=40) | st.integers().map(str))
def test_any_retry_after_is_a_wait_or_none(header: str) -> None:
    """Never negative, never an error."""
    wait = retry_after(header, datetime.now(UTC))
    assert wait is None or wait >= 0


def test_a_retry_after_may_be_a_date() -> None:
    """With a zone or without."""
    now = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert retry_after("Tue, 14 Nov 2023 22:13:50 GMT", now) == 30
    assert retry_after("Tue, 14 Nov 2023 22:13:50 -0000", now) == 30
    assert retry_after("Tue, 14 Nov 2023 22:13:10 GMT", now) == 0


@pytest.mark.parametrize("url", ["secret", "ftp://secret/", "http://", "http://[secret/"])
def test_a_url_that_is_none_is_not_shown(url: str) -> None:
    """It may hold a secret; a retry would not help."""
    with pytest.raises(DeliveryError) as failure:
        send("webhook", {"url": Secret(url)})
    assert "secret" not in str(failure.value)
    assert failure.value.permanent


def test_what_a_template_puts_into_a_url_is_quoted() -> None:
    """It can neither break the request nor change another one; what was quoted stays as it is."""
    odd = told(group_labels={"alertname": "a b\r\nX-Odd: 1/é"})
    with receiving() as hook:
        send("webhook", {"url": f"{hook.url}/x%20y/{{{{ .GroupLabels.alertname }}}}?a=b"}, odd)
        [got] = hook.got
    assert got.path == "/x%20y/a%20b%0D%0AX-Odd:%201/%C3%A9?a=b"
    assert "x-odd" not in got.headers


def test_an_empty_url_is_told() -> None:
    """With the name of the key."""
    with pytest.raises(DeliveryError, match="webhook_url is empty") as failure:
        send("discord", {"webhook_url": Secret()})
    assert failure.value.permanent


def test_a_receiver_that_closes_the_connection() -> None:
    """Is tried again."""

    async def main() -> None:
        async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_server(close, "127.0.0.1", 0)
        caller = Caller(PLAIN)
        async with server:
            port = server.sockets[0].getsockname()[1]
            try:
                await caller.post_json(f"http://127.0.0.1:{port}/", {}, "key")
            finally:
                await caller.close()

    with pytest.raises(DeliveryError) as failure:
        asyncio.run(main())
    assert not failure.value.permanent


def test_much_that_a_receiver_answers_is_not_read() -> None:
    """No more than 64 kB, of which the history has a line."""
    with receiving() as hook:
        hook.reply(Reply(200, b"x \n" * 100_000))
        said = send("webhook", {"url": hook.url})
    assert len(said) <= 304
    assert said.startswith("200 x x x")


def test_work_in_a_thread_goes_on_when_nobody_waits() -> None:
    """Its result is dropped without a word, even when the loop has ended."""
    gate, done = threading.Event(), threading.Event()

    def work() -> int:
        gate.wait(60)
        done.set()
        return 1

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await in_thread(work)
        gate.set()
        await asyncio.to_thread(done.wait, 60)
        assert await in_thread(lambda: 2) == 2  # what the first thread left has been dealt with

    asyncio.run(impatient())


def test_the_same_message_says_the_same_twice() -> None:
    """A retry has the body of the first attempt."""
    first = message(options("slack"))
    assert slack.body(first) == slack.body(replace(first))
