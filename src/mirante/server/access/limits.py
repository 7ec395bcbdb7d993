"""What one sender may send: so many bytes and items a second, and so many series.

A sender is a token, or an address where no token is asked for. Rates are buckets that hold ten seconds' worth: a
request is taken as long as its sender's bucket holds anything, and what it brings is taken out afterwards, down into
debt. So no request is refused half, and what is too much is waited for.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mirante._core.clock import SYSTEM_CLOCK, Clock
from mirante.metrics import Registry, counter
from mirante.server.access.guard import ASKING
from mirante.server.access.rights import right_for

_BURST = 10.0
"""Seconds' worth that a bucket holds."""
_SENDERS = 10_000
"""Senders remembered; the one that was silent for longest is forgotten first."""
_WINDOW = 3600.0
"""Seconds after which a series that does not come any more begins not to count."""

Rate = str
RATES: Mapping[Rate, str] = {"bytes": "bytes", "metrics": "samples", "traces": "spans", "logs": "log records"}
"""What is limited, by the name of the signal as the receivers count it, and what it is called."""


@dataclass(frozen=True, slots=True)
class TooMuch:
    """Why a request is not taken now.

    Attributes:
        sentence: for the sender.
        wait: seconds after which it may be.
    """

    sentence: str
    wait: float


class _Sender:
    """What one sender has used."""

    def __init__(self, now: float) -> None:
        self.since = dict.fromkeys(RATES, now)
        self.left: dict[str, float] = {}
        self.rotated = now
        self.series: set[int] = set()
        self.earlier: set[int] = set()


class SenderLimits:
    """Decides who has to wait, and charges for what came. Any thread may call.

    Args:
        rates: units a second by ``RATES``; what is missing or 0 is not limited.
        series: series of the last hour or two, or 0 for any number.
        registry: where refusals are counted.
        clock: the time.

    Example:
        >>> limits = SenderLimits({"metrics": 10}, 0, Registry())
        >>> limits.charge("metrics", 150)
        >>> print(limits.check().sentence)
        More than 10 samples a second from this sender; wait, or raise limits.samples_per_second.
    """

    def __init__(
        self, rates: Mapping[Rate, float], series: int, registry: Registry, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._rates = {name: rate for name, rate in rates.items() if rate > 0}
        self._most_series = series
        self._clock = clock
        self._lock = threading.Lock()
        self._senders: OrderedDict[str, _Sender] = OrderedDict()
        self._refused = counter(
            "mirante_ingest_limited",
            "Requests that were refused because their sender had sent too much.",
            labels=("limit",),
            registry=registry,
        )

    def check(self) -> TooMuch | None:
        """Whether the sender of the request that is being served has to wait."""
        if not self._rates:
            return None
        with self._lock:
            sender = self._sender()
            for name, rate in self._rates.items():
                left = self._filled(sender, name, rate)
                if left <= 0:
                    self._refused.labels(RATES[name]).inc()
                    return TooMuch(_sentence(name, rate), max(1.0, -left / rate))
        return None

    def charge(self, what: Rate, amount: float) -> None:
        """Take out of the sender's bucket what came."""
        rate = self._rates.get(what)
        if rate is not None:
            with self._lock:
                sender = self._sender()
                sender.left[what] = self._filled(sender, what, rate) - amount

    def admit(self, keys: Iterable[int]) -> TooMuch | None:
        """Take note of series, or tell that there are too many; then none of them is noted.

        Args:
            keys: a number for each series, the same whenever it comes.
        """
        if not self._most_series:
            return None
        with self._lock:
            sender = self._sender()
            self._rotate(sender)
            fresh = sender.series.union(keys)
            if len(fresh | sender.earlier) > self._most_series and not fresh <= sender.series | sender.earlier:
                self._refused.labels("series").inc()
                told = f"More than {self._most_series} series from this sender; send fewer, or raise limits.series."
                return TooMuch(told, 60.0)
            sender.series = fresh
        return None

    def _sender(self) -> _Sender:
        asking = ASKING.get()
        name = asking.name if asking is not None else ""
        found = self._senders.get(name)
        if found is None:
            found = self._senders[name] = _Sender(self._clock.monotonic())
            if len(self._senders) > _SENDERS:
                self._senders.popitem(last=False)
        self._senders.move_to_end(name)
        return found

    def _filled(self, sender: _Sender, name: Rate, rate: float) -> float:
        now = self._clock.monotonic()
        room = rate * _BURST
        left = min(room, sender.left.get(name, room) + (now - sender.since[name]) * rate)
        sender.left[name], sender.since[name] = left, now
        return left

    def _rotate(self, sender: _Sender) -> None:
        now = self._clock.monotonic()
        if now - sender.rotated >= _WINDOW:
            sender.earlier, sender.series, sender.rotated = sender.series, set(), now


class LimitGuard:
    """Lets a sender that has to wait know so, before its body is read, and charges for the bytes. Stands in the door.

    Args:
        app: what is behind it.
        limits: what one sender may send.
    """

    def __init__(self, app: ASGIApp, limits: SenderLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or answer 429 with ``Retry-After``."""
        if scope["type"] != "http" or right_for(scope["method"], scope["path"]) != "write":
            await self._app(scope, receive, send)
            return
        if (found := self._limits.check()) is not None:
            headers = {"Retry-After": str(math.ceil(found.wait))}
            await PlainTextResponse(found.sentence + "\n", 429, headers)(scope, receive, send)
            return

        async def weigh() -> Message:
            message = await receive()
            self._limits.charge("bytes", len(message.get("body", b"")))
            return message

        await self._app(scope, weigh, send)


_SETTINGS = {
    "bytes": "bytes_per_second",
    "metrics": "samples_per_second",
    "traces": "spans_per_second",
    "logs": "log_records_per_second",
}


def _sentence(name: Rate, rate: float) -> str:
    return f"More than {rate:g} {RATES[name]} a second from this sender; wait, or raise limits.{_SETTINGS[name]}."
