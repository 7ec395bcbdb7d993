"""What the tests of channels stand on: real HTTP receivers on loopback, and notifications."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from mirante.server.alert import Alert
from mirante.server.http_client.model import PLAIN, HttpClient
from mirante.server.notify.channels import SENDERS, Message
from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.model import Integration
from mirante.server.notify.notification import Notification
from mirante.server.notify.templates import Templates

NOW_MS = 1_700_000_000_000
PAGE = "http://mirante.example:8503"
TEMPLATES = Templates((), PAGE)


class Got(NamedTuple):
    """One request that a receiver had."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body as JSON."""
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        """Its body as a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True))


class Reply(NamedTuple):
    """What a receiver answers."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = {}


@dataclass
class Receiver:
    """A real HTTP server.

    Attributes:
        url: where it listens, without a slash at the end.
        got: its requests.
        answer: what it answers to one.
    """

    url: str = ""
    got: list[Got] = field(default_factory=list)
    answer: Callable[[Got], Reply] = lambda _: Reply()

    def reply(self, *replies: Reply) -> None:
        """Answer these, one after the other, and the last one from then on."""
        waiting = list(replies)
        self.answer = lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def reply_json(self, body: Mapping[str, Any], status: int = 200) -> None:
        """Answer this JSON from now on."""
        self.reply(Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"}))


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver, stopped afterwards."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): text for name, text in self.headers.items()}
            got = Got(self.command, self.path, headers, body)
            receiver.got.append(got)
            reply = receiver.answer(got)
            self.send_response(reply.status)
            for name, text in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815 - names of the base class

        def log_message(self, *_: object) -> None:
            """Nothing: the tests look at ``got``."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # or a burst of connections waits a second

        def handle_error(self, *_: object) -> None:
            """Nothing: a client that went away is what some tests are about."""

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


def alert(
    name: str = "DiskFull", *, ended: bool = False, annotations: Mapping[str, str] | None = None, **labels: str
) -> Alert:
    """An alert that fires since five minutes, or has ended a minute ago."""
    return Alert(
        {"alertname": name, **labels},
        {"summary": f"{name} on {labels.get('instance', 'all')}"} if annotations is None else annotations,
        NOW_MS - 300_000,
        NOW_MS - 60_000 if ended else NOW_MS + 240_000,
        NOW_MS,
        "http://prometheus.example/graph?g0.expr=up",
    )


FIRING = (alert(instance="db1", severity="critical"), alert(instance="db2", severity="critical"))
RESOLVED = tuple(replace(one, ends_at=NOW_MS - 60_000) for one in FIRING)


def told(alerts: Sequence[Alert] = FIRING, kind: str = "webhook", **changes: Any) -> Notification:
    """A notification of a group by ``alertname``."""
    first = Notification(
        id="01hf7",
        receiver="team",
        kind=kind,
        index=0,
        group_key='{}:{alertname="DiskFull"}',
        group_labels={"alertname": "DiskFull"},
        alerts=alerts,
        reason="firing",
        created_at=NOW_MS,
    )
    return replace(first, **changes)


def message(
    options: Mapping[str, Any], notification: Notification | None = None, done: set[str] | None = None
) -> Message:
    """An attempt."""
    notification = notification or told()
    integration = Integration(notification.kind, 0, options)
    return Message(notification, integration, TEMPLATES, NOW_MS, set() if done is None else done)


async def attempt(kind: str, of: Message, http: HttpClient = PLAIN) -> str:
    """Send by a channel, as the delivery does, and give its answer."""
    caller = Caller(http)
    try:
        async with asyncio.timeout(60):
            return await SENDERS[kind](of, caller)
    finally:
        await caller.close()


def send(
    kind: str,
    options: Mapping[str, Any],
    notification: Notification | None = None,
    *,
    http: HttpClient = PLAIN,
    done: set[str] | None = None,
) -> str:
    """The same in an event loop of its own."""
    return asyncio.run(attempt(kind, message(options, notification, done), http))
