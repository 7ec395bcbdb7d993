"""Requests to a receiver: what counts as arrived, what may be tried again, and when."""

from __future__ import annotations

import os
import socket
from base64 import b64decode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from mirante.errors import ConfigError, DeliveryError
from mirante.exporters.http import Connection
from tests.sdk.exporters.receiver import Answer, Receiver, receiving
from tests.sdk.telemetry.support import FakeClock


def connection(url: str, timeout: float = 5.0, **headers: str) -> Connection:
    """To that receiver."""
    return Connection(url, timeout, headers, FakeClock())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """One that takes everything."""
    with receiving() as one:
        yield one


def test_a_request_carries_its_headers_and_body(receiver: Receiver) -> None:
    """Those of the connection and its own."""
    mine = connection(receiver.url + "/", Tenant="a")
    answer = mine.request("POST", "/x", body=b"hello", headers={"Kind": "b"})
    mine.close()
    assert answer.status == 204
    (got,) = receiver.requests
    assert (got.method, got.path, got.body) == ("POST", "/x", b"hello")
    assert (got.headers["Tenant"], got.headers["Kind"], got.headers["User-Agent"]) == ("a", "b", "mirante")


def test_one_connection_serves_many_requests_until_it_is_closed(receiver: Receiver) -> None:
    """Then a new one is made; closing what was never opened does no harm."""
    mine = connection(receiver.url)
    mine.close()
    for _ in range(3):
        mine.request("POST")
    assert receiver.connections == 1
    mine.close()
    mine.request("POST")
    mine.close()
    assert receiver.connections == 2


def test_a_forked_child_opens_its_own(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes on one socket would mix their requests."""
    mine = connection(receiver.url)
    mine.request("POST")
    monkeypatch.setattr(os, "getpid", lambda: -1)
    mine.request("POST")
    mine.close()
    assert receiver.connections == 2


def test_user_and_password_in_the_url_are_basic_authentication(receiver: Receiver) -> None:
    """And appear in no error message; an explicit header wins."""
    url = receiver.url.replace("://", "://me:s%40cret@")
    mine = connection(url)
    mine.request("POST")
    other = connection(url, Authorization="Bearer t")
    other.request("POST")
    mine.close()
    other.close()
    scheme, token = receiver.requests[0].headers["Authorization"].split()
    assert (scheme, b64decode(token)) == ("Basic", b"me:s@cret")
    assert receiver.requests[1].headers["Authorization"] == "Bearer t"
    assert "cret" not in mine.url


@pytest.mark.parametrize("url", ["", "localhost:9091", "ftp://x/", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """With an example of one."""
    with pytest.raises(ConfigError, match="expected a URL such as http://127.0.0.1:9091"):
        connection(url)


@pytest.mark.parametrize(
    ("status", "permanent"), [(301, True), (400, True), (404, True), (429, False), (500, False), (503, False)]
)
def test_an_error_says_whether_trying_again_can_help(status: int, permanent: bool) -> None:
    """And what the receiver said, shortened."""
    with receiving(Answer(status, body=b"because " + b"x" * 1000)) as receiver:
        mine = connection(receiver.url)
        with pytest.raises(DeliveryError, match=f"{receiver.url} answered {status}: because xxx") as caught:
            mine.request("POST")
        mine.close()
    assert caught.value.permanent is permanent
    assert caught.value.retry_after is None
    assert len(str(caught.value)) < 600


def test_a_status_may_be_accepted() -> None:
    """By whoever knows what to do about it."""
    with receiving(Answer(415)) as receiver:
        mine = connection(receiver.url)
        assert mine.request("POST", accept=(415,)).status == 415
        mine.close()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17.0),
        (format_datetime(datetime.fromtimestamp(FakeClock().now, UTC) + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(datetime.fromtimestamp(FakeClock().now, UTC) - timedelta(seconds=90), usegmt=True), 0.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    """What is neither is ignored."""
    with receiving(Answer(503, {"Retry-After": header})) as receiver:
        mine = connection(receiver.url)
        with pytest.raises(DeliveryError) as caught:
            mine.request("POST")
        mine.close()
    assert caught.value.retry_after == seconds


def test_nobody_there_may_pass() -> None:
    """A refused connection, and one that nobody answers."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(DeliveryError, match="cannot be reached") as refused:
            connection(f"http://127.0.0.1:{port}").request("POST")
        silent.listen()
        mine = connection(f"http://127.0.0.1:{port}", timeout=0.05)
        with pytest.raises(DeliveryError, match="cannot be reached") as unanswered:
            mine.request("POST")
        mine.close()
    assert not refused.value.permanent
    assert not unanswered.value.permanent
