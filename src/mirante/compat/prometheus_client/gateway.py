"""Pushing to a Pushgateway with prometheus_client's functions, whose requests are made by replaceable handlers."""

from __future__ import annotations

import base64
import gzip
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.request import BaseHandler, HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from mirante.compat.prometheus_client.registry import REGISTRY, Collector, beneath
from mirante.formats.exposition import TEXT_CONTENT_TYPE
from mirante.formats.pushgateway import group_path
from mirante.metrics.registry import gather

Headers = list[tuple[str, str]]
Handler = Callable[..., Callable[[], None]]
"""``handler(url=, method=, timeout=, headers=, data=)`` gives the function that makes the request."""


class _Redirects(HTTPRedirectHandler):
    """Repeats the request, method and body and all, where it is told to go."""

    def redirect_request(
        self,
        req: Request,
        fp: object,
        code: int,
        msg: str,
        headers: object,
        newurl: str,
    ) -> Request:
        """The same request to the new address."""
        return Request(newurl, data=req.data, headers=req.headers, method=req.get_method())  # noqa: S310 - urllib checked it


def _requesting(
    url: str, method: str, timeout: float | None, headers: Headers, data: bytes, opener: BaseHandler
) -> Callable[[], None]:
    def request() -> None:
        asked = Request(url, data=data, headers=dict(headers), method=method)  # noqa: S310 - the caller's own URL
        build_opener(opener).open(asked, timeout=timeout).close()

    return request


def default_handler(url: str, method: str, timeout: float | None, headers: Headers, data: bytes) -> Callable[[], None]:
    """Makes a plain request; the function that it gives raises OSError when it fails."""
    return _requesting(url, method, timeout, headers, data, HTTPHandler())


def passthrough_redirect_handler(
    url: str, method: str, timeout: float | None, headers: Headers, data: bytes
) -> Callable[[], None]:
    """Follows redirects of every method, headers and body included: only for a gateway that you trust."""
    return _requesting(url, method, timeout, headers, data, _Redirects())


def basic_auth_handler(
    url: str,
    method: str,
    timeout: float | None,
    headers: Headers,
    data: bytes,
    username: str | None = None,
    password: str | None = None,
) -> Callable[[], None]:
    """Makes a request with basic authentication, where both user and password are given."""
    more: Headers = []
    if username is not None and password is not None:
        more = [("Authorization", "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode())]
    return default_handler(url, method, timeout, [*headers, *more], data)


def tls_auth_handler(
    url: str,
    method: str,
    timeout: float | None,
    headers: Headers,
    data: bytes,
    certfile: str,
    keyfile: str,
    cafile: str | None = None,
    protocol: int = ssl.PROTOCOL_TLS_CLIENT,
    insecure_skip_verify: bool = False,
) -> Callable[[], None]:
    """Makes a request over TLS with a client's certificate.

    Raises:
        OSError: a file cannot be read.
    """
    context = ssl.SSLContext(protocol)
    if cafile is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cafile)
    if insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(certfile, keyfile)
    return _requesting(url, method, timeout, headers, data, HTTPSHandler(context=context))


def push_to_gateway(
    gateway: str,
    job: str,
    registry: Collector | None,
    grouping_key: Mapping[str, Any] | None = None,
    timeout: float | None = 30,
    handler: Handler = default_handler,
    compression: Literal["gzip"] | None = None,
) -> None:
    """Replace the whole group by these metrics (``PUT``).

    Args:
        gateway: its address; ``http://`` may be left out.
        job: value of the label ``job``.
        registry: what to push; the process's own metrics where it is None.
        grouping_key: further labels of the group.
        timeout: seconds; None for no limit.
        handler: gives the function that makes the request.
        compression: ``gzip`` or none.

    Raises:
        OSError: the gateway did not take them.
        ValueError: the job is empty, a label's name is none, or there is no such compression.

    Example:
        >>> def printing(url, method, timeout, headers, data):
        ...     return lambda: print(method, url)
        >>> push_to_gateway("localhost:9091", "batchA", None, {"disk": "sda"}, handler=printing)
        PUT http://localhost:9091/metrics/job/batchA/disk/sda
    """
    _push("PUT", gateway, job, registry, grouping_key, timeout, handler, compression)


def pushadd_to_gateway(
    gateway: str,
    job: str,
    registry: Collector | None,
    grouping_key: Mapping[str, Any] | None = None,
    timeout: float | None = 30,
    handler: Handler = default_handler,
    compression: Literal["gzip"] | None = None,
) -> None:
    """Replace the metrics of the group that have the same names (``POST``); otherwise as ``push_to_gateway``."""
    _push("POST", gateway, job, registry, grouping_key, timeout, handler, compression)


def delete_from_gateway(
    gateway: str,
    job: str,
    grouping_key: Mapping[str, Any] | None = None,
    timeout: float | None = 30,
    handler: Handler = default_handler,
) -> None:
    """Delete the group; arguments and errors as for ``push_to_gateway``."""
    _request("DELETE", gateway, job, grouping_key, timeout, handler, [], b"")


def instance_ip_grouping_key() -> dict[str, str]:
    """A grouping key with this host's address as ``instance``: that from which it would reach other hosts.

    Example:
        >>> sorted(instance_ip_grouping_key())
        ['instance']
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 1))  # no packet is sent: it only chooses a route
            return {"instance": probe.getsockname()[0]}
        except OSError:  # no route at all
            return {"instance": "127.0.0.1"}


def _push(
    method: str,
    gateway: str,
    job: str,
    registry: Collector | None,
    grouping_key: Mapping[str, Any] | None,
    timeout: float | None,
    handler: Handler,
    compression: str | None,
) -> None:
    if compression not in {None, "gzip"}:
        raise ValueError(f"compression must be 'gzip' or None, not {compression!r}")
    data = gather(beneath(REGISTRY if registry is None else registry).exposed().chunks())
    more: Headers = [("Content-Encoding", "gzip")] if compression else []
    _request(method, gateway, job, grouping_key, timeout, handler, more, gzip.compress(data) if compression else data)


def _request(
    method: str,
    gateway: str,
    job: str,
    grouping_key: Mapping[str, Any] | None,
    timeout: float | None,
    handler: Handler,
    more: Headers,
    data: bytes,
) -> None:
    base = gateway if gateway.startswith(("http://", "https://")) else f"http://{gateway}"
    key = {str(name): str(value) for name, value in sorted((grouping_key or {}).items())}
    headers = [("Content-Type", TEXT_CONTENT_TYPE), *more]
    url = base.rstrip("/") + group_path(job, key)
    handler(url=url, method=method, timeout=timeout, headers=headers, data=data)()
