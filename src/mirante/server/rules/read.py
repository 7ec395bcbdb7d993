"""Reads Prometheus rule files as they are, and tells everything that is wrong with one, not the first thing alone.

A rule may ask SQL (key ``sql``) in the place of PromQL (``expr``). Source: prometheus.io, "Recording rules" and
"Alerting rules"; the checks are those of Prometheus 3, ``model/rulefmt``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import TypeVar

from mirante.errors import BadQueryError, ConfigError, TemplateError
from mirante.server.promql.parse import parse
from mirante.server.rules.model import AlertingRule, Expression, RecordingRule, Rule, RuleGroup
from mirante.server.rules.template import check
from mirante.server.yaml_reader import Section, Value, parse_yaml, read_yaml_value

T = TypeVar("T")

_NAME = "__name__"
_TEXTS = ("record", "alert", "expr", "sql")
_KEYS = (*_TEXTS, "for", "keep_firing_for", "labels", "annotations")
_NO_TEXTS: Mapping[str, Value] = {}


def files_of(patterns: Iterable[str]) -> list[Path]:
    """The files that patterns of ``rule_files`` stand for, each once; a pattern without a file is none."""
    found = (name for pattern in patterns for name in sorted(glob(pattern, include_hidden=True)))  # noqa: PTH207 - Path.glob takes no absolute pattern
    return [Path(name) for name in dict.fromkeys(found)]


def shipped_file(name: str) -> Path:
    """The file of a set of rules that ships."""
    return Path(__file__).parent / "shipped" / f"{name}.yml"


def read_rules(files: Iterable[Path]) -> tuple[RuleGroup, ...]:
    """The groups of rule files.

    Raises:
        ConfigError: a file cannot be used; a line for everything that is wrong with any of them.
    """
    groups: list[RuleGroup] = []
    problems = _Problems()
    for file in files:
        with problems.caught():
            groups += _groups(read_yaml_value(file))
    problems.tell()
    return tuple(groups)


def parse_rules(text: str, source: str) -> tuple[RuleGroup, ...]:
    r"""The groups of a rule file's text.

    Args:
        text: the YAML.
        source: the file's name, for messages and as part of the groups' identity.

    Raises:
        ConfigError: it cannot be used; a line for everything that is wrong with it.

    Example:
        >>> (group,) = parse_rules("groups: [{name: a, rules: [{record: 'a:b', expr: sum(b)}]}]", "a.yml")
        >>> group.rules[0].expression.text
        'sum(b)'
    """
    return _groups(parse_yaml(text, source))


class _Problems:
    """Collects what is wrong."""

    def __init__(self, source: str | None = None) -> None:
        self._source = source
        self._found: list[str] = []

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Keep an error for later instead of raising it."""
        try:
            yield
        except ConfigError as error:
            self._found.append(str(error))

    def read(self, value: Value | None, read: Callable[[Value], T], default: T) -> T:
        """What a reader makes of a value; the default where there is none, or it is wrong."""
        if value is not None:
            with self.caught():
                return read(value)
        return default

    def add(self, value: Value, message: str) -> None:
        """Something that is wrong there."""
        text = message.replace("\n", "\\n")  # one line for each problem
        self._found.append(f"{value.source}, line {line_of(value)}: {text}")

    def tell(self) -> None:
        """Raise ConfigError when anything is wrong."""
        if self._found:
            raise ConfigError("\n".join(self._found), source=self._source)


def line_of(value: Value) -> int:
    """Number of the line on which a value begins, counted from 1."""
    return int(value.node.start_mark.line) + 1


def _groups(value: Value) -> tuple[RuleGroup, ...]:
    problems = _Problems(value.source)
    top = value.section()
    items: list[Value] = problems.read(top.take("groups", _as_is, None), _items, [])
    with problems.caught():
        top.finish()
    groups: list[RuleGroup] = []
    names: set[str] = set()
    for item in items:
        with problems.caught():
            group = _read_group(item, problems)
            if not group.name:
                problems.add(item, "a group needs a name")
            elif group.name in names:
                problems.add(item, f'groupname: "{group.name}" is repeated in the same file')
            names.add(group.name)
            groups.append(group)
    problems.tell()
    return tuple(groups)


def _as_is(value: Value) -> Value:
    return value


def _items(value: Value) -> list[Value]:
    return list(value.items())


def _read_group(item: Value, problems: _Problems) -> RuleGroup:
    section = item.section()

    def take(key: str, read: Callable[[Value], T], default: T) -> T:
        return problems.read(section.take(key, _as_is, None), read, default)

    name = take("name", Value.text, "")
    labels = take("labels", _texts, _NO_TEXTS)
    for label, value in labels.items():
        for message in _wrong_label(label):
            problems.add(value, f'group "{name}": {message}')
    group = RuleGroup(
        name=name,
        file=item.source,
        interval=take("interval", Value.duration, 0),
        limit=take("limit", Value.count, 0),
        query_offset=problems.read(section.take("query_offset", _as_is, None), _duration, None),
        labels=_plain(labels, problems),
        rules=tuple(_read_rules(take("rules", _items, []), name, problems)),
        line=line_of(item),
    )
    with problems.caught():
        section.finish()
    return group


def _duration(value: Value) -> int | None:
    return value.duration()


def _texts(value: Value) -> Mapping[str, Value]:
    return dict(value.section().rest())


def _plain(values: Mapping[str, Value], problems: _Problems) -> Mapping[str, str]:
    return {name: problems.read(value, Value.text, "") for name, value in values.items()}


def _read_rules(items: Iterable[Value], group: str, problems: _Problems) -> Iterator[Rule]:
    for number, item in enumerate(items, 1):
        with problems.caught():
            draft = _Draft(item, problems)
            for value, message in draft.complaints():
                name = draft.texts["alert"] or draft.texts["record"]
                problems.add(value, f'group "{group}", rule {number}, "{name}": {message}')
            yield draft.rule()


class _Draft:
    """A rule as its keys say, before anybody has looked whether it makes sense."""

    def __init__(self, item: Value, problems: _Problems) -> None:
        section: Section = item.section()
        found = {key: section.take(key, _as_is, None) for key in _KEYS}
        with problems.caught():
            section.finish()
        self.item = item
        self.values = {key: value for key, value in found.items() if value is not None}
        self.texts = {key: problems.read(found[key], Value.text, "") for key in _TEXTS}
        self.hold = problems.read(found["for"], Value.duration, 0)
        self.keep_firing_for = problems.read(found["keep_firing_for"], Value.duration, 0)
        self.label_values = problems.read(found["labels"], _texts, _NO_TEXTS)
        self.annotation_values = problems.read(found["annotations"], _texts, _NO_TEXTS)
        self.labels = _plain(self.label_values, problems)
        self.annotations = _plain(self.annotation_values, problems)

    def rule(self) -> Rule:
        """The rule."""
        texts, line = self.texts, line_of(self.item)
        sql = texts["sql"]
        asked = Expression(sql, "sql") if sql else Expression(texts["expr"])
        if texts["alert"]:
            return AlertingRule(
                texts["alert"], asked, self.hold, self.keep_firing_for, self.labels, self.annotations, line
            )
        return RecordingRule(texts["record"], asked, self.labels, line)

    def complaints(self) -> Iterator[tuple[Value, str]]:
        """What does not make sense, and where."""
        yield from self._about_the_kind()
        yield from self._about_the_expression()
        for name, value in self.label_values.items():
            yield from ((value, message) for message in _wrong_label(name))
        for name, value in self.annotation_values.items():
            if not name:
                yield value, "invalid annotation name: it is empty"
        if self.texts["alert"]:
            yield from self._about_templates()

    def _about_the_kind(self) -> Iterator[tuple[Value, str]]:
        record, at = self.texts["record"], self.values.get("record", self.item)
        if record and self.texts["alert"]:
            yield at, "only one of 'record' and 'alert' must be set"
        if not record:
            if not self.texts["alert"]:
                yield self.item, "one of 'record' or 'alert' must be set"
            return
        for key, given in (
            ("annotations", self.annotation_values),
            ("for", self.hold),
            ("keep_firing_for", self.keep_firing_for),
        ):
            if given:
                yield self.values[key], f"invalid field '{key}' in recording rule"
        if "{" in record or "}" in record:
            yield at, f"braces present in the recording rule name; should it be in expr?: {record}"

    def _about_the_expression(self) -> Iterator[tuple[Value, str]]:
        expr = self.texts["expr"]
        if self.texts["sql"]:
            if expr:
                yield self.values["sql"], "only one of 'expr' and 'sql' must be set"
        elif not expr:
            yield self.values.get("expr", self.item), "field 'expr' must be set in rule"
        else:
            try:
                parse(expr)
            except BadQueryError as error:
                yield self.values["expr"], f"could not parse expression: {error}"

    def _about_templates(self) -> Iterator[tuple[Value, str]]:
        for kind, texts, values in (
            ("label", self.labels, self.label_values),
            ("annotation", self.annotations, self.annotation_values),
        ):
            for name, text in texts.items():
                try:
                    check(text, name=f"__alert_{self.texts['alert']}")
                except TemplateError as error:
                    yield values[name], f'{kind} "{name}": {error}'


def _wrong_label(name: str) -> Iterator[str]:
    if name in {"", _NAME}:
        yield f'invalid label name: "{name}"'
