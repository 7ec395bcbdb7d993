"""``dns_sd_configs``: the addresses behind DNS names, asked for again and again.

Source: prometheus.io, "Configuration", section ``dns_sd_config``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.resolver

from mirante.server.scrape.discovery import Publish, Reporter, Sleep, kept
from mirante.server.scrape.model import DnsSd, TargetGroup

_LOOKUP_SECONDS = 10.0

Resolver = dns.asyncresolver.Resolver


class DnsDiscovery:
    """Looks up the names of one ``dns_sd_configs`` entry.

    Args:
        sd: what the configuration says.
        reporter: is told of names that cannot be looked up.
        sleep: waits for seconds.
        resolver: makes a resolver; by default one that reads ``/etc/resolv.conf`` anew every time.
    """

    def __init__(
        self, sd: DnsSd, reporter: Reporter, sleep: Sleep, resolver: Callable[[], Resolver] = Resolver
    ) -> None:
        self._sd, self._reporter, self._sleep, self._resolver = sd, reporter, sleep, resolver
        self._groups: dict[str, TargetGroup] = {}
        self._published: list[TargetGroup] | None = None

    async def run(self, publish: Publish) -> None:
        """Publish the addresses, for ever."""
        while True:
            await asyncio.gather(*(self._refresh(name) for name in self._sd.names))
            groups = [self._groups[name] for name in self._sd.names if name in self._groups]
            if groups != self._published:
                self._published = kept(self._published, groups)
                await publish(self._published)
            await self._sleep(self._sd.refresh / 1000)

    async def _refresh(self, name: str) -> None:
        try:
            records = await self._look_up(name)
        except (dns.exception.DNSException, OSError) as error:
            self._reporter.failed(name, f"cannot be looked up: {error}")
        else:
            self._reporter.worked(name)
            # Answers rotate: in order, so that the same addresses are no news.
            targets = sorted((self._target(name, record) for record in records), key=lambda t: t["__address__"])
            self._groups[name] = TargetGroup(name, tuple(targets))

    async def _look_up(self, name: str) -> list[Any]:
        try:
            answer = await self._resolver().resolve(
                name, self._sd.type, search=True, raise_on_no_answer=False, lifetime=_LOOKUP_SECONDS
            )
        except dns.resolver.NXDOMAIN:
            return []  # the name is known not to be there: it has no targets
        return list(answer.rrset or ())

    def _target(self, name: str, record: Any) -> dict[str, str]:  # noqa: ANN401 - a class for each type
        """Labels of one record's target; the names of records keep their final dot there, as in Prometheus."""
        port, host, extra = self._sd.port, "", {}
        match self._sd.type:
            case "SRV":
                host, port = record.target.to_text(), record.port
                extra = {"srv_record_target": host, "srv_record_port": str(port)}
            case "MX":
                host = record.exchange.to_text()
                extra = {"mx_record_target": host}
            case "NS":
                host = record.target.to_text()
                extra = {"ns_record_target": host}
            case "AAAA":
                host = f"[{record.address}]"
            case "A":
                host = record.address
        labels = {f"__meta_dns_{key}": value for key, value in extra.items()}
        return {"__address__": f"{host.rstrip('.')}:{port}", "__meta_dns_name": name, **labels}
