"""A configuration as it may be shown: with everything secret hidden, and, for ``amtool``, without our own keys."""

from __future__ import annotations

import re
from collections.abc import Mapping

import yaml

from mirante.server.notify import config_values as read
from mirante.server.notify.config_global import GLOBAL
from mirante.server.notify.kinds import KINDS, OWN_KINDS

OWN_SECTIONS = frozenset(
    {"escalation_policies", "on_call", "maintenance", "runbooks", "allowed_commands", "storm_limit"}
)
"""Keys of the file's top that Alertmanager does not know."""

_OWN_OF_RECEIVERS = frozenset(f"{name}_configs" for name in OWN_KINDS)
_HTTP_SECRETS = frozenset(
    {"password", "credentials", "bearer_token", "client_secret", "secret_key", "proxy_connect_header", "http_headers"}
)
_SECRETS: Mapping[tuple[str, ...], frozenset[str]] = {
    ("global",): frozenset(option.name for option in GLOBAL if option.secret),
    **{
        ("receivers", f"{kind.name}_configs"): frozenset(option.name for option in kind.options if option.secret)
        for kind in KINDS.values()
    },
    ("receivers", "apprise_configs"): frozenset({"url", "urls"}),
}
_WEB = re.compile(r"(https?://)(?:[^/?#\s]*@)?([^/?#\s{}@]+)[^{}]*", re.IGNORECASE)
_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)")

Path = tuple[str, ...]


def shown(node: yaml.Node, *, own: bool = True) -> str:
    """A configuration as text.

    Args:
        node: what was read.
        own: whether what Alertmanager does not know stands there too.
    """
    return str(yaml.serialize(_Copier(own=own).copy(node, ()), Dumper=yaml.SafeDumper, allow_unicode=True, width=120))


class _Copier:
    """Copies a tree once for every place, so that what was repeated by aliases stays so."""

    def __init__(self, *, own: bool) -> None:
        self._own = own
        self._made: dict[tuple[int, Path, bool], yaml.Node] = {}

    def copy(self, node: yaml.Node, path: Path, *, hidden: bool = False) -> yaml.Node:
        place = (id(node), path, hidden)
        if place not in self._made:
            self._made[place] = self._copied(node, path, hidden=hidden)
        return self._made[place]

    def _copied(self, node: yaml.Node, path: Path, *, hidden: bool) -> yaml.Node:
        if isinstance(node, yaml.MappingNode):
            pairs = [
                (name, self.copy(value, (*path, name.value), hidden=hidden or _is_secret(path, name.value)))
                for name, value in node.value
                if self._own or not _is_own(path, name.value)
            ]
            return yaml.MappingNode(node.tag, pairs, flow_style=False)
        if isinstance(node, yaml.SequenceNode):
            items = [self.copy(item, path, hidden=hidden) for item in node.value]
            return yaml.SequenceNode(node.tag, items, flow_style=False)
        if hidden and node.value:
            return yaml.ScalarNode("tag:yaml.org,2002:str", _without_secret(node.value))
        return yaml.ScalarNode(node.tag, _PASSWORD.sub(r"\1xxxxx", node.value))


def _is_secret(path: Path, name: str) -> bool:
    return name in _HTTP_SECRETS or name in _SECRETS.get(path, ())


def _is_own(path: Path, name: str) -> bool:
    if path == ("receivers",):
        return name in _OWN_OF_RECEIVERS
    return name in OWN_SECTIONS if not path else path[0] == "route" and name == "escalation"


def _without_secret(text: str) -> str:
    """Of a web address the host may be seen, without which nobody would know one from another."""
    web = _WEB.fullmatch(text)
    return f"{web[1]}{web[2]}/{read.HIDDEN}" if web else read.HIDDEN
