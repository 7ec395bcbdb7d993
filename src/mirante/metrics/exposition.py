"""What a client of a metrics endpoint gets: whether it may read, the format by its Accept header, compression.

The endpoints for ASGI, WSGI and the small server of one's own all answer by ``respond``.
"""

from __future__ import annotations

import base64
import hmac
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from mirante.errors import ConfigError
from mirante.formats import metric_family
from mirante.formats.exposition import OPENMETRICS_CONTENT_TYPE, TEXT_CONTENT_TYPE, underscored
from mirante.metrics.registry import Registry

_OPENMETRICS = "application/openmetrics-text"
_PROTOBUF = "application/vnd.google.protobuf"
_VERSIONS = ("1.0.0", "0.0.1")


class Format(NamedTuple):
    """What both sides agreed on.

    Attributes:
        openmetrics: OpenMetrics 1.0 instead of Prometheus text 0.0.4.
        gzip: the body is compressed.
        protobuf: Prometheus's protobuf instead of any text.
        utf8: names may be any text.
    """

    openmetrics: bool
    gzip: bool
    protobuf: bool = False
    utf8: bool = False

    def headers(self) -> dict[str, str]:
        """The response's headers."""
        if self.protobuf:
            kind = metric_family.CONTENT_TYPE
        elif self.openmetrics:
            kind = OPENMETRICS_CONTENT_TYPE
        else:
            kind = TEXT_CONTENT_TYPE.replace("0.0.4", "1.0.0") if self.utf8 else TEXT_CONTENT_TYPE
        found = {
            "Content-Type": f"{kind}; escaping=allow-utf-8" if self.utf8 else kind,
            "Vary": "Accept, Accept-Encoding",
        }
        return {**found, "Content-Encoding": "gzip"} if self.gzip else found

    def body(self, registry: Registry) -> Iterator[bytes]:
        """The exposition in this format, in parts."""
        parts = self._parts(registry)
        return gzip(parts) if self.gzip else parts

    def _parts(self, registry: Registry) -> Iterator[bytes]:
        exposed = registry.exposed()  # not before the first part is wanted: the callbacks are awaited in between
        if self.protobuf:
            for family in exposed.collect():
                yield metric_family.metric_family(family if self.utf8 else underscored(family))
        else:
            yield from exposed.chunks(openmetrics=self.openmetrics, utf8=self.utf8)


def negotiate(accept: str, accept_encoding: str) -> Format:
    """Choose by the request's headers; Prometheus text, not compressed, is what anyone gets who asks for nothing.

    Source: RFC 9110, 12.5; Prometheus, "Content negotiation".

    Example:
        >>> negotiate("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3", "gzip;q=0")
        Format(openmetrics=True, gzip=False, protobuf=False, utf8=False)
    """
    weights: dict[str, tuple[float, bool]] = {}
    for value, weight, utf8 in _weighed(accept):
        weights[value] = max(weights.get(value, (0.0, False)), (weight, utf8))
    encodings = {value: weight for value, weight, _ in _weighed(accept_encoding)}
    protobuf = weights.get(_PROTOBUF, (0.0, False))
    openmetrics = weights.get(_OPENMETRICS, (0.0, False))
    text = max([weights.get(name, (0.0, False)) for name in ("text/plain", "text/*", "*/*")])
    by_protobuf = protobuf[0] > 0 and protobuf[0] >= max(openmetrics[0], text[0])
    by_openmetrics = not by_protobuf and openmetrics[0] > 0 and openmetrics[0] >= text[0]
    chosen = protobuf if by_protobuf else openmetrics if by_openmetrics else text
    compressed = encodings.get("gzip", encodings.get("*", 0.0)) > 0
    return Format(openmetrics=by_openmetrics, gzip=compressed, protobuf=by_protobuf, utf8=chosen[1])


def _weighed(header: str) -> Iterator[tuple[str, float, bool]]:
    """Each element with its weight and whether it takes UTF-8 names; what we cannot write is left out."""
    for element in header.split(","):
        value, *rest = (part.strip() for part in element.split(";"))
        pairs = (part.partition("=") for part in rest)
        parameters = {name.strip().lower(): text.strip() for name, _, text in pairs}
        value = value.lower()
        if value == _OPENMETRICS and parameters.get("version", "1.0.0") not in _VERSIONS:
            continue
        if value == _PROTOBUF and (
            parameters.get("proto") != "io.prometheus.client.MetricFamily" or parameters.get("encoding") != "delimited"
        ):
            continue
        yield value, _weight(parameters.get("q", "1")), parameters.get("escaping") == "allow-utf-8"


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Compress as the chunks come; the fastest level, because a scrape travels once and is thrown away."""
    compressor = zlib.compressobj(level=1, wbits=31)
    for chunk in chunks:
        if out := compressor.compress(chunk):
            yield out
    yield compressor.flush()


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Who may read the metrics: everybody, unless told otherwise. What is given must all be met.

    Attributes:
        bearer_token: the token that an ``Authorization: Bearer`` header must have.
        basic_auth: user and password; either this or the token is enough where both are given.
        allowed_networks: addresses or networks of clients, such as ``127.0.0.1`` and ``10.0.0.0/8``. What counts is the
            address of the connection: behind a proxy, that of the proxy.

    Raises:
        ConfigError: a network is malformed, or a secret is empty.

    Example:
        >>> Access(bearer_token="s3cret").check("Bearer s3cret", "10.1.2.3")
        200
        >>> Access(allowed_networks=["127.0.0.0/8"]).check("", "10.1.2.3")
        403
    """

    bearer_token: str | None = None
    basic_auth: tuple[str, str] | None = None
    allowed_networks: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.bearer_token == "" or self.basic_auth == ("", ""):
            raise ConfigError("an empty secret protects nothing; leave it out instead", key="bearer_token")
        self._networks()

    def check(self, authorization: str, client: str | None) -> int:
        """The HTTP status for a request: 200, 401 (who are you?) or 403 (not from there).

        Args:
            authorization: the request's ``Authorization`` header.
            client: the address of the connection, or None where that is not known.
        """
        networks = self._networks()
        if networks and not _within(client, networks):
            return 403
        wanted = []
        if self.bearer_token is not None:
            wanted.append(f"bearer {self.bearer_token}")
        if self.basic_auth is not None:
            wanted.append("basic " + base64.b64encode(":".join(self.basic_auth).encode()).decode())
        scheme, _, secret = authorization.strip().partition(" ")
        given = f"{scheme.lower()} {secret.strip()}".encode("utf-8", "replace")
        allowed = not wanted or any(hmac.compare_digest(one.encode(), given) for one in wanted)
        return 200 if allowed else 401

    def challenge(self) -> str:
        """The ``WWW-Authenticate`` header of a 401."""
        return 'Bearer realm="metrics"' if self.basic_auth is None else 'Basic realm="metrics", charset="UTF-8"'

    def _networks(self) -> list[IPv4Network | IPv6Network]:
        try:
            return [ip_network(text, strict=False) for text in self.allowed_networks]
        except ValueError as error:
            raise ConfigError(f"allowed_networks: {error}", key="allowed_networks") from None


def _within(client: str | None, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    try:
        address = ip_address((client or "").split("%")[0])
    except ValueError:  # a Unix socket has no address
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)


OPEN = Access()
"""Everybody may read."""


class Response(NamedTuple):
    """An answer, for any way to serve it. A HEAD request gets the headers and no body.

    Attributes:
        status: of HTTP.
        headers: by name.
        body: in parts; each takes less than a millisecond to make.
    """

    status: int
    headers: Mapping[str, str]
    body: Iterator[bytes]


def respond(
    registry: Registry, method: str, headers: Mapping[str, str], client: str | None, access: Access = OPEN
) -> Response:
    """Answer a request for metrics.

    Args:
        registry: what to expose.
        method: of HTTP.
        headers: the request's, by name in lower case.
        client: the address of the connection, or None where that is not known.
        access: who may read.

    Example:
        >>> respond(Registry(), "POST", {}, None).status
        405
    """
    if method not in ("GET", "HEAD"):
        return _refusal(405, "use GET\n", {"Allow": "GET, HEAD"})
    status = access.check(headers.get("authorization", ""), client)
    if status == 401:
        return _refusal(401, "this needs a token or a password\n", {"WWW-Authenticate": access.challenge()})
    if status == 403:
        return _refusal(403, "not from this address\n", {})
    agreed = negotiate(headers.get("accept", ""), headers.get("accept-encoding", ""))
    return Response(200, agreed.headers(), iter(()) if method == "HEAD" else agreed.body(registry))


def _refusal(status: int, text: str, headers: Mapping[str, str]) -> Response:
    return Response(status, {"Content-Type": "text/plain; charset=utf-8", **headers}, iter([text.encode()]))
