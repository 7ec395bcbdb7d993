"""Gets the page of a target over HTTP.

aiohttp, because a thousand targets of which some hang need no thread each, connections are kept between scrapes, and
TLS, redirects and keep-alive are its authors' business. Pages are unpacked by the caller's thread, off the event loop.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Literal, NamedTuple

import aiohttp

from mirante.errors import HttpClientError, ScrapeError
from mirante.server.http_client.connection import Connection
from mirante.server.http_client.failure import explain
from mirante.server.scrape.model import ScrapeJob

PageFormat = Literal["text", "openmetrics", "protobuf"]

MAX_PAGE_BYTES = 128 * 1024 * 1024
"""Bound of a page where ``body_size_limit`` sets none: more than a million series."""

_GZIP = 16 + zlib.MAX_WBITS
_MEDIA_TYPES = {
    "PrometheusProto": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    "OpenMetricsText1.0.0": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
    "OpenMetricsText0.0.1": "application/openmetrics-text;version=0.0.1",
    "PrometheusText1.0.0": "text/plain;version=1.0.0;escaping=allow-utf-8",
    "PrometheusText0.0.4": "text/plain;version=0.0.4",
}
_FORMATS: dict[str, PageFormat] = {
    "application/vnd.google.protobuf": "protobuf",
    "application/openmetrics-text": "openmetrics",
    "text/plain": "text",
}


class Fetched(NamedTuple):
    """An answer as it came.

    Attributes:
        body: the page, packed as ``gzip`` says.
        gzip: whether it is compressed.
        format: what it is.
        limit: bytes that the unpacked page may have.
    """

    body: bytes
    gzip: bool
    format: PageFormat
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
        self._headers = {
            "Accept": accept(job),
            "Accept-Encoding": "gzip" if job.enable_compression else "identity",
        }
        self._connection = Connection(job.http)

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

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
        except (aiohttp.ClientError, HttpClientError, OSError, ValueError) as error:
            raise ScrapeError(explain(error)) from error

    async def _fetch(self, url: str, timeout_ms: int) -> Fetched:
        headers = {**self._headers, "X-Prometheus-Scrape-Timeout-Seconds": f"{timeout_ms / 1000:g}"}
        async with self._connection.request("GET", url, headers) as answer:
            if answer.status != 200:
                raise ScrapeError(f"server returned HTTP status {answer.status} {answer.reason or ''}".rstrip())
            page_format = _format(answer.headers.get("Content-Type", ""), self._job)
            body = await self._bounded(answer.content)
            packed = answer.headers.get("Content-Encoding", "").lower() == "gzip"
            return Fetched(body, packed, page_format, self._limit)

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
    types = [_MEDIA_TYPES[protocol] for protocol in job.protocols]
    if job.name_validation == "legacy":
        types = [text.replace("allow-utf-8", "underscores") for text in types]
    ranked = [f"{text};q=0.{len(types) + 2 - i}" for i, text in enumerate(types)]
    return ",".join([*ranked, "*/*;q=0.2"])


def _format(content_type: str, job: ScrapeJob) -> PageFormat:
    media_type = content_type.partition(";")[0].strip().lower()
    known: PageFormat | None = _FORMATS.get(media_type)
    if known is not None:
        return known
    if job.fallback_protocol == "PrometheusProto":
        return "protobuf"
    return "openmetrics" if job.fallback_protocol.startswith("OpenMetrics") else "text"
