"""What is delivered when a server has stopped, and how long that may take."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest

from mirante._core.serving import at_server_start, at_server_stop, server_started, server_stopped
from mirante.integrations.lifespan import delivering


@pytest.fixture(autouse=True)
def _nothing_registered() -> Iterator[None]:
    """Before and after each test."""
    at_server_stop(None)
    yield
    at_server_stop(None)


def test_what_is_registered_is_called_with_its_time_each_time() -> None:
    """Until it is taken away; the process may go on."""
    called: list[float] = []
    at_server_stop(called.append, 60.0)
    server_stopped()
    server_stopped()
    at_server_stop(None)
    server_stopped()
    assert called == [60.0, 60.0]


def test_a_delivery_that_hangs_is_not_waited_for() -> None:
    """Its thread keeps nothing alive."""
    hang = threading.Event()
    threads: list[threading.Thread] = []

    def deliver(_: float) -> None:
        threads.append(threading.current_thread())
        hang.wait(60)

    at_server_stop(deliver, 0.1)
    server_stopped()
    assert threads[0].daemon
    hang.set()
    threads[0].join(60)


@pytest.mark.parametrize("last", ["lifespan.shutdown.complete", "lifespan.shutdown.failed"])
def test_a_lifespan_delivers_before_it_says_that_it_is_over(last: str) -> None:
    """Afterwards the server may be gone."""
    seen: list[str] = []
    at_server_stop(lambda _: seen.append("delivered"), 60.0)

    async def send(message: MutableMapping[str, Any]) -> None:
        seen.append(message["type"])

    async def main() -> None:
        delivering_send = delivering(send)
        await delivering_send({"type": "lifespan.startup.complete"})
        await delivering_send({"type": last})

    asyncio.run(main())
    assert seen == ["lifespan.startup.complete", "delivered", last]


def test_who_asked_is_told_of_every_start() -> None:
    """Until it asks no more; where nobody asked, nothing happens."""
    server_started()
    told: list[int] = []
    at_server_start(lambda: told.append(1))
    server_started()
    server_started()
    at_server_start(None)
    server_started()
    assert told == [1, 1]
