"""Reads a YAML file key by key, so that every complaint names the key, the file and the line.

A reader takes the keys it knows from a ``Section`` and then calls ``finish``: whatever is left is unknown.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml

from mirante.errors import ConfigError
from mirante.formats.duration import parse_duration

T = TypeVar("T")
D = TypeVar("D")
L = TypeVar("L", bound=str)

_TRUE, _FALSE = {"true", "yes", "on", "y"}, {"false", "no", "off", "n"}
_SIZE = re.compile(r"(\d+)([KMGTPE]?)(?:i?B)?", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_NULL = "tag:yaml.org,2002:null"
_DEEPEST, _MOST_DIGITS = 100, 18
_OPEN = -1  # height of what is being looked at


class Value:
    """One value of the file and where it stands.

    Attributes:
        node: the parsed YAML.
        source: path of the file.
        key: dotted path to the value, such as ``scrape_configs[0].job_name``.
    """

    __slots__ = ("key", "node", "source")

    def __init__(self, node: yaml.Node, source: str, key: str) -> None:
        self.node, self.source, self.key = node, source, key

    def fail(self, message: str) -> NoReturn:
        """Raise the ConfigError that says where the value stands."""
        where = f"{self.source}, line {self.node.start_mark.line + 1}"
        raise ConfigError(f"{where}: {self.key}: {message}" if self.key else f"{where}: {message}",
                          key=self.key or None, source=self.source)  # fmt: skip

    @property
    def empty(self) -> bool:
        """Whether there is nothing: null, no text, or a list or mapping without entries."""
        return self.node.tag == _NULL or not self.node.value

    def text(self) -> str:
        """The value as text; any scalar will do, as ``job_name: 7`` is meant as text."""
        if not isinstance(self.node, yaml.ScalarNode):
            self.fail("expected text")
        text = str(self.node.value)
        if not text.isascii() and _SURROGATE.search(text):
            self.fail("is not valid Unicode: it has half of a surrogate pair")
        return text

    def flag(self) -> bool:
        """The value as a truth value."""
        text = self.text().lower()
        if text not in _TRUE | _FALSE:
            self.fail(f'expected true or false, got "{text}"')
        return text in _TRUE

    def count(self) -> int:
        """The value as a whole number that is not negative."""
        text = self.text()
        if not text.isdecimal():
            self.fail(f'expected a whole number that is not negative, got "{text}"')
        return self._int(text)

    def number(self) -> float:
        """The value as a number that is not negative."""
        try:
            number = float(self.text())
        except ValueError:
            number = -1.0
        if not 0 <= number < math.inf:
            self.fail(f'expected a number that is not negative, got "{self.text()}"')
        return number

    def duration(self) -> int:
        """The value as milliseconds."""
        try:
            return parse_duration(self.text())
        except ValueError as error:
            self.fail(str(error))

    def size(self) -> int:
        """The value as bytes; units are powers of 1024, as in Prometheus."""
        match = _SIZE.fullmatch(self.text())
        if match is None:
            self.fail(f'expected a size such as 10MB, got "{self.text()}"')
        return self._int(match[1]) << 10 * " KMGTPE".index(match[2] or " ")

    def _int(self, digits: str) -> int:
        if len(digits) > _MOST_DIGITS:
            self.fail(f"expected a number of at most {_MOST_DIGITS} digits")
        return int(digits)

    def one_of(self, choices: tuple[L, ...]) -> L:
        """The value as one of those words."""
        text = self.text()
        if text not in choices:
            self.fail(f'expected one of {", ".join(choices)}, got "{text}"')
        return choices[choices.index(text)]

    def items(self) -> Iterator[Value]:
        """The entries of a list."""
        if self.node.tag != _NULL and not isinstance(self.node, yaml.SequenceNode):
            self.fail("expected a list")
        for i, node in enumerate(self.node.value or ()):
            yield Value(node, self.source, f"{self.key}[{i}]")

    def texts(self) -> tuple[str, ...]:
        """The entries of a list of texts."""
        return tuple(item.text() for item in self.items())

    def section(self) -> Section:
        """The value as a mapping."""
        return Section(self)


class Section:
    """A mapping whose keys are taken one by one."""

    __slots__ = ("_known", "_left", "_names", "value")

    def __init__(self, value: Value) -> None:
        if value.node.tag != _NULL and not isinstance(value.node, yaml.MappingNode):
            value.fail("expected a mapping of keys to values")
        self.value = value
        self._known: list[str] = []
        self._left: dict[str, Value] = {}
        self._names: dict[str, Value] = {}
        if isinstance(value.node, yaml.MappingNode):
            self._check_twice(value.node)
            try:  # merged keys are put first: own ones win
                yaml.constructor.SafeConstructor().flatten_mapping(value.node)
            except yaml.MarkedYAMLError as error:
                value.fail(f"what << stands for cannot be merged: {error.problem}")
            for name, node in value.node.value:
                key = self._at(name).text()
                path = f"{value.key}.{key}" if value.key else key
                self._left[key], self._names[key] = Value(node, value.source, path), Value(name, value.source, path)

    def _at(self, name: yaml.Node) -> Value:
        return Value(name, self.value.source, self.value.key)

    def _check_twice(self, mapping: yaml.MappingNode) -> None:
        seen: set[str] = set()
        for name, _ in mapping.value:
            key = self._at(name).text()
            if key in seen:
                self._at(name).fail(f'key "{key}" is given twice')
            seen.add(key)

    def take(self, key: str, read: Callable[[Value], T], default: D) -> T | D:
        """The value of a key, read by ``read``; the default where the key is absent or null."""
        self._known.append(key)
        value = self._left.pop(key, None)
        return default if value is None or value.node.tag == _NULL else read(value)

    def gives(self, key: str) -> bool:
        """Whether the key stands there and was not taken yet, be it null."""
        return key in self._left

    def rest(self) -> Iterator[tuple[str, Value]]:
        """Every key that was not taken: for mappings whose keys are the user's own."""
        left, self._left = self._left, {}
        yield from left.items()

    def refuse(self, *keys: str) -> None:
        """Say of keys that Prometheus knows that they are not supported yet, unless they are empty or false."""
        for key in keys:
            value = self.take(key, lambda v: v, None)
            if value is not None and not value.empty and value.node.value != "false":
                value.fail("is not supported yet by this version of mirante; remove it to go on without it")

    def finish(self) -> None:
        """Raise ConfigError when a key was not taken."""
        for key in self._left:
            close = difflib.get_close_matches(key, self._known, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            self._names[key].fail(f'unknown key "{key}"{hint}')


def read_yaml(path: Path) -> Section:
    """The file's top mapping.

    Raises:
        ConfigError: the file cannot be read, is not YAML or no mapping.
    """
    return Section(read_yaml_value(path))


def read_yaml_value(path: Path) -> Value:
    """What the file holds, whatever it is; null when it is empty.

    Raises:
        ConfigError: the file cannot be read or is not YAML.
    """
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        ConfigError: the file cannot be read, or is not UTF-8.
    """
    source = str(path)
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}", source=source) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: is not UTF-8 text: {error}", source=source) from None


def parse_yaml_documents(text: str, source: str) -> list[Value]:
    r"""What each document of a text holds; ``---`` stands between them, and empty ones are left out.

    Raises:
        ConfigError: it is not YAML.

    Example:
        >>> [value.section().take("a", Value.count, 0) for value in parse_yaml_documents("a: 1\n---\na: 2", "code")]
        [1, 2]
    """
    nodes = _compose(lambda loader: list(yaml.compose_all(text, Loader=loader)), source)
    for node in nodes if "*" in text else ():
        _check_aliases(node, source)
    return [value for value in (Value(node, source, "") for node in nodes) if not value.empty]


def parse_yaml(text: str, source: str) -> Value:
    """What a text holds, whatever it is; null when it is empty.

    Raises:
        ConfigError: it is not YAML.

    Example:
        >>> parse_yaml("a: 1m", "code").section().take("a", Value.duration, 0)
        60000
    """
    node = _compose(lambda loader: yaml.compose(text, Loader=loader), source)
    if node is not None and "*" in text:
        _check_aliases(node, source)
    start = yaml.Mark(source, 0, 0, 0, None, 0)
    return Value(yaml.ScalarNode(_NULL, "", start, start) if node is None else node, source, "")


def _check_aliases(top: yaml.Node, source: str) -> None:
    """Readers go down into what they find: they must come to an end, and before Python's own."""
    heights: dict[int, int] = {}

    def height(node: yaml.Node) -> int:
        if isinstance(node, yaml.ScalarNode):
            return 0
        known = heights.get(id(node))
        if known == _OPEN:
            Value(node, source, "").fail("an alias stands inside of what it names")
        if known is None:
            heights[id(node)] = _OPEN
            parts = (part for child in node.value for part in (child if isinstance(child, tuple) else (child,)))
            known = heights[id(node)] = 1 + max(map(height, parts), default=0)
        if known > _DEEPEST:
            Value(node, source, "").fail(f"with its aliases it is nested more than {_DEEPEST} levels deep")
        return known

    height(top)


class _Bounded:
    """Makes a loader refuse what is nested deeper than any configuration: the C library recurses until it crashes."""

    _depth = 0

    def descend_resolver(self, current_node: yaml.Node, current_index: object) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.YAMLError(f"it is nested more than {_DEEPEST} levels deep")

    def ascend_resolver(self) -> None:
        self._depth -= 1


class _Loader(_Bounded, yaml.SafeLoader):
    pass


class _FastLoader(_Bounded, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # known at run time
    pass


def _compose(compose: Callable[[Any], T], source: str) -> T:
    """Parse with libyaml where it is there, as files can be long; the slower parser words its errors better."""
    try:
        try:
            return compose(_FastLoader)
        except yaml.YAMLError:
            return compose(_Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{source}{line}: is not YAML: {error.problem}", source=source) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: is not YAML: {error}", source=source) from None
