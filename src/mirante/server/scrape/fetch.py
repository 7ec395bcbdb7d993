"""Gets the page of a target over HTTP.

aiohttp, because a thousand targets of which some hang need no thread each, connections are kept between scrapes, and
TLS, redirects and keep-alive are its authors' business. Pages are unpacked by the caller's thread, off the event loop.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import ssl
import zlib
from typing import NamedTuple

import aiohttp
import yarl

from mirante._core.version import version
from mirante.errors import ScrapeError
from mirante.server.scrape.model import Authorization, ScrapeJob, Tls

MAX_PAGE_BYTES = 128 * 1024 * 1024
"""Bound of a page where ``body_size_limit`` sets none: more than a million series."""

_KEEP_ALIVE_SECONDS = 300.0
_GZIP = 16 + zlib.MAX_WBITS
_TLS_VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_MEDIA_TYPES = {
    "OpenMetricsText1.0.0": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
    "OpenMetricsText0.0.1": "application/openmetrics-text;version=0.0.1",
    "PrometheusText1.0.0": "text/plain;version=1.0.0;escaping=allow-utf-8",
    "PrometheusText0.0.4": "text/plain;version=0.0.4",
}


class Fetched(NamedTuple):
    """An answer as it came.

    Attributes:
        body: the page, packed as ``gzip`` says.
        gzip: whether it is compressed.
        openmetrics: whether it is OpenMetrics text.
        limit: bytes that the unpacked page may have.
    """

    body: bytes
    gzip: bool
    openmetrics: bool
    limit: int

    def page(self) -> bytes:
        """The page itself.

        Raises:
            ScrapeError: it is too large or wrongly compressed.
        """
        if not self.gzip:
            return self.body
        unpack = zlib.decompressobj(_GZIP)
        try:
            page = unpack.decompress(self.body, self.limit + 1)
        except zlib.error as error:
            raise ScrapeError(f"the page cannot be decompressed: {error}") from None
        if len(page) > self.limit:
            raise too_large(self.limit)
        if not unpack.eof:
            raise ScrapeError("the page cannot be decompressed: it ends too early")
        return page


def too_large(limit: int) -> ScrapeError:
    """The error of a page above the limit."""
    return ScrapeError(f"body size limit exceeded: the page has more than {limit} bytes (body_size_limit)")


class Client:
    """Makes the requests of one job.

    Raises:
        OSError: a certificate file cannot be read (``ssl.SSLError`` is one too).
    """

    def __init__(self, job: ScrapeJob) -> None:
        self._job = job
        self._limit = job.limits.body_size or MAX_PAGE_BYTES
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=_context(job.tls), keepalive_timeout=_KEEP_ALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "Accept": accept(job),
                "Accept-Encoding": "gzip" if job.enable_compression else "identity",
                "User-Agent": f"mirante/{version()}",
            },
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def fetch(self, url: str, timeout_ms: int) -> Fetched:
        """Get a page.

        Raises:
            ScrapeError: it did not come, with the reason in a person's words.
        """
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await self._fetch(url, timeout_ms)
        except TimeoutError:
            raise ScrapeError(f"no answer within {timeout_ms / 1000:g}s (scrape_timeout)") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ScrapeError(explain(error)) from error

    async def _fetch(self, url: str, timeout_ms: int) -> Fetched:
        headers = {"X-Prometheus-Scrape-Timeout-Seconds": f"{timeout_ms / 1000:g}"}
        if self._job.authorization is not None:
            headers["Authorization"] = _authorize(self._job.authorization)
        request = self._session.get(
            yarl.URL(url, encoded=True),
            headers=headers,
            allow_redirects=self._job.follow_redirects,
            server_hostname=self._job.tls.server_name or None,
        )
        async with request as answer:
            if answer.status != 200:
                raise ScrapeError(f"server returned HTTP status {answer.status} {answer.reason or ''}".rstrip())
            openmetrics = _is_openmetrics(answer.headers.get("Content-Type", ""), self._job)
            body = await self._bounded(answer.content)
            packed = answer.headers.get("Content-Encoding", "").lower() == "gzip"
            return Fetched(body, packed, openmetrics, self._limit)

    async def _bounded(self, content: aiohttp.StreamReader) -> bytes:
        chunks, size = [], 0
        async for chunk in content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > self._limit:
                raise too_large(self._limit)
        return b"".join(chunks)


def accept(job: ScrapeJob) -> str:
    """The ``Accept`` header: the job's protocols, the first one preferred, then anything.

    Example:
        >>> accept(ScrapeJob("shop", protocols=("OpenMetricsText0.0.1", "PrometheusText0.0.4")))
        'application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2'
    """
    ranked = [f"{_MEDIA_TYPES[p]};q=0.{len(job.protocols) + 2 - i}" for i, p in enumerate(job.protocols)]
    return ",".join([*ranked, "*/*;q=0.2"])


def explain(error: BaseException) -> str:
    """Why a request failed, in the words of the field.

    Example:
        >>> explain(ConnectionRefusedError(111, "Connect call failed"))
        'connection refused'
    """
    match error:
        case aiohttp.ClientConnectorDNSError():
            reason = f"no such host: {error.host}"
        case aiohttp.ClientConnectorCertificateError():
            reason = f"certificate verification failed: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            reason = explain(error.os_error)
        case aiohttp.TooManyRedirects():
            reason = "stopped after 10 redirects"
        case aiohttp.ServerDisconnectedError():
            reason = "the server closed the connection without an answer"
        case ConnectionRefusedError():
            reason = "connection refused"
        case ConnectionResetError() | OSError(errno=errno.ECONNRESET):
            reason = "connection reset by the target"
        case OSError() if error.filename:
            reason = f"{error.filename}: {error.strerror}"
        case _:
            reason = str(error) or type(error).__name__
    return reason


def _is_openmetrics(content_type: str, job: ScrapeJob) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/vnd.google.protobuf":
        raise ScrapeError("the target answered in protobuf, which is not supported yet by this version of mirante")
    if media_type in {"application/openmetrics-text", "text/plain"}:
        return media_type == "application/openmetrics-text"
    return job.fallback_protocol.startswith("OpenMetrics")


def _authorize(how: Authorization) -> str:
    """The header; secrets in files are read anew, so that they can be rotated."""
    secret = how.secret.read()
    if how.type == "Basic":
        return "Basic " + base64.b64encode(f"{how.username}:{secret}".encode()).decode()
    return f"{how.type} {secret}"


def _context(tls: Tls) -> ssl.SSLContext | bool:
    """What ``tls_config`` asks of connections; true is the default of trusting what the system trusts."""
    if tls == Tls():
        return True
    context = ssl.create_default_context(cafile=tls.ca_file, cadata=tls.ca or None)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    if tls.min_version:
        context.minimum_version = _TLS_VERSIONS[tls.min_version]
    if tls.max_version:
        context.maximum_version = _TLS_VERSIONS[tls.max_version]
    return context
