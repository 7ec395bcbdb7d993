"""``http_sd_configs``: a server that answers with target groups as JSON, asked again and again.

Source: prometheus.io, "Writing HTTP service discovery".
"""

from __future__ import annotations

import asyncio
import re

import aiohttp

from mirante.errors import FormatError, HttpClientError, ScrapeError
from mirante.formats.duration import format_duration
from mirante.server.http_client.connection import Connection
from mirante.server.http_client.failure import explain
from mirante.server.scrape.discovery import Publish, Reporter, Sleep, kept
from mirante.server.scrape.model import HttpSd, TargetGroup
from mirante.server.scrape.sd.groups import groups_of_json

_CONTENT_TYPE = re.compile(r'application/json(;\s*charset=("utf-8"|utf-8))?', re.IGNORECASE)
_MAX_BYTES = 128 * 1024 * 1024


class HttpDiscovery:
    """Asks the URL of one ``http_sd_configs`` entry.

    Raises:
        OSError: a certificate file cannot be read.
    """

    def __init__(self, sd: HttpSd, reporter: Reporter, sleep: Sleep) -> None:
        self._sd, self._reporter, self._sleep = sd, reporter, sleep
        self._connection = Connection(sd.http)
        self._published: list[TargetGroup] | None = None

    async def run(self, publish: Publish) -> None:
        """Publish what the server says, for ever."""
        try:
            while True:
                await self._refresh(publish)
                await self._sleep(self._sd.refresh / 1000)
        finally:
            await self._connection.close()

    async def _refresh(self, publish: Publish) -> None:
        seconds = self._sd.refresh / 1000
        try:
            async with asyncio.timeout(seconds):
                groups = groups_of_json(await self._ask(), self._sd.url, {"__meta_url": self._sd.url})
        except TimeoutError:
            self._reporter.failed(self._sd.url, f"no answer within {format_duration(self._sd.refresh)}")
        except (FormatError, HttpClientError, ScrapeError) as error:
            self._reporter.failed(self._sd.url, str(error))
        except (aiohttp.ClientError, OSError) as error:
            self._reporter.failed(self._sd.url, explain(error))
        else:
            self._reporter.worked(self._sd.url)
            if groups != self._published:
                self._published = kept(self._published, groups)
                await publish(self._published)

    async def _ask(self) -> bytes:
        headers = {
            "Accept": "application/json",
            "X-Prometheus-Refresh-Interval-Seconds": f"{self._sd.refresh / 1000:g}",
        }
        async with self._connection.request("GET", self._sd.url, headers) as answer:
            if answer.status != 200:
                raise ScrapeError(f"server returned HTTP status {answer.status} {answer.reason or ''}".rstrip())
            content_type = answer.headers.get("Content-Type", "")
            if not _CONTENT_TYPE.fullmatch(content_type.strip()):
                raise ScrapeError(f'unsupported content type "{content_type}"; it must be application/json')
            body = b""
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise ScrapeError(f"the answer has more than {_MAX_BYTES >> 20} MiB")
            return body
