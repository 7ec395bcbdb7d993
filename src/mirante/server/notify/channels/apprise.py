"""``apprise_configs``: any of the services that the apprise library reaches.

Source: github.com/caronc/apprise, README, "Developer API Usage".
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextvars import ContextVar
from functools import partial
from typing import Self

from mirante.errors import DeliveryError
from mirante.server.http_client.model import Secret
from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message
from mirante.server.notify.channels.thread import in_thread

_REFUSED = re.compile(r"error[=:] ?4(?!08|29)\d\d")


async def send(message: Message, caller: Caller) -> str:
    """Tell every URL; one that was told already is not told again by a retry.

    Raises:
        DeliveryError: one could not be told.
    """
    urls = [part for entry in message.get("urls", ()) for part in _read(message, entry).split()]
    as_html = message.get("format", "text") == "html"
    body = message.with_notice(message.html("body") if as_html else message.text("body"))
    style = str(message.get("format", "text"))
    return await tell(urls, message.text("title"), body, message.done, firing=message.firing, style=style)


def _read(message: Message, entry: Secret) -> str:
    try:
        return message.render(entry.read())
    except OSError as error:
        raise DeliveryError(f"the URL cannot be read: {error}") from error


async def tell(urls: Sequence[str], title: str, body: str, done: set[str], *, firing: bool, style: str = "text") -> str:
    """Tell each URL that is not among ``done``, which takes those that were told.

    Raises:
        DeliveryError: one could not be told, with what apprise says of it.
    """
    failures: list[DeliveryError] = []
    answers: list[str] = []
    for url in urls:
        if url in done:
            continue
        try:
            answers.append(await in_thread(partial(_tell, url, title, body, style, firing=firing)))
            done.add(url)
        except DeliveryError as error:
            failures.append(error)
    if failures:
        raise DeliveryError("; ".join(map(str, failures)), permanent=all(error.permanent for error in failures))
    return "; ".join(answers) or "every URL was told before"


def _tell(url: str, title: str, body: str, style: str, *, firing: bool) -> str:
    """In a thread of its own, because apprise waits for the network."""
    import apprise

    schema = url.partition(":")[0]
    with _Heard() as heard:
        service = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False))
        if not service.add(url):
            raise DeliveryError(f"apprise cannot use this URL of {schema}", permanent=True)
        kind = apprise.NotifyType.FAILURE if firing else apprise.NotifyType.SUCCESS
        told = service.notify(body=body, title=title, body_format=apprise.NotifyFormat(style), notify_type=kind)
        if not told:
            raise DeliveryError(f"{schema}: {heard}", permanent=bool(_REFUSED.search(str(heard))))
    return f"{schema}: sent"


_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)  # apprise's own threads are given it too


class _Heard(logging.Filter):
    """Takes what apprise logs on our behalf: its answer is no more than yes or no, and its log may show whole URLs."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        _heard.set(self._lines)
        logging.getLogger("apprise").addFilter(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("apprise").removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        if _heard.get() is not self._lines:
            return True
        if record.levelno >= logging.WARNING:
            self._lines.append(" ".join(record.getMessage().split()))
        return False

    def __str__(self) -> str:
        return " ".join(self._lines) or "it was not sent, and apprise does not say why"
