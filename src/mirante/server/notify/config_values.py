"""How single values of an ``alertmanager.yml`` are read: URLs, addresses, Go's durations, trees of anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import yaml

from mirante.formats.names import LABEL_NAME
from mirante.server.http_client.config import read_http, read_tls
from mirante.server.http_client.model import HttpClient, Tls
from mirante.server.notify.matchers import in_order, make_matcher, parse_matchers
from mirante.server.notify.model import Matcher
from mirante.server.yaml_reader import Section, Value

T = TypeVar("T")

HIDDEN = "<secret>"
"""What stands in place of a secret where a configuration is shown; a file that was saved from there is taken."""

_NULL = "tag:yaml.org,2002:null"
_UNITS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
_GO_DURATION = re.compile(rf"(?:(?:\d+\.?\d*|\.\d+)(?:{'|'.join(_UNITS)}))+", re.ASCII)
_GO_PART = re.compile(rf"([\d.]+)({'|'.join(_UNITS)})", re.ASCII)
_HOST_AND_PORT = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*):([^\[\]:]+)")


def text(value: Value) -> str:
    """Any scalar as text; null is the empty one."""
    return "" if value.node.tag == _NULL else value.text()


def template(value: Value) -> str:
    """Text that is a template: it is filled in when somebody is told."""
    return text(value)


def flag(value: Value) -> bool:
    """A truth value, without quotes around it."""
    return _unquoted(value).flag()


def count(value: Value) -> int:
    """A whole number that is not negative, without quotes around it."""
    return _unquoted(value).count()


def integer(value: Value) -> int:
    """A whole number, without quotes around it."""
    given = _unquoted(value).text()
    if not re.fullmatch(r"[+-]?\d{1,18}", given, re.ASCII):
        value.fail(f'expected a whole number, got "{given}"')
    return int(given)


def texts(value: Value) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(text(item) for item in value.items())


def pairs(value: Value) -> dict[str, str]:
    """A mapping of texts to texts."""
    return {key: text(item) for key, item in value.section().rest()}


def tree(value: Value) -> Any:  # noqa: ANN401 - whatever the user wrote
    """Whatever stands there: mappings as dicts, lists as tuples, scalars as YAML has them."""
    node = value.node
    if isinstance(node, yaml.MappingNode):
        return mapping(value)
    if isinstance(node, yaml.SequenceNode):
        return tuple(tree(item) for item in value.items())
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind in {"int", "float", "bool", "null"}:
        return yaml.SafeLoader("").construct_object(node)
    return value.text()


def mapping(value: Value) -> dict[str, Any]:
    """A mapping of texts to anything."""
    return {key: tree(item) for key, item in value.section().rest()}


def one_of(*choices: str, blank: str) -> Callable[[Value], str]:
    """A reader of one of those words; the empty text means ``blank``."""
    return lambda value: value.one_of(choices) if text(value) else blank


def path(value: Value) -> Path | None:
    """The path of a file, none when it is empty."""
    return folder_of(value) / given if (given := text(value)) else None


def folder_of(value: Value) -> Path:
    """Where relative paths of its file start."""
    return Path(value.source).parent


def http_config(value: Value) -> HttpClient:
    """How requests are made."""
    section = value.section()
    found = read_http(section, folder_of(value))
    section.finish()
    return found


def tls_config(value: Value) -> Tls:
    """Whom to trust and what to show."""
    return read_tls(value, folder_of(value))


def url(value: Value) -> str:
    """An http or https URL."""
    given = text(value)
    if not _is_url(given):
        value.fail(f'expected a URL such as https://host:port/path, got "{given}"')
    return given


def folder_url(value: Value) -> str:
    """The URL of a folder: below it more is put."""
    return f"{url(value).rstrip('/')}/"


def secret_url(value: Value) -> str:
    """The same, without saying what was given."""
    given = text(value)
    if given != HIDDEN and not _is_url(given):
        value.fail("expected a URL such as https://host:port/path")
    return given


def secret_url_template(value: Value) -> str:
    """The same; what has a template in it becomes a URL later."""
    return given if "{{" in (given := text(value)) else secret_url(value)


def host_and_port(value: Value) -> str:
    """An address such as ``smtp.example.com:587``; may be empty."""
    given = text(value)
    if given and not _HOST_AND_PORT.fullmatch(given):
        value.fail(f'expected an address with its port, such as smtp.example.com:587, got "{given}"')
    return given


def go_duration(value: Value) -> int:
    """A duration as Go writes it (``1m30s``, ``1.5s``), in milliseconds; a bare number is nanoseconds.

    Source: Go, ``time.ParseDuration``.
    """
    given = value.text()
    if given.isdecimal() and given.isascii():
        return int(given) // 1_000_000
    if not _GO_DURATION.fullmatch(given):
        value.fail(f'expected a duration such as 30s or 1m30s, got "{given}"')
    return round(sum(float(number) * _UNITS[unit] for number, unit in _GO_PART.findall(given)))


def label_name(value: Value) -> str:
    """The name of a label: any text but the empty one, as in Prometheus 3."""
    return text(value) or value.fail("expected the name of a label, got nothing")


def matchers(value: Value) -> tuple[Matcher, ...]:
    """A list of matchers, in Alertmanager's order."""
    return in_order(one for item in value.items() for one in _parsed(item, parse_matchers))


def equalities(value: Value) -> tuple[Matcher, ...]:
    """The matchers of a ``match``, which Alertmanager had before ``matchers``."""
    return tuple(make_matcher(_plain_name(item, name), "=", text(item)) for name, item in value.section().rest())


def patterns(value: Value) -> tuple[Matcher, ...]:
    """The matchers of a ``match_re``."""
    return tuple(_pattern(item, name) for name, item in value.section().rest())


def is_mapping(value: Value) -> bool:
    """Whether there are keys and values, where other things may stand too."""
    return isinstance(value.node, yaml.MappingNode)


def sections(value: Value) -> Iterator[Section]:
    """The mappings of a list."""
    for item in value.items():
        if item.node.tag == _NULL:
            item.fail("expected a mapping of keys to values, got nothing")
        yield item.section()


def named(value: Value, read: Callable[[Section, str], T]) -> Mapping[str, T]:
    """The mappings of a list by their ``name``, each of which may stand there once."""
    found: dict[str, T] = {}
    for section in sections(value):
        name = section.take("name", text, "")
        if not name:
            section.value.fail("name is missing")
        if name in found:
            section.value.fail(f'the name "{name}" is not unique')
        found[name] = read(section, name)
    return found


def _unquoted(value: Value) -> Value:
    if getattr(value.node, "style", None) in {"'", '"'}:
        value.fail("expected a value without quotes around it")
    return value


def _is_url(given: str) -> bool:
    try:
        parts = urlsplit(given)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return False
    host = parts.netloc.rpartition("@")[2]
    return parts.scheme in {"http", "https"} and bool(host) and not re.search(r"[\s<>\"\\^`{|}]", host)


def _plain_name(value: Value, name: str) -> str:
    if not LABEL_NAME.fullmatch(name):
        value.fail(f'invalid label name "{name}"; matchers take such names: matchers: [\'"{name}"="..."\']')
    return name


def _pattern(value: Value, name: str) -> Matcher:
    if value.node.tag == _NULL:
        value.fail(f'invalid regexp value for "{name}"')
    _plain_name(value, name)
    return _parsed(value, lambda pattern: make_matcher(name, "=~", pattern))


def _parsed(value: Value, parse: Callable[[str], T]) -> T:
    try:
        return parse(text(value))
    except ValueError as error:
        value.fail(str(error))
