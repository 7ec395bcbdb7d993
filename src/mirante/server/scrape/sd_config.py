"""Reads what a job says of its discoveries: ``static_configs`` and every ``*_sd_configs``.

Source: prometheus.io, "Configuration", sections ``static_config``, ``file_sd_config``, ``http_sd_config``,
``dns_sd_config`` and ``kubernetes_sd_config``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_args

from mirante.server.http_client.config import read_http, read_url
from mirante.server.http_client.model import HttpClient
from mirante.server.scrape.model import (
    DnsSd,
    DnsType,
    FileSd,
    HttpSd,
    KubernetesRole,
    KubernetesSd,
    Sd,
    Selector,
    StaticSd,
    TargetGroup,
)
from mirante.server.yaml_reader import Section, Value

_DNS_TYPES: tuple[DnsType, ...] = get_args(DnsType)
_DNS_DEFAULT: DnsType = "SRV"
_ROLES: tuple[KubernetesRole, ...] = get_args(KubernetesRole)
_FILE_PATTERN = re.compile(r"[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)")
_LOOKED_UP: Mapping[KubernetesRole, tuple[KubernetesRole, ...]] = {
    "endpoints": ("pod", "service"),
    "endpointslice": ("pod", "service"),
}
"""What is read besides a role's own objects."""
_OTHERS = (
    "aws", "azure", "consul", "digitalocean", "docker", "dockerswarm", "ec2", "eureka", "gce", "hetzner", "ionos",
    "kuma", "lightsail", "linode", "marathon", "nerve", "nomad", "openstack", "ovhcloud", "puppetdb", "scaleway",
    "serverset", "stackit", "triton", "uyuni", "vultr",
)  # fmt: skip


def read_discoveries(section: Section, folder: Path) -> tuple[Sd, ...]:
    """Take every discovery of a job; relative paths start at ``folder``."""
    found: list[Sd] = []
    groups = section.take("static_configs", read_static, ())
    if groups:
        found.append(StaticSd(groups))
    readers: Mapping[str, Callable[[Value, Path], Sd]] = {
        "file": _read_file,
        "http": _read_http_sd,
        "dns": _read_dns,
        "kubernetes": _read_kubernetes,
    }
    for kind, read in readers.items():
        for item in section.take(f"{kind}_sd_configs", lambda v: tuple(v.items()), ()):
            found.append(read(item, folder))  # noqa: PERF401 - a comprehension would bind the loop's names late
    for kind in _OTHERS:
        value = section.take(f"{kind}_sd_configs", lambda v: v, None)
        if value is not None and not value.empty:
            value.fail(
                "this discovery is not supported; there are static, file, http, dns and kubernetes: let a small "
                "program write its targets to a file (file_sd_configs) or serve them as JSON (http_sd_configs)"
            )
    return tuple(found)


def read_group(value: Value, source: str, read_address: Callable[[Value], str] = Value.text) -> TargetGroup:
    """One target group: ``targets`` and ``labels``."""
    section = value.section()
    targets = section.take("targets", lambda v: tuple({"__address__": read_address(item)} for item in v.items()), ())
    labels = section.take("labels", read_labels, {})
    section.finish()
    return TargetGroup(source, targets, labels)


def read_labels(value: Value) -> Mapping[str, str]:
    """A mapping of label names to values."""
    labels = {}
    for name, text in value.section().rest():
        if not name:
            text.fail("a label needs a name")
        labels[name] = text.text()
    return labels


def check_address(address: str) -> None:
    """See whether that can be scraped, before anything tries to.

    Raises:
        ValueError: it is more than a host and a port.
    """
    if "/" in address:
        raise ValueError(f'"{address}" is not a valid hostname; write host:port, and the path as metrics_path')


def read_static(value: Value) -> tuple[TargetGroup, ...]:
    """The target groups of ``static_configs``."""
    return tuple(read_group(item, str(i), _read_address) for i, item in enumerate(value.items()))


def _read_address(value: Value) -> str:
    try:
        check_address(value.text())
    except ValueError as error:
        value.fail(str(error))
    return value.text()


def _read_refresh(section: Section, default: int) -> int:
    return section.take("refresh_interval", positive_duration, default)


def positive_duration(value: Value) -> int:
    """Milliseconds above zero."""
    return value.duration() or value.fail("expected a duration above zero")


def _read_file(value: Value, folder: Path) -> FileSd:
    section = value.section()
    files = section.take("files", lambda v: tuple(_read_pattern(item, folder) for item in v.items()), ())
    if not files:
        value.fail("file service discovery config must contain at least one path name")
    found = FileSd(files, _read_refresh(section, 300_000))
    section.finish()
    return found


def _read_pattern(value: Value, folder: Path) -> str:
    pattern = value.text()
    if not _FILE_PATTERN.fullmatch(pattern):
        value.fail(
            f'"{pattern}" is not a valid path name: it must end with .json, .yml or .yaml, and only its last part may '
            "have a *"
        )
    return str(folder / pattern)


def _read_http_sd(value: Value, folder: Path) -> HttpSd:
    section = value.section()
    url = section.take("url", read_url, "")
    if not url:
        value.fail("URL is missing")
    found = HttpSd(url, _read_refresh(section, 60_000), read_http(section, folder))
    section.finish()
    return found


def _read_dns(value: Value, _folder: Path) -> DnsSd:
    section = value.section()
    names = section.take("names", Value.texts, ())
    if not names:
        value.fail("DNS-SD config must contain at least one SRV record name")
    kind = section.take("type", _read_dns_type, _DNS_DEFAULT)
    port = section.take("port", _read_port, 0)
    if kind != "SRV" and not port:
        value.fail("a port is required in DNS-SD configs for all record types except SRV")
    found = DnsSd(names, kind, port, _read_refresh(section, 30_000))
    section.finish()
    return found


def _read_dns_type(value: Value) -> DnsType:
    kind = next((known for known in _DNS_TYPES if known == value.text().upper()), None)
    return kind or value.fail(f'invalid type "{value.text()}"; there are {", ".join(_DNS_TYPES)}')


def _read_port(value: Value) -> int:
    port = value.count()
    return port if port < 1 << 16 else value.fail(f"expected a port from 1 to 65535, got {port}")


def _read_kubernetes(value: Value, folder: Path) -> KubernetesSd:
    section = value.section()
    role = section.take("role", lambda v: v.one_of(_ROLES), None)
    if role is None:
        value.fail(f"role missing (one of: {', '.join(_ROLES)})")
    names, own = section.take("namespaces", _read_namespaces, ((), False))
    found = KubernetesSd(
        role,
        api_server=section.take("api_server", read_url, ""),
        kubeconfig=section.take("kubeconfig_file", lambda v: folder / v.text(), None),
        http=read_http(section, folder),
        namespaces=names,
        own_namespace=own,
        selectors=section.take("selectors", lambda v: tuple(_read_selector(item, role) for item in v.items()), ()),
        attach_node=section.take("attach_metadata", _read_attach, False),
    )
    section.finish()
    _check_kubernetes(value, found)
    return found


def _check_kubernetes(value: Value, found: KubernetesSd) -> None:
    if found.kubeconfig and found.api_server:
        value.fail("cannot use 'kubeconfig_file' and 'api_server' simultaneously")
    if found.http != HttpClient() and not found.api_server:
        value.fail("to use custom HTTP client configuration please provide the 'api_server' URL explicitly")
    if found.http.oauth2 or found.http.headers:
        value.fail("oauth2 and http_headers are not supported for the Kubernetes API; use kubeconfig_file")
    roles = [selector.role for selector in found.selectors]
    if len(set(roles)) < len(roles):
        value.fail("duplicated selector role")


def _read_namespaces(value: Value) -> tuple[tuple[str, ...], bool]:
    section = value.section()
    found = section.take("names", Value.texts, ()), section.take("own_namespace", Value.flag, False)
    section.finish()
    return found


def _read_selector(value: Value, role: KubernetesRole) -> Selector:
    section = value.section()
    of = section.take("role", lambda v: v.one_of(_ROLES), role)
    found = Selector(of, section.take("label", Value.text, ""), section.take("field", Value.text, ""))
    section.finish()
    allowed = (role, *_LOOKED_UP.get(role, ()), "node")
    if of not in allowed:
        value.fail(f"{role} role supports only {', '.join(dict.fromkeys(allowed))} selectors")
    return found


def _read_attach(value: Value) -> bool:
    section = value.section()
    found = section.take("node", Value.flag, False)
    section.refuse("namespace")
    section.finish()
    return found
