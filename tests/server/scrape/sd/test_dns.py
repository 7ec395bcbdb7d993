"""Targets from DNS, asked of a real name server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from mirante.server.scrape.discovery import Reporter
from mirante.server.scrape.model import DnsSd, DnsType
from mirante.server.scrape.sd.dns import DnsDiscovery, Resolver
from tests.server.scrape.parts import Discovered

Zone = dict[tuple[str, str], list[str]]
"""Records by name and type."""


class NameServer(asyncio.DatagramProtocol):
    """Answers from a zone; what stands at no name is NXDOMAIN, and ``broken`` names are SERVFAIL."""

    def __init__(self, zone: Zone, broken: set[str]) -> None:
        self._zone, self._broken = zone, broken

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        self._transport = cast("asyncio.DatagramTransport", transport)  # asyncio's own is none by inheritance

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        """Answer."""
        query = dns.message.from_wire(data)
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        (question,) = query.question
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        if name in self._broken:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif (name, kind) in self._zone:
            reply.answer.append(dns.rrset.from_text_list(question.name, 1, "IN", kind, self._zone[name, kind]))
        elif not any(known == name for known, _ in self._zone):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(reply.to_wire(), addr)


@asynccontextmanager
async def name_server(zone: Zone, broken: set[str]) -> AsyncIterator[Resolver]:
    """A resolver that asks a server with that zone."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(partial(NameServer, zone, broken), ("127.0.0.1", 0))
    resolver = Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], transport.get_extra_info("sockname")[1]
    try:
        yield resolver
    finally:
        transport.close()


@pytest.mark.parametrize(
    ("kind", "records", "expected"),
    [
        ("A", ["10.0.0.2", "10.0.0.1"], [{"__address__": "10.0.0.1:9100"}, {"__address__": "10.0.0.2:9100"}]),
        ("AAAA", ["::1"], [{"__address__": "[::1]:9100"}]),
        (
            "SRV",
            ["0 0 8000 a.shop.test."],
            [
                {
                    "__address__": "a.shop.test:8000",
                    "__meta_dns_srv_record_target": "a.shop.test.",
                    "__meta_dns_srv_record_port": "8000",
                }
            ],
        ),
        (
            "MX",
            ["10 mail.shop.test."],
            [{"__address__": "mail.shop.test:9100", "__meta_dns_mx_record_target": "mail.shop.test."}],
        ),
        (
            "NS",
            ["ns.shop.test."],
            [{"__address__": "ns.shop.test:9100", "__meta_dns_ns_record_target": "ns.shop.test."}],
        ),
    ],
)
def test_records_become_targets(kind: DnsType, records: list[str], expected: list[Mapping[str, str]]) -> None:
    """Each type with its labels."""

    async def main() -> None:
        found, sd = Discovered(), DnsSd(("shop.test.",), kind, 9100, 7_000)
        async with name_server({("shop.test.", kind): records}, set()) as resolver:
            discovery = DnsDiscovery(sd, Reporter("dns", "a", found.failures), found.steps.sleep, lambda: resolver)
            async with found.at_work(discovery):
                ((group,),) = found.published
                assert group.source == "shop.test."
                assert list(group.targets) == [{**labels, "__meta_dns_name": "shop.test."} for labels in expected]
                assert found.steps.slept == [7.0]

    asyncio.run(main())


def test_names_are_asked_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    """A change is news, another order is none; a server's failure keeps targets, a name that is gone has none."""

    async def main() -> None:
        found, sd = Discovered(), DnsSd(("a.test.", "b.test."), "A", 80)
        zone: Zone = {("a.test.", "A"): ["10.0.0.1", "10.0.0.2"], ("b.test.", "A"): ["10.0.1.1"]}
        broken: set[str] = set()
        async with name_server(zone, broken) as resolver:
            discovery = DnsDiscovery(sd, Reporter("dns", "a", found.failures), found.steps.sleep, lambda: resolver)
            async with found.at_work(discovery):
                assert found.addresses() == ["10.0.0.1:80", "10.0.0.2:80", "10.0.1.1:80"]
                zone["a.test.", "A"].reverse()
                await found.steps.next()
                assert len(found.published) == 1
                broken.add("a.test.")
                zone["b.test.", "A"] = ["10.0.1.2"]
                await found.steps.next()
                assert found.addresses() == ["10.0.0.1:80", "10.0.0.2:80", "10.0.1.2:80"]
                assert found.failures["dns"] == 1
                broken.clear()
                del zone["a.test.", "A"]
                zone["b.test.", "A"].clear()
                zone["b.test.", "AAAA"] = zone.pop(("b.test.", "A"))
                await found.steps.next()
                assert found.addresses() == []

    asyncio.run(main())
    assert "job a: a.test.: cannot be looked up: " in caplog.text


def test_the_system_resolver_is_the_default() -> None:
    """Nothing is asked yet."""
    found = Discovered()
    assert DnsDiscovery(DnsSd(("a",)), Reporter("dns", "a", found.failures), found.steps.sleep)._resolver is Resolver
