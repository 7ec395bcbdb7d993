"""Requests to a receiver of telemetry: one connection kept open, faults told apart by whether a retry can help."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from mirante._core.clock import Clock
from mirante.errors import ConfigError, DeliveryError

if TYPE_CHECKING:
    import urllib3


def transient(status: int) -> bool:
    """Whether a request that was answered so may succeed later: too many requests, or a fault of the server."""
    return status == 429 or status >= 500


class Tls(NamedTuple):
    """Files (PEM) for ``https``.

    Attributes:
        ca: certificates that are trusted; the system's when not given.
        certificate: the chain that this side shows, if any.
        key: its private key, where it is not in the same file.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Connection:
    """Sends requests to one address, from any thread.

    Args:
        url: the receiver, ``http`` or ``https``; ``user:password@`` before the host becomes basic authentication.
        timeout: seconds to connect, and as many to be answered.
        headers: sent with every request.
        clock: tells how long it is until the date that a ``Retry-After`` names.
        retryable: tells from the status of an answer whether a retry can help.
        tls: whom to trust and what to show.

    Attributes:
        url: the address without user and password, and without a slash at the end.
        timeout: seconds, see above; may be changed.

    Raises:
        ConfigError: the URL is none.

    Example:
        >>> from mirante._core.clock import SYSTEM_CLOCK
        >>> Connection("http://me:secret@127.0.0.1:9091/", 5.0, {}, SYSTEM_CLOCK).url
        'http://127.0.0.1:9091'
    """

    def __init__(
        self,
        url: str,
        timeout: float,
        headers: Mapping[str, str],
        clock: Clock,
        retryable: Callable[[int], bool] = transient,
        tls: Tls = Tls(),  # noqa: B008 - a tuple
    ) -> None:
        for module in ("urllib3", "encodings.idna"):  # the latter is what looking a host up needs
            # Now, because it takes 30 ms, and here: a child that is forked while the thread that sends first is in the
            # middle of an import can never import that again.
            import_module(module)
        self.url, user = _without_user(url)
        self.timeout = timeout
        self._headers = {"User-Agent": "mirante", **user, **headers}
        self._clock = clock
        self._retryable = retryable
        self._tls = tls
        self._pool: urllib3.PoolManager | None = None
        self._pool_pid = 0

    def request(
        self,
        method: str,
        path: str = "",
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request to ``url + path`` and give the answer: its status is 2xx or one of ``accept``.

        With ``stream`` its body is not read yet: whoever asked reads it, and closes it.

        Raises:
            DeliveryError: it did not arrive, or was answered with another status.
        """
        import urllib3

        url = self.url + path
        try:
            response = self._connections().request(
                method,
                url,
                body=body,
                headers={**self._headers, **(headers or {})},
                timeout=urllib3.Timeout(connect=self.timeout, read=self.timeout),
                retries=False,
                preload_content=not stream,
            )
        except urllib3.exceptions.HTTPError as error:
            raise DeliveryError(f"{url} cannot be reached: {error}") from error
        if 200 <= response.status < 300 or response.status in accept:
            return response
        said = response.data[:500].decode("utf-8", "replace").strip()
        raise DeliveryError(
            f"{url} answered {response.status}: {said}",
            retry_after=self._seconds(response.headers.get("Retry-After")),
            permanent=not self._retryable(response.status),
        )

    def close(self) -> None:
        """Close what is open; the next request opens it again."""
        if self._pool is not None:
            self._pool.clear()

    def _connections(self) -> urllib3.PoolManager:
        import urllib3

        if self._pool is None or self._pool_pid != os.getpid():  # a forked child must not write to its parent's sockets
            files = {"ca_certs": self._tls.ca, "cert_file": self._tls.certificate, "key_file": self._tls.key}
            given: dict[str, Any] = {name: str(path) for name, path in files.items() if path is not None}
            self._pool = urllib3.PoolManager(num_pools=1, maxsize=4, **given)
            self._pool_pid = os.getpid()
        return self._pool

    def _seconds(self, retry_after: str | None) -> float | None:
        """How long to wait: the header has a number of seconds or a date (RFC 9110, 10.2.3)."""
        if not retry_after:
            return None
        if retry_after.isdecimal():
            return float(retry_after)
        from email.utils import parsedate_to_datetime

        try:
            until = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        now = datetime.fromtimestamp(self._clock.time_ns() / 1e9, UTC)
        return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())


def _without_user(url: str) -> tuple[str, dict[str, str]]:
    """The URL without user and password, and the header that says them."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{url!r} cannot be used: expected a URL such as http://127.0.0.1:9091", key="url")
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url.rstrip("/"), {}
    from base64 import b64encode

    token = b64encode(unquote(user).encode()).decode()
    return parts._replace(netloc=host).geturl().rstrip("/"), {"Authorization": f"Basic {token}"}
