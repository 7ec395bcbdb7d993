"""What an application asks of the server: until it is answered, once, and never at the host's expense."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from mirante.config import SdkSettings
from mirante.exporters.server_settings import SettingsPush
from mirante.testing.clock import FakeClock
from tests.sdk.exporters.receiver import Answer
from tests.sdk.settings_receiver import Asked, SettingsReceiver, receiving_settings

INTERVAL = 10.0


@pytest.fixture
def receiver() -> Iterator[SettingsReceiver]:
    """A server."""
    with receiving_settings() as found:
        yield found


def asking(
    receiver: SettingsReceiver, wishes: dict[str, Any], clock: FakeClock | None = None, interval: float = INTERVAL
) -> SettingsPush:
    """An application that wants that."""
    settings = SdkSettings(endpoint=receiver.url + "/", token="t", export_interval=interval, shutdown_timeout=60)  # noqa: S106 - made up
    return SettingsPush(settings, lambda: dict(wishes), clock or FakeClock())  # a thread may be reading it


def test_what_is_wanted_is_asked_for_once_and_with_the_token(receiver: SettingsReceiver) -> None:
    """Again when it changes; taken back when it is not wanted any more; what was never wanted is never mentioned."""
    wishes: dict[str, Any] = {"retention": {"metrics_days": 15}, "alerts": None}
    push = asking(receiver, wishes)
    push.push()
    push.push()
    assert receiver.asked == [Asked("PUT", "retention", {"metrics_days": 15}, "Bearer t")]
    wishes["retention"] = {"metrics_days": 7}
    push.push()
    wishes["retention"] = None
    push.push()
    push.push()
    assert [(one.method, one.document) for one in receiver.asked[1:]] == [
        ("PUT", {"metrics_days": 7}),
        ("DELETE", None),
    ]


def test_what_is_refused_is_told_once_with_the_reason(
    receiver: SettingsReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not asked for again before something else is wanted; the rest is asked for all the same."""
    wishes: dict[str, Any] = {"rules/shop": {"groups": []}, "retention": {"metrics_days": 15}}
    push = asking(receiver, wishes)
    receiver.answers = [Answer(403, body=b"The token 'shop' has not the right to configure")] * 2
    with caplog.at_level(logging.WARNING, logger="mirante"):
        push.push()
        push.push()
    assert [one.path for one in receiver.asked] == ["rules/shop", "retention"]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0].startswith("the server refused the settings 'rules/shop': ")
    assert "has not the right to configure" in told[0]
    wishes["rules/shop"] = {"groups": [1]}
    push.push()
    assert receiver.asked[-1].document == {"groups": [1]}


def test_a_server_that_is_away_is_asked_again_less_and_less_often(
    receiver: SettingsReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    """And at once when the process is about to leave."""
    clock = FakeClock()
    push = asking(receiver, {"retention": {"metrics_days": 15}}, clock)
    receiver.answers = [Answer(503)] * 3 + [Answer(503, {"Retry-After": "1000"})]

    def asked_after(seconds: float) -> int:
        clock.advance(seconds)
        push.push()
        return len(receiver.asked)

    with caplog.at_level(logging.WARNING, logger="mirante"):
        assert asked_after(0) == 1
    assert "settings were not delivered" in caplog.text
    assert asked_after(INTERVAL / 2 - 1) == 1
    assert asked_after(1) == 2
    assert asked_after(INTERVAL) == 2
    assert asked_after(INTERVAL / 2) == 3
    assert asked_after(4 * INTERVAL) == 4
    assert asked_after(999) == 4
    assert asked_after(1) == 5
    assert asked_after(0) == 5


def test_what_is_left_is_asked_for_when_the_process_leaves(receiver: SettingsReceiver) -> None:
    """Whatever the server had said of waiting; nothing begins any more after that."""
    push = asking(receiver, {"retention": {"metrics_days": 15}})
    receiver.answers = [Answer(503, {"Retry-After": "1000"})]
    push.push()
    push.ask_to_stop(flush=True)
    push.push()
    assert len(receiver.asked) == 2
    push.start()
    assert push._periodic._thread is None


@pytest.mark.slow
def test_there_is_a_thread_from_the_time_on_when_something_is_wanted(receiver: SettingsReceiver) -> None:
    """Which asks again and again, and ends with a last time."""
    wishes: dict[str, Any] = {"retention": None}
    push = asking(receiver, wishes, interval=0.01)
    push.start()
    assert push._periodic._thread is None
    wishes["retention"] = {"metrics_days": 1}
    push.start()
    assert receiver.wait("PUT", "retention") == {"metrics_days": 1}
    wishes["alerts"] = {"email": "a@b"}
    assert push.stop(flush=True)
    assert receiver.wait("PUT", "alerts") == {"email": "a@b"}


def test_a_forked_child_does_not_ask_for_what_its_parent_was_given(receiver: SettingsReceiver) -> None:
    """Only for what it wants itself."""
    wishes: dict[str, Any] = {"retention": {"metrics_days": 1}}
    push = asking(receiver, wishes)
    push.push()
    child = push.in_child()
    child.push()
    assert len(receiver.asked) == 1
    wishes["alerts"] = {"email": "a@b"}
    child.push()
    assert [one.path for one in receiver.asked] == ["retention", "alerts"]
